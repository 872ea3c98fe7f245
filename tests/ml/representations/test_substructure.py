from __future__ import annotations

import math
from collections.abc import Callable

import awkward as ak
import fastjet
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from oddjet.datasets.jets import Jets, make_jets, sum_constituents
from oddjet.errors import ConfigError, NonFiniteError
from oddjet.ml.representations.batches import flatten_jets
from oddjet.ml.representations.substructure import Substructure, groomed_mass
from oddjet.typing import Floats


@pytest.fixture(scope="module")
def jets(toy_jets) -> Jets:
    return ak.concatenate([toy_jets(30, prongs=1, seed=61), toy_jets(30, prongs=2, seed=62)])


def column(jets: Jets, name: str, *, recompute: bool = False) -> Floats:
    return Substructure(recompute=recompute)(jets)[:, Substructure.names.index(name)]


def points(jet: Jets) -> tuple[Floats, Floats, Floats]:
    """pt, Δη, Δφ of one jet's constituents."""
    pt, eta, phi = (np.asarray(jet.constituents[name], float) for name in ("pt", "eta", "phi"))
    return pt, eta - float(jet.eta), np.remainder(phi - float(jet.phi) + np.pi, 2 * np.pi) - np.pi


def test_shapes_are_plain_loops(jets: Jets) -> None:
    for i, jet in enumerate(jets[:5]):
        pt, x, y = (column.tolist() for column in points(jet))
        n, total = len(pt), sum(pt)
        pairs = sum(
            pt[a] * pt[b] * math.hypot(x[a] - x[b], y[a] - y[b]) ** 0.2
            for a in range(n)
            for b in range(n)
            if a != b
        )
        girth = sum(pt[a] * math.hypot(x[a], y[a]) for a in range(n)) / total
        covariance = np.cov(x, y, aweights=pt, bias=True)
        expected = {
            "n_constituents": n,
            "girth": girth,
            "c_02": pairs / total**2,
            "pt_spread": math.sqrt(sum(p * p for p in pt)) / total,
            "major_axis": math.sqrt(np.linalg.eigvalsh(covariance)[-1]),
        }
        for name, value in expected.items():
            assert column(jets, name)[i] == pytest.approx(value, rel=1e-9), name


def test_two_equal_constituents_in_closed_form() -> None:
    jets = make_jets(
        [[{"pt": 50.0, "eta": 0.2, "phi": 3.1}, {"pt": 50.0, "eta": -0.2, "phi": 3.1}]]
    )
    row = dict(zip(Substructure.names, Substructure()(jets)[0], strict=True))
    mass = math.sqrt(2 * 50 * 50 * (math.cosh(0.4) - 1))
    assert row["n_constituents"] == 2
    assert row["girth"] == pytest.approx(0.2, rel=1e-6)
    assert row["c_02"] == pytest.approx(0.5 * 0.4**0.2, rel=1e-6)
    assert row["mass"] == pytest.approx(mass, rel=1e-6)
    assert row["msoftdrop"] == pytest.approx(mass, rel=1e-6)
    assert row["tau1"] == pytest.approx(0.2 / 0.8, rel=1e-3)
    assert all(row[name] == 0 for name in ("tau2", "tau3", "tau4", "tau5", "tau21", "tau32"))
    assert row["pt_spread"] == pytest.approx(math.sqrt(0.5))
    assert row["major_axis"] == pytest.approx(0.2, rel=1e-6)


def test_mass_is_the_four_vector_sums(jets: Jets) -> None:
    expected = np.asarray(sum_constituents(jets.constituents).mass)
    np.testing.assert_allclose(column(jets, "mass"), expected, rtol=1e-9)


def kt_axes(jet: Jets, n: int) -> list[tuple[float, float]]:
    """Rapidity and azimuth of the n exclusive kt subjets."""
    particles = [
        fastjet.PseudoJet(
            float(p.pt) * math.cos(p.phi),
            float(p.pt) * math.sin(p.phi),
            float(p.pt) * math.sinh(p.eta),
            float(p.pt) * math.cosh(p.eta),
        )
        for p in jet.constituents
    ]
    definition = fastjet.JetDefinition(fastjet.kt_algorithm, 100.0)
    sequence = fastjet.ClusterSequence(particles, definition)
    return [(axis.rap(), axis.phi()) for axis in sequence.exclusive_jets(n)]


def tau(jet: Jets) -> Callable[[npt.ArrayLike], float]:
    """The definition, as a function of axes."""
    pt, eta, phi = (np.asarray(jet.constituents[name], float) for name in ("pt", "eta", "phi"))

    def of(axes: npt.ArrayLike) -> float:
        y, azimuth = np.reshape(axes, (-1, 2, 1)).swapaxes(0, 1)
        delta_phi = np.remainder(phi - azimuth + np.pi, 2 * np.pi) - np.pi
        near = np.hypot(eta - y, delta_phi).min(axis=0)
        return float((pt * near).sum() / (0.8 * pt.sum()))

    return of


def test_tau1_is_the_geometric_median(jets: Jets) -> None:
    # Convex, so a general minimiser finds the one minimum; contrib's iteration stops near it.
    for i, jet in enumerate(jets[25:35]):
        start = kt_axes(jet, 1)[0]
        best = minimize(tau(jet), start, method="Nelder-Mead").fun
        assert column(jets[25:35], "tau1")[i] == pytest.approx(best, rel=2e-3)


