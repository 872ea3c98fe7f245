from __future__ import annotations

import itertools
import math

import awkward as ak
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oddjet.analysis.studies.benchmarks.detectors import benchmark_efps, import_energyflow
from oddjet.datasets.jets import Jets, make_jets
from oddjet.errors import ConfigError
from oddjet.ml.representations.energy_flow import EnergyFlow
from oddjet.typing import Floats

# Which vertices each polynomial's edges join, as PHYSICS and arXiv:1712.07124 draw them.
GRAPHS = [
    [(0, 1)],
    [(0, 1), (0, 1)],
    [(0, 1), (0, 1), (0, 1)],
    [(0, 1), (0, 2)],
    [(0, 1), (0, 1), (0, 2)],
    [(0, 1), (1, 2), (0, 2)],
    [(0, 1), (0, 2), (0, 3)],
    [(0, 1), (1, 2), (2, 3)],
]


def by_loops(jet: Jets, kappa: float = 1.0, beta: float = 1.0) -> list[float]:
    """The definition: a loop over all tuples of constituents."""
    particles = jet.constituents
    pt, eta, phi = ([float(x) for x in particles[name]] for name in ("pt", "eta", "phi"))
    n, total = len(pt), sum(pt)

    def distance(i: int, j: int) -> float:
        delta_phi = math.remainder(phi[i] - phi[j], 2 * math.pi)
        return math.hypot(eta[i] - eta[j], delta_phi) ** beta if i != j else 0.0

    distances = [[distance(i, j) for j in range(n)] for i in range(n)]
    efps = []
    for edges in GRAPHS:
        vertices = 1 + max(max(edge) for edge in edges)
        efp = 0.0
        for chosen in itertools.product(range(n), repeat=vertices):
            term = math.prod((pt[i] / total) ** kappa for i in chosen)
            efp += term * math.prod(distances[chosen[a]][chosen[b]] for a, b in edges)
        efps.append(efp)
    return efps


@pytest.fixture(scope="module")
def jets(toy_jets) -> Jets:
    return ak.concatenate([toy_jets(40, prongs=1, seed=21), toy_jets(40, prongs=2, seed=22)])


@pytest.mark.parametrize(
    ("kappa", "beta"), [(1.0, 1.0), (1.0, 0.5), (1.0, 2.0), (2.0, 0.7), (0.5, 1.0)]
)
def test_is_the_loop_over_tuples(jets: Jets, kappa: float, beta: float) -> None:
    few = ak.with_field(jets, jets.constituents[:, :9], "constituents")[37:43]
    expected = [by_loops(jet, kappa, beta) for jet in few]
    np.testing.assert_allclose(EnergyFlow(kappa=kappa, beta=beta)(few), expected, rtol=1e-11)


@pytest.mark.parametrize("beta", [1.0, 0.5, 2.0])
def test_is_energyflows(jets: Jets, beta: float) -> None:
    energyflow = import_energyflow()
    assert energyflow is not None, (
        "energyflow belongs to the test dependencies: pip install -e .[test]"
    )
    efpset = energyflow.EFPSet(
        "d<=3", "p==1", measure="hadr", beta=beta, normed=True, coords="ptyphim"
    )
    assert [len(graph) for graph in efpset.graphs()] == [0, 1, 2, 3, 2, 3, 3, 3, 3]
    expected = []
    for jet in jets:
        columns = [np.asarray(jet.constituents[name], float) for name in ("pt", "eta", "phi")]
        expected.append(efpset.compute(np.stack(columns, axis=1))[1:])
    np.testing.assert_allclose(EnergyFlow(beta=beta)(jets), expected, rtol=1e-6)


def test_two_constituents_in_closed_form() -> None:
    jets = make_jets([[{"pt": 3.0, "eta": 0.0, "phi": 3.0}, {"pt": 1.0, "eta": 0.0, "phi": -3.0}]])
    x, y, r = 0.75, 0.25, 2 * np.pi - 6
    expected = [
        2 * x * y * r,
        2 * x * y * r**2,
        2 * x * y * r**3,
        x * y * r**2,
        x * y * r**3,
        0.0,
        x * y * r**3 * (x**2 + y**2),
        2 * (x * y) ** 2 * r**3,
    ]
    np.testing.assert_allclose(EnergyFlow()(jets)[0], expected, rtol=1e-6, atol=1e-15)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 10_000),
    shift=st.floats(-4, 4),
    angle=st.floats(0, 6.3),
    scale=st.floats(0.01, 100),
)
def test_place_turn_unit_and_order_do_not_matter(seed, shift, angle, scale) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 30))
    pt, eta, phi = rng.exponential(1.0, n), rng.normal(0, 0.2, n), rng.normal(0, 0.2, n)
    turned = eta * np.cos(angle) - phi * np.sin(angle), eta * np.sin(angle) + phi * np.cos(angle)
    order = rng.permutation(n)

    def efps(pt: Floats, eta: Floats, phi: Floats) -> Floats:
        record = ak.zip({"pt": pt, "eta": eta, "phi": np.remainder(phi + np.pi, 2 * np.pi) - np.pi})
        axis = {"pt": [1.0], "eta": [0.0], "phi": [0.0], "mass": [0.0]}
        return EnergyFlow()(make_jets(ak.Array([record]), **axis))[0]

    other = efps(scale * pt[order], turned[0][order] + shift / 4, turned[1][order] + shift)
    np.testing.assert_allclose(other, efps(pt, eta, phi), rtol=2e-5, atol=1e-9)


