from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import rankdata
from toy_tables import write_table

from oddjet.analysis.config import HuntConfig
from oddjet.analysis.report.sections.sculpting import sculpting_section
from oddjet.analysis.sculpting import HuntedIn, JudgeSettings, Outcome
from oddjet.analysis.sculpting.scores import judge_scores, worst_outcome
from oddjet.datasets.folds import held_out
from oddjet.datasets.skims.manifest import read_manifest, write_manifest
from oddjet.errors import ConfigError, SkimError
from oddjet.processors.scores import open_scores


def test_the_worst_verdict_counts() -> None:
    everything = [Outcome.PASS, Outcome.INCONCLUSIVE, Outcome.FAIL]
    assert worst_outcome(everything) is Outcome.FAIL
    assert worst_outcome(everything[:2]) is Outcome.INCONCLUSIVE


def test_leading_jets_in_range_are_judged(scores_table: Path) -> None:
    few = JudgeSettings(hunted=HuntedIn(jets=40))
    result = judge_scores(scores_table, ["blind", "sculpts"], signals=["w"], judging=few)
    assert [score.verdict.outcome for score in result.scores] == [Outcome.PASS, Outcome.FAIL]
    assert result.outcome is Outcome.FAIL
    assert result.kind == "background"
    assert result.excluded == ()
    # The data are judged beside, where they are not hidden.
    assert result.beside is not None
    assert (result.beside.kind, result.beside.excluded) == ("data", ((65.0, 105.0),))
    assert result.beside.scores[1].verdict.outcome is Outcome.FAIL
    assert result.to_dict()["beside"]["outcome"] == "FAIL"
    everything = judge_scores(scores_table, ["blind"], settings=HuntConfig(jets="all"))
    n_leading = result.scores[0].verdict.n_jets
    assert everything.scores[0].verdict.n_jets == pytest.approx(n_leading * 4 / 3, rel=0.01)
    # The signal is shifted by as much in both scores, and has no mass to profit from.
    blind = result.scores[0].inclusive[2]
    assert blind.working_point == 0.1
    assert blind.in_window["w"] == pytest.approx(0.586, abs=0.06)
    assert result.scores[1].jsd(0.1) > 20 * result.scores[0].jsd(0.1)
    assert np.isnan(result.scores[0].jsd(0.3))


def test_of_data_the_window_is_left_out(scores_table: Path) -> None:
    result = judge_scores(scores_table, ["blind"], datasets=["data"])
    assert (result.kind, result.excluded) == ("data", ((65.0, 105.0),))
    (score,) = result.scores
    centres = 0.5 * (score.shapes.edges[1:] + score.shapes.edges[:-1])
    inside = (centres > 65) & (centres < 105)
    assert (score.shapes.before[inside] == 0).all()
    assert (score.shapes.before[~inside] > 0).all()
    assert score.inclusive[0].in_window == {}


def test_of_data_the_window_stays_shut_whatever_else_is_left_out(scores_table: Path) -> None:
    result = judge_scores(scores_table, ["blind"], datasets=["data"], exclude=(200.0, 210.0))
    assert result.excluded == ((65.0, 105.0), (200.0, 210.0))
    (score,) = result.scores
    centres = 0.5 * (score.shapes.edges[1:] + score.shapes.edges[:-1])
    assert (score.shapes.before[(centres > 65) & (centres < 105)] == 0).all()
    assert result.left_out == "65–105 GeV and 200–210 GeV"


