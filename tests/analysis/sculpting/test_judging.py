from __future__ import annotations

import collections
import json
from typing import Any

import numpy as np
import pytest
from numpy.typing import ArrayLike
from scipy import stats

from oddjet.analysis.sculpting import (
    HuntedIn,
    JetSample,
    JudgeSettings,
    Outcome,
    Verdict,
    judge,
)
from oddjet.errors import ConfigError, InputError, NonFiniteError, TooFewJetsError
from oddjet.typing import Floats

EDGES = (500.0, 650.0, 800.0, 1000.0)
MASSES = np.linspace(20, 160, 15)
FINE = np.linspace(40, 240, 41)


def judged(
    scores: ArrayLike,
    mass: ArrayLike,
    pt: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    hunted: Any = None,
    **settings: Any,
) -> Verdict:
    settings.setdefault("working_points", (0.5, 0.1, 0.01))
    masses = settings.pop("masses", MASSES)
    widths = (2, 8) if masses is FINE else (1, 4)
    hunt = HuntedIn(edges=masses, widths=widths, function="exppoly4", jets=hunted)
    jets = JetSample.from_arrays(scores, mass, pt, weights)
    return judge(jets, JudgeSettings(hunted=hunt, **settings))


def _jets(n: int, *, rho: float = 0.0, seed: int = 1) -> tuple[Floats, Floats, Floats]:
    rng = np.random.default_rng((7, seed))
    z = rng.standard_normal(n)
    scores = rho * z + np.sqrt(1 - rho**2) * rng.standard_normal(n)
    return scores, np.exp(4 + 0.4 * z), rng.uniform(500, 900, n)


def _bump_jets(n: int, *, raised: float, seed: int) -> tuple[Floats, Floats, Floats]:
    """Jets of a gamma spectrum, whose efficiency at 10 % is raised at 172 ± 12 GeV."""
    rng = np.random.default_rng((8, seed))
    mass = rng.gamma(3.0, 25.0, 2 * n)
    mass = mass[(mass >= 40) & (mass < 240)][:n]
    scores = rng.random(n)
    moved = (abs(mass - 172) < 12) & (rng.random(n) < raised / 9) & (scores < 0.9)
    scores[moved] = rng.uniform(0.9, 1, moved.sum())
    return scores, mass, rng.uniform(500, 900, n)


def _trials(n_jets: int, n_trials: int, *, rho: float = 0.0, hunted: Any = None) -> list[Verdict]:
    few: Any = {"pt_edges": EDGES, "n_power_toys": 20}
    return [
        judged(*_jets(n_jets, rho=rho, seed=seed), hunted=hunted, seed=seed, **few)
        for seed in range(n_trials)
    ]


def _bump_trials(n_jets: int, n_trials: int, raised: float) -> list[Verdict]:
    more: Any = {"masses": FINE, "working_points": (0.1, 0.01), "n_power_toys": 20}
    return [
        judged(
            *_bump_jets(n_jets, raised=raised, seed=seed),
            pt_edges=EDGES,
            seed=seed,
            **more,
        )
        for seed in range(n_trials)
    ]


def _shares(verdicts: list[Verdict]) -> dict[Outcome, float]:
    counts = collections.Counter(verdict.outcome for verdict in verdicts)
    return {outcome: counts[outcome] / len(verdicts) for outcome in Outcome}


@pytest.mark.long
@pytest.mark.parametrize(("n_jets", "hunted"), [(20_000, None), (40_000, 80)])
def test_a_score_blind_to_the_mass_fails_as_often_as_the_level_says(
    n_jets: int, hunted: float | None
) -> None:
    verdicts = _trials(n_jets, 400, hunted=hunted)
    shares = _shares(verdicts)
    assert shares[Outcome.FAIL] <= 0.08
    # Of as many jets as are hunted in nobody can say that 0.3σ are excluded.
    assert shares[Outcome.PASS] == 0 if hunted is None else shares[Outcome.PASS] >= 0.9
    assert stats.kstest([verdict.global_p for verdict in verdicts], "uniform").pvalue > 0.01


@pytest.mark.long
@pytest.mark.parametrize("raised", [1.0, 0.5])
@pytest.mark.parametrize("n_jets", [15_000, 50_000])
def test_a_cut_that_fakes_a_bump_never_passes(raised: float, n_jets: int) -> None:
    verdicts = _bump_trials(n_jets, 400, raised)
    assert _shares(verdicts)[Outcome.PASS] == 0
    # The fake bump of 24 GeV is above 1σ of the hunt in all of these.
    if n_jets > 15_000 or raised == 1:
        assert _shares(verdicts)[Outcome.FAIL] >= 0.9


@pytest.mark.long
def test_a_correlation_of_a_tenth_fails() -> None:
    assert _shares(_trials(50_000, 400, rho=0.1))[Outcome.FAIL] >= 0.99


