"""How fast the representations are, measured against a plain loop in the same run."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from typing import Any

import awkward as ak
import numpy as np
import numpy.typing as npt

from oddjet.datasets.jets import Jets, make_jets
from oddjet.ml.representations.jet_image import JetImage

__all__ = ["benchmark_images"]

CONSTITUENTS = 43
"""Mean number of constituents of an AK8 jet of pt > 200 GeV in simulated QCD."""


def benchmark_images(n_jets: int = 20_000, seed: int = 1) -> dict[str, float]:
    """Time `JetImage` on one thread against a loop over `numpy.histogram2d`.

    Args:
        n_jets: Jets to draw with `JetImage`; the loop draws the first 2,000 of them.
        seed: Of the random jets, 43 constituents each on average.

    Returns:
        `n_jets`, `n_constituents`, `jets_per_second`, `loop_jets_per_second`, their `ratio`, and
        `max_difference` between the two kinds of images.
    """
    jets = _random_jets(n_jets, np.random.default_rng(seed))
    image = JetImage()
    image(jets[:1])  # compiles, or loads the compiled kernel
    fast_seconds, fast = _best_time(lambda: image(jets))
    few = ak.to_packed(jets[: min(n_jets, 2_000)])
    slow_seconds, slow = _best_time(lambda: _loop(few, image.edges))
    rate, loop_rate = n_jets / fast_seconds, len(few) / slow_seconds
    return {
        "n_jets": float(n_jets),
        "n_constituents": float(ak.sum(ak.num(jets["constituents"], axis=1))),
        "jets_per_second": rate,
        "loop_jets_per_second": loop_rate,
        "ratio": rate / loop_rate,
        "max_difference": float(np.max(np.abs(fast[: len(few), ..., 0] - slow))),
    }


def _best_time(
    function: Callable[[], npt.NDArray[np.floating[Any]]],
) -> tuple[float, npt.NDArray[np.floating[Any]]]:
    """Time a function like `timeit` does: the best of three, so without the first touch of memory."""
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        result = function()
        seconds.append(time.perf_counter() - start)
    return min(seconds), result


def _random_jets(n_jets: int, rng: np.random.Generator) -> Jets:
    counts = rng.poisson(CONSTITUENTS, n_jets)
    size = int(counts.sum())
    eta, phi = rng.uniform(-2.0, 2.0, n_jets), rng.uniform(-np.pi, np.pi, n_jets)
    flat = ak.zip(
        {
            "pt": rng.pareto(2.0, size).astype(np.float32) + np.float32(0.5),
            "eta": (np.repeat(eta, counts) + rng.normal(0, 0.3, size)).astype(np.float32),
            "phi": (np.repeat(phi, counts) + rng.normal(0, 0.3, size)).astype(np.float32),
        }
    )
    constituents = ak.unflatten(flat, counts)
    return make_jets(
        constituents, pt=np.full(n_jets, 250.0), eta=eta, phi=phi, mass=np.ones(n_jets)
    )


def _loop(jets: Jets, edges: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Draw images one by one with `numpy.histogram2d`, as the analyses this replaces did."""
    counts = np.asarray(ak.num(jets["constituents"], axis=1))
    offsets = np.concatenate([[0], np.cumsum(counts)])
    pt, eta, phi = (
        np.asarray(ak.flatten(jets["constituents"][name]), dtype=np.float64)
        for name in ("pt", "eta", "phi")
    )
    axis_eta, axis_phi = np.asarray(jets["eta"]), np.asarray(jets["phi"])
    images = np.zeros((len(jets), len(edges) - 1, len(edges) - 1))
    for i, (lo, hi) in enumerate(itertools.pairwise(offsets)):
        delta_phi = (phi[lo:hi] - axis_phi[i] + np.pi) % (2 * np.pi) - np.pi
        image, _, _ = np.histogram2d(
            eta[lo:hi] - axis_eta[i], delta_phi, bins=[edges, edges], weights=pt[lo:hi]
        )
        images[i] = image / max(image.sum(), 1e-300)
    return images