def test_jets_that_something_was_learned_on_are_not_judged(
    scores_table: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "scores"
    shutil.copytree(scores_table, folder)
    manifest = read_manifest(folder)
    learned = {"detectors": {"datasets": ["qcd"]}}
    detectors = [{"held_out": 0.5, "learned": learned}]
    write_manifest(folder, manifest.model_copy(update={"config": {"detectors": detectors}}))
    jets = open_scores(scores_table).jets("qcd")
    fresh = np.asarray(held_out(jets, 0.5)) & (np.asarray(jets["rank"]) == 0)
    mass = np.asarray(jets["msoftdrop"])
    result = judge_scores(folder, ["blind"], datasets=["qcd"])
    shapes = result.scores[0].shapes
    counts, _ = np.histogram(mass[fresh & (mass < 250)], shapes.edges)
    # Half of the jets: and these, not another half.
    assert shapes.before / 0.5 == pytest.approx(counts)
    assert result.verdict.n_jets == counts.sum()


def test_windows_are_those_of_the_hunt_and_data_are_judged_in_all_once_they_are_shown(
    scores_table: Path,
) -> None:
    hunt = HuntConfig(widths=(3, 4), bin_width=10, working_points=(0.2,))
    blinded = judge_scores(scores_table, ["blind"], datasets=["data"], settings=hunt)
    shown = judge_scores(
        scores_table,
        ["blind"],
        datasets=["data"],
        settings=hunt,
        judging=JudgeSettings(unblind=True),
    )
    assert (blinded.excluded, shown.excluded) == (((60.0, 110.0),), ())
    windows = [(w.low, w.high) for w in shown.verdict.windows]
    # Of 20 bins a window needs one on either side.
    assert len(windows) == 16 + 15
    assert {high - low for low, high in windows} == {30, 40}
    only = HuntConfig(bin_width=10, windows=((150, 170), (100, 130)))
    few = judge_scores(scores_table, ["blind"], datasets=["qcd"], settings=only).verdict
    assert {(w.low, w.high) for w in few.windows} == {(150, 170), (100, 130)}
    kept = [(w.low, w.high) for w in blinded.verdict.windows]
    assert kept == [(low, high) for low, high in windows if low >= 110]
    assert blinded.verdict.n_hunted == blinded.verdict.n_jets < shown.verdict.n_jets


def test_a_calibrated_score_is_cut_as_the_hunt_cuts_it(scores_table: Path, tmp_path: Path) -> None:
    jets = open_scores(scores_table).jets("qcd")[:8000]
    # Learned on other jets, of which a survival of 0.1 leaves 0.1, the cut leaves 0.2 of these.
    rarity = -np.log10(1 - (rankdata(jets["blind"]) - 0.5) / len(jets))
    jets["k_d"] = jets["blind"]
    jets["k_d_calibrated"] = rarity + np.log10(2)
    folder = write_table(tmp_path, {"qcd": jets}, {"qcd": "background"}, kind="scores").folder
    hunt = HuntConfig(working_points=(0.1,), widths=(8, 8))
    result = judge_scores(folder, ["k_d", "k_d_calibrated"], settings=hunt)
    passing = [
        sum(cell.n_passing for cell in s.verdict.cells) / s.verdict.n_jets for s in result.scores
    ]
    assert passing == pytest.approx([0.1, 0.2], abs=0.01)
    (note,) = (n for n in result.scores[1].verdict.notes if "hunt's threshold" in n)
    assert note.startswith("efficiency 0.1: 0.2")


def test_a_decorrelated_score_is_judged_by_what_the_conditional_hunt_resolves(
    scores_table: Path, tmp_path: Path
) -> None:
    jets = open_scores(scores_table).jets("qcd")[:8000]
    rarity = -np.log10(1 - (rankdata(jets["blind"]) - 0.5) / len(jets))
    for name in ("k_d", "k_d_calibrated", "k_d_ddt"):
        jets[name] = rarity
    folder = write_table(tmp_path, {"qcd": jets}, {"qcd": "background"}, kind="scores").folder

    def resolutions(**hunt: Any) -> list[float]:
        result = judge_scores(folder, ["k_d_calibrated", "k_d_ddt"], settings=HuntConfig(**hunt))
        windows = [w for s in result.scores for w in s.verdict.windows if w.working_point == 0.1]
        return [w.resolution for w in windows if (w.low, w.high) == (100, 140)]

    raw, decorrelated = resolutions()
    assert decorrelated < 0.95 * raw
    assert resolutions(method="function") == [raw, raw]


@pytest.mark.parametrize(
    ("columns", "options", "error", "words"),
    [
        (["blnd"], {}, SkimError, "blind"),
        ([], {}, ConfigError, "no score"),
        (["blind"], {"datasets": ["qdc"]}, ConfigError, "Did you mean 'qcd'"),
        (["blind"], {"datasets": ["qcd", "data"]}, ConfigError, "not on both"),
        (["blind"], {"datasets": ["w"]}, ConfigError, r"w \(signal\)"),
        (["blind"], {"signals": ["qcd"]}, ConfigError, "no signal"),
    ],
)
def test_what_cannot_be_judged_is_refused(
    scores_table: Path,
    columns: list[str],
    options: dict[str, Any],
    error: type[Exception],
    words: str,
) -> None:
    with pytest.raises(error, match=words):
        judge_scores(scores_table, columns, **options)


def test_known_peaks_are_left_out_and_that_is_said(scores_table: Path, tmp_path: Path) -> None:
    jets = open_scores(scores_table).jets("qcd")
    kinds = {"qcd": "background", "w": "peaking"}
    folder = write_table(
        tmp_path, {"qcd": jets[:4000], "w": jets[4000:5000]}, kinds, kind="scores"
    ).folder
    result = judge_scores(folder, ["blind"])
    assert (result.datasets, result.peaking) == (("qcd",), ("w",))
    assert result.verdict.n_jets <= 4000
    assert "Known peaks (w) are left out" in " ".join(sculpting_section(result).paragraphs)
    with pytest.raises(ConfigError, match=r"judged on background simulation or on data"):
        judge_scores(folder, ["blind"], datasets=["qcd", "w"])
