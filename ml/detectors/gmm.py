"""Gaussian mixtures: the density of jets as a sum of Gaussians.

References:
    T. Buss et al., What's Anomalous in LHC Jets? (2022), arXiv:2202.00686, section 3.2.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from scipy.linalg import solve_triangular

from oddjet.constraints import Interval, OneOf, OrNone, constrained
from oddjet.datasets.disk.arrays import read_arrays
from oddjet.datasets.jets import Jets
from oddjet.errors import DetectorError, TooFewJetsError
from oddjet.ml.detectors.base import Detector, Scores
from oddjet.ml.detectors.cluster_scores import BATCH_ROWS, distances_to
from oddjet.ml.detectors.hyper_parameters import represented_by
from oddjet.ml.detectors.sklearn_fits import convergence_ignored, import_sklearn
from oddjet.ml.networks.training import Progress
from oddjet.ml.representations.base import Representation
from oddjet.ml.representations.jet_image import JetImage
from oddjet.typing import Floats

__all__ = ["GaussianMixtureDetector", "Mixture", "fit_mixture", "principal_axes"]

log = logging.getLogger(__name__)


MIXTURE_FILE = "mixture.npz"
BETA_RATIO = 1e3
"""The smallest fitted variance must reach this many β."""
FIRST_BETA = 1e-3
LAST_BETA = {"spherical": 1e-9, "diag": 1e-6, "full": 1e-6}
"""Where the search for β begins and gives up, in units of the rows' mean variance. A component with
fewer jets than numbers has no variance in some direction, however small β is."""
BETA_STEP = 0.1
LEAST_VARIANCE = 1e-14
"""Principal axes with less than this part of the largest variance are rounding."""
MAX_ITERATIONS = 100


@dataclass(frozen=True)
class Mixture:
    """k Gaussians in m dimensions.

    Attributes:
        weights: Shape (k,), of sum 1.
        means: Shape (k, m).
        covariances: Variances, shape (k,), of spherical Gaussians; shape (k, m) of such with one
            variance a dimension; or matrices, shape (k, m, m).
    """

    weights: Floats
    means: Floats
    covariances: Floats

    def log_density(self, rows: Floats) -> Floats:
        """Logarithm of the density of rows (n, m), summed in logarithms: shape (n,)."""
        m = self.means.shape[1]
        if self.covariances.ndim == 1:
            distance2 = distances_to(rows, self.means) ** 2 / self.covariances  # (n, k)
            log_det = m * np.log(self.covariances)
        else:
            parts = [
                _mahalanobis(rows - mean, covariance)
                for mean, covariance in zip(self.means, self.covariances, strict=True)
            ]
            distance2 = np.stack([part[0] for part in parts], axis=1)  # (n, k)
            log_det = np.array([part[1] for part in parts])
        terms = np.log(self.weights) - (m * math.log(2 * math.pi) + log_det + distance2) / 2
        return np.asarray(np.logaddexp.reduce(terms, axis=1))

    @property
    def smallest_variance(self) -> float:
        """The smallest variance of a component along any direction."""
        if self.covariances.ndim == 3:
            return float(np.linalg.eigvalsh(self.covariances).min())
        return float(self.covariances.min())


@dataclass(kw_only=True, eq=False)
class GaussianMixtureDetector(Detector):
    """Gaussian mixture on jet images or energy flow polynomials (Buss et al. 2022).

    Expectation maximisation from one k-means start. β is added to every variance; it is lowered
    tenfold until the smallest fitted variance, without β, is at least 1000 β, so that it
    regularises without making the widths.

    Score: `gmmll`, the negative log likelihood, up to a constant.

    As published the Gaussians are spherical, on images. On `EnergyFlow` use `covariance="full"`
    and `pca=8`: few numbers, and strongly correlated ones.

    Fitting holds the rows of all training jets in memory, 12.8 kB a jet for 40×40 images. Jets
    given for validation are not used.

    Args:
        components: Number of Gaussians.
        covariance: `"spherical"`, `"diag"` or `"full"`.
        beta: A β to keep, in units of the mean variance of the rows' numbers; None finds it by the
            rule.
        pca: This many principal components, each scaled to unit variance, instead of the rows; None
            takes the rows themselves. Fewer are kept where the jets have fewer.
        representation: By default the document's image, 40×40 with a filter of 3 pixels.

    Attributes:
        beta_: β, in units of the mean variance.
        rule_met_: Whether the rule for β was satisfied.

    References:
        arXiv:2202.00686, section 3.2; the number of Gaussians is not printed.
    """

    score_names: ClassVar[tuple[str, ...]] = ("gmmll",)
    label: ClassVar[str] = "gmm"
    scoring_batch: ClassVar[int | None] = BATCH_ROWS

    components: int = constrained(100, Interval(int, 1))
    covariance: str = constrained("spherical", OneOf(*LAST_BETA))
    beta: float | None = constrained(None, OrNone(Interval(float, 0, closed="neither")))
    pca: int | None = constrained(None, OrNone(Interval(int, 1)))
    representation: Representation = represented_by(
        Representation, lambda: JetImage.buss(power=1.0, sigma=3.0)
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self.beta_ = float("nan")
        self.rule_met_ = False

    def _check(self) -> None:
        n_numbers = math.prod(self.representation.shape)
        if self.pca is not None and self.pca > n_numbers:
            self._refuse("pca", f"at least 1 and at most {n_numbers}")

    def _fit(
        self,
        jets: Jets,
        *,
        validation: Jets | None,  # noqa: ARG002 - nothing is stopped or chosen
        seed: int,
        progress: Progress | None,
    ) -> None:
        if len(jets) < self.components:
            msg = (
                f"gmm: {self.components} components need as many jets. Received: {len(jets)}. "
                f"Lower components."
            )
            raise TooFewJetsError(msg)
        rows = self._rows(jets)
        self.centre_ = rows.mean(axis=0)
        self.axes_ = np.zeros((0, len(self.centre_)))
        if self.pca is not None:
            self.axes_ = principal_axes(rows, self.pca)
        rows = self._transformed(rows)
        self.mixture_, self.beta_, self.rule_met_ = fit_mixture(
            rows,
            components=self.components,
            covariance=self.covariance,
            beta=self.beta,
            seed=seed,
        )
        if progress is not None:
            loss = -np.mean(self.mixture_.log_density(rows[:BATCH_ROWS]))
            progress(1, 1, {"loss": float(loss)})

    def _scores(self, jets: Jets) -> Scores:
        return {"gmmll": -self.mixture_.log_density(self._transformed(self._rows(jets)))}

    def _rows(self, jets: Jets) -> Floats:
        return self._flat(jets).astype(np.float64)

    def _transformed(self, rows: Floats) -> Floats:
        """Centre rows and, with `pca`, turn them to the principal axes: (n, m)."""
        rows = rows - self.centre_
        return rows if self.pca is None else rows @ self.axes_.T

    def _save(self, folder: Path) -> None:
        np.savez_compressed(
            folder / MIXTURE_FILE,
            weights=self.mixture_.weights,
            means=self.mixture_.means,
            covariances=self.mixture_.covariances,
            centre=self.centre_,
            axes=self.axes_,
            beta=self.beta_,
            rule_met=self.rule_met_,
        )

    def _load(self, folder: Path) -> None:
        covariances = {"spherical": "float k", "diag": "float k m", "full": "float k m m"}
        shapes = {
            "centre": "float n",
            "axes": "float 0 n" if self.pca is None else "float m n",
            "means": "float k n" if self.pca is None else "float k m",
            "weights": "float k",
            "covariances": covariances[self.covariance],
            "beta": "float",
            "rule_met": "bool",
        }
        n = math.prod(self.representation.shape)
        data = read_arrays(folder / MIXTURE_FILE, shapes, error=DetectorError, n=n)
        self.mixture_ = Mixture(data["weights"], data["means"], data["covariances"])
        self.centre_, self.axes_ = data["centre"], data["axes"]
        self.beta_, self.rule_met_ = float(data["beta"]), bool(data["rule_met"])


def principal_axes(rows: npt.NDArray[np.floating[Any]], n: int) -> Floats:
    """Find the first n principal axes of rows, each divided by the standard deviation along it.

    Of rows (jets, numbers) come axes (m, numbers), m ≤ n: those without variance are left out.
    `(rows - mean) @ axes.T` has the unit covariance.

    Raises:
        DetectorError: If the rows are all alike.

    References:
        arXiv:2202.00686, section 2.3.
    """
    variances, vectors = np.linalg.eigh(np.atleast_2d(np.cov(rows, rowvar=False)))
    variances, vectors = variances[::-1][:n], vectors[:, ::-1][:, :n]
    kept = variances > LEAST_VARIANCE * max(variances[0], np.finfo(float).tiny)
    if not kept.any():
        msg = f"gmm: {len(rows)} jets are all alike in this representation: nothing to fit."
        raise DetectorError(msg)
    return np.asarray((vectors[:, kept] / np.sqrt(variances[kept])).T)


def fit_mixture(
    rows: Floats, *, components: int, covariance: str, beta: float | None, seed: int
) -> tuple[Mixture, float, bool]:
    """Fit Gaussians to centred rows (n, m) by expectation maximisation, β given or by the rule.

    Also gives β, like `beta` in units of the rows' mean variance, and whether the smallest fitted
    variance, without β, is at least 1000 β.

    Raises:
        DetectorError: If the rows are all alike, or a covariance cannot be inverted.

    References:
        arXiv:2202.00686, section 3.2.
    """
    unit = float(rows.var(axis=0).mean())
    if not unit > 0:
        msg = f"gmm: {len(rows)} jets are all alike in this representation: nothing to fit."
        raise DetectorError(msg)
    # In units of the standard deviation, for scikit-learn stops by absolute changes.
    scaled = rows / math.sqrt(unit)
    tried = FIRST_BETA if beta is None else beta
    fitter: Any = None
    while True:
        fitter = _expectation_maximisation(
            scaled, components, covariance, beta=tried, seed=seed, start=fitter
        )
        scaled_mixture = Mixture(fitter.weights_, fitter.means_, fitter.covariances_)
        smallest = scaled_mixture.smallest_variance
        met = smallest - tried >= BETA_RATIO * tried
        log.debug("gmm: beta %g, smallest variance %g", tried, smallest)
        if met or beta is not None or tried * BETA_STEP < LAST_BETA[covariance] * 0.99:
            break
        tried *= BETA_STEP
    if not met:
        log.info("gmm: the smallest variance is %g, β %g", smallest, tried)
    mixture = Mixture(
        scaled_mixture.weights,
        scaled_mixture.means * math.sqrt(unit),
        scaled_mixture.covariances * unit,
    )
    return mixture, tried, met


def _expectation_maximisation(
    rows: Floats, components: int, covariance: str, *, beta: float, seed: int, start: Any
) -> Any:
    """Fit scikit-learn's mixture, going on from an earlier one if there is one."""
    fitter = start or import_sklearn("mixture").GaussianMixture(
        components,
        covariance_type=covariance,
        max_iter=MAX_ITERATIONS,
        random_state=seed,
        warm_start=True,
    )
    with convergence_ignored():  # it is logged below; with duplicate jets k-means warns too
        try:
            fitter.set_params(reg_covar=beta).fit(rows)
        except ValueError as error:  # a covariance without an inverse
            msg = (
                f"gmm: {covariance} covariances of {components} components cannot be inverted at "
                f"β {beta:g}. Raise beta, or lower components."
            )
            raise DetectorError(msg) from error
    if not fitter.converged_:
        log.info("gmm: not converged after %d iterations at β %g", MAX_ITERATIONS, beta)
    return fitter


def _mahalanobis(rows: Floats, covariance: Floats) -> tuple[Floats, float]:
    """Squared distances from 0 in units of a covariance (m,) or (m, m), and its log determinant."""
    if covariance.ndim == 1:
        return np.asarray((rows**2 / covariance).sum(axis=1)), float(np.log(covariance).sum())
    factor = np.linalg.cholesky(covariance)
    scaled = solve_triangular(factor, rows.T, lower=True)  # (m, n)
    return np.asarray((scaled**2).sum(axis=0)), 2 * float(np.log(np.diag(factor)).sum())
