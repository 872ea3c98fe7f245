from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import numpy.typing as npt
import pytest
from scipy.optimize import linprog

from oddjet.errors import ConfigError, InputError, NonFiniteError
from oddjet.ml.evaluation.transport import BATCH_JETS, emds, pt_eta_phi


def jets(n_jets: int, n: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    pt = rng.exponential(1.0, (n_jets, n))
    eta, phi = rng.normal(0, 0.4, (2, n_jets, n))
    return np.stack([pt, eta, phi], axis=-1)


def solved_as_a_linear_programme(a: np.ndarray, b: np.ndarray, radius: float) -> float:
    """Flows f_ij as unknowns, with the inequalities of the definition as they stand."""
    n, m = len(a), len(b)
    delta_phi = np.angle(np.exp(1j * (a[:, None, 2] - b[None, :, 2])))
    theta = np.sqrt((a[:, None, 1] - b[None, :, 1]) ** 2 + delta_phi**2)
    leaves = np.kron(np.eye(n), np.ones(m))
    arrives = np.kron(np.ones(n), np.eye(m))
    solution = linprog(
        theta.ravel() / radius,
        A_ub=np.vstack([leaves, arrives]),
        b_ub=np.concatenate([a[:, 0], b[:, 0]]),
        A_eq=np.ones((1, n * m)),
        b_eq=[min(a[:, 0].sum(), b[:, 0].sum())],
    )
    return float(solution.fun + abs(a[:, 0].sum() - b[:, 0].sum()))


def energy_movers_distance(a: npt.ArrayLike, b: npt.ArrayLike, *, radius: float) -> float:
    """Of two jets, shape (n, 3) and (m, 3)."""
    return float(emds(np.asarray(a)[None], np.asarray(b)[None], radius=radius)[0])


def test_one_particle_moved_costs_its_pt_times_the_way() -> None:
    a = [[5.0, 0.1, 0.2], [2.0, -0.3, 0.0]]
    b = [[5.0, 0.1, 0.2], [2.0, -0.3 + 0.3, 0.4]]
    assert energy_movers_distance(a, b, radius=0.8) == pytest.approx(2.0 * 0.5 / 0.8)
    assert energy_movers_distance(a, a, radius=0.8) == pytest.approx(0.0, abs=1e-12)
    assert energy_movers_distance(a, b[::-1], radius=0.8) == pytest.approx(2.0 * 0.5 / 0.8)


def test_two_particles_against_one_between_them() -> None:
    a = [[1.0, -0.2, 0.0], [3.0, 0.6, 0.0]]
    b = [[4.0, 0.0, 0.0]]
    assert energy_movers_distance(a, b, radius=1.0) == pytest.approx(1 * 0.2 + 3 * 0.6)


def test_missing_pt_costs_what_is_missing() -> None:
    a, b = jets(1, 6, seed=1)[0], jets(1, 6, seed=1)[0]
    b[2, 0] += 1.5
    assert energy_movers_distance(a, b, radius=0.4) == pytest.approx(1.5)
    # One unit moves and one is missing; the nearer of the two moves.
    near_and_far = [[1.0, 0.1, 0.0], [1.0, 0.5, 0.0]]
    assert energy_movers_distance(near_and_far, [[1.0, 0.0, 0.0]], radius=0.5) == pytest.approx(
        0.1 / 0.5 + 1
    )


def test_phi_is_wrapped() -> None:
    a, b = [[1.0, 0.0, np.pi - 0.05]], [[1.0, 0.0, -np.pi + 0.05]]
    assert energy_movers_distance(a, b, radius=1.0) == pytest.approx(0.1)


@pytest.mark.parametrize(("n", "m"), [(1, 1), (3, 2), (5, 8), (20, 20)])
@pytest.mark.parametrize("radius", [0.8, 0.2])
def test_distances_are_those_of_a_linear_programme(n: int, m: int, radius: float) -> None:
    # With R = 0.2 some particles are farther apart than what a missing unit costs.
    a, b = jets(12, n, seed=2), jets(12, m, seed=3)
    b[..., 2] += 0.3
    expected = [solved_as_a_linear_programme(*pair, radius) for pair in zip(a, b, strict=True)]
    np.testing.assert_allclose(emds(a, b, radius=radius), expected, rtol=1e-9)


def test_distance_is_symmetric_and_obeys_the_triangle_inequality() -> None:
    a, b, c = (jets(50, 7, seed=seed) for seed in (4, 5, 6))
    ab, bc, ac = (emds(*pair, radius=2.0) for pair in ((a, b), (b, c), (a, c)))
    np.testing.assert_allclose(emds(b, a, radius=2.0), ab, rtol=1e-9)
    assert (ac <= ab + bc + 1e-12).all()


@pytest.mark.parametrize("unit", [1e-30, 1e3, 1e12])
def test_distance_goes_with_the_unit_of_pt(unit: float) -> None:
    a, b = jets(200, 20, seed=11), jets(200, 20, seed=12)
    expected = emds(a, b, radius=0.8) * unit
    a[..., 0] *= unit
    b[..., 0] *= unit
    np.testing.assert_allclose(emds(a, b, radius=0.8), expected, rtol=1e-9)


def test_padding_counts_for_nothing_and_no_particles_are_allowed() -> None:
    a, b = jets(4, 5, seed=7), jets(4, 6, seed=8)
    padded = np.concatenate([a, np.zeros((4, 3, 3))], axis=1)
    np.testing.assert_allclose(emds(padded, b, radius=0.8), emds(a, b, radius=0.8), rtol=1e-9)
    nothing = np.zeros((4, 2, 3))
    for one, other in ((nothing, b), (b, nothing), (np.zeros((4, 0, 3)), b)):
        np.testing.assert_allclose(emds(one, other, radius=0.8), b[..., 0].sum(axis=1))
    np.testing.assert_array_equal(emds(nothing, nothing, radius=0.8), np.zeros(4))
    assert emds(np.zeros((0, 5, 3)), np.zeros((0, 5, 3)), radius=0.8).shape == (0,)


def test_each_pair_is_solved_by_itself() -> None:
    a, b = jets(BATCH_JETS + 3, 3, seed=9), jets(BATCH_JETS + 3, 3, seed=10)
    distances = emds(a, b, radius=0.8)
    np.testing.assert_allclose(emds(a[-5:], b[-5:], radius=0.8), distances[-5:], rtol=1e-12)


def test_momenta_become_pt_eta_phi() -> None:
    expected = np.array([[[2.0, 0.5, 1.0], [3.0, -1.5, -3.0], [0.0, 0.0, 0.0]]])
    pt, eta, phi = np.moveaxis(expected, -1, 0)
    momenta = np.stack([pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta), pt * 7.0], axis=-1)
    np.testing.assert_allclose(pt_eta_phi(momenta), expected, atol=1e-12)
    # Along the beam, and almost: no pt, or none to speak of, and finite numbers.
    odd = pt_eta_phi([[0.0, 0.0, 5.0], [1e-310, 0.0, 5.0], [-0.0, -0.0, 0.0]])
    assert np.isfinite(odd).all()
    np.testing.assert_array_equal(odd[[0, 2]], np.zeros((2, 3)))
    assert energy_movers_distance(odd, [[1.0, 0.0, 0.0]], radius=0.8) == pytest.approx(1.0)


