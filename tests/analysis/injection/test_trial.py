"""Experiments: who learns on what, nothing that is hunted in has taught, and what a map leaves of a signal."""

from __future__ import annotations

from typing import Any

import awkward as ak
import numpy as np
import numpy.typing as npt
import pytest
from injected import SETTINGS, config

from oddjet.analysis.injection.chain import take_through
from oddjet.analysis.injection.cuts import net_excess_kept
from oddjet.analysis.injection.run import plan_trials
from oddjet.analysis.injection.trial import InjectionTrial, divided_jets, run_trial
from oddjet.datasets.folds import held_out, jets_hash
from oddjet.datasets.jets import Jets
from oddjet.datasets.skims.skim import Skim
from oddjet.errors import ConfigError, InputError
from oddjet.ml.decorrelation import create

pytestmark = pytest.mark.usefixtures("few_replicas")


def trial(skim: Skim, **changes: Any) -> InjectionTrial:
    return plan_trials(config(**changes), skim, fractions=[0.08])[0]


def events(jets: Jets) -> set[int]:
    return set(jets_hash(jets).tolist())


def names(jets: Jets) -> set[str]:
    return set(ak.to_list(jets["dataset"]))


def test_simulation_is_learned_on_where_it_is_not_hunted_in(toy_skim: Skim) -> None:
    hunted, learning = divided_jets(trial(toy_skim))
    assert learning["detectors"] is learning["thresholds"] is learning["maps"]
    assert names(learning["maps"]) == {"qcd"}
    assert names(hunted) == {"qcd", "top"}
    assert not events(learning["maps"]) & events(hunted)
    assert len(learning["maps"]) + sum(np.asarray(hunted["dataset"]) == "qcd") == 6000


def test_of_the_experiment_itself_a_share_is_learned_on_outside_the_window(toy_skim: Skim) -> None:
    training = {"held_out": 0.4, "on": "data"}
    hunted, learning = divided_jets(trial(toy_skim, training=training, decorrelation=None))
    assert held_out(hunted, 0.4).all()
    for role, jets in learning.items():
        assert not held_out(jets, 0.4).any()
        assert names(jets) == {"qcd", "top"}
        mass = np.asarray(jets["msoftdrop"])
        assert ((mass >= 100) & (mass < 140)).any() == (role == "detectors")
    share = sum(np.asarray(hunted["dataset"]) == "qcd") / 3000
    assert share == pytest.approx(0.4, abs=0.04)
    both = {"on": "data", "detectors": {"on": "simulation"}}
    hunted, learning = divided_jets(trial(toy_skim, training=both, decorrelation=None))
    assert names(learning["detectors"]) == {"qcd"}
    assert not events(learning["detectors"]) & (events(hunted) | events(learning["maps"]))


def test_what_is_learned_on_must_leave_something(toy_skim: Skim) -> None:
    with pytest.raises(ConfigError, match="ddt cannot be continued"):
        divided_jets(trial(toy_skim, training={"on": "data"}))
    whole = SETTINGS["injection"] | {"background_share": 1.0}
    with pytest.raises(ConfigError, match=r"background_share\s+1 leaves none"):
        trial(toy_skim, injection=whole)
    assert trial(toy_skim, injection=whole, training={"on": "data"}).injection.background_share == 1


def test_events_that_taught_are_not_hunted_in(toy_skim: Skim) -> None:
    jets = toy_skim.jets("qcd")[:500]
    with pytest.raises(
        InputError, match="20 of 50 jets to hunt in belong to events that are learned on"
    ):
        take_through(trial(toy_skim).chain, jets[30:], jets[:50])


def test_an_experiment_as_data_keeps_its_signal(toy_skim: Skim) -> None:
    result = run_trial(trial(toy_skim, training={"on": "data"}, decorrelation=None))
    assert result["n_signal"] == round(0.08 * result["n_background"])
    assert result["learned_on"]["maps"].startswith("data (qcd, top) with msoftdrop outside 100–140")
    (score,) = result["scores"]
    kept = [cut["net_excess_kept"] for cut in score["cuts"]]
    assert kept[0] == 1.0
    assert all(0.8 < share < 1.2 for share in kept)


Floats = npt.NDArray[np.float64]
WINDOW = (150.0, 200.0)


def toy_jets(rng: np.random.Generator, n: int, fraction: float) -> dict[str, Any]:
    """A score that is independent of the falling mass, and a signal at 172 GeV with high scores."""
    mass = 20 + rng.gamma(3.0, 25.0, 4 * n)
    n_signal = round(fraction * n)
    return {
        "mass": np.append(mass[(mass > 40) & (mass < 240)][:n], rng.normal(172, 12, n_signal)),
        "scores": np.append(rng.random(n), 1 - 0.3 * rng.random(n_signal) ** 1.2),
        "pt": 500 + rng.exponential(100.0, n + n_signal),
        "is_signal": np.arange(n + n_signal) >= n,
    }


def kept_by(method: str, *, beside: bool, efficiency: float = 0.1) -> float:
    """Net excess that a map keeps of a signal of 2 % in fresh jets, learned beside the window or everywhere."""
    rng = np.random.default_rng(1)
    learning, hunted = (toy_jets(rng, 7500, 0.02) for _ in range(2))
    hidden = (learning["mass"] >= WINDOW[0]) & (learning["mass"] < WINDOW[1]) & beside
    columns = ("scores", "mass", "pt")
    passed = []
    for use in (~hidden, ~hidden & ~learning["is_signal"]):
        learned = create(method).fit(*(learning[name][use] for name in columns))
        passed.append(learned(*(hunted[name] for name in columns)) >= -np.log10(efficiency))
    window = (hunted["mass"] >= WINDOW[0]) & (hunted["mass"] < WINDOW[1])
    kept = net_excess_kept(*(these[window] for these in (*passed, hunted["is_signal"])))
    assert kept is not None
    return kept


def test_a_flexible_map_learned_on_the_signal_hides_it_and_one_beside_the_window_does_not() -> None:
    for method in ("quantile_map", "ddt"):
        assert -0.2 < kept_by(method, beside=False) < 0.5
    assert 0.9 < kept_by("quantile_polynomial", beside=True) < 1.1


def test_the_net_excess_is_that_above_what_background_alone_lets_pass() -> None:
    is_signal = np.array([True] * 4 + [False] * 6)
    pure = np.array([1, 1, 1, 1, 1, 1, 1, 0, 0, 0], bool)
    assert net_excess_kept(pure, pure, is_signal) == 1.0
    raised = np.array(
        [1, 1, 1, 0, 1, 0, 0, 0, 0, 0], bool
    )  # a signal jet and two of background fail
    assert net_excess_kept(raised, pure, is_signal) == (3 + 1 - 3) / 4
    assert net_excess_kept(pure, pure, np.zeros(10, bool)) is None