@pytest.mark.parametrize("n", [1 / 3, 0.5, 2.0])
def test_powers_and_their_jacobian(jets: Jets, n: float) -> None:
    efps = EnergyFlow()(jets)
    representation = EnergyFlow(reweight=n)
    reweighted = representation(jets)
    np.testing.assert_allclose(reweighted, efps**n, rtol=1e-12)
    step = 1e-6 * efps
    slope = representation.reweighted(efps + step, n) - representation.reweighted(efps - step, n)
    expected = np.log(slope / (2 * step)).sum(axis=1)  # the map acts on each column by itself
    np.testing.assert_allclose(representation.log_jacobian(efps), expected, atol=1e-5)
    np.testing.assert_allclose(EnergyFlow().log_jacobian(efps, n), expected, atol=1e-5)


@pytest.mark.parametrize("n", ["log", 0, 0.0])
def test_logarithm_and_its_jacobian(jets: Jets, n) -> None:
    efps = EnergyFlow()(jets)
    np.testing.assert_allclose(EnergyFlow(reweight=n)(jets), np.log(efps))
    np.testing.assert_allclose(EnergyFlow(reweight=n).log_jacobian(efps), -np.log(efps).sum(axis=1))


@pytest.mark.parametrize("n", [None, 1, 1.0])
def test_no_reweighting(jets: Jets, n) -> None:
    efps = EnergyFlow()(jets)
    np.testing.assert_array_equal(EnergyFlow(reweight=n)(jets), efps)
    assert not EnergyFlow(reweight=n).log_jacobian(efps).any()
    # "own" is not "none":
    assert EnergyFlow(reweight="log").log_jacobian(efps).all()
    assert not EnergyFlow(reweight="log").log_jacobian(efps, n).any()


def test_density_keeps_its_integral() -> None:
    """log p(EFP) = log q + log |J|, here for a uniform density q of √EFP on [0, 1]^8."""
    representation = EnergyFlow(reweight=0.5)
    rng = np.random.default_rng(4)
    efps = rng.uniform(0.0, 1.0, (200_000, 8))
    # Importance sampling with uniform EFPs: the mean of p is its integral over the unit cube.
    density = np.exp(representation.log_jacobian(efps))
    assert density.mean() == pytest.approx(1.0, abs=5 * density.std() / len(density) ** 0.5)


def test_vanishing_polynomials_are_floored_and_counted(jets: Jets) -> None:
    number = ak.local_index(jets.constituents.pt)
    kept = jets.constituents[number < np.where(np.arange(80) % 4 == 0, 1, 99)]
    cut = ak.with_field(jets, kept, "constituents")
    representation = EnergyFlow(reweight="log", floor=1e-9)
    efps = representation.polynomials(cut)
    assert not efps[::4].any()
    assert representation.count_floored(efps) == 20
    logarithms = representation(cut)
    np.testing.assert_allclose(logarithms[::4], math.log(1e-9))
    assert np.isfinite(representation.log_jacobian(efps)).all()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kappa": 0.0}, "kappa"),
        ({"beta": -1.0}, "beta"),
        ({"floor": float("inf")}, "floor"),
        ({"reweight": "sqrt"}, "reweight"),
        ({"reweight": -0.5}, "reweight"),
        ({"reweight": True}, "reweight"),
    ],
)
def test_impossible_fields_are_refused(fields, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        EnergyFlow(**fields)


@pytest.mark.slow
def test_the_benchmark_compares_equal_polynomials() -> None:
    """How fast they are is for `oddjet bench` to judge, on a quiet machine."""
    measured = benchmark_efps(300, seed=1)
    assert measured["energyflow_jets_per_second"] > 0
    assert measured["ratio"] > 1
    assert measured["max_difference"] < 1e-6
