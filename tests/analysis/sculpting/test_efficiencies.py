from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon

from oddjet.analysis.sculpting.cut import JetSample
from oddjet.analysis.sculpting.efficiencies import (
    jensen_shannon,
    mass_shapes,
    scan_efficiencies,
)
from oddjet.errors import InputError, TooFewJetsError


def _background(n: int = 20_000, slope: float = 0.0, seed: int = 1) -> JetSample:
    rng = np.random.default_rng(seed)
    mass = rng.uniform(50, 250, n)
    return JetSample.from_arrays(
        rng.random(n) + slope * mass, mass, rng.uniform(500, 900, n), np.full(n, 0.5)
    )


def test_the_divergence_is_scipy_s_square_and_has_its_bounds() -> None:
    rng = np.random.default_rng(1)
    p, q = rng.random(10), rng.random(10)
    assert jensen_shannon(p, q) == pytest.approx(jensenshannon(p, q, base=2) ** 2, rel=1e-9)
    assert jensen_shannon(p, q) == pytest.approx(jensen_shannon(7 * q, p))
    assert jensen_shannon(p, 3 * p) == pytest.approx(0, abs=1e-12)
    assert jensen_shannon([1, 0, 0], [0, 1, 4]) == 1
    # Halves that share one bin of two: ½ [ln(4/3) + ½ ln(2/3) + ½ ln 2] / ln 2.
    expected = 0.5 * (np.log(4 / 3) + 0.5 * np.log(2 / 3) + 0.5 * np.log(2)) / np.log(2)
    assert jensen_shannon([2, 0], [1, 1]) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("pair", "words"),
    [(([1, -1], [1, 1]), "negative"), (([1], [1, 1]), "one binning"), (([0, 0], [1, 1]), "empty")],
)
def test_what_has_no_shape_is_refused(pair: tuple[list[int], list[int]], words: str) -> None:
    with pytest.raises(InputError, match=words):
        jensen_shannon(*pair)


def test_a_blind_cut_has_on_average_what_is_said_to_be_chance() -> None:
    points = (0.5, 0.1)
    scans = [
        scan_efficiencies(
            _background(4000, seed=seed), working_points=points, pt_edges=(500, 900), n_bins=10
        )
        for seed in range(60)
    ]
    for k in range(2):
        entropy = np.array([steps[k].entropy.value for steps in scans])
        jsd = np.array([steps[k].jsd.value for steps in scans])
        assert entropy.mean() == pytest.approx(scans[0][k].entropy_by_chance, rel=0.2)
        assert jsd.mean() == pytest.approx(scans[0][k].jsd_by_chance, rel=0.2)


def test_a_cut_on_the_mass_has_its_closed_form() -> None:
    (step,) = scan_efficiencies(
        _background(slope=1e6), working_points=(0.2,), pt_edges=(500, 900), n_bins=20
    )
    assert step.efficiency == pytest.approx(0.2, abs=1e-3)
    assert step.entropy.value == pytest.approx(np.log(5), rel=1e-3)
    assert step.jsd.value == pytest.approx(1.0, abs=1e-3)
    assert step.jsd.low <= step.jsd.value <= step.jsd.high


def test_pt_bins_follow_the_inclusive_cuts_and_thin_ones_are_left_out() -> None:
    steps = scan_efficiencies(
        _background(), working_points=(0.5, 0.1), pt_edges=(500, 700, 900, 2000)
    )
    assert [(step.pt_low, step.working_point) for step in steps] == [
        (500, 0.5), (500, 0.1), (500, 0.5), (500, 0.1), (700, 0.5), (700, 0.1),
    ]  # fmt: skip
    assert [step.pt_high for step in steps[::2]] == [2000, 700, 900]
    with pytest.raises(TooFewJetsError, match="10 background jets"):
        scan_efficiencies(_background(10))


def test_signal_efficiencies_follow_their_definitions() -> None:
    background = _background(slope=0.01)
    rng = np.random.default_rng(2)
    mass = rng.uniform(50, 250, 5000)
    signal = JetSample.from_arrays(rng.random(5000) + 0.01 * mass, mass, np.full(5000, 600.0))
    (step,) = scan_efficiencies(
        background, {"s": signal}, window=(80, 90), working_points=(0.2,), pt_edges=(500, 900)
    )
    # A signal just like the background has its efficiency, over all masses and in the window.
    assert step.signal_efficiencies["s"] == pytest.approx(0.2, abs=0.02)
    assert step.in_window["s"] == pytest.approx(0.2, abs=0.09)
    inside = (mass >= 80) & (mass < 90)
    assert np.mean(np.asarray(signal.scores)[inside] >= step.threshold) < 0.05


def test_the_shapes_add_up_and_efficiencies_have_binomial_errors() -> None:
    background = _background()
    shapes = mass_shapes(background, edges=np.linspace(50, 250, 11), working_points=(0.5, 0.1))
    assert shapes.before.sum() == pytest.approx(10_000)
    assert shapes.after.sum(axis=1) == pytest.approx([5000, 1000], rel=1e-3)
    n = shapes.before / 0.5
    assert shapes.errors[1] == pytest.approx(np.sqrt(0.1 * 0.9 / n), rel=0.1)
    pulls = (shapes.efficiencies[1] - 0.1) / shapes.errors[1]
    assert abs(pulls).max() < 4
    left = mass_shapes(background, edges=[50, 100, 150, 250], exclude=(100, 150))
    assert left.before[1] == 0
    assert np.isnan(left.efficiencies[:, 1]).all()
