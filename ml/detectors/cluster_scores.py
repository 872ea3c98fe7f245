"""Anomaly scores of clusters: distances to centroids, and likelihoods built from balls with tails.

Pure functions on arrays. A cluster i is a ball of radius ρ_i (the mean distance of its members to
its centroid) with constant density, and a tail outside it that falls with the members' spread σ_i
as a Gaussian in the distance. Its density lives in an effective dimension d far below the number
of inputs, for jets fill only a thin subspace of all images.

References:
    T. Buss et al., What's Anomalous in LHC Jets? (2022), arXiv:2202.00686, section 3. Two
    equations are misprinted there and corrected here: the tail's factor is (ρ_i/|r − μ_i|)^(d−1),
    not (ρ_i/|r|)^(d−1) (eq. 12), and the effective dimension is ln[N(cR)/N(R)]/ln c, not its
    negative.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from oddjet.errors import DetectorError
from oddjet.typing import Floats

__all__ = [
    "Clusters",
    "distances_in_batches",
    "distances_to",
    "effective_dimensions",
    "log_likelihood",
    "log_volume",
    "mean_of_nearest",
    "measure_clusters",
]

AnyFloats = npt.NDArray[np.floating[Any]]

BATCH_ROWS = 4096
SCALING = 1.1
"""c of the effective dimension, as the document sets it."""
MIN_MEMBERS = 3
"""Two members are equally far from their mean: their spread is 0 and means nothing."""
ROUNDING = 1e-6
"""Radii and widths below this part of the largest radius are rounding."""


@dataclass(frozen=True)
class Clusters:
    """Measured clusters, k of them, of m numbers each.

    Attributes:
        centroids: μ_i, shape (k, m).
        sizes: N_i, members, shape (k,).
        radii: ρ_i, mean distance of the members to their centroid, shape (k,).
        widths: σ_i, root mean square of the members' distance minus ρ_i, shape (k,).
        dimensions: d_i, effective dimension at ρ_i, shape (k,); 0 for an unmeasurable cluster.
    """

    centroids: Floats
    sizes: Floats
    radii: Floats
    widths: Floats
    dimensions: Floats

    @property
    def is_measurable(self) -> npt.NDArray[np.bool_]:
        """Which clusters have an extent, shape (k,): at least three members, not all alike.

        The others are kept as centroids, and left out of the likelihoods.
        """
        least = ROUNDING * self.radii.max()
        measurable = (self.sizes >= MIN_MEMBERS) & (self.radii > least) & (self.widths > least)
        return np.asarray(measurable)

    @property
    def inertia(self) -> float:
        """Sum of the squared distances of all members to their centroids, Σ N_i (ρ_i² + σ_i²)."""
        return float(self.sizes @ (self.radii**2 + self.widths**2))

    @property
    def dimension(self) -> float:
        """Median of the effective dimensions d_i of the measurable clusters."""
        return float(np.median(self.dimensions[self.is_measurable]))


def distances_to(rows: AnyFloats, centroids: AnyFloats) -> Floats:
    """Euclidean distances of rows (n, m) to centroids (k, m): (n, k), from |x|² − 2x·μ + |μ|²."""
    x = np.asarray(rows, dtype=np.float64)
    mu = np.asarray(centroids, dtype=np.float64)
    # Moved to the middle of the centroids first, so that little is lost where x is close to μ.
    middle = mu.mean(axis=0)
    x, mu = x - middle, mu - middle
    squared = (
        np.einsum("ij,ij->i", x, x)[:, np.newaxis]
        - 2.0 * (x @ mu.T)
        + np.einsum("ij,ij->i", mu, mu)
    )
    return np.asarray(np.sqrt(np.maximum(squared, 0.0)))


def distances_in_batches(
    rows: AnyFloats, centroids: AnyFloats, *, batch_rows: int = BATCH_ROWS
) -> Iterator[tuple[slice, Floats]]:
    """Give `distances_to` for a few thousand rows at a time, with these: memory stays bounded."""
    for start in range(0, len(rows), batch_rows):
        part = slice(start, min(start + batch_rows, len(rows)))
        yield part, distances_to(rows[part], centroids)


def measure_clusters(rows: AnyFloats, centroids: AnyFloats) -> Clusters:
    """Measure the clusters that rows (n, m) form around given centroids (k, m).

    Every row is a member of the nearest centroid's cluster.

    Raises:
        DetectorError: If no cluster is measurable.

    References:
        arXiv:2202.00686, eq. 11 (ρ_i) and eq. 12 (σ_i).
    """
    k = len(centroids)
    nearest = np.zeros(len(rows), dtype=np.int64)
    distance = np.zeros(len(rows))
    for part, distances in distances_in_batches(rows, centroids):
        nearest[part] = distances.argmin(axis=1)
        distance[part] = distances.min(axis=1)
    sizes = np.bincount(nearest, minlength=k).astype(np.float64)
    members = np.maximum(sizes, 1.0)
    radii = np.bincount(nearest, weights=distance, minlength=k) / members
    spread = (distance - radii[nearest]) ** 2
    widths = np.sqrt(np.bincount(nearest, weights=spread, minlength=k) / members)
    clusters = Clusters(
        centroids=np.asarray(centroids, dtype=np.float64),
        sizes=sizes,
        radii=radii,
        widths=widths,
        dimensions=effective_dimensions(rows, centroids, radii),
    )
    if not clusters.is_measurable.any():
        msg = (
            f"k-means: none of {k} clusters of {len(rows)} jets has {MIN_MEMBERS} or more different "
            f"jets. Lower k, or look whether the jets' representations are all alike."
        )
        raise DetectorError(msg)
    return clusters


def effective_dimensions(
    rows: AnyFloats, centroids: AnyFloats, radii: Floats, *, scaling: float = SCALING
) -> Floats:
    """Effective dimensions d_i = ln[N(c ρ_i)/N(ρ_i)]/ln c around centroids (k, m) of radii ρ_i (k,).

    N(R) counts all rows within R of the centroid, members of the cluster or not. The number of
    rows in a ball of uniform density grows as R^d; where the density falls, d comes out lower.

    N(R) counts all rows (n, m) within R of the centroid; d_i (k,) is 0 where none is within ρ_i; c
    > 1.

    References:
        arXiv:2202.00686, section 3.3, where the ratio is printed upside down.
    """
    inner, outer = np.zeros(len(centroids)), np.zeros(len(centroids))
    for _, distances in distances_in_batches(rows, centroids):
        inner += np.count_nonzero(distances <= radii, axis=0)
        outer += np.count_nonzero(distances <= scaling * radii, axis=0)
    ratio = np.divide(outer, inner, out=np.ones_like(outer), where=inner > 0)
    return np.asarray(np.log(ratio) / math.log(scaling))


def mean_of_nearest(distances: Floats, *, n: int = 5) -> Floats:
    """Mean of distances (rows, k) to the n nearest centroids, at most all k: (rows,).

    KNC5 for n = 5, MinD for n = 1: arXiv:2202.00686, section 3.1.
    """
    n = min(n, distances.shape[1])
    return np.asarray(np.partition(distances, n - 1, axis=1)[:, :n].mean(axis=1))


def log_volume(dimension: float) -> float:
    """Logarithm of the volume of the unit ball, V_d = π^(d/2)/Γ(d/2 + 1), for real d >= 0.

    >>> round(math.exp(log_volume(2.0)), 6) == round(math.pi, 6)
    True
    """
    return dimension / 2 * math.log(math.pi) - math.lgamma(dimension / 2 + 1)


def log_likelihood(
    distances: Floats, clusters: Clusters, *, dimension: float, normalised: bool = True
) -> Floats:
    """Logarithm of the summed cluster densities at distances (n, k), log Σ_i L_i: shape (n,).

    L_i = 𝒩_i within ρ_i of the centroid and 𝒩_i (ρ_i/r)^(d−1) exp[−(r − ρ_i)²/(2σ_i²)] at a
    distance r beyond. 𝒩_i = N_i/{V_d ρ_i^(d−1) [ρ_i + d σ_i √(π/2)]} makes L_i integrate to N_i in
    d dimensions. Summed in logarithms, so that it is finite however far a row is.

    Up to a constant; the anomaly score is its negative. `dimension` d ≥ 0 is the effective one for
    MLLED, 1 for MLL1D and MLLN; MLLN takes 𝒩_i = N_i, not `normalised`. Clusters without an extent
    are left out.

    References:
        arXiv:2202.00686, eq. 12 with |r − μ_i| where |r| is printed, and section 3.3.
    """
    measurable = clusters.is_measurable
    r = distances[:, measurable]  # (n, measurable clusters)
    rho, sigma = clusters.radii[measurable], clusters.widths[measurable]
    log_norm = np.log(clusters.sizes[measurable])
    if normalised:
        log_norm = log_norm - (
            log_volume(dimension)
            + (dimension - 1) * np.log(rho)
            + np.log(rho + dimension * sigma * math.sqrt(math.pi / 2))
        )
    outside = np.maximum(r, rho)  # inside, both terms of the tail vanish at r = ρ
    tail = (dimension - 1) * (np.log(rho) - np.log(outside))
    tail -= ((outside - rho) / sigma) ** 2 / 2
    return np.asarray(np.logaddexp.reduce(log_norm + tail, axis=1))
