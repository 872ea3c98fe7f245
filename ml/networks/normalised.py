"""Making the error of an autoencoder the energy of a normalised density: the training.

References:
    S. Yoon, Y.-K. Noh, F. Park, Autoencoding under normalization constraints, arXiv:2105.05735,
    section 4; R. Seidita for the CMS Collaboration (2023); CMS, arXiv:2510.02168.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from oddjet.ml.networks.keras_models import compile_function, import_keras
from oddjet.ml.networks.langevin import Confine, Energy, Langevin, ReplayBuffer, Tensors
from oddjet.ml.networks.objectives import Losses, Objective, adam_objective
from oddjet.ml.networks.wasserstein import earth_movers_distance

__all__ = ["EMD_POINTS", "SampledDensity", "contrast", "normalised_objective"]

EMD_POINTS = 1000
"""Points a side of the distance between data and samples."""


def contrast(plus: Any, minus: Any, *, temperature: float, guard: bool) -> Any:
    """The loss: D = E₊ − E₋, guarded as D + max(−D, 0)² / T.

    D's gradient is that of −T log p of the data, as long as the samples are of p. Where E₋ > E₊ they
    lag behind the network, and E₋ can be raised without limit. The guarded loss is D for D ≥ 0 and least
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


@dataclass(frozen=True)
class SampledDensity:
    """The density exp(−E/T)/Z of an autoencoder's energy, and how it is sampled.

    Attributes:
        energy: `energy(*tensors)` → (b,).
        columns: Numbers of a row of data.
        tensors: Makes what the energy takes of rows, shape (b, columns).
        summary: Makes points, shape (b, d), of such tensors: the earth mover's distance is theirs.
    """

    energy: Energy
    columns: int
    tensors: Callable[[Any], Tensors]
    summary: Callable[[Tensors], Any]
    langevin: Langevin
    confine: Confine


def normalised_objective(
    model: Any,
    density: SampledDensity,
    *,
    buffer: ReplayBuffer,
    chains: int,
    validation: npt.NDArray[np.floating[Any]],
    learning_rate: float,
    guard: bool,
) -> Objective:
    """Train a model, which the energy depends on, by E₊ − E₋ with so many chains moved in a step.

    The first 1000 rows of `validation` are compared with the first samples in the buffer. Losses
    are `loss`, `e_plus`, `e_minus`, on validation `val_loss`, the mean energy, and after each epoch
    `emd`.
    """
    tf, keras = import_keras()
    energy, tensors, langevin = density.energy, density.tensors, density.langevin

    def losses(rows: Any, *samples: Any) -> Losses:
        plus = tf.reduce_mean(energy(*tensors(rows)))
        minus = tf.reduce_mean(energy(*samples))
        loss = contrast(plus, minus, temperature=langevin.temperature, guard=guard)
        return {"loss": loss, "e_plus": plus, "e_minus": minus}

    summarised = compile_function(
        lambda rows: density.summary(tensors(rows)), (None, density.columns)
    )
    points = summarised(validation[:EMD_POINTS]).numpy()

    def distance(epoch: int) -> dict[str, float]:
        del epoch
        samples = density.summary([chain[:EMD_POINTS] for chain in buffer.chains])
        return {"emd": earth_movers_distance(points, np.asarray(samples))}

    objective = adam_objective(
        losses,
        models=[model],
        optimizer=keras.optimizers.Adam(learning_rate),
        judge=lambda rows: {"loss": tf.reduce_mean(energy(*tensors(rows)))},
        draw=lambda _: buffer.move(chains, energy, langevin, confine=density.confine),
        state=buffer.state,
        columns=density.columns,
    )
    return dataclasses.replace(objective, finish_epoch=distance)
