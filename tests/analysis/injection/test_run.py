"""Injections through the whole chain: found after the cut, resumed, summarised, written."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from injected import SETTINGS, config

from oddjet.analysis.injection.run import plan_trials, run_injection
from oddjet.analysis.injection.summary import InjectionResult, read_injection
from oddjet.analysis.injection.trial import trial_key
from oddjet.analysis.report.sections.injection import injection_section
from oddjet.analysis.report.write import write_section
from oddjet.datasets.skims.skim import Skim
from oddjet.errors import ConfigError, ProcessingError

pytestmark = pytest.mark.usefixtures("few_replicas")


@pytest.fixture(scope="module")
def result(toy_skim: Skim, tmp_path_factory: pytest.TempPathFactory) -> InjectionResult:
    return run_injection(config(), toy_skim, tmp_path_factory.mktemp("out"))


def test_a_signal_is_found_and_more_so_after_the_cut(result: InjectionResult) -> None:
    score = next(name for name in result.by_score() if name.endswith("_ddt"))
    points = {(p.fraction, p.background_efficiency): p for p in result.by_score()[score]}
    before, after = points[0.08, 1.0], points[0.08, 0.2]
    assert np.mean(after.by_functions) > np.mean(before.significance) > 3
    # Without the true function, which is fitted here: jets that fail say what is expected.
    assert np.mean(after.significance) > 6
    assert np.mean(after.with_shape) > np.mean(after.significance)
    assert before.by_functions == ()
    assert after.sic is not None
    assert after.sic > 1.3
    assert np.mean(points[0.0, 0.2].significance) < 2.5
    assert points[0.0, 0.2].sic is None
    assert max(after.global_p) <= 0.02


def test_the_fitted_yield_is_the_injected_one(result: InjectionResult) -> None:
    pulls = [pull for point in result.points for pull in point.pull]
    assert len(pulls) == len(result.points) * 2
    assert abs(np.mean(pulls)) < 0.8


def test_every_experiment_says_what_was_in_it(result: InjectionResult) -> None:
    assert len(result.trials) == 4
    for trial in result.trials:
        assert trial["n_signal"] == round(trial["fraction"] * trial["n_background"])
        for score in trial["scores"]:
            kept = [cut["n_jets"] for cut in score["cuts"]]
            assert kept == sorted(kept, reverse=True)


def test_it_is_said_what_was_learned_on_what(result: InjectionResult) -> None:
    (statement,) = injection_section(result).statements
    assert statement.startswith(
        "Detectors, thresholds and maps are learned on simulation (qcd): none of these events are in the experiment"
    )
    shares = [(t["n_background"] + t["n_signal"]) / t["n_calibration"] for t in result.trials]
    assert f"{min(shares):.2g} to {max(shares):.2g} jets" in statement
    kept = [p.net_excess_kept for p in result.points]
    assert all(set(values) <= {1.0} for values in kept)  # no signal where thresholds are learned


def test_flagged_experiments_are_counted(result: InjectionResult) -> None:
    cuts = [cut for trial in result.trials for score in trial["scores"] for cut in score["cuts"]]
    assert all(isinstance(cut["flags"], list) for cut in cuts)
    trials = copy.deepcopy(result.trials)
    for trial in trials:
        for score in trial["scores"]:
            for cut in score["cuts"]:
                cut["flags"] = []
    assert InjectionResult.from_trials(trials).flags == ()
    main = trials[0]["scores"][0]
    main["cuts"][0]["flags"] = ["poor fit: bad"]
    trials[1]["scores"][0]["cuts"][1]["flags"] = ["the local p 1e-9 is too small"]
    flagged = InjectionResult.from_trials(trials)
    (sentence,) = flagged.flags
    assert sentence.startswith(f"{main['score']}: 2 of 8 spectra are flagged, 1 of them for a poor")
    assert "The first: poor fit: bad" in sentence
    assert [row[-1] for row in flagged.rows()[main["score"]]].count("1 of 2") == 2
    assert injection_section(flagged).warnings == flagged.flags
    assert flagged.to_dict()["flags"] == [sentence]


def test_a_fit_that_does_not_describe_the_spectrum_is_flagged(
    toy_skim: Skim, tmp_path: Path
) -> None:
    """A power of the mass for what falls exponentially."""
    poor = config(hunt=SETTINGS["hunt"] | {"function": "dijet2"}, decorrelation=None)
    result = run_injection(poor, toy_skim, tmp_path, fractions=[0.08])
    whole = [point for point in result.points if point.background_efficiency == 1]
    flags = [seed for point in whole for seed in point.flags]
    assert all(any(flag.startswith("poor fit") for flag in seed) for seed in flags)
    assert next(iter(result.rows().values()))[0][-1] == "2 of 2"
    assert "are flagged" in injection_section(result).warnings[0]


def test_nothing_is_done_twice_and_an_interrupted_run_continues(
    toy_skim: Skim, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run_injection(config(), toy_skim, tmp_path, fractions=[0.08])
    files = sorted((tmp_path / "trials").iterdir())
    times = [file.stat().st_mtime_ns for file in files]
    both = run_injection(config(), toy_skim, tmp_path)
    assert [file.stat().st_mtime_ns for file in files] == times
    assert len(both.trials) == 2 * len(first.trials)

    def refuse(*args: Any, **kwargs: Any) -> None:
        pytest.fail("nothing is left to do")

    monkeypatch.setattr("oddjet.analysis.trials.open_executor", refuse)
    assert run_injection(config(), toy_skim, tmp_path).to_dict() == both.to_dict()


def test_keys_change_with_what_matters(toy_skim: Skim) -> None:
    def key(**changes: Any) -> str:
        return trial_key(plan_trials(config(**changes), toy_skim)[0])

    assert key() == key(name="another")
    other_hunt = SETTINGS["hunt"] | {"bin_width": 5}
    other_share = SETTINGS["injection"] | {"background_share": 0.4}
    keys = {key(), key(hunt=other_hunt), key(injection=other_share), key(decorrelation=None)}
    assert len(keys) == 4


def test_unknown_names_are_refused(toy_skim: Skim, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no 'injection:' block"):
        plan_trials(config(injection=None), toy_skim)
    with pytest.raises(ConfigError, match=r"unknown dataset .*tip.*Did you mean .top."):
        plan_trials(config(injection=SETTINGS["injection"] | {"signal": "tip"}), toy_skim)
    with pytest.raises(ConfigError, match="unknown detector of the configuration 'kmean'"):
        plan_trials(config(), toy_skim, detectors=["kmean"])
    with pytest.raises(ConfigError, match="expected fractions among"):
        plan_trials(config(), toy_skim, fractions=[0.5])
    supervised = config(detectors=[{"name": "bdt"}])
    with pytest.raises(ProcessingError, match="supervised: signal in data has no label"):
        run_injection(supervised, toy_skim, tmp_path, fractions=[0.08])


def test_numbers_and_figures_are_written_and_read(result: InjectionResult, tmp_path: Path) -> None:
    section = injection_section(result)
    written = write_section(tmp_path, section)
    assert len(written) == 1 + 2 * len(result.by_score())
    assert all(file.stat().st_size > 5000 for file in written)
    assert json.loads(written[0].read_text())["points"]
    read = read_injection(tmp_path)
    assert read is not None
    assert read.rows() == result.rows()
    assert read_injection(tmp_path / "nowhere") is None
    (path,) = write_section(tmp_path, section, sealed=True)[:1]
    sealed = read_injection(tmp_path)
    assert sealed is not None
    assert sealed.rows() == result.rows()
    for content in (path.read_text().replace("3", "4", 1), "[]", "{}", '{"trials": [1]}', "{"):
        path.write_text(content)
        assert read_injection(tmp_path) is None
    assert len(section.tables) == len(result.by_score())
    assert len(section.tables[0].rows) == 4
