"""The variational autoencoder on constituents, trained with an adversarial critic.

References:
    T. Golling et al., The Mass-ive Issue: Anomaly Detection in Jet Physics, arXiv:2303.14134.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from scipy.special import expit

from oddjet.datasets.jets import Jets
from oddjet.errors import ConfigError
from oddjet.ml.detectors.base import Detector, Scores
from oddjet.ml.detectors.latent_scores import NearestCodes, OneClassBoundary
from oddjet.ml.evaluation.transport import emds, pt_eta_phi
from oddjet.ml.networks.golling import (
    LATENT,
    Networks,
    Stage,
    adversarial_objective,
    load_networks,
)
from oddjet.ml.networks.keras_models import BatchedModel, layer_seeds, model_to_bytes
from oddjet.ml.networks.training import (
    Progress,
    TrainingSettings,
    optimise,
    split_rows,
    warn_of_collapse,
)
from oddjet.ml.representations.base import Representation
from oddjet.ml.representations.leading_constituents import ConstituentScaling, LeadingConstituents
from oddjet.typing import Floats, Singles

__all__ = ["GollingDetector"]


VALIDATION_FRACTION = 0.2
SCORING_BATCH = 1024
STATE_FILE = "training.json"
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


class GollingDetector(Detector):
    """Variational autoencoder on the leading constituents, with a critic (Golling et al. 2023).

    The four-momenta of the 20 hardest constituents, in the jet's own frame and over its pt, each
    number scaled by its median and interquartile range in the training set. Encoder: dense layers
    of 256, 128, 64, and a Gaussian in 10 dimensions; the decoder is its mirror. A critic learns to
    tell jets from reconstructions; through a reversed gradient the autoencoder learns to deceive it.

    The loss is [Σ (x − x̂)² + 0.25 KL] / 80 + 0.1 [cross-entropy + 10 gradient penalty], trained with
    Adam in three stages: 50 epochs without the critic at a learning rate of 1e-3, 10 with it at 1e-5,
    90 with the critic's weights frozen at 1e-3.

    Scores, all with the encoded mean in the place of a sample:
    `mse`, mean over the inputs of (x − x̂)²; `emd`, the energy mover's distance from jet to
    reconstruction, on pt in units of the jet's; `knn`, the sum of the distances to the 5 nearest
    encoded training jets; `ocsvm`, minus the decision function of a one-class support vector machine
    on encoded training jets; `critic`, the probability of being a reconstruction.

    Not printed in the document, and chosen here: ReLU between the layers; a critic with the layers of
    the encoder, whose penalty holds the gradient of its logit to length 1 between jets and
    reconstructions; the batch size; k = 5; ν = ½ and a Gaussian kernel of scikit-learn's scale, its
    defaults; R = 0.8, the radius of our jets (the document's have 1.0). There is no early stopping:
    the last epoch counts. The validation jets are a fifth.

    Nor does the document say over what squared errors and KL are averaged. Here both are summed, over
    inputs and over latent dimensions, and divided by the number of inputs, which keeps the mass best:
    on 10,000 simulated QCD jets (pt > 500 GeV, 56 epochs, one seed) the median mass of 46 GeV came out
    as 29; as 13 with each averaged over its own dimensions (`kl_weight=2`); as 14 and for all jets
    alike, the latent space empty, with a mean squared error beside a summed KL (`kl_weight=20`).
    Too light still, for what 10 codes do not hold is averaged away. After all 150 epochs (pt > 450 GeV)
    a third of the mass is missing; with batches of 64, so more steps of the critic, a quarter.

    Args:
        stages: Epochs of the three stages.
        learning_rates: Of Adam, in each stage.
        batch_size: Jets per training step.
        kl_weight: Weight of the KL divergence, beside 1 for the squared error.
        critic_weight: Weight of the critic's terms.
        penalty: Weight of the gradient penalty among them.
        neighbours: k of `knn`.
        stored_codes: At most so many training jets to look for neighbours among; drawn at random.
        svm_jets: At most so many training jets for the support vectors; drawn at random. Training
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
    min_jets: ClassVar[int] = 100

    representation: LeadingConstituents
    scaling_: ConstituentScaling
    _networks: Networks
    _nearest: NearestCodes
    _boundary: OneClassBoundary

    def __init__(
        self,
        *,
        stages: Sequence[int] = [50, 10, 90],
        learning_rates: Sequence[float] = [1e-3, 1e-5, 1e-3],
        batch_size: int = 256,
        kl_weight: float = 0.25,
        critic_weight: float = 0.1,
        penalty: float = 10.0,
        neighbours: int = 5,
        stored_codes: int = 50_000,
        svm_jets: int = 20_000,
        svm_nu: float = 0.5,
        radius: float = 0.8,
        representation: Representation | None = None,
    ) -> None:
        self.stages = list(stages)
        self.learning_rates = list(learning_rates)
        self.batch_size = batch_size
        self.kl_weight = kl_weight
        self.critic_weight = critic_weight
        self.penalty = penalty
        self.neighbours = neighbours
        self.stored_codes = stored_codes
        self.svm_jets = svm_jets
        self.svm_nu = svm_nu
        self.radius = radius
        if not isinstance(representation, LeadingConstituents | None):
            msg = (
                f"golling: masses and distances need four-momenta, a LeadingConstituents. "
                f"Received: {type(representation).__name__}."
            )
            raise ConfigError(msg)
        self.representation = LeadingConstituents() if representation is None else representation
        self.history_: dict[str, list[float]] = {}
        self.best_epoch_ = 0
        self.active_dimensions_ = 0
        self._batched: dict[str, BatchedModel] = {}
        self._refuse_nonsense()
        self._settings()  # refuses settings that cannot train, before any jet is read

    # --- what it makes of jets ------------------------------------------------------------------

    def encode(self, jets: Jets) -> Singles:
        """Encode jets: the means of their Gaussians, shape (n, 10).

        Raises:
            DetectorError: If it was not fitted.
        """
        self._require_fitted("encode")
        codes = np.zeros((len(jets), LATENT), dtype=np.float32)
        for part, passed in self._passes(jets):
            codes[part] = passed.codes
        return codes

    def reconstruct(self, jets: Jets) -> Floats:
        """Pass jets through the autoencoder, by their encoded means.

        Returns:
            Four-momenta as `representation` gives them, shape (n, 4 · constituents). They are the
            network's: E need not be |p|, and padding need not be zero.

        Raises:
            DetectorError: If it was not fitted.
        """
        self._require_fitted("reconstruct")
        made = np.zeros((len(jets), *self.representation.shape))
        for part, passed in self._passes(jets):
            made[part] = passed.made
        return made

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
        pt = np.asarray(jets["pt"], dtype=np.float64)
        masses = np.zeros((2, len(jets)))
        for part, passed in self._passes(jets):
            masses[0, part] = self.representation.mass(passed.rows, pt[part])
            masses[1, part] = self.representation.mass(passed.made, pt[part])
        return masses[0], masses[1]

    # --- training -------------------------------------------------------------------------------

    def _settings(self) -> list[TrainingSettings]:
        """One a stage; the last epoch counts."""
        return [
            TrainingSettings(
                epochs=epochs,
                batch_size=self.batch_size,
                learning_rate=learning_rate,
                checkpoint_every=0,
                watch=None,
            )
            for epochs, learning_rate in zip(self.stages, self.learning_rates, strict=True)
        ]

    def _fit(
        self, jets: Jets, *, validation: Jets | None, seed: int, progress: Progress | None
    ) -> None:
        rows = self.representation(jets)
        if validation is None:
            kept, set_aside = split_rows(len(rows), fraction=VALIDATION_FRACTION, seed=seed)
            rows, validation_rows = rows[kept], rows[set_aside]
        else:
            validation_rows = self.representation(validation)
        self.scaling_ = ConstituentScaling.fit(rows)
        scaled = self._scaled(rows)
        seeds = layer_seeds(seed)
        self._networks, self._batched = Networks.build(scaled.shape[1], seeds=seeds), {}
        self._train(scaled, self._scaled(validation_rows), seeds=seeds, progress=progress)
        self._measure_latent_space(scaled, rng=np.random.default_rng(next(seeds)))

    def _train(
        self,
        rows: Singles,
        validation: Singles,
        *,
        seeds: Iterator[int],
        progress: Progress | None,
    ) -> None:
        """Run the three stages one after the other."""
        self.history_, self.best_epoch_ = {}, sum(self.stages)
        for stage, settings in zip(Stage, self._settings(), strict=True):
            objective = adversarial_objective(
                self._networks,
                stage=stage,
                learning_rate=settings.learning_rate,
                kl_weight=self.kl_weight,
                critic_weight=self.critic_weight,
                penalty=self.penalty,
                seed=next(seeds),
            )
            training = optimise(
                objective,
                rows,
                validation,
                settings=settings,
                seed=next(seeds),
                progress=self._counted_on(progress),
                resume=self._resuming(stage.value),
            )
            for name, values in training.history.items():
                self.history_.setdefault(name, []).extend(values)

    def _counted_on(self, progress: Progress | None) -> Progress | None:
        """Count the epochs of earlier stages too."""
        if progress is None:
            return None
        before, n_epochs = len(self.history_.get("loss", ())), sum(self.stages)
        return lambda epoch, _, logs: progress(before + epoch, n_epochs, logs)

    def _measure_latent_space(self, rows: Singles, *, rng: np.random.Generator) -> None:
        """Keep codes of training jets, and find the boundary around them."""
        codes = np.concatenate(
            [
                self._apply("encoder", rows[start : start + SCORING_BATCH])[:, :LATENT]
                for start in range(0, len(rows), SCORING_BATCH)
            ]
        ).astype(np.float64)
        self.active_dimensions_ = warn_of_collapse(codes, label="golling")
        few, some = (
            codes[np.sort(rng.permutation(len(codes))[:most])]
            for most in (self.svm_jets, self.stored_codes)
        )
        self._boundary = OneClassBoundary.fit(few, nu=self.svm_nu)
        self._nearest = NearestCodes(some, self.neighbours)

    # --- scoring --------------------------------------------------------------------------------

    def _scores(self, jets: Jets) -> Scores:
        scores = {name: np.zeros(len(jets)) for name in self.score_names}
        for part, passed in self._passes(jets):
            difference = passed.outputs.astype(np.float64) - passed.scaled
            scores["mse"][part] = np.mean(difference**2, axis=1)
            before, after = (self._particles(rows) for rows in (passed.rows, passed.made))
            scores["emd"][part] = emds(before, after, radius=self.radius)
            scores["knn"][part] = self._nearest.sum_of_distances(passed.codes)
            scores["ocsvm"][part] = -self._boundary.decision(passed.codes)
            logits = self._apply("critic", passed.scaled)[:, 0]
            scores["critic"][part] = expit(logits.astype(np.float64))
        return scores

    def _particles(self, rows: Floats) -> Floats:
        """pt, η, φ of the constituents that rows hold: (b, n, 3)."""
        return pt_eta_phi(rows.reshape(len(rows), self.representation.n, 4))

    def _passes(self, jets: Jets) -> Iterator[tuple[slice, _Passed]]:
        """Encode and decode batch by batch, so that memory does not grow with jets."""
        for start in range(0, len(jets), SCORING_BATCH):
            part = slice(start, min(start + SCORING_BATCH, len(jets)))
            rows = self.representation(jets[part])
            scaled = self._scaled(rows)
            codes = self._apply("encoder", scaled)[:, :LATENT]
            outputs = self._apply("decoder", codes)
            yield part, _Passed(rows, scaled, codes, outputs, self.scaling_.invert(outputs))

    def _scaled(self, rows: Floats) -> Singles:
        return self.scaling_.apply(rows).astype(np.float32)

    def _apply(self, name: str, rows: Singles) -> Singles:
        """Apply a network to at most `SCORING_BATCH` rows."""
        if name not in self._batched:
            model = getattr(self._networks, name)
            self._batched[name] = BatchedModel(model, batch_size=SCORING_BATCH)
        return self._batched[name](rows)

    # --- keeping --------------------------------------------------------------------------------

    def _save(self, folder: Path) -> None:
        for name, model in self._networks.by_name().items():
            (folder / f"{name}.keras").write_bytes(model_to_bytes(model))
        arrays: dict[str, Any] = {"codes": self._nearest.codes, **self._boundary.to_arrays()}
        np.savez_compressed(folder / LATENT_FILE, **arrays)
        state = {
            "history": self.history_,
            "best_epoch": self.best_epoch_,
            "active_dimensions": self.active_dimensions_,
            "scaling": self.scaling_.to_dict(),
        }
        (folder / STATE_FILE).write_text(json.dumps(state, indent=2) + "\n", encoding="utf-8")

    def _load(self, folder: Path) -> None:
        state = json.loads((folder / STATE_FILE).read_text(encoding="utf-8"))
        self.history_, self.best_epoch_ = state["history"], state["best_epoch"]
        self.active_dimensions_ = state["active_dimensions"]
        self.scaling_ = ConstituentScaling.from_dict(state["scaling"])
        with np.load(folder / LATENT_FILE, allow_pickle=False) as data:
            self._nearest = NearestCodes(data["codes"], self.neighbours)
            self._boundary = OneClassBoundary.from_arrays(data)
        self._networks = load_networks(folder, n_inputs=self.representation.shape[0])
        self._batched = {}

    def _refuse_nonsense(self) -> None:
        for name in ("stages", "learning_rates"):
            if len(getattr(self, name)) != len(Stage):
                msg = (
                    f"golling: {name} must be {len(Stage)} numbers, one a stage. "
                    f"Received: {getattr(self, name)}."
                )
                raise ConfigError(msg)
        least = {
            "kl_weight": 0,
            "critic_weight": 0,
            "penalty": 0,
            "neighbours": 1,
            "stored_codes": self.neighbours,
            "svm_jets": 2,
        }
        for name, value in least.items():
            if not getattr(self, name) >= value:
                msg = f"golling: {name} must be at least {value}. Received: {getattr(self, name)}."
                raise ConfigError(msg)
        if not 0 < self.svm_nu < 1:
            msg = f"golling: svm_nu must be in (0, 1). Received: {self.svm_nu}."
            raise ConfigError(msg)
        if not self.radius > 0:
            msg = f"golling: radius must be positive. Received: {self.radius}."
            raise ConfigError(msg)
