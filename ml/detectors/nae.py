"""The normalised autoencoder: an autoencoder whose error is the energy of a normalised density.

References:
    S. Yoon, Y.-K. Noh, F. Park, Autoencoding under normalization constraints, arXiv:2105.05735;
    R. Seidita for the CMS Collaboration, Advanced anomaly detection algorithms to search for
    semivisible jets (2023); CMS, Wasserstein normalized autoencoder, arXiv:2510.02168.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from oddjet.datasets.jets import Jets
from oddjet.errors import ConfigError
from oddjet.ml.detectors.autoencoder import (
    HISTORY_FILE,
    AutoencoderDetector,
    mean_error,
    reconstruction_error,
)
from oddjet.ml.networks.keras_models import import_keras
from oddjet.ml.networks.langevin import Langevin, ReplayBuffer, Tensors, reflect
from oddjet.ml.networks.normalised import normalised_objective
from oddjet.ml.networks.training import Progress, TrainingSettings, optimise, train
from oddjet.ml.representations.base import Representation
from oddjet.typing import Floats, Singles

__all__ = ["NormalisedAutoencoderDetector", "residual_temperature"]


SAMPLING_RUNS = 50
"""Runs of `steps` moves in a row from which `samples` takes the ends."""
LEAST_TEMPERATURE = 1e-6
"""Features that depend on each other linearly would give 0."""
DRIFT = 0.2
"""Part of its distance that a move takes a feature to its reconstruction, by default."""


class NormalisedAutoencoderDetector(AutoencoderDetector):
    """Normalised autoencoder on ten jet features (arXiv:2105.05735; CMS talk, 2023).

    An autoencoder may reconstruct jets it never saw, simple ones above all. Here its error is made the
    energy E of a density p = exp(−E/T)/Z, so that where the error is small there are training jets:

    1. The network of `AutoencoderDetector` is trained as an autoencoder.
    2. Then the loss is E₊ − E₋: the mean energy of training jets minus that of samples of p, guarded
       as `oddjet.ml.networks.normalised.contrast` says, since E₋ could else be raised for ever: the collapse.
       Samples are ends of Langevin chains, kept from step to step in a buffer. They move in the box
       of the training features, whose walls are mirrors.
    3. After each epoch the earth mover's distance between validation jets and chains is taken, in the
       standardised features, 1000 points a side or as many as there are. The weights are those of
       the epoch of least distance: it tells when p has become the density of the data, which
       energies do not (arXiv:2510.02168).

    Score: `energy`, the mean squared error of a jet's standardised features, as `mse` of the plain
    one; −log p but for T and a constant.

    The talk prints the network, E₊ − E₋ by Langevin samples, that the difference must not run away
    and that the distance tells the epoch. It prints no number of the training: temperature, chains,
    box and guard are chosen here on simulated QCD and top jets, at 550 < pt < 650 GeV, by the
    distance and by how well either kind is found among the other. There `compress` made the
    distance no better and was left off.

    Args:
        epochs: Of step 2, at most so many.
        pretrain_epochs: Of step 1, at most so many; 0 leaves it out.
        batch_size: Jets per training step, in both.
        learning_rate: Of Adam, in step 2.
        pretrain_learning_rate: In step 1.
        patience: Epochs without a smaller distance, or in step 1 a smaller validation loss, before
            it stops.
        checkpoint_every: Epochs of step 2 between the models kept for `scores_by_epoch`; 0 keeps none.
        temperature: T; None for that of `residual_temperature`, at which a linear network of this
            code would have the covariance of the features.
        steps: Langevin moves of a chain in a training step.
        step_size: α of a move (`oddjet.ml.networks.langevin.Langevin`); None for T d/10, by which a move takes
            a feature about a fifth of the way to its reconstruction.
        noise: β of a move; None for √(2α), with which the chains are at temperature T.
        chains: Chains that move in a training step.
        buffer: Chains in all.
        restart: Chance that a chain begins anew, uniformly in the box. 0.05 as in arXiv:1903.08689.
        margin: Standard deviations that the box goes beyond the least and greatest training feature.
        bound: The box ends there at the latest, in standard deviations from the mean.
        guard: Whether to guard the loss. Without, trainings are for showing the collapse.
        hidden: Units of the layers before and after the code.
        latent: Units of the code.
        activation: Of all layers but the last.
        compress: Whether to pass the features through arsinh(x / median) before standardising.
        representation: By default `JetFeatures`; any that gives a row of numbers a jet.

    Attributes:
        history_: `loss`, `e_plus`, `e_minus`, `val_loss` (the mean energy of validation jets) and
            `emd`, one number an epoch.
        pretrain_history_: `loss` and `val_loss` of step 1.
        best_epoch_: The epoch, from 1, of least `emd`, whose weights are used.
        temperature_: T.
        standard_: What makes standardised columns of features.

    Raises:
        ConfigError: If a hyper-parameter is out of its range.
    """

    score_names: ClassVar[tuple[str, ...]] = ("energy",)
    label: ClassVar[str] = "nae"

    def __init__(
        self,
        *,
        epochs: int = 60,
        pretrain_epochs: int = 60,
        batch_size: int = 128,
        learning_rate: float = 1e-3,
        pretrain_learning_rate: float = 1e-3,
        patience: int = 60,
        checkpoint_every: int = 0,
        temperature: float | None = None,
        steps: int = 20,
        step_size: float | None = None,
        noise: float | None = None,
        chains: int = 256,
        buffer: int = 2000,
        restart: float = 0.05,
        margin: float = 0.5,
        bound: float = 4.0,
        guard: bool = True,
        hidden: int = 10,
        latent: int = 6,
        activation: str = "relu",
        compress: bool = False,
        representation: Representation | None = None,
    ) -> None:
        self.pretrain_epochs = pretrain_epochs
        self.pretrain_learning_rate = pretrain_learning_rate
        self.temperature = temperature
        self.steps = steps
        self.step_size = step_size
        self.noise = noise
        self.chains = chains
        self.buffer = buffer
        self.restart = restart
        self.margin = margin
        self.bound = bound
        self.guard = guard
        super().__init__(
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            patience=patience,
            checkpoint_every=checkpoint_every,
            hidden=hidden,
            latent=latent,
            activation=activation,
            compress=compress,
            representation=representation,
        )
        self._pretraining()  # refuses settings that cannot train, before any jet is read
        self.pretrain_history_: dict[str, list[float]] = {}
        self.temperature_ = float("nan")
        self._langevin(1.0 if temperature is None else temperature)
        for name, expected, fine in (
            ("pretrain_epochs", "not negative", pretrain_epochs >= 0),
            ("buffer", f"at least chains, {chains}", buffer >= chains >= 1),
            ("restart", "in [0, 1]", 0 <= restart <= 1),
            ("margin", "not negative", margin >= 0),
            ("bound", "positive", bound > 0),
            ("latent", "less than the features unless temperature is given", self._has_rule()),
        ):
            if not fine:
                msg = f"nae: {name} must be {expected}. Received: {getattr(self, name)}."
                raise ConfigError(msg)

    def _has_rule(self) -> bool:
        return self.temperature is not None or self.latent < self.representation.shape[0]

    def samples(self, n: int, *, seed: int = 1) -> Floats:
        """Draw from the model, each sample by a chain of its own from a uniform start.

        Args:
            n: How many.
            seed: Of the chains.

        Returns:
            Features, shape (n, d), in the representation's units.
        """
        self._require_fitted("samples")
        tf, _ = import_keras()
        generator = tf.random.Generator.from_seed(seed)
        langevin = self._langevin(self.temperature_)
        move = tf.function(
            lambda at: langevin.sample(
                self._energy(self._model), [at], confine=self._confine(), generator=generator
            )[0],
            autograph=False,
        )
        at = self._fresh(n, generator)[0]
        for _ in range(SAMPLING_RUNS if n else 0):
            at = move(at)
        return self.standard_.inverse(np.asarray(at))

    def _fit(
        self, jets: Jets, *, validation: Jets | None, seed: int, progress: Progress | None
    ) -> None:
        rows, others = self._standard_rows(jets, validation, seed)
        self.temperature_ = (
            residual_temperature(rows, self.latent)
            if self.temperature is None
            else float(self.temperature)
        )
        model = self._new_model(seed)
        self.pretrain_history_ = {}
        if self.pretrain_epochs:
            self.pretrain_history_ = train(
                model,
                rows,
                others,
                loss=mean_error,
                settings=self._pretraining(),
                seed=seed,
                resume=self._resuming("pretraining"),
            ).history
        objective = normalised_objective(
            model,
            self._energy(model),
            columns=rows.shape[1],
            tensors=lambda batch: [batch],
            summary=lambda tensors: tensors[0],
            validation=others,
            buffer=self._new_buffer(seed),
            langevin=self._langevin(self.temperature_),
            confine=self._confine(),
            chains=self.chains,
            learning_rate=self.learning_rate,
            guard=self.guard,
        )
        training = optimise(
            objective,
            rows,
            others,
            settings=self._settings(),
            seed=seed,
            progress=progress,
            resume=self._resuming(),
        )
        self._keep(model, training)

    def _settings(self) -> TrainingSettings:
        return TrainingSettings(
            epochs=self.epochs,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            patience=self.patience,
            checkpoint_every=self.checkpoint_every,
            watch="emd",
        )

    def _pretraining(self) -> TrainingSettings:
        return TrainingSettings(
            epochs=max(self.pretrain_epochs, 1),
            batch_size=self.batch_size,
            learning_rate=self.pretrain_learning_rate,
            patience=self.patience,
            checkpoint_every=0,
        )

    # --- the density ------------------------------------------------------------------------------

    def _energy(self, model: Any) -> Any:
        return lambda rows: reconstruction_error(model, rows)

    def _langevin(self, temperature: float) -> Langevin:
        """Give the moves; by default a fifth of the way, (α/T) (2/d) = 0.2."""
        alpha = self.step_size
        if alpha is None:
            alpha = DRIFT * temperature * self.representation.shape[0] / 2
        return Langevin(
            steps=self.steps,
            temperature=temperature,
            step_size=(alpha,),
            noise=None if self.noise is None else (self.noise,),
        )

    def _box(self) -> tuple[Singles, Singles]:
        """Give the mirrors, each of shape (d,)."""
        low = np.maximum(self.standard_.low - self.margin, -self.bound)
        high = np.minimum(self.standard_.high + self.margin, self.bound)
        return low.astype(np.float32), high.astype(np.float32)

    def _confine(self) -> Any:
        low, high = self._box()
        return lambda tensors: [reflect(tensors[0], low, high)]

    def _fresh(self, n: int, generator: Any) -> Tensors:
        """Start anywhere between the mirrors: shape (n, d)."""
        low, high = self._box()
        return [low + (high - low) * generator.uniform((n, len(low)))]

    def _new_buffer(self, seed: int) -> ReplayBuffer:
        low, high = self._box()
        starts = np.random.default_rng(seed).uniform(low, high, (self.buffer, len(low)))
        return ReplayBuffer(
            [starts.astype(np.float32)], fresh=self._fresh, restart=self.restart, seed=seed
        )

    def _state(self) -> dict[str, Any]:
        return {
            **super()._state(),
            "pretrain_history": self.pretrain_history_,
            "temperature": self.temperature_,
        }

    def _load(self, folder: Path) -> None:
        super()._load(folder)
        state = json.loads((folder / HISTORY_FILE).read_text(encoding="utf-8"))
        self.pretrain_history_ = state["pretrain_history"]
        self.temperature_ = state["temperature"]


def residual_temperature(rows: npt.NDArray[np.floating[Any]], latent: int) -> float:
    """Give the temperature at which the best linear autoencoder of a Gaussian is that Gaussian.

    Its error is |r|²/d, r being the part of a row outside the `latent` leading principal axes.
    exp(−E/T) is then a Gaussian of variance dT/2 along each of the d − latent axes left, which is
    that of the data on average at T = (2/d) · mean of the d − latent least eigenvalues of their
    covariance.

    Args:
        rows: Standardised features, shape (n, d), n ≥ 1.
        latent: Units of the code, less than d.
    """
    values = np.asarray(rows, dtype=np.float64)
    columns = values.shape[1]
    spread = np.linalg.eigvalsh(np.cov(values, rowvar=False, bias=True).reshape(columns, columns))
    least = float(np.mean(spread[: columns - latent]))
    return float(max(2 * least / columns, LEAST_TEMPERATURE))