@pytest.mark.long
def test_a_thousand_jets_are_inconclusive() -> None:
    shares = _shares(_trials(1000, 400))
    assert shares[Outcome.PASS] == 0
    assert shares[Outcome.FAIL] <= 0.08


def test_the_three_outcomes() -> None:
    shares = _shares(_trials(60_000, 6, hunted=150))
    assert shares[Outcome.FAIL] <= 0.2
    assert shares[Outcome.PASS] >= 0.7
    assert _shares(_trials(50_000, 3, rho=0.1))[Outcome.FAIL] == 1
    few = _shares(_trials(1000, 20))
    assert few[Outcome.PASS] == 0
    assert few[Outcome.INCONCLUSIVE] >= 0.85


def test_a_doubled_efficiency_in_a_window_fails_and_is_named() -> None:
    verdicts = _bump_trials(15_000, 8, 1.0)
    shares = _shares(verdicts)
    assert shares[Outcome.PASS] == 0
    assert shares[Outcome.FAIL] >= 0.7
    (failed,) = [v for v in verdicts if v.seed == 0]
    assert failed.fakes
    bump = failed.fakest
    assert bump.low < 172 < bump.high
    assert bump.working_point == 0.1
    assert f"{bump.low:g}–{bump.high:g} GeV" in failed.sentence
    # The whole range does not vary by as much as is seen there.
    assert not failed.varies


def test_jets_that_would_decide_are_about_those_that_do() -> None:
    few = _trials(5000, 1, hunted=300)[0]
    assert few.outcome is Outcome.INCONCLUSIVE
    enough = _trials(round(few.n_needed), 6, hunted=300)
    assert _shares(enough)[Outcome.INCONCLUSIVE] <= 0.4


def test_p_is_uniform_when_the_score_does_not_know_the_mass() -> None:
    p = [
        judged(*_jets(3000, seed=seed), pt_edges=EDGES, n_power_toys=20, seed=seed).global_p
        for seed in range(40)
    ]
    assert stats.kstest(p, "uniform").pvalue > 0.01


def test_p_is_uniform_with_weights_that_are_not_equal() -> None:
    def p(seed: int) -> float:
        weights = np.random.default_rng(seed).exponential(1, 800)
        jets = _jets(800, seed=seed)
        return judged(*jets, weights=weights, pt_edges=(500, 900), n_power_toys=20).global_p

    assert stats.kstest([p(seed) for seed in range(30)], "uniform").pvalue > 0.01


def test_weights_that_follow_the_mass_do_not_make_a_blind_score_fail() -> None:
    def p_of(seed: int) -> float:
        rng = np.random.default_rng([9, seed])
        mass = 40 + rng.exponential(40, 1000)
        weights = np.where(mass > 60, 4.0, 1.0)
        return judged(
            rng.random(1000), mass, np.full(1000, 600.0), weights=weights, pt_edges=(500, 900),
            n_power_toys=20,
        ).global_p  # fmt: skip

    p = np.array([p_of(seed) for seed in range(40)])
    # Of 40, 2 are expected below 0.05; permuting mass away from its weight gave five times as many.
    assert np.sum(p < 0.05) <= 6
    assert stats.kstest(p, "uniform").pvalue > 1e-3


def test_weights_that_are_equal_change_nothing_and_others_lower_the_power() -> None:
    jets = _jets(4000, rho=0.1)
    plain = judged(*jets, pt_edges=EDGES)
    scaled = judged(*jets, weights=np.full(4000, 0.3), pt_edges=EDGES)
    assert scaled.global_p == plain.global_p
    assert scaled.variation == pytest.approx(plain.variation)
    weights = np.random.default_rng(1).pareto(2.0, 4000) + 0.01
    spread = judged(*jets, weights=weights, pt_edges=EDGES)
    assert spread.n_effective < 2500
    assert spread.power < plain.power


def test_a_jet_of_no_weight_is_no_jet() -> None:
    scores, mass, pt = _jets(3000)
    weights = np.ones(3000)
    weights[2000:] = 0
    with_zeros = judged(scores, mass, pt, weights=weights, pt_edges=EDGES)
    without = judged(scores[:2000], mass[:2000], pt[:2000], pt_edges=EDGES)
    assert with_zeros == without


def test_a_rising_function_of_the_score_gets_the_same_verdict() -> None:
    scores, mass, pt = _jets(3000)
    assert judged(np.exp(scores), mass, pt, pt_edges=EDGES) == judged(
        scores, mass, pt, pt_edges=EDGES
    )