@pytest.mark.parametrize("n", [2, 3, 4, 5])
def test_one_pass_improves_on_kt_axes_and_ends_at_a_local_minimum(jets: Jets, n: int) -> None:
    several = jets[[0, 10, 40, 50]]
    for i, jet in enumerate(several):
        start = np.ravel(kt_axes(jet, n))
        ours = column(several, f"tau{n}")[i]
        assert 0 < ours <= tau(jet)(start) * (1 + 1e-6)
        options = {"maxiter": 4000, "maxfev": 4000, "xatol": 1e-5, "fatol": 1e-7}
        best = minimize(tau(jet), start, method="Nelder-Mead", options=options).fun
        assert ours == pytest.approx(best, rel=0.1)


def by_loops(jet: Jets, n: int) -> float:
    """τ_N by Weiszfeld's iteration from the kt axes: a constituent pulls its axis by pt / ΔR."""
    axes = kt_axes(jet, n)
    for _ in range(1000):
        sums = [[0.0, 0.0, 0.0] for _ in axes]
        for p in jet.constituents:
            away = [
                (float(p.eta) - y, math.remainder(float(p.phi) - azimuth, 2 * math.pi))
                for y, azimuth in axes
            ]
            near = min(range(n), key=lambda axis: math.hypot(*away[axis]))
            pull = float(p.pt) / (math.hypot(*away[near]) + 1e-12)
            for c, value in enumerate((pull, pull * away[near][0], pull * away[near][1])):
                sums[near][c] += value
        steps = [(y / weight, azimuth / weight) for weight, y, azimuth in sums]
        axes = [(y + a, azimuth + b) for (y, azimuth), (a, b) in zip(axes, steps, strict=True)]
        if max(math.hypot(*step) for step in steps) < 1e-5:
            break
    return tau(jet)(axes)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
def test_is_a_plain_loop_that_starts_from_the_same_axes(jets: Jets, n: int) -> None:
    several = jets[[3, 35]]
    expected = [by_loops(jet, n) for jet in several]
    np.testing.assert_allclose(column(several, f"tau{n}"), expected, rtol=1e-3)


def test_ratios(jets: Jets) -> None:
    np.testing.assert_allclose(column(jets, "tau21"), column(jets, "tau2") / column(jets, "tau1"))
    np.testing.assert_allclose(column(jets, "tau32"), column(jets, "tau3") / column(jets, "tau2"))
    assert np.median(column(jets[30:], "tau21")) < np.median(column(jets[:30], "tau21"))


def test_own_columns_are_taken_unless_recomputed(jets: Jets) -> None:
    rng = np.random.default_rng(3)
    own = jets
    for name in ("msoftdrop", "tau1", "tau2", "tau3", "tau4"):
        own = ak.with_field(own, rng.uniform(0.1, 1.0, len(jets)).astype(np.float32), name)
        np.testing.assert_array_equal(column(own, name), np.asarray(own[name]))
    np.testing.assert_allclose(column(own, "tau32"), np.asarray(own.tau3 / own.tau2), rtol=1e-6)
    np.testing.assert_array_equal(column(own, "tau5"), column(jets, "tau5"))
    np.testing.assert_array_equal(Substructure(recompute=True)(own), Substructure()(jets))


def test_a_negative_soft_drop_mass_is_none(jets: Jets) -> None:
    own = ak.with_field(jets, np.where(np.arange(60) % 2, -1.0, 30.0), "msoftdrop")
    np.testing.assert_array_equal(column(own, "msoftdrop"), np.where(np.arange(60) % 2, 0.0, 30.0))


def test_a_column_that_is_not_finite_is_refused(jets: Jets) -> None:
    own = ak.with_field(jets, np.where(np.arange(60) == 7, np.nan, 0.5), "tau2")
    with pytest.raises(NonFiniteError, match=r"1 of 60 jets .* tau2"):
        Substructure()(own)
    assert np.isfinite(Substructure(recompute=True)(own)).all()


def test_an_empty_jet_is_all_zero(jets: Jets) -> None:
    empty = ak.with_field(jets[:2], jets[:2].constituents[:, :0], "constituents")
    assert not Substructure()(empty).any()


def test_a_jet_of_one_constituent_keeps_its_mass() -> None:
    jets = make_jets([[{"pt": 900.0, "eta": 2.0, "phi": 0.0, "mass": 0.13957}], []])
    masses = groomed_mass(flatten_jets(jets, label="test", masses=True))
    np.testing.assert_array_equal(masses, [np.float32(0.13957), 0.0])


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 10_000),
    shift=st.tuples(st.floats(-1, 1), st.floats(-4, 4)),
    scale=st.floats(0.1, 10),
)
def test_place_and_unit(seed: int, shift: tuple[float, float], scale: float) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(7, 25))
    pt, eta, phi = rng.exponential(5.0, n) + 1, rng.normal(0, 0.3, n), rng.normal(0, 0.3, n)

    def row(factor: float, move: tuple[float, float]) -> Floats:
        wrapped = np.remainder(phi + move[1] + np.pi, 2 * np.pi) - np.pi
        record = ak.zip({"pt": factor * pt, "eta": eta + move[0], "phi": wrapped})
        axis = np.remainder(move[1] + np.pi, 2 * np.pi) - np.pi
        jets = make_jets(ak.Array([record]), pt=[1.0], eta=[move[0]], phi=[axis], mass=[0.0])
        return Substructure()(jets)[0]

    unit = np.where([name in ("mass", "msoftdrop") for name in Substructure.names], scale, 1.0)
    np.testing.assert_allclose(row(scale, shift), unit * row(1.0, (0.0, 0.0)), rtol=1e-3, atol=1e-6)


def test_impossible_fields_are_refused() -> None:
    with pytest.raises(ConfigError, match="recompute"):
        Substructure(recompute="no")  # type: ignore[arg-type]
