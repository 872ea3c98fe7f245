"""The Dirichlet variational autoencoder: jets as mixtures of a few themes.

References:
    T. Buss et al., What's Anomalous in LHC Jets? (2022), arXiv:2202.00686, section 4.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from scipy.special import softmax

from oddjet.constraints import Interval, ListOf, OrNone, constrained
from oddjet.datasets.disk.arrays import read_arrays
from oddjet.datasets.jets import Jets
from oddjet.errors import DetectorError
from oddjet.ml.detectors.base import Scores
from oddjet.ml.detectors.gmm import principal_axes
from oddjet.ml.detectors.hyper_parameters import represented_by
from oddjet.ml.detectors.image_autoencoder import mean_squared_error
from oddjet.ml.detectors.keras_detector import AnyFloats, KerasDetector, TrainingTask
from oddjet.ml.networks.dirichlet import (
    SoftmaxPrior,
    build_network,
    dirichlet_losses,
    image_loss,
)
from oddjet.ml.networks.keras_models import BatchedModel, import_keras
from oddjet.ml.networks.objectives import adam_objective
from oddjet.ml.networks.training import Training
from oddjet.ml.representations.base import Representation
from oddjet.ml.representations.jet_image import JetImage
from oddjet.typing import Floats, Singles

__all__ = ["DirichletDetector"]

log = logging.getLogger(__name__)

AXES_FILE = "axes.npz"
ADAM_BETAS = (0.9, 0.99)
COLLAPSED = 0.01
"""A mixture weight whose standard deviation over the jets is below this carries nothing about them."""


@dataclass(kw_only=True, eq=False)
class DirichletDetector(KerasDetector):
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
        pca: On anything but images, this many principal components; None takes all.
        representation: By default the image of power 1/4 and filter 1 pixel: the document has the
            best σ at 1 for both its signals, and the power between n ≲ 0.1 (Aachen) and 0.4 to 0.6
            (Heidelberg).

    Attributes:
        history_: `loss`, `reconstruction`, `kl` and the same with `val_`, one number an epoch.

    References:
        arXiv:2202.00686, section 4 and table 2; arXiv:2104.08291 for the network.
    """

    score_names: ClassVar[tuple[str, ...]] = ("reconstruction", "kl", "latent")
    label: ClassVar[str] = "dirichlet"
    validation_fraction: ClassVar[float] = 0.1

    alpha: Sequence[float] = constrained(
        [1.0, 0.1],  # a list, for JSON has no tuples
        ListOf(Interval(float, 0, closed="neither"), least=2),
    )
    beta_kl: float = constrained(0.1, Interval(float, 0))
    epochs: int = constrained(300, Interval(int, 1))
    batch_size: int = constrained(2048, Interval(int, 1))
    learning_rate: float = constrained(1e-2, Interval(float, 0, closed="neither"))
    checkpoint_every: int = constrained(50, Interval(int, 0))
    pca: int | None = constrained(None, OrNone(Interval(int, 1)))
    representation: Representation = represented_by(
        Representation, lambda: JetImage.buss(power=0.25, sigma=1.0)
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self._prior = SoftmaxPrior.from_alpha(self.alpha)

    def _check(self) -> None:
        if list(self.alpha).count(min(self.alpha)) > 1:
            self._refuse(
                "alpha", "numbers with the smallest once, whose mixture is the latent score"
            )
        n_numbers = math.prod(self.representation.shape)
        if self.pca is not None and (self._on_images or self.pca > n_numbers):
            self._refuse("pca", f"None on images, elsewhere None or from 1 to {n_numbers}")

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
        return np.asarray(self._in_batches(self._weights, jets)["weights"])

    @property
    def _on_images(self) -> bool:
        return isinstance(self.representation, JetImage)

    # --- training -------------------------------------------------------------------------------

    def _represent(self, jets: Jets) -> AnyFloats:
        return self._flat(jets)

    def _learn(self, rows: AnyFloats) -> None:
        if not self._on_images:
            self.centre_ = rows.mean(axis=0)
            self.axes_ = principal_axes(rows.astype(np.float64), self.pca or rows.shape[1])

    def _inputs(self, rows: AnyFloats) -> Singles:
        """Give what the network takes: images as they are, other rows whitened, (n, m)."""
        if not self._on_images:
            rows = (rows - self.centre_) @ self.axes_.T
        return rows.astype(np.float32, copy=False)

    def _n_inputs(self) -> int:
        return math.prod(self.representation.shape) if self._on_images else len(self.axes_)

    def _build(self, seeds: Iterator[int]) -> Any:
        return build_network(self._n_inputs(), len(self.alpha), seeds=seeds)

    def _train(self, task: TrainingTask) -> Training:
        tf, keras = import_keras()
        generator = tf.random.Generator.from_seed(task.seed)
        losses = dirichlet_losses(
            self._model, self._prior, beta_kl=self.beta_kl, on_images=self._on_images
        )
        objective = adam_objective(
            losses,
            models=[self._model],
            optimizer=keras.optimizers.Adam(
                self.learning_rate, beta_1=ADAM_BETAS[0], beta_2=ADAM_BETAS[1]
            ),
            judge=lambda rows: losses(rows, 0.0),
            draw=lambda rows: [generator.normal((tf.shape(rows)[0], len(self.alpha)))],
            state=[generator.state],
        )
        return self._optimise(objective, task, self._settings(watch=None))

    def _judge(self, task: TrainingTask) -> None:
        """Warn of mixtures that have the same weight for every jet."""
        weights = softmax(self._split(self._trained_model()(task.validation))[0], axis=1)
        collapsed = np.flatnonzero(weights.std(axis=0) < COLLAPSED)
        if len(collapsed):
            log.warning(
                "dirichlet: the weights of mixtures %s are the same for every jet (the latent space "
                "has collapsed there); means of all: %s. Such a weight, and the latent score if it "
                "is that of the smallest alpha, carries nothing about a jet. Lower beta_kl or train "
                "longer.",
                ", ".join(str(i) for i in collapsed),
                ", ".join(f"{mean:.3f}" for mean in weights.mean(axis=0)),
            )

    # --- scoring --------------------------------------------------------------------------------

    def _scores_by(self, model: BatchedModel, jets: Jets) -> Scores:
        rows = self._inputs(self._represent(jets))
        means, log_variances, decoded = self._split(model(rows))
        reconstruction = image_loss if self._on_images else mean_squared_error
        return {
            "reconstruction": reconstruction(rows.astype(np.float64), decoded),
            "kl": self._prior.kl_from(means, log_variances),
            "latent": softmax(means, axis=1)[:, int(np.argmin(self.alpha))],
        }

    def _weights(self, jets: Jets) -> Scores:
        means, _, _ = self._split(self._trained_model()(self._inputs(self._represent(jets))))
        return {"weights": softmax(means, axis=1)}

    def _split(self, outputs: Singles) -> tuple[Floats, Floats, Floats]:
        """(n, 2R + m) → means (n, R), log variances (n, R), decoded rows (n, m)."""
        r = len(self.alpha)
        exact = outputs.astype(np.float64)
        return exact[:, :r], exact[:, r : 2 * r], exact[:, 2 * r :]

    # --- keeping --------------------------------------------------------------------------------

    def _save(self, folder: Path) -> None:
        super()._save(folder)
        if not self._on_images:
            np.savez(folder / AXES_FILE, centre=self.centre_, axes=self.axes_)

    def _load(self, folder: Path) -> None:
        if not self._on_images:
            shapes, n = {"centre": "float n", "axes": "float m n"}, self.representation.shape[0]
            data = read_arrays(folder / AXES_FILE, shapes, error=DetectorError, n=n)
            self.centre_, self.axes_ = data["centre"], data["axes"]
        super()._load(folder)

    def _check_model(self, where: str) -> None:
        shapes = (self._model.input_shape[1], self._model.output_shape[1])
        expected = (self._n_inputs(), 2 * len(self.alpha) + self._n_inputs())
        if shapes != expected:
            msg = f"{where}: expected {expected} numbers in and out. Received: {shapes}."
            raise DetectorError(msg)
