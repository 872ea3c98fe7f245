"""k-means clusters of jet images, and the scores built on them.

References:
    T. Buss et al., What's Anomalous in LHC Jets? (2022), arXiv:2202.00686, section 3.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from oddjet.constraints import Interval, constrained
from oddjet.datasets.disk.arrays import read_arrays
from oddjet.datasets.jets import Jets
from oddjet.errors import DetectorError, TooFewJetsError
from oddjet.ml.detectors.base import Detector, Scores
from oddjet.ml.detectors.cluster_scores import (
    BATCH_ROWS,
    Clusters,
    distances_to,
    log_likelihood,
    mean_of_nearest,
    measure_clusters,
)
from oddjet.ml.detectors.hyper_parameters import represented_by
from oddjet.ml.detectors.sklearn_fits import convergence_ignored, import_sklearn
from oddjet.ml.networks.training import Progress
from oddjet.ml.representations.base import Representation
from oddjet.ml.representations.jet_image import JetImage
from oddjet.typing import Floats, Singles

__all__ = ["KMeansDetector", "find_centroids"]

CLUSTERS_FILE = "clusters.npz"
CLUSTER_ARRAYS = ("centroids", "sizes", "radii", "widths", "dimensions")
NEAREST = 5
MAX_ITERATIONS = 300
FEW_NUMBERS = 64
"""Rows of at most this many numbers are clustered as they are."""
LOST_VARIANCE = 1e-6
AXES_ROWS = 10_000
"""Rows, at least, that principal axes are taken from."""


@dataclass(kw_only=True, eq=False)
class KMeansDetector(Detector):
    """k-means clustering of jet images (Buss et al. 2022).

    Lloyd's algorithm from several k-means++ starts, the least inertia kept; the clusters' sizes,
    radii, widths and effective dimensions are then measured on the training jets.

    Scores: `min_d`, the distance to the nearest centroid; `knc5`, the mean distance to the five
    nearest; and negative log likelihoods of the clusters as balls with Gaussian tails: `mlled` in
    the effective dimension, the median over the clusters; `mll1d` in one dimension, which the
    document calls the most even; `mlln` in one dimension with each cluster weighted by its number
    of jets alone. `oddjet.ml.detectors.cluster_scores` has the formulas.

    Fitting holds the rows of all training jets in memory, 6.4 kB a jet for 40×40 images. Jets
    given for validation are not used.

    Args:
        k: Number of clusters. The document has 1,000 training jets a cluster; with few, radii and
            dimensions are noise.
        starts: k-means++ starts.
        representation: By default the document's image, 40×40 with a filter of 3 pixels, without
            reweighting. It takes `JetImage.buss(power=0.25, sigma=3.0)` for dark jets.

    References:
        arXiv:2202.00686, section 3; table 1 has radii and dimensions.
    """

    score_names: ClassVar[tuple[str, ...]] = ("min_d", "knc5", "mlled", "mll1d", "mlln")
    label: ClassVar[str] = "kmeans"
    scoring_batch: ClassVar[int | None] = BATCH_ROWS

    k: int = constrained(100, Interval(int, 1))
    starts: int = constrained(10, Interval(int, 1))
    representation: Representation = represented_by(
        Representation, lambda: JetImage.buss(power=1.0, sigma=3.0)
    )

    def _fit(
        self,
        jets: Jets,
        *,
        validation: Jets | None,  # noqa: ARG002 - nothing is stopped or chosen
        seed: int,
        progress: Progress | None,
    ) -> None:
        if len(jets) < self.k:
            msg = f"kmeans: {self.k} clusters need as many jets. Received: {len(jets)}. Lower k."
            raise TooFewJetsError(msg)
        rows = self._rows(jets)
        centroids = find_centroids(rows, k=self.k, starts=self.starts, seed=seed)
        self.clusters_ = measure_clusters(rows, centroids)
        if progress is not None:
            progress(1, 1, {"loss": self.clusters_.inertia / len(rows)})

    def _scores(self, jets: Jets) -> Scores:
        clusters = self.clusters_
        distances = distances_to(self._rows(jets), clusters.centroids)
        return {
            "min_d": mean_of_nearest(distances, n=1),
            "knc5": mean_of_nearest(distances, n=NEAREST),
            "mlled": -log_likelihood(distances, clusters, dimension=clusters.dimension),
            "mll1d": -log_likelihood(distances, clusters, dimension=1.0),
            "mlln": -log_likelihood(distances, clusters, dimension=1.0, normalised=False),
        }

    def _rows(self, jets: Jets) -> Singles:
        return self._flat(jets).astype(np.float32, copy=False)

    def _save(self, folder: Path) -> None:
        arrays = {name: getattr(self.clusters_, name) for name in CLUSTER_ARRAYS}
        np.savez_compressed(folder / CLUSTERS_FILE, **arrays)

    def _load(self, folder: Path) -> None:
        shapes = dict.fromkeys(CLUSTER_ARRAYS, "float k") | {"centroids": "float k m"}
        m = math.prod(self.representation.shape)
        self.clusters_ = Clusters(
            **read_arrays(folder / CLUSTERS_FILE, shapes, error=DetectorError, m=m)
        )


def find_centroids(rows: Singles, *, k: int, starts: int, seed: int) -> Floats:
    """Run k-means on rows (n, m), n ≥ k, from several k-means++ starts, the least inertia kept.

    Images of many pixels are first turned to the principal axes that hold all but 1e-6 of their
    variance: distances stay as they are, and there is several times less to compute.

    Gives the means of the clusters' rows (k, m); fewer than k where fewer rows differ.
    """
    fitter = import_sklearn("cluster").KMeans(
        k, n_init=starts, max_iter=MAX_ITERATIONS, random_state=seed
    )
    with convergence_ignored():
        # Fewer different jets than clusters: the empty ones are left out of the likelihoods.
        labels = fitter.fit(_turned(rows)).labels_
    return np.stack(
        [rows[labels == i].mean(axis=0, dtype=np.float64) for i in range(k) if (labels == i).any()]
    )


def _turned(rows: Singles) -> Singles:
    """Turn rows (n, m) to their principal axes, where these are far fewer: (n, axes)."""
    m = rows.shape[1]
    if m <= FEW_NUMBERS:
        return rows
    sample = rows[:: max(1, len(rows) // AXES_ROWS)].astype(np.float64)
    centre = sample.mean(axis=0)
    variances, vectors = np.linalg.eigh((sample - centre).T @ (sample - centre))
    lost = np.cumsum(np.maximum(variances, 0.0))  # rising: of the axes up to each
    first = int(np.searchsorted(lost, LOST_VARIANCE * lost[-1], side="right"))
    if m - first > m // 2:
        return rows
    centre, axes = (part.astype(np.float32) for part in (centre, vectors[:, first:]))
    turned = np.empty((len(rows), axes.shape[1]), dtype=np.float32)
    for start in range(0, len(rows), BATCH_ROWS):
        part = slice(start, start + BATCH_ROWS)
        turned[part] = (rows[part] - centre) @ axes
    return turned