@pytest.mark.parametrize("radius", [0.0, -1.0, float("nan"), float("inf")])
def test_a_radius_that_is_none_is_refused(radius: float) -> None:
    with pytest.raises(ConfigError, match="radius must be positive"):
        energy_movers_distance([[1.0, 0.0, 0.0]], [[1.0, 0.0, 0.0]], radius=radius)


def test_particles_that_cannot_be_are_refused() -> None:
    good = jets(2, 3, seed=1)
    bad = good.copy()
    bad[1, 0, 1] = np.nan
    with pytest.raises(NonFiniteError, match=r"1 of 2 jets .* first jet 1"):
        emds(good, bad, radius=0.8)
    with pytest.raises(InputError, match="negative"):
        emds(-good, good, radius=0.8)
    with pytest.raises(InputError, match=r"\(n_jets, n, 3\)"):
        emds(good[..., :2], good, radius=0.8)
    with pytest.raises(InputError, match="as many jets"):
        emds(good, good[:1], radius=0.8)


def test_pot_brings_no_other_library_along_and_leaves_the_environment_as_it_was() -> None:
    code = (
        "import os, sys\n"
        "from oddjet.ml.evaluation.transport import emds\n"
        "emds([[[1, 0, 0]]], [[[1, 1, 0]]], radius=1.0)\n"
        "assert not {'tensorflow', 'torch', 'jax'} & set(sys.modules)\n"
        "print(sorted(name for name in os.environ if name.startswith('POT_')))"
    )
    environment = os.environ | {"POT_BACKEND_DISABLE_JAX": "yes"}
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, env=environment
    )
    assert done.stdout.strip() == "['POT_BACKEND_DISABLE_JAX']"
