"""The networks of `oddjet.ml.detectors.golling`, their loss, and what trains them in each stage.

References:
    T. Golling et al., arXiv:2303.14134, section 2.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from oddjet.errors import DetectorError
from oddjet.ml.networks.adversarial import gradient_penalty, reverse_gradient
from oddjet.ml.networks.keras_models import import_keras, model_from_bytes
from oddjet.ml.networks.objectives import Losses, Objective, adam_objective

__all__ = ["LATENT", "Networks", "Stage", "adversarial_objective", "load_networks", "loss_terms"]

LAYERS = (256, 128, 64)
LATENT = 10


class Stage(enum.Enum):
    """What is trained, in this order."""

    WITHOUT_CRITIC = "without_critic"
    WITH_CRITIC = "with_critic"
    FROZEN_CRITIC = "frozen_critic"


@dataclass(frozen=True)
class Networks:
    """Three Keras models, for n numbers a jet.

    Attributes:
        encoder: (b, n) → means and log variances of the codes, side by side, (b, 20).
        decoder: Codes (b, 10) → reconstructions (b, n).
        critic: Jets or reconstructions (b, n) → logit of being a reconstruction, (b, 1).
    """

    encoder: Any
    decoder: Any
    critic: Any

    @classmethod
    def build(cls, n_inputs: int, *, seeds: Iterator[int]) -> Networks:
        """Build untrained networks for n inputs; each layer takes one of the seeds."""
        return cls(
            _dense("encoder", n_inputs, LAYERS, 2 * LATENT, seeds=seeds),
            _dense("decoder", LATENT, LAYERS[::-1], n_inputs, seeds=seeds),
            _dense("critic", n_inputs, LAYERS, 1, seeds=seeds),
        )

    def by_name(self) -> dict[str, Any]:
        """Give the networks under their names."""
        return {"encoder": self.encoder, "decoder": self.decoder, "critic": self.critic}


def load_networks(folder: Path, *, n_inputs: int) -> Networks:
    """Read the three `.keras` files of a folder.

    Raises:
        DetectorError: If one cannot be read, or takes or gives other numbers than it should.
    """
    shapes = {
        "encoder": (n_inputs, 2 * LATENT),
        "decoder": (LATENT, n_inputs),
        "critic": (n_inputs, 1),
    }
    models = {}
    for name, expected in shapes.items():
        where = folder / f"{name}.keras"
        model = model_from_bytes(where.read_bytes(), where=str(where))
        shape = (model.input_shape[-1], model.output_shape[-1])
        if shape != expected:
            msg = f"{where}: expected a model from and to {expected} numbers. Received: {shape}."
            raise DetectorError(msg)
        models[name] = model
    return Networks(**models)


def adversarial_objective(
    networks: Networks,
    *,
    stage: Stage,
    learning_rate: float,
    kl_weight: float,
    critic_weight: float,
    penalty: float,
    seed: int,
) -> Objective:
    """Give what a stage trains: encoder and decoder always, the critic in the second stage.

    All networks are part of the state, so that a stage starts from all; Adam starts afresh. Weights
    are those of `loss_terms`, that of the critic 0 in the first stage. Validation uses the same
    noise in each epoch.
    """
    tf, keras = import_keras()
    models = list(networks.by_name().values())
    generator = tf.random.Generator.from_seed(seed, alg="philox")
    terms = partial(
        loss_terms,
        networks,
        kl_weight=kl_weight,
        critic_weight=None if stage is Stage.WITHOUT_CRITIC else critic_weight,
        penalty=penalty,
    )

    def draw(batch: Any) -> list[Any]:
        n = tf.shape(batch)[0]
        return [generator.normal((n, LATENT)), generator.uniform((n, 1))]

    def judge(batch: Any) -> Losses:
        n = tf.shape(batch)[0]
        noise = tf.random.stateless_normal((n, LATENT), (seed, 0))
        return terms(batch, noise, tf.fill((n, 1), 0.5))

    return adam_objective(
        terms,
        models=models,
        optimizer=keras.optimizers.Adam(learning_rate),
        judge=judge,
        draw=draw,
        state=[generator.state],
        trained=models if stage is Stage.WITH_CRITIC else [networks.encoder, networks.decoder],
    )


def loss_terms(
    networks: Networks,
    batch: Any,
    noise: Any,
    fractions: Any,
    *,
    kl_weight: float,
    critic_weight: float | None,
    penalty: float,
) -> Losses:
    """Compute the loss of a batch of scaled inputs (b, n) and its terms, all scalars.

    loss = mse + kl_weight · kl + critic_weight · (critic + penalty · gradient penalty). The critic
    lowers it; what comes to the autoencoder from the critic's term has its sign reversed.

    A code is mean + standard deviation · noise (b, 10); the gradient is penalised at `fractions`
    (b, 1) between jets and reconstructions; no `critic_weight` leaves the critic out, its terms 0.
    `mse` is the squared error averaged over the inputs; `kl` ½ Σ (μ² + σ² − 1 − ln σ²), summed over
    the codes and divided by the number of inputs; `critic` the cross-entropy, averaged over jets
    and reconstructions; then `penalty` and `loss`.
    """
    tf, _ = import_keras()
    moments = networks.encoder(batch)
    mean, log_variance = moments[:, :LATENT], moments[:, LATENT:]
    made = networks.decoder(mean + tf.exp(log_variance / 2) * noise)
    mse = tf.reduce_mean(tf.square(made - batch))
    divergence = (tf.square(mean) + tf.exp(log_variance) - 1.0 - log_variance) / 2  # (b, 10)
    kl = tf.reduce_mean(tf.reduce_sum(divergence, axis=1)) / batch.shape[1]
    terms = {"mse": mse, "kl": kl, "critic": tf.zeros(()), "penalty": tf.zeros(())}
    loss = mse + kl_weight * kl
    if critic_weight is not None:
        of_jets, of_made = networks.critic(batch), networks.critic(reverse_gradient(made))
        surprise = tf.nn.softplus(of_jets) + tf.nn.softplus(-of_made)
        terms["critic"] = tf.reduce_mean(surprise) / 2
        terms["penalty"] = gradient_penalty(networks.critic, batch, made, fractions)
        loss += critic_weight * (terms["critic"] + penalty * terms["penalty"])
    return terms | {"loss": loss}


def _dense(
    name: str, n_inputs: int, layers: Sequence[int], n_outputs: int, *, seeds: Iterator[int]
) -> Any:
    """Dense layers with ReLU, and a linear one at the end."""
    _, keras = import_keras()

    def dense(units: int, activation: str | None) -> Any:
        weights = keras.initializers.GlorotUniform(seed=next(seeds))
        return keras.layers.Dense(units, activation=activation, kernel_initializer=weights)

    x = inputs = keras.layers.Input((n_inputs,))
    for units in layers:
        x = dense(units, "relu")(x)
    return keras.Model(inputs, dense(n_outputs, None)(x), name=name)