def test_a_dependence_on_pt_alone_is_not_held_against_a_score() -> None:
    rng = np.random.default_rng(4)
    step = rng.integers(0, 3, 20_000)
    pt = np.array([550.0, 700.0, 850.0])[step]
    jets = (rng.standard_normal(20_000) + step, 20 + rng.exponential(30, 20_000) + 20 * step, pt)
    assert judged(*jets, pt_edges=EDGES, hunted=5).outcome is Outcome.PASS
    # A hunt in all pt together sees steps of the mixture, at 40 and 60 GeV, once it has jets enough.
    many = judged(*jets, pt_edges=EDGES)
    assert many.fakes
    assert not many.varies
    assert many.fakest.low in {40, 60}
    inclusive = judged(
        rng.standard_normal(20_000) + step,
        20 + rng.exponential(30, 20_000) + 20 * step,
        pt,
        pt_edges=(500, 1000),
    )
    assert inclusive.outcome is Outcome.FAIL


def test_what_is_significant_and_small_passes_and_says_so() -> None:
    verdict = judged(*_jets(50_000, rho=0.1), pt_edges=EDGES, hunted=100, tolerance=5.0)
    assert verdict.global_p == 1 / 300
    assert verdict.outcome is Outcome.PASS
    assert "does depend" in verdict.sentence


def test_a_sculpted_region_in_one_pt_bin_is_named() -> None:
    rng = np.random.default_rng(5)
    scores, mass, pt = _jets(30_000)
    pulled = (pt > 650) & (pt < 800) & (mass > 70) & (mass < 100) & (rng.random(len(pt)) < 0.3)
    scores[pulled] += 2
    verdict = judged(scores, mass, pt, pt_edges=EDGES)
    assert verdict.outcome is Outcome.FAIL
    assert (verdict.worst.pt_low, verdict.worst.pt_high) == (650, 800)
    assert "pt 650 to 800" in verdict.sentence


def test_everything_is_written() -> None:
    verdict = judged(*_jets(2000), pt_edges=EDGES)
    content = json.loads(json.dumps(verdict.to_dict(), allow_nan=False))
    assert content["outcome"] == verdict.outcome.value
    assert len(content["cells"]) == len(verdict.rows()) == 9
    assert len(content["windows"]) == 3 * (12 + 11 + 10 + 9)
    assert content["worst"]["local_p"] == min(cell["local_p"] for cell in content["cells"])
    assert any("not tested" in note for note in verdict.notes)


@pytest.mark.parametrize(
    ("changed", "error", "words"),
    [
        ({"scores": np.full(500, np.nan)}, NonFiniteError, "500 of 500 scores"),
        ({"mass": np.ones(499)}, InputError, "of one shape"),
        ({"weights": np.linspace(-1, 1, 500)}, InputError, "negative"),
        ({"weights": np.zeros(500)}, InputError, "all weights are zero"),
        ({"scores": np.ones(500)}, InputError, "no cut tells jets apart"),
        ({"mass": np.full(500, 61.0)}, TooFewJetsError, "one bin of mass"),
        ({"masses": (60, 50)}, ConfigError, "mass_edges"),
        ({"pt_edges": (2000, 3000)}, TooFewJetsError, "none of 500 jets"),
        ({"pt_edges": (500, 400)}, ConfigError, "rising"),
        ({"working_points": (0.1, 0.1)}, ConfigError, "working_points"),
        ({"working_points": ()}, ConfigError, "working_points"),
        ({"working_points": (1.0,)}, ConfigError, "working_points"),
        ({"n_permutations": 100}, ConfigError, "at least 299"),
        ({"n_groups": 1}, ConfigError, "at least 2"),
        ({"allowed": 0.0}, ConfigError, "above 0"),
        ({"order": 7}, ConfigError, "from 0 to 6"),
        ({"rho": 1.0}, ConfigError, "rho"),
        ({"tolerance": -1.0}, ConfigError, "tolerance"),
        ({"n_groups": 600}, TooFewJetsError, "for 600 groups"),
    ],
)
def test_bad_input_is_refused(changed: dict[str, Any], error: type[Exception], words: str) -> None:
    scores, mass, pt = _jets(500)
    given: dict[str, Any] = {"scores": scores, "mass": mass, "pt": pt, "pt_edges": (500, 1000)}
    with pytest.raises(error, match=words):
        judged(**{**given, **changed})


def test_no_jets_are_refused() -> None:
    with pytest.raises(TooFewJetsError, match="none of 0 jets"):
        judged([], [], [])


def test_equal_scores_pass_together_and_are_told() -> None:
    scores, mass, pt = _jets(5000)
    points = (0.5, 0.2, 0.1, 0.05)
    verdict = judged(np.floor(scores), mass, pt, pt_edges=EDGES, working_points=points)
    assert any("since scores are equal" in note for note in verdict.notes)
    assert any("the cut before it" in note for note in verdict.notes)
    mostly = np.where(np.arange(5000) < 3000, 0.0, scores + 10)
    verdict = judged(mostly, mass, pt, pt_edges=EDGES, working_points=(0.7, 0.1))
    assert any("pass all jets" in note for note in verdict.notes)
