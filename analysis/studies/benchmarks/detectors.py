"""How fast the representations are, measured against what they replace in the same run."""

from __future__ import annotations

import contextlib
import importlib
import itertools
import logging
import sys
import types
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import awkward as ak
import numpy as np
import numpy.typing as npt

from oddjet.analysis.studies.benchmarks.timing import race
from oddjet.datasets.jets import Jets, make_jets
from oddjet.ml.representations.batches import flatten_jets
from oddjet.ml.representations.energy_flow import EnergyFlow
from oddjet.ml.representations.jet_image import JetImage
from oddjet.typing import Floats

__all__ = ["benchmark_efps", "benchmark_images", "import_energyflow", "random_jets"]

logger = logging.getLogger(__name__)

CONSTITUENTS = 43
"""Mean number of constituents of an AK8 jet of pt > 200 GeV in simulated QCD."""


def benchmark_images(n_jets: int = 20_000, seed: int = 1) -> dict[str, float]:
    """Time `JetImage` on one thread against a loop over `numpy.histogram2d`.

    With 43 constituents a jet on average; the loop draws the first 2,000 jets.
    """
    jets = random_jets(n_jets, np.random.default_rng(seed))
    image = JetImage()
    image(jets[:1])  # compiles, or loads the compiled kernel
    few = ak.to_packed(jets[: min(n_jets, 2_000)])
    (fast_seconds, fast), (slow_seconds, slow) = race(
        lambda: image(jets), lambda: _loop(few, image.edges)
    )
    rate, loop_rate = n_jets / fast_seconds, len(few) / slow_seconds
    return {
        "n_jets": float(n_jets),
        "n_constituents": float(ak.sum(ak.num(jets["constituents"], axis=1))),
        "jets_per_second": rate,
        "loop_jets_per_second": loop_rate,
        "ratio": rate / loop_rate,
        "max_difference": float(np.max(np.abs(fast[: len(few), ..., 0] - slow))),
    }


def benchmark_efps(n_jets: int = 20_000, seed: int = 1) -> dict[str, float]:
    """Time `EnergyFlow` on one thread against energyflow's EFPSet, or a loop over einsum without it.

    With 43 constituents a jet on average; the others get the first 500 jets. `ratio` is against
    energyflow where it is installed, else against the loop; `max_difference` from the same is in
    units of the polynomial.
    """
    jets = random_jets(n_jets, np.random.default_rng(seed))
    efps = EnergyFlow()
    efps(jets[:1])  # compiles, or loads the compiled kernel
    flat = flatten_jets(jets[: min(n_jets, 500)], label="benchmark_efps")
    events = [
        np.stack([flat.pt[lo:hi], flat.eta[lo:hi], flat.phi[lo:hi]], axis=1)
        for lo, hi in itertools.pairwise(flat.offsets)
    ]
    runners: list[Callable[[], Any]] = [
        lambda: efps(jets),
        lambda: np.array([_efps_by_einsum(event) for event in events]),
    ]
    if (energyflow := import_energyflow()) is not None:
        chosen = ("d<=3", "p==1")
        theirs = energyflow.EFPSet(*chosen, measure="hadr", beta=1, normed=True, coords="ptyphim")
        # Its first polynomial is the trivial one of degree 0.
        runners.append(lambda: np.array([theirs.compute(event)[1:] for event in events]))
    (seconds, fast), *others = race(*runners)
    rates = [len(events) / other for other, _ in others]
    reference = others[-1][1]
    measured = {
        "n_jets": float(n_jets),
        "n_constituents": float(ak.sum(ak.num(jets["constituents"], axis=1))),
        "jets_per_second": n_jets / seconds,
        "loop_jets_per_second": rates[0],
        "loop_ratio": n_jets / seconds / rates[0],
        "ratio": n_jets / seconds / rates[-1],
        "max_difference": float(np.max(np.abs(fast[: len(reference)] / reference - 1.0))),
    }
    if energyflow is not None:
        measured["energyflow_jets_per_second"] = rates[-1]
    return measured


def import_energyflow() -> types.ModuleType | None:
    """Import energyflow, which oddjet does not need, if it is there.

    Its earth mover's distance pulls in `wasserstein`, whose builds for NumPy 1 fail under NumPy 2,
    and `ot`, which loads TensorFlow. The polynomials do without, so empty modules stand in for them
    while energyflow is imported: its earth mover's distance is then not to be used.
    """
    with _stand_in("wasserstein"), _stand_in("ot"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return importlib.import_module("energyflow")
        except ImportError as error:
            logger.info("energyflow cannot be imported: %s", error)
            return None


@contextlib.contextmanager
def _stand_in(name: str) -> Iterator[None]:
    if name in sys.modules:
        yield
        return
    sys.modules[name] = types.ModuleType(name)
    try:
        yield
    finally:
        del sys.modules[name]


def random_jets(n_jets: int, rng: np.random.Generator) -> Jets:
    """Scatter particles around axes, as many as a jet has.

    Returns:
        Jets of pt 250 GeV with 43 constituents on average and no further columns.
    """
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


def _efps_by_einsum(event: Floats) -> Floats:
    """The eight polynomials of one jet (pt, eta, phi), each written as it is defined."""
    pt, eta, phi = event.T
    z = pt / pt.sum()
    delta_phi = (phi[:, None] - phi + np.pi) % (2 * np.pi) - np.pi
    r = np.hypot(eta[:, None] - eta, delta_phi)
    return np.array(
        [
            np.einsum("i,j,ij", z, z, r),
            np.einsum("i,j,ij", z, z, r**2),
            np.einsum("i,j,ij", z, z, r**3),
            np.einsum("i,j,k,ij,ik", z, z, z, r, r, optimize=True),
            np.einsum("i,j,k,ij,ik", z, z, z, r**2, r, optimize=True),
            np.einsum("i,j,k,ij,jk,ik", z, z, z, r, r, r, optimize=True),
            np.einsum("i,j,k,l,ij,ik,il", z, z, z, z, r, r, r, optimize=True),
            np.einsum("i,j,k,l,ij,jk,kl", z, z, z, z, r, r, r, optimize=True),
        ]
    )
