from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import spearmanr

from oddjet.analysis.report.page import Table
from oddjet.analysis.studies.correlation import correlation_study
from oddjet.analysis.studies.jets import StudyJets
from oddjet.analysis.studies.study import Setting
from oddjet.errors import InputError

MakeSetting = Callable[..., Setting]


def test_scores_are_correlated_in_background_alone(
    study_jets: StudyJets, setting: MakeSetting
) -> None:
    result = correlation_study(study_jets, setting(), variables=("mass", "width"))
    width = next(score for score in result.scores if score.score == "width")
    assert width.correlations["width"].spearman.value == pytest.approx(1)
    columns = (study_jets.column("qcd", name) for name in ("width", "mass"))
    expected = spearmanr(*columns).statistic
    assert width.correlations["mass"].spearman.value == pytest.approx(expected)
    assert abs(width.correlations["mass"].pearson.value) < 0.15  # they were drawn apart


def test_a_score_keeps_its_area_unless_it_is_what_is_held_fixed(
    study_jets: StudyJets, setting: MakeSetting
) -> None:
    score = correlation_study(study_jets, setting()).scores[1]
    beside, kept = score.evaluations["w"].auc, score.fixed["w"]
    assert kept is not None
    assert kept.auc.value == pytest.approx(beside.value, abs=0.06)
    assert kept.used > 0.5
    held = correlation_study(study_jets, setting(), fixed="width").scores[1]
    assert held.evaluations["w"].auc.value > 0.7
    assert held.fixed["w"] is not None
    assert held.fixed["w"].auc.value == pytest.approx(0.5, abs=0.06)


def test_table_and_figures(study_jets: StudyJets, setting: MakeSetting) -> None:
    result = correlation_study(study_jets, setting())
    rows = Table.from_records(result.records()).rows
    assert len(rows) == 4  # two scores, two signals
    assert set(result.figures()) == {
        *("correlation_spearman", "correlation_pearson"),
        *("correlation_auc_w", "correlation_auc_top"),
    }


def test_few_jets_give_no_area_at_fixed_mass(study_jets: StudyJets, setting: MakeSetting) -> None:
    few = StudyJets(study_jets.background[:60], {"w": study_jets.jets("w")[:60]}, "qcd")
    result = correlation_study(few, setting(), variables=["mass", "pt", "width"])
    assert result.scores[0].fixed["w"] is None
    assert Table.from_records(result.records()).rows[0][-2:] == ("too few jets", "–")
    assert np.isfinite(result.scores[0].evaluations["w"].auc.value)


def test_an_unknown_column_is_refused(study_jets: StudyJets, setting: MakeSetting) -> None:
    with pytest.raises(InputError, match="msoftdrop"):
        correlation_study(study_jets, setting(), fixed="msoftdrop")
