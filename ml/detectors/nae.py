"""The normalised autoencoder: an autoencoder whose error is the energy of a normalised density.

References:
    S. Yoon, Y.-K. Noh, F. Park, Autoencoding under normalization constraints, arXiv:2105.05735;
    R. Seidita for the CMS Collaboration, Advanced anomaly detection algorithms to search for
    semivisible jets (2023); CMS, Wasserstein normalized autoencoder, arXiv:2510.02168.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from oddjet.constraints import Interval, OneOf, OrNone, constrained
from oddjet.ml.detectors.autoencoder import AutoencoderDetector, mean_error, reconstruction_error
from oddjet.ml.detectors.keras_detector import TrainingTask
from oddjet.ml.networks.keras_models import import_keras
from oddjet.ml.networks.langevin import Langevin, ReplayBuffer, Tensors, reflect
from oddjet.ml.networks.normalised import SampledDensity, normalised_objective
from oddjet.ml.networks.objectives import loss_objective
from oddjet.ml.networks.training import Training
from oddjet.typing import Floats, Singles

__all__ = ["NormalisedAutoencoderDetector", "residual_temperature"]


SAMPLING_RUNS = 50
"""Runs of `steps` moves in a row from which `samples` takes the ends."""
LEAST_TEMPERATURE = 1e-6
"""Features that depend on each other linearly would give 0."""
DRIFT = 0.2
"""Part of its distance that a move takes a feature to its reconstruction, by default."""


@dataclass(kw_only=True, eq=False)
class NormalisedAutoencoderDetector(AutoencoderDetector):
    """Normalised autoencoder on ten jet features (arXiv:2105.05735; CMS talk, 2023).

    An autoencoder may reconstruct jets it never saw, simple ones above all. Here its error is made the
    energy E of a density p = exp(−E/T)/Z, so that where the error is small there are training jets:

    1. The network of `AutoencoderDetector` is trained as an autoencoder.
    2. Then the loss is E₊ − E₋: the mean energy of training jets minus that of samples of p, guarded
       as `oddjet.ml.networks.normalised.contrast` describes, since E₋ could otherwise be raised without limit: the collapse.
       Samples are ends of Langevin chains, kept from step to step in a buffer. They move in the box
       of the training features, whose walls are mirrors.
    3. After each epoch the earth mover's distance between validation jets and chains is taken, in the
       standardised features, 1000 points a side or as many as there are. The weights are those of
       the epoch of least distance; it shows when p has become the density of the data, which
       energies do not (arXiv:2510.02168).

    Score: `energy`, the mean squared error of a jet's standardised features, as `mse` of the plain
    one; −log p apart from T and a constant.

    The talk prints the network, E₊ − E₋ by Langevin samples, that the difference must not run away
    and that the distance tells the epoch. It prints no number of the training: temperature, chains,
    box and guard are chosen here on simulated QCD and top jets, at 550 < pt < 650 GeV, by the
    distance and by how well either kind is found among the other. There `compress` made the
    distance no better and was left off.

    Args:
        epochs: The most epochs of step 2.
        pretrain_epochs: The most epochs of step 1; 0 leaves it out.
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
        restart: Chance that a chain starts again, uniformly in the box. 0.05 as in arXiv:1903.08689.
        margin: Standard deviations that the box goes beyond the least and greatest training feature.
        bound: The box ends there at the latest, in standard deviations from the mean.
        guard: Whether to guard the loss. Trainings without it are for showing the collapse.

    Attributes:
        history_: `loss`, `e_plus`, `e_minus`, `val_loss` (the mean energy of validation jets) and
            `emd`, one number an epoch.
        pretrain_history_: `loss` and `val_loss` of step 1.
        best_epoch_: The epoch, from 1, of least `emd`, whose weights are used.
    """

    score_names: ClassVar[tuple[str, ...]] = ("energy",)
    label: ClassVar[str] = "nae"
    kept_state: ClassVar[tuple[str, ...]] = (
        *AutoencoderDetector.kept_state,
        "pretrain_history",
        "temperature",
    )

    epochs: int = 60
    pretrain_epochs: int = constrained(60, Interval(int, 0))
    pretrain_learning_rate: float = constrained(1e-3, Interval(float, 0, closed="neither"))
    patience: int = 60
    temperature: float | None = constrained(None, OrNone(Interval(float, 0, closed="neither")))
    steps: int = constrained(20, Interval(int, 1))
    step_size: float | None = constrained(None, OrNone(Interval(float, 0, closed="neither")))
    noise: float | None = constrained(None, OrNone(Interval(float, 0)))
    chains: int = constrained(256, Interval(int, 1))
    buffer: int = constrained(2000, Interval(int, 1))
    restart: float = constrained(0.05, Interval(float, 0, 1, closed="both"))
    margin: float = constrained(0.5, Interval(float, 0, closed="both"))
    bound: float = constrained(4.0, Interval(float, 0, closed="right"))
    guard: bool = constrained(True, OneOf(True, False))

    def __post_init__(self) -> None:
        super().__post_init__()
        self.pretrain_history_: dict[str, list[float]] = {}
        self.temperature_ = float("nan")

    def _check(self) -> None:
        super()._check()
        if self.buffer < self.chains:
            self._refuse("buffer", f"at least chains, {self.chains}")
        if self.temperature is None and self.latent >= self.representation.shape[0]:
            self._refuse("latent", "less than the features unless temperature is given")

    def samples(self, n: int, *, seed: int = 1) -> Floats:
        """Draw from the model, each sample by its own chain from a uniform start.

        Returns:
            Features, shape (n, d), in the representation's units.
        """
        self._require_fitted("samples")
        tf, _ = import_keras()
        generator = tf.random.Generator.from_seed(seed)
        density = self._density(self._model)
        move = tf.function(
            lambda at: density.langevin.sample(
                density.energy, [at], confine=density.confine, generator=generator
            )[0],
            autograph=False,
        )
        at = self._fresh(n, generator)[0]
        for _ in range(SAMPLING_RUNS if n else 0):
            at = move(at)
        return self.standard_.inverse(np.asarray(at))

    def _train(self, task: TrainingTask) -> Training:
        self.temperature_ = (
            residual_temperature(task.rows, self.latent)
            if self.temperature is None
            else float(self.temperature)
        )
        self.pretrain_history_ = {}
        if self.pretrain_epochs:
            rate = self.pretrain_learning_rate
            settings = self._settings(
                epochs=self.pretrain_epochs, learning_rate=rate, checkpoint_every=0
            )
            self.pretrain_history_ = self._optimise(
                loss_objective(self._model, mean_error, learning_rate=rate),
                dataclasses.replace(task, progress=None),
                settings,
                stage="pretraining",
            ).history
        objective = normalised_objective(
            self._model,
            self._density(self._model),
            buffer=self._new_buffer(task.seed),
            chains=self.chains,
            validation=task.validation,
            learning_rate=self.learning_rate,
            guard=self.guard,
        )
        return self._optimise(objective, task, self._settings(watch="emd"))

    # --- the density ------------------------------------------------------------------------------

    def _density(self, model: Any) -> SampledDensity:
        return SampledDensity(
            energy=lambda rows: reconstruction_error(model, rows),
            columns=self.representation.shape[0],
            tensors=lambda rows: [rows],
            summary=lambda tensors: tensors[0],
            langevin=self._langevin(self.temperature_),
            confine=self._confine(),
        )

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


def residual_temperature(rows: npt.NDArray[np.floating[Any]], latent: int) -> float:
    """Give the temperature at which the best linear autoencoder of a Gaussian is that Gaussian.

    Its error is |r|²/d, r being the part of a row outside the `latent` leading principal axes.
    exp(−E/T) is then a Gaussian of variance dT/2 along each of the d − latent axes left, which is
    that of the data on average at T = (2/d) · mean of the d − latent least eigenvalues of their
    covariance.

    `rows` are standardised features (n, d), n ≥ 1.
    """
    values = np.asarray(rows, dtype=np.float64)
    columns = values.shape[1]
    spread = np.linalg.eigvalsh(np.cov(values, rowvar=False, bias=True).reshape(columns, columns))
    least = float(np.mean(spread[: columns - latent]))
    return float(max(2 * least / columns, LEAST_TEMPERATURE))
