"""What holds for every registered decorrelation."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr

from oddjet.errors import (
    ConfigError,
    DetectorError,
    InputError,
    NonFiniteError,
    TooFewJetsError,
)
from oddjet.ml.calibration import SurvivalCalibration
from oddjet.ml.decorrelation import (
    DECORRELATIONS,
    Decorrelation,
    check_methods,
    create,
    load,
    method_name,
)
from oddjet.typing import Floats

# The largest spread of the true efficiency over mass, relative to it, besides what the number of
# jets leaves: looser for DDT, which flattens mean and spread and not the tails.
TOLERANCE = {
    "ddt": {0.5: 0.05, 0.1: 0.10, 0.02: 0.35},
    "quantile_map": {0.5: 0.03, 0.1: 0.05, 0.02: 0.10},
    "quantile_polynomial": {0.5: 0.03, 0.1: 0.05, 0.02: 0.10},
    "quantile_boosting": {0.5: 0.03, 0.1: 0.05, 0.02: 0.10},
}
N_BINS = 10


def jets(n: int, seed: int) -> tuple[Floats, Floats, Floats]:
    """Scores whose mean, spread and shape change with mass and pt: rank correlation about 0.5."""
    rng = np.random.default_rng(seed)
    pt = 200 + rng.exponential(100, n)
    mass = pt * np.clip(rng.lognormal(-1.6, 0.6, n), 0.02, 0.9)
    x = np.log(mass / 50) / 0.7
    noise = rng.normal(size=n)
    bend = 1 + 0.1 * np.tanh(x)
    noise = np.where(noise > 0, noise * bend, noise)
    return np.exp(0.6 * x + 0.3 * np.log(pt / 300) + (1 + 0.2 * np.tanh(x)) * noise), mass, pt


@cache
def fitted(name: str) -> Decorrelation:
    return create(name).fit(*jets(10_000, seed=1))


def quick(name: str) -> Decorrelation:
    """A method with few trees, where what it learns does not matter much."""
    return create(name, **({"iterations": 4} if name == "quantile_boosting" else {}))


def efficiencies(rarity: Floats, mass: Floats, working_point: float) -> Floats:
    """Efficiency in mass bins of equal population."""
    edges = np.quantile(mass, np.linspace(0, 1, N_BINS + 1))
    at = np.clip(np.searchsorted(edges, mass) - 1, 0, N_BINS - 1)
    passed = rarity >= -np.log10(working_point)
    return np.bincount(at, weights=passed) / np.bincount(at)


pytestmark = pytest.mark.parametrize("name", sorted(DECORRELATIONS))


def test_the_sample_is_worth_decorrelating(name: str) -> None:
    del name
    scores, mass, _ = jets(100_000, seed=2)
    assert 0.4 < spearmanr(scores, mass).statistic < 0.6
    raw = SurvivalCalibration.fit(jets(10_000, seed=1)[0])(scores)
    for working_point in (0.5, 0.1, 0.02):
        kept = efficiencies(raw, mass, working_point)
        assert np.std(kept) > 0.35 * working_point


@pytest.mark.parametrize("working_point", [0.5, 0.1, 0.02])
def test_efficiency_is_flat_in_mass_on_other_jets(name: str, working_point: float) -> None:
    n_fit = 10_000
    scores, mass, pt = jets(100_000, seed=2)
    kept = efficiencies(fitted(name)(scores, mass, pt), mass, working_point)
    # Jets per bin: of the sample the method was fitted on, and of this one.
    relative = np.sqrt((1 - working_point) / working_point * N_BINS * (1 / n_fit + 1 / len(mass)))
    allowed = np.hypot(1.4 * relative, TOLERANCE[name][working_point])
    assert np.std(kept) / working_point < allowed
    # and right on average: as well as n_fit jets can tell
    error = np.sqrt((1 - working_point) / working_point / n_fit)
    assert kept.mean() == pytest.approx(working_point, rel=4 * error + 0.02)


def test_efficiency_is_flat_in_pt(name: str) -> None:
    scores, mass, pt = jets(100_000, seed=3)
    kept = efficiencies(fitted(name)(scores, mass, pt), pt, 0.1)
    assert np.std(kept) / 0.1 < 0.12


def test_tight_cuts_mean_what_they_say(name: str) -> None:
    """Half a percent of 10,000 jets are 50: an error of 14 %."""
    scores, mass, pt = jets(200_000, seed=4)
    kept = np.mean(fitted(name)(scores, mass, pt) >= -np.log10(0.005))
    assert kept == pytest.approx(0.005, rel=0.45)


def test_order_within_a_narrow_window_is_kept(name: str) -> None:
    """So a cut keeps the signal it kept before, at equal efficiency for background there."""
    rng = np.random.default_rng(5)
    scores, mass, pt = jets(200_000, seed=5)
    use = (mass > 78) & (mass < 82) & (pt > 280) & (pt < 320)
    scores, mass, pt = scores[use], mass[use], pt[use]
    assert len(scores) > 400
    n_signal = 2000
    signal = np.exp(rng.normal(np.median(np.log(scores)) + 1.5, 0.8, n_signal))
    signal_mass, signal_pt = rng.uniform(78, 82, n_signal), rng.uniform(280, 320, n_signal)
    method = fitted(name)
    background_after = method(scores, mass, pt)
    assert spearmanr(scores, background_after).statistic > 0.99
    after = method(signal, signal_mass, signal_pt)
    for efficiency in (0.5, 0.1):
        before = np.mean(signal >= np.quantile(scores, 1 - efficiency))
        now = np.mean(after >= np.quantile(background_after, 1 - efficiency))
        assert now == pytest.approx(before, rel=0.03)


def test_it_rises_with_the_score(name: str) -> None:
    method = fitted(name)
    ladder = np.concatenate([[-5.0, 0.0], np.geomspace(1e-3, 1e3, 500)])
    for mass, pt in ((2.0, 200.0), (40.0, 250.0), (90.0, 500.0), (400.0, 900.0)):
        rarity = method(ladder, np.full(502, mass), np.full(502, pt))
        assert np.all(np.diff(rarity) >= 0)
        inside = (rarity > 0.05) & (rarity < method.cap)
        assert np.all(np.diff(rarity[inside]) > 0)
        assert rarity[0] == 0
        assert rarity[-1] == method.cap == pytest.approx(np.log10(10_001) + 1)


def test_shape_and_range(name: str) -> None:
    scores, mass, pt = jets(1000, seed=6)
    method = fitted(name)
    rarity = method(scores, mass, pt)
    assert rarity.shape == (1000,)
    assert rarity.dtype == np.float64
    assert np.all((rarity >= 0) & (rarity <= method.cap))
    assert method([], [], []).shape == (0,)


def test_jets_are_judged_one_by_one(name: str) -> None:
    """To the last bit: a scores table must not depend on the size of its chunks."""
    scores, mass, pt = jets(3000, seed=16)
    method = fitted(name)
    together = method(scores, mass, pt)
    parts = [slice(0, 1), slice(1, 8), slice(8, 1000), slice(1000, 3000)]
    apart = np.concatenate([method(scores[part], mass[part], pt[part]) for part in parts])
    np.testing.assert_array_equal(apart, together)


def test_only_the_order_of_scores_matters(name: str) -> None:
    """Scores of a detector may span many decades."""
    scores, mass, pt = jets(1000, seed=7)
    one = quick(name).fit(scores, mass, pt)(scores, mass, pt)
    other = quick(name).fit(scores**3, mass, pt)(scores**3, mass, pt)
    np.testing.assert_allclose(one, other, atol=1e-6)


def test_saving(name: str, tmp_path: Path) -> None:
    method = fitted(name)
    method.save(tmp_path / "d.npz")
    loaded = load(tmp_path / "d.npz")
    assert type(loaded) is type(method)
    assert loaded.hyper_parameters() == method.hyper_parameters()
    assert (loaded.mass_range_, loaded.pt_range_) == (method.mass_range_, method.pt_range_)
    sample = jets(500, seed=8)
    np.testing.assert_array_equal(loaded(*sample), method(*sample))


def test_weights_count(name: str) -> None:
    """Jets thinned out and weighted up again stand for the ones left out; weight 0 is no jet."""
    scores, mass, pt = jets(8000, seed=9)
    rng = np.random.default_rng(9)
    keep = rng.random(len(scores)) < np.where(scores > np.median(scores), 0.4, 1.0)
    weights = np.where(scores > np.median(scores), 2.5, 1.0)
    weighted = quick(name).fit(scores[keep], mass[keep], pt[keep], weights[keep])
    unweighted = quick(name).fit(scores[keep], mass[keep], pt[keep])
    other, other_mass, other_pt = jets(20_000, seed=10)
    kept = [
        float(np.mean(method(other, other_mass, other_pt) >= -np.log10(0.1)))
        for method in (weighted, unweighted)
    ]
    # About 320 jets lie above the working point in the thinned sample: 5.6 % each way.
    assert kept[0] == pytest.approx(0.1, rel=0.17)
    assert kept[1] > 0.14
    scores, mass, pt = scores[:1000], mass[:1000], pt[:1000]
    junk = np.append(scores, [1e9] * 500), np.append(mass, [1e6] * 500)
    zero = np.concatenate([np.ones(1000), np.zeros(500)])
    with_junk = quick(name).fit(*junk, np.append(pt, [300.0] * 500), zero)
    without = quick(name).fit(scores, mass, pt)
    columns = other[:2000], other_mass[:2000], other_pt[:2000]
    np.testing.assert_array_equal(with_junk(*columns), without(*columns))


def test_jets_beyond_the_fitted_range_are_moved_to_its_edge(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    method = fitted(name)
    (low, high), (pt_low, pt_high) = method.mass_range_, method.pt_range_
    scores = np.linspace(0.1, 10, 50)
    caplog.set_level(logging.INFO, logger="oddjet")
    edge = method(scores, np.full(50, high), np.full(50, pt_high))
    assert not caplog.messages
    beyond = method(scores, np.full(50, 10 * high), np.full(50, 10 * pt_high))
    np.testing.assert_array_equal(beyond, edge)
    assert "50 of 50 jets lie beyond" in caplog.text
    below = method(scores, np.zeros(50), np.full(50, pt_low / 2))
    np.testing.assert_array_equal(below, method(scores, np.full(50, low), np.full(50, pt_low)))
    assert method.count_outside([0.0, low, high], [pt_low, pt_low, pt_high + 1]) == 2


def test_groomed_jets_without_mass_and_equal_scores_are_no_trouble(name: str) -> None:
    scores, mass, pt = jets(2000, seed=11)
    mass[:400] = 0.0
    rarity = quick(name).fit(np.round(scores), mass, pt)(np.round(scores), mass, pt)
    assert np.isfinite(rarity).all()
    constant = quick(name).fit(np.ones(500), mass[:500], pt[:500])
    assert np.isfinite(constant(np.ones(10), mass[:10], pt[:10])).all()
    one_mass = quick(name).fit(scores, np.full(2000, 80.0), np.full(2000, 300.0))
    rarity = one_mass(scores, np.full(2000, 80.0), np.full(2000, 300.0))
    assert np.mean(rarity >= 1) == pytest.approx(0.1, abs=0.01)


def test_a_few_jets_are_enough_or_are_refused(name: str) -> None:
    scores, mass, pt = jets(300, seed=12)
    method = quick(name).fit(scores, mass, pt)
    rarity = method(*jets(20_000, seed=13))
    assert np.mean(rarity >= 1) == pytest.approx(0.1, abs=0.08)
    with pytest.raises(TooFewJetsError, match=r"at least 200 effective .* Received: 100"):
        quick(name).fit(scores[:100], mass[:100], pt[:100])
    heavy = np.where(np.arange(300) == 0, 1e6, 1.0)
    with pytest.raises(TooFewJetsError, match="Received: 1"):
        quick(name).fit(scores, mass, pt, heavy)


@pytest.mark.parametrize("column", [0, 1, 2, 3])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_is_refused(name: str, column: int, bad: float) -> None:
    sample = [*jets(300, seed=14), np.ones(300)]
    sample[column][7] = bad
    with pytest.raises(NonFiniteError, match="1 of 300"):
        quick(name).fit(*sample)
    if column < 3:
        with pytest.raises(NonFiniteError, match="1 of 300"):
            fitted(name)(*sample[:3])


def test_other_wrong_input_is_refused(name: str, tmp_path: Path) -> None:
    scores, mass, pt = jets(300, seed=15)
    refused: list[Callable[[], object]] = [
        lambda: quick(name).fit(scores[1:], mass, pt),
        lambda: quick(name).fit(scores, -mass, pt),
        lambda: quick(name).fit(scores, mass, 0 * pt),
        lambda: quick(name).fit(scores, mass, pt, -np.ones(300)),
        lambda: quick(name).fit(scores, mass, pt, np.ones(3)),
        lambda: fitted(name)(scores, mass, -pt),
    ]
    for call in refused:
        with pytest.raises(InputError):
            call()
    with pytest.raises(DetectorError, match="not fitted"):
        create(name)(scores, mass, pt)
    with pytest.raises(DetectorError, match="not fitted"):
        create(name).save(tmp_path / "d.npz")
    (tmp_path / "d.npz").write_text("no archive")
    with pytest.raises(DetectorError, match="Copy it again"):
        load(tmp_path / "d.npz")
    known = "most_order" if name == "quantile_polynomial" else "knots"
    with pytest.raises(ConfigError, match=f"Did you mean '{known}'"):
        create(name, **{known[:-1]: 3})
    with pytest.raises(ConfigError, match=r"Received: .*-1\b"):
        create(name, **{known: -1})


def test_names(name: str) -> None:
    assert method_name(DECORRELATIONS[name]) == type(create(name)).__name__
    assert type(create(DECORRELATIONS[name])) is type(create(name))
    check_methods({name: {}})
    with pytest.raises(ConfigError, match="Did you mean"):
        check_methods({name + "s": {}})
    with pytest.raises(ConfigError, match="columns of their own"):
        check_methods({name: {}, f"theirs:{name}": {}})
