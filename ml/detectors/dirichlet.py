"""The Dirichlet variational autoencoder: jets as mixtures of a few themes.

References:
    T. Buss et al., What's Anomalous in LHC Jets? (2022), arXiv:2202.00686, section 4.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from scipy.special import softmax

from oddjet.datasets.jets import Jets
from oddjet.errors import ConfigError, DetectorError
from oddjet.ml.detectors.base import Detector, Scores
from oddjet.ml.detectors.gmm import principal_axes
from oddjet.ml.detectors.khanal import mean_squared_error
from oddjet.ml.networks.dirichlet import (
    SoftmaxPrior,
    build_network,
    dirichlet_losses,
    image_loss,
)
from oddjet.ml.networks.keras_models import (
    BatchedModel,
    compile_function,
    import_keras,
    layer_seeds,
    model_from_bytes,
    model_to_bytes,
)
from oddjet.ml.networks.training import Objective, Progress, TrainingSettings, optimise, split_rows
from oddjet.ml.representations.base import Representation
from oddjet.ml.representations.jet_image import JetImage
from oddjet.typing import Floats, Singles

__all__ = ["DirichletDetector"]

log = logging.getLogger(__name__)


MODEL_FILE = "model.keras"
CHECKPOINT_FILE = "epoch_{:03d}.keras"
HISTORY_FILE = "training.json"
AXES_FILE = "axes.npz"
ADAM_BETAS = (0.9, 0.99)
VALIDATION_FRACTION = 0.1
SCORING_BATCH = 1024
COLLAPSED = 0.01
"""A mixture weight whose standard deviation over the jets is below this says nothing of them."""


class DirichletDetector(Detector):
    """Variational autoencoder with a Dirichlet latent space (Buss et al. 2022).

    Encoder: a hidden layer of 100 with SELU, then μ and log σ², R each. The latent vector is
    r = softmax(z), z drawn from that Gaussian: R weights of sum 1, with a Dirichlet prior of
    parameters `alpha` in its Gaussian approximation. Decoder: one linear layer without bias from r,
    so that each of its columns is a theme and a jet is their mixture; on images a softmax over the
    pixels follows. Adam with β = (0.9, 0.99) minimises reconstruction + `beta_kl` · KL, and the
    last epoch is used.

    The representation decides the reconstruction loss: on a `JetImage` the Kullback–Leibler
    divergence from the image to the decoded one, on anything else the mean squared error of the
    whitened principal components (the document is silent on its loss for EFPs, and finds that
    scaling without whitening fails).

    Scores, from the encoded means, without sampling: `reconstruction`, that loss; `kl`, the
    divergence of the encoded Gaussian from the prior, eq. (16); `latent`, the mixture weight of the
    smallest α, the theme that the prior makes the rarest.

    Not in the document: validation jets, of which nothing is chosen, are a tenth; their losses are
    those of the means. The learning rate, printed as 'initial', stays. log σ² is kept within ±20.

    The document trains on 100,000 jets, 14,700 steps. On 21,600 simulated QCD jets, one seed, the
    AUC of `reconstruction` for either dark signal moved by less than 0.02 after 50 epochs, 550
    steps, at powers 0.1, 1/4 and 0.5, and that of the other scores by less than 0.03; after 25
    epochs, at 1/4, it was up to 0.09 off.

    Fitting holds the rows of all training jets in memory, 6.4 kB a jet for 40×40 images.

    Args:
        alpha: α of each mixture, positive, at least two, with one smallest. The document also has
            (1, 0.25, 0.1).
        beta_kl: Weight of the KL term.
        epochs: Passes over the jets.
        batch_size: Jets per training step.
        learning_rate: Of Adam.
        checkpoint_every: Epochs between the models kept for `scores_by_epoch`; 0 keeps none.
        pca: On anything but images, so many principal components; None takes all there are.
        representation: By default the image of power 1/4 and filter 1 pixel: the document has the
            best σ at 1 for both its signals, and the power between n ≲ 0.1 (Aachen) and 0.4 to 0.6
            (Heidelberg).

    Attributes:
        history_: `loss`, `reconstruction`, `kl` and the same with `val_`, one number an epoch.

    References:
        arXiv:2202.00686, section 4 and table 2; arXiv:2104.08291 for the network.
    """

    score_names: ClassVar[tuple[str, ...]] = ("reconstruction", "kl", "latent")
    min_jets: ClassVar[int] = 100

    centre_: Floats
    axes_: Floats

    def __init__(
        self,
        *,
        alpha: Sequence[float] = [1.0, 0.1],  # a list, for JSON has no tuples
        beta_kl: float = 0.1,
        epochs: int = 300,
        batch_size: int = 2048,
        learning_rate: float = 1e-2,
        checkpoint_every: int = 50,
        pca: int | None = None,
        representation: Representation | None = None,
    ) -> None:
        self.alpha = alpha
        self.beta_kl = beta_kl
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.checkpoint_every = checkpoint_every
        self.pca = pca
        self.representation = (
            JetImage.buss(power=0.25, sigma=1.0) if representation is None else representation
        )
        self.history_: dict[str, list[float]] = {}
        self._model: Any = None
        self._batched: BatchedModel | None = None
        self._checkpoints: dict[int, bytes] = {}
        self._settings()  # refuses settings that cannot train, before any jet is read
        self._check()
        self._prior = SoftmaxPrior.from_alpha(alpha)

    def mixtures(self) -> Floats:
        """Decode each theme alone: what a jet with r_i = 1 would look like.

        Returns:
            Shape (R, pixels, pixels) on images, each of sum 1, rows along Δη; otherwise
            (R, *row shape), in the representation's own numbers.
        """
        self._require_fitted("mixtures")
        columns = self._model.get_layer("mixtures").get_weights()[0].astype(np.float64)
        if self._on_images:
            pixels = self.representation.shape[:2]
            return np.asarray(softmax(columns, axis=1).reshape(-1, *pixels))
        rows = self.centre_ + columns @ np.linalg.pinv(self.axes_).T
        return np.asarray(rows.reshape(-1, *self.representation.shape))

    def latent(self, jets: Jets) -> Floats:
        """Give the mixture weights r of jets, at the encoded means.

        Returns:
            Shape (n, R), each row of sum 1, in the order of `alpha`.
        """
        self._require_fitted("latent")
        weights = np.zeros((len(jets), len(self.alpha)))
        for part, _, (means, _, _) in self._passes(self._model_in_batches(), jets):
            weights[part] = softmax(means, axis=1)
        return weights

    @property
    def _on_images(self) -> bool:
        return isinstance(self.representation, JetImage)

    def _check(self) -> None:
        alpha = list(self.alpha)
        if (
            len(alpha) < 2
            or not all(0 < a < math.inf for a in alpha)
            or alpha.count(min(alpha)) > 1
        ):
            msg = (
                f"dirichlet: alpha must hold at least two positive numbers, the smallest once, for "
                f"its mixture is the latent score. Received: {self.alpha}."
            )
            raise ConfigError(msg)
        if not 0 <= self.beta_kl < math.inf:
            msg = f"dirichlet: beta_kl must be at least 0 and finite. Received: {self.beta_kl}."
            raise ConfigError(msg)
        n_numbers = math.prod(self.representation.shape)
        if self.pca is not None and (self._on_images or not 1 <= self.pca <= n_numbers):
            msg = (
                f"dirichlet: pca must be None on images, elsewhere None or from 1 to {n_numbers}. "
                f"Received: {self.pca}."
            )
            raise ConfigError(msg)

    def _settings(self) -> TrainingSettings:
        return TrainingSettings(
            epochs=self.epochs,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            checkpoint_every=self.checkpoint_every,
            watch=None,
        )

    def _fit(
        self, jets: Jets, *, validation: Jets | None, seed: int, progress: Progress | None
    ) -> None:
        rows = self._flat(jets)
        if validation is None:
            training_rows, others = split_rows(len(jets), fraction=VALIDATION_FRACTION, seed=seed)
            rows, validation_rows = rows[training_rows], rows[others]
        else:
            validation_rows = self._flat(validation)
        if not self._on_images:
            self.centre_ = rows.mean(axis=0)
            self.axes_ = principal_axes(rows.astype(np.float64), self.pca or rows.shape[1])
        rows, validation_rows = self._transformed(rows), self._transformed(validation_rows)
        model = build_network(rows.shape[1], len(self.alpha), seeds=layer_seeds(seed))
        training = optimise(
            self._objective(model, seed),
            rows,
            validation_rows,
            settings=self._settings(),
            seed=seed,
            progress=progress,
            resume=self._resuming(),
        )
        self._model, self._batched = model, None
        self.history_, self._checkpoints = training.history, training.checkpoints
        self._warn_of_collapse(validation_rows)

    def _objective(self, model: Any, seed: int) -> Objective:
        tf, keras = import_keras()
        optimizer = keras.optimizers.Adam(
            self.learning_rate, beta_1=ADAM_BETAS[0], beta_2=ADAM_BETAS[1]
        )
        variables = model.trainable_variables
        optimizer.build(variables)
        generator = tf.random.Generator.from_seed(seed)
        losses = dirichlet_losses(
            model, self._prior, beta_kl=self.beta_kl, on_images=self._on_images
        )

        def step(rows: Any) -> Any:
            noise = generator.normal((tf.shape(rows)[0], len(self.alpha)))
            with tf.GradientTape() as tape:
                values = losses(rows, noise)
            optimizer.apply(tape.gradient(values["loss"], variables), variables)
            return values

        shape = (None, *model.input_shape[1:])
        return Objective(
            step=compile_function(step, shape),
            evaluate=compile_function(lambda rows: losses(rows, 0.0), shape),
            models=[model],
            optimizers=[optimizer],
            state=[generator.state],
            checkpoint=lambda: model_to_bytes(model),
        )

    def _warn_of_collapse(self, rows: Singles) -> None:
        """Warn of mixtures that have one weight whatever the jet."""
        batched = self._model_in_batches()
        starts = range(0, len(rows), SCORING_BATCH)
        outputs = [batched(rows[start : start + SCORING_BATCH]) for start in starts]
        weights = softmax(self._split(np.concatenate(outputs))[0], axis=1)
        collapsed = np.flatnonzero(weights.std(axis=0) < COLLAPSED)
        if len(collapsed):
            log.warning(
                "dirichlet: the weights of mixtures %s are the same for every jet (the latent space "
                "has collapsed there); means of all: %s. Such a weight, and the latent score if it "
                "is that of the smallest alpha, says nothing of a jet. Lower beta_kl or train "
                "longer.",
                ", ".join(str(i) for i in collapsed),
                ", ".join(f"{each:.3f}" for each in weights.mean(axis=0)),
            )

    def _scores(self, jets: Jets) -> Scores:
        return self._scores_of(self._model_in_batches(), jets)

    def _scores_of(self, batched: BatchedModel, jets: Jets) -> Scores:
        scores = {name: np.zeros(len(jets)) for name in self.score_names}
        rarest = int(np.argmin(self.alpha))
        for part, rows, (means, log_variances, decoded) in self._passes(batched, jets):
            reconstruction = image_loss if self._on_images else mean_squared_error
            scores["reconstruction"][part] = reconstruction(rows, decoded)
            scores["kl"][part] = self._prior.kl_from(means, log_variances)
            scores["latent"][part] = softmax(means, axis=1)[:, rarest]
        return scores

    def _scores_by_epoch(self, jets: Jets) -> Iterator[tuple[int, Scores]]:
        for epoch, content in sorted(self._checkpoints.items()):
            model = model_from_bytes(content, where=CHECKPOINT_FILE.format(epoch))
            yield epoch, self._scores_of(BatchedModel(model, batch_size=SCORING_BATCH), jets)

    def _passes(
        self, batched: BatchedModel, jets: Jets
    ) -> Iterator[tuple[slice, Floats, tuple[Floats, Floats, Floats]]]:
        """Apply the network batch by batch: rows, and their means, log variances and decoded rows."""
        for start in range(0, len(jets), batched.batch_size):
            part = slice(start, min(start + batched.batch_size, len(jets)))
            rows = self._transformed(self._flat(jets[part]))
            yield part, rows.astype(np.float64), self._split(batched(rows))

    def _split(self, outputs: Singles) -> tuple[Floats, Floats, Floats]:
        """(n, 2R + m) → means (n, R), log variances (n, R), decoded rows (n, m)."""
        r = len(self.alpha)
        exact = outputs.astype(np.float64)
        return exact[:, :r], exact[:, r : 2 * r], exact[:, 2 * r :]

    def _model_in_batches(self) -> BatchedModel:
        if self._batched is None:
            self._batched = BatchedModel(self._model, batch_size=SCORING_BATCH)
        return self._batched

    def _flat(self, jets: Jets) -> npt.NDArray[np.floating[Any]]:
        """Represent jets and flatten: (n, numbers)."""
        return self.representation(jets).reshape(len(jets), -1)

    def _transformed(self, rows: npt.NDArray[np.floating[Any]]) -> Singles:
        """Give what the network takes: images as they are, other rows whitened, (n, m)."""
        if not self._on_images:
            rows = (rows - self.centre_) @ self.axes_.T
        return rows.astype(np.float32, copy=False)

    def _save(self, folder: Path) -> None:
        (folder / MODEL_FILE).write_bytes(model_to_bytes(self._model))
        for epoch, content in self._checkpoints.items():
            (folder / CHECKPOINT_FILE.format(epoch)).write_bytes(content)
        if not self._on_images:
            np.savez(folder / AXES_FILE, centre=self.centre_, axes=self.axes_)
        state = {"history": self.history_, "checkpoints": sorted(self._checkpoints)}
        (folder / HISTORY_FILE).write_text(json.dumps(state, indent=2) + "\n", encoding="utf-8")

    def _load(self, folder: Path) -> None:
        state = json.loads((folder / HISTORY_FILE).read_text(encoding="utf-8"))
        self.history_ = state["history"]
        self._checkpoints = {
            epoch: (folder / CHECKPOINT_FILE.format(epoch)).read_bytes()
            for epoch in state["checkpoints"]
        }
        n_numbers = math.prod(self.representation.shape)
        if not self._on_images:
            with np.load(folder / AXES_FILE, allow_pickle=False) as data:
                self.centre_, self.axes_ = data["centre"], data["axes"]
            n_numbers = len(self.axes_)
        where = folder / MODEL_FILE
        self._model = model_from_bytes(where.read_bytes(), where=str(where))
        shapes = (self._model.input_shape[1], self._model.output_shape[1])
        expected = (n_numbers, 2 * len(self.alpha) + n_numbers)
        if shapes != expected:
            msg = f"{where}: expected {expected} numbers in and out. Received: {shapes}."
            raise DetectorError(msg)
