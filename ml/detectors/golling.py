"""The variational autoencoder on constituents, trained with an adversarial critic.

References:
    T. Golling et al., The Mass-ive Issue: Anomaly Detection in Jet Physics, arXiv:2303.14134.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from scipy.special import expit

from oddjet.constraints import Interval, ListOf, constrained
from oddjet.datasets.disk.arrays import read_arrays
from oddjet.datasets.jets import Jets
from oddjet.errors import DetectorError
from oddjet.ml.detectors.base import Scores
from oddjet.ml.detectors.hyper_parameters import represented_by
from oddjet.ml.detectors.keras_detector import AnyFloats, KerasDetector, TrainingTask
from oddjet.ml.detectors.latent_scores import NearestCodes, OneClassBoundary
from oddjet.ml.evaluation.transport import emds, pt_eta_phi
from oddjet.ml.folder import require_same
from oddjet.ml.networks.golling import (
    LATENT,
    Networks,
    Stage,
    adversarial_objective,
    load_networks,
)
from oddjet.ml.networks.training import Progress, Training, warn_of_collapse
from oddjet.ml.representations.leading_constituents import ConstituentScaling, LeadingConstituents
from oddjet.typing import Floats, Singles

__all__ = ["GollingDetector"]

LATENT_FILE = "latent.npz"


@dataclass(frozen=True)
class _Passed:
    """A batch of jets and what the autoencoder makes of them.

    Attributes:
        rows: Of the representation, (b, 4n).
        scaled: The network's input, (b, 4n).
        codes: Encoded means, (b, 10).
        outputs: The network's output, (b, 4n).
        made: The output in the units of `rows`, (b, 4n).
    """

    rows: Floats
    scaled: Singles
    codes: Singles
    outputs: Singles
    made: Floats


@dataclass(kw_only=True, eq=False)
class GollingDetector(KerasDetector):
    """Variational autoencoder on the leading constituents, with a critic (Golling et al. 2023).

    The four-momenta of the 20 hardest constituents, in the jet's own frame and over its pt, each
    number scaled by its median and interquartile range in the training set. Encoder: dense layers
    of 256, 128, 64, and a Gaussian in 10 dimensions; the decoder is its mirror. A critic learns to
    separate jets from reconstructions; through a reversed gradient the autoencoder learns to deceive it.

    The loss is [Σ (x − x̂)² + 0.25 KL] / 80 + 0.1 [cross-entropy + 10 gradient penalty], trained with
    Adam in three stages: 50 epochs without the critic at a learning rate of 1e-3, 10 with it at 1e-5,
    90 with the critic's weights frozen at 1e-3.

    Scores, all with the encoded mean instead of a sample:
    `mse`, mean over the inputs of (x − x̂)²; `emd`, the energy mover's distance from jet to
    reconstruction, on pt in units of the jet's; `knn`, the sum of the distances to the 5 nearest
    encoded training jets; `ocsvm`, minus the decision function of a one-class support vector machine
    on encoded training jets; `critic`, the probability of being a reconstruction.

    Not printed in the document, and chosen here: ReLU between the layers; a critic with the layers of
    the encoder, whose penalty holds the gradient of its logit to length 1 between jets and
    reconstructions; the batch size; k = 5; ν = ½ and a Gaussian kernel of scikit-learn's scale, its
    defaults; R = 0.8, the radius of our jets (the document's have 1.0). There is no early stopping:
    the last epoch counts. The validation jets are a fifth.

    The document does not print over what squared errors and KL are averaged either. Here both are summed, over
    inputs and over latent dimensions, and divided by the number of inputs, which keeps the mass best:
    on 10,000 simulated QCD jets (pt > 500 GeV, 56 epochs, one seed) the median mass of 46 GeV came out
    as 29; as 13 with each averaged over its own dimensions (`kl_weight=2`); as 14 and for all jets
    alike, the latent space empty, with a mean squared error beside a summed KL (`kl_weight=20`).
    Too light still, for what 10 codes do not hold is averaged away. After all 150 epochs (pt > 450 GeV)
    a third of the mass is missing; with batches of 64, so more steps of the critic, a quarter.

    Args:
        stages: Epochs of the three stages.
        learning_rates: Of Adam, in each stage.
        kl_weight: Weight of the KL divergence, beside 1 for the squared error.
        critic_weight: Weight of the critic's terms.
        penalty: Weight of the gradient penalty among them.
        neighbours: k of `knn`.
        stored_codes: Most training jets to look for neighbours among; drawn at random.
        svm_jets: Most training jets for the support vectors; drawn at random. Training
            takes their number squared: 20,000 take about 10 s.
        svm_nu: ν, the part of the training jets outside the boundary.
        radius: R of the energy mover's distance.
        representation: A `LeadingConstituents`.

    Attributes:
        history_: One number an epoch, over all stages: `loss` and its terms `mse`, `kl`, `critic` and
            `penalty`, unweighted, the last two 0 in the first stage; and the same of the validation
            jets under `val_…`.
        best_epoch_: The last epoch.
        active_dimensions_: Latent dimensions that have not collapsed.
        scaling_: Medians and interquartile ranges of the inputs.

    References:
        arXiv:2303.14134, section 2.
    """

    score_names: ClassVar[tuple[str, ...]] = ("mse", "emd", "knn", "ocsvm", "critic")
    label: ClassVar[str] = "golling"
    kept_state: ClassVar[tuple[str, ...]] = ("history", "best_epoch", "active_dimensions")

    stages: Sequence[int] = constrained([50, 10, 90], ListOf(Interval(int, 1), length=3))
    learning_rates: Sequence[float] = constrained(
        [1e-3, 1e-5, 1e-3], ListOf(Interval(float, 0, closed="neither"), length=3)
    )
    batch_size: int = constrained(256, Interval(int, 1))
    kl_weight: float = constrained(0.25, Interval(float, 0))
    critic_weight: float = constrained(0.1, Interval(float, 0))
    penalty: float = constrained(10.0, Interval(float, 0))
    neighbours: int = constrained(5, Interval(int, 1))
    stored_codes: int = constrained(50_000, Interval(int, 1))
    svm_jets: int = constrained(20_000, Interval(int, 2))
    svm_nu: float = constrained(0.5, Interval(float, 0, 1, closed="neither"))
    radius: float = constrained(0.8, Interval(float, 0, closed="neither"))
    representation: LeadingConstituents = represented_by(LeadingConstituents)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.stages, self.learning_rates = list(self.stages), list(self.learning_rates)
        self.active_dimensions_ = 0

    def _check(self) -> None:
        if self.stored_codes < self.neighbours:
            self._refuse("stored_codes", f"at least {self.neighbours}, the neighbours")

    # --- reconstructions ------------------------------------------------------------------------

    def encode(self, jets: Jets) -> Singles:
        """Encode jets: the means of their Gaussians, shape (n, 10).

        Raises:
            DetectorError: If it was not fitted.
        """
        self._require_fitted("encode")
        codes = self._in_batches(lambda batch: {"codes": self._pass(batch).codes}, jets)
        return np.asarray(codes["codes"])

    def reconstruct(self, jets: Jets) -> Floats:
        """Pass jets through the autoencoder, by their encoded means.

        Returns:
            Four-momenta as `representation` gives them, shape (n, 4 · constituents). They are the
            network's: E need not be |p|, and padding need not be zero.

        Raises:
            DetectorError: If it was not fitted.
        """
        self._require_fitted("reconstruct")
        made = self._in_batches(lambda batch: {"made": self._pass(batch).made}, jets)
        return np.asarray(made["made"])

    def reconstruct_masses(self, jets: Jets) -> tuple[Floats, Floats]:
        """Compare the masses of jets with those of their reconstructions.

        Both are masses of the leading constituents taken as massless, so that the first is less
        than the jet's mass where there are more constituents.

        Returns:
            Masses of the input and of the output [GeV], each of shape (n,).

        Raises:
            DetectorError: If it was not fitted.

        References:
            arXiv:2303.14134, figure 3, left.
        """
        self._require_fitted("reconstruct_masses")
        masses = self._in_batches(self._masses, jets)
        return np.asarray(masses["input"]), np.asarray(masses["output"])

    def _masses(self, jets: Jets) -> Scores:
        pt, passed = np.asarray(jets["pt"], dtype=np.float64), self._pass(jets)
        mass = self.representation.mass
        return {"input": mass(passed.rows, pt), "output": mass(passed.made, pt)}

    # --- training -------------------------------------------------------------------------------

    def _learn(self, rows: AnyFloats) -> None:
        self.scaling_ = ConstituentScaling.fit(rows)

    def _inputs(self, rows: AnyFloats) -> Singles:
        return self.scaling_.apply(rows).astype(np.float32)

    def _build(self, seeds: Iterator[int]) -> Networks:
        return Networks.build(self.representation.shape[0], seeds=seeds)

    def _train(self, task: TrainingTask) -> Training:
        """Run the three stages one after the other; the last epoch counts."""
        history: dict[str, list[float]] = {}
        for stage, epochs, rate in zip(Stage, self.stages, self.learning_rates, strict=True):
            objective = adversarial_objective(
                self._model,
                stage=stage,
                learning_rate=rate,
                kl_weight=self.kl_weight,
                critic_weight=self.critic_weight,
                penalty=self.penalty,
                seed=next(task.seeds),
            )
            progress = self._counted_on(task.progress, len(history.get("loss", ())))
            training = self._optimise(
                objective,
                dataclasses.replace(task, seed=next(task.seeds), progress=progress),
                self._settings(epochs=epochs, learning_rate=rate, checkpoint_every=0, watch=None),
                stage=stage.value,
            )
            for name, values in training.history.items():
                history.setdefault(name, []).extend(values)
        return Training(history, sum(self.stages))

    def _counted_on(self, progress: Progress | None, epochs_before: int) -> Progress | None:
        """Count the epochs of earlier stages too."""
        if progress is None:
            return None
        return lambda epoch, _, logs: progress(epochs_before + epoch, sum(self.stages), logs)

    def _judge(self, task: TrainingTask) -> None:
        """Keep codes of training jets, and find the boundary around them."""
        rng = np.random.default_rng(next(task.seeds))
        codes = self._trained_model().encoder(task.rows)[:, :LATENT].astype(np.float64)
        self.active_dimensions_ = warn_of_collapse(codes, label="golling")
        few, stored = (
            codes[np.sort(rng.permutation(len(codes))[:most])]
            for most in (self.svm_jets, self.stored_codes)
        )
        self._boundary = OneClassBoundary.fit(few, nu=self.svm_nu)
        self._nearest = NearestCodes(stored, self.neighbours)

    # --- scoring --------------------------------------------------------------------------------

    def _ready(self, model: Networks) -> Networks:
        ready = super()._ready
        return Networks(*(ready(network) for network in model.by_name().values()))

    def _scores_by(self, model: Networks, jets: Jets) -> Scores:
        passed = self._pass(jets)
        difference = passed.outputs.astype(np.float64) - passed.scaled
        before, after = (self._particles(rows) for rows in (passed.rows, passed.made))
        return {
            "mse": np.mean(difference**2, axis=1),
            "emd": emds(before, after, radius=self.radius),
            "knn": self._nearest.sum_of_distances(passed.codes),
            "ocsvm": -self._boundary.decision(passed.codes),
            "critic": expit(model.critic(passed.scaled)[:, 0].astype(np.float64)),
        }

    def _particles(self, rows: Floats) -> Floats:
        """pt, η, φ of the constituents that rows hold: (b, n, 3)."""
        return pt_eta_phi(rows.reshape(len(rows), self.representation.n, 4))

    def _pass(self, jets: Jets) -> _Passed:
        """Encode and decode a batch of jets."""
        networks = self._trained_model()
        rows = self.representation(jets)
        scaled = self._inputs(rows)
        codes = networks.encoder(scaled)[:, :LATENT]
        outputs = networks.decoder(codes)
        return _Passed(rows, scaled, codes, outputs, self.scaling_.invert(outputs))

    # --- keeping --------------------------------------------------------------------------------

    def _state(self) -> dict[str, Any]:
        return {**super()._state(), "scaling": self.scaling_.to_dict()}

    def _save(self, folder: Path) -> None:
        for name, network in self._model.by_name().items():
            (folder / f"{name}.keras").write_bytes(self._to_bytes(network))
        arrays: dict[str, Any] = {"codes": self._nearest.codes, **self._boundary.to_arrays()}
        np.savez_compressed(folder / LATENT_FILE, **arrays)
        self._save_state(folder)

    def _load(self, folder: Path) -> None:
        self.scaling_ = ConstituentScaling.from_dict(self._load_state(folder)["scaling"])
        n = self.representation.shape
        require_same(
            str(folder), "scaling", (n, n), (self.scaling_.median.shape, self.scaling_.iqr.shape)
        )
        shapes = {
            "codes": "float n d",
            "support": "float m d",
            "coefficients": "float m",
            "intercept": "float",
            "gamma": "float",
        }
        data = read_arrays(folder / LATENT_FILE, shapes, error=DetectorError, d=LATENT)
        self._nearest = NearestCodes(data["codes"], self.neighbours)
        self._boundary = OneClassBoundary.from_arrays(data)
        self._model = load_networks(folder, n_inputs=self.representation.shape[0])
