"""Making the error of an autoencoder the energy of a normalised density: the training.

References:
    S. Yoon, Y.-K. Noh, F. Park, Autoencoding under normalization constraints, arXiv:2105.05735,
    section 4; R. Seidita for the CMS Collaboration (2023); CMS, arXiv:2510.02168.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from oddjet.ml.networks.keras_models import compile_function, import_keras, model_to_bytes
from oddjet.ml.networks.langevin import Confine, Energy, Langevin, ReplayBuffer, Tensors
from oddjet.ml.networks.training import Objective
from oddjet.ml.networks.wasserstein import earth_movers_distance

__all__ = ["EMD_POINTS", "contrast", "normalised_objective"]

EMD_POINTS = 1000
"""Points a side of the distance between data and samples."""


def contrast(plus: Any, minus: Any, *, temperature: float, guard: bool) -> Any:
    """The loss: D = E₊ − E₋, guarded as D + max(−D, 0)² / T.

    D's gradient is that of −T log p of the data, as long as the samples are of p. Where E₋ > E₊ they
    lag behind the network, and E₋ can be raised for ever. The guarded loss is D for D ≥ 0 and least
    at D = −T/2, so that the energies cannot part by much more than the temperature. It is of this
    package: the talk squares D, arXiv:2105.05735 adds the mean of E₋² instead.

    Args:
        plus: E₊, the mean energy of data, a scalar tensor.
        minus: E₋, the mean energy of samples.
        temperature: T.
        guard: Whether to guard it.
    """
    tf, _ = import_keras()
    difference = plus - minus
    if not guard:
        return difference
    return difference + tf.square(tf.nn.relu(-difference)) / temperature


def normalised_objective(
    model: Any,
    energy: Energy,
    *,
    columns: int,
    tensors: Callable[[Any], Tensors],
    summary: Callable[[Tensors], Any],
    validation: npt.NDArray[np.float32],
    buffer: ReplayBuffer,
    langevin: Langevin,
    confine: Confine,
    chains: int,
    learning_rate: float,
    guard: bool,
) -> Objective:
    """Say how to train a model by E₊ − E₋.

    Args:
        model: A built Keras model, which the energy depends on.
        energy: `energy(*tensors)` → (b,).
        columns: Numbers of a row of data.
        tensors: Makes what the energy takes of rows, shape (b, columns).
        summary: Makes points, shape (b, d), of such tensors: the earth mover's distance is theirs.
        validation: Rows, of which the first 1000 are compared with samples.
        buffer: The chains; those first in it are compared.
        langevin: How they move.
        confine: Where they may be.
        chains: How many of them move in a step.
        learning_rate: Of Adam.
        guard: See `contrast`.

    Returns:
        Its losses are `loss`, `e_plus`, `e_minus`, on validation `val_loss`, the mean energy, and
        after each epoch `emd`.
    """
    tf, keras = import_keras()
    optimizer = keras.optimizers.Adam(learning_rate)
    variables = model.trainable_variables
    optimizer.build(variables)

    def step(rows: Any) -> Any:
        samples = buffer.move(chains, energy, langevin, confine=confine)
        with tf.GradientTape() as tape:
            plus = tf.reduce_mean(energy(*tensors(rows)))
            minus = tf.reduce_mean(energy(*samples))
            loss = contrast(plus, minus, temperature=langevin.temperature, guard=guard)
        optimizer.apply(tape.gradient(loss, variables), variables)
        return {"loss": loss, "e_plus": plus, "e_minus": minus}

    def evaluate(rows: Any) -> Any:
        return {"loss": tf.reduce_mean(energy(*tensors(rows)))}

    summarised = compile_function(lambda rows: summary(tensors(rows)), (None, columns))
    points = summarised(validation[:EMD_POINTS]).numpy()

    def distance(epoch: int) -> dict[str, float]:
        del epoch
        samples = summary([chain[:EMD_POINTS] for chain in buffer.chains])
        return {"emd": earth_movers_distance(points, np.asarray(samples))}

    return Objective(
        step=compile_function(step, (None, columns)),
        evaluate=compile_function(evaluate, (None, columns)),
        models=[model],
        optimizers=[optimizer],
        state=buffer.state,
        finish_epoch=distance,
        checkpoint=lambda: model_to_bytes(model),
    )
