from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from oddjet.analysis.report.page import Table
from oddjet.analysis.studies.jets import StudyJets
from oddjet.analysis.studies.study import Setting
from oddjet.analysis.studies.wrong_signal import wrong_signal_study
from oddjet.errors import ConfigError
from oddjet.ml import create

MakeSetting = Callable[..., Setting]


def test_each_bet_is_tested_on_every_signal(study_jets: StudyJets, setting: MakeSetting) -> None:
    result = wrong_signal_study(study_jets, setting("Ratio", "Width"))
    trainings = {
        (f.detector, f.trained_on, f.signal, f.evaluation.score): f for f in result.trainings
    }
    bets = [("Ratio", bet, s, "ratio") for bet in ("w", "top") for s in ("w", "top")]
    beside = [("Width", None, s, score) for s in ("w", "top") for score in ("distance", "width")]
    assert set(trainings) == {*bets, *beside}
    areas = {key: training.evaluation.auc.value for key, training in trainings.items()}
    # The right bet is the better one, and both are better than no labels.
    assert areas[bets[3]] > areas[bets[1]]
    assert areas[bets[0]] > areas["Width", None, "w", "distance"]


def test_bets_are_made_on_equal_numbers_of_test_free_jets(
    study_jets: StudyJets, setting: MakeSetting, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = []
    monkeypatch.setattr(
        "oddjet.analysis.studies.study.create",
        lambda *a, **k: models.append(create(*a, **k)) or models[-1],
    )
    result = wrong_signal_study(study_jets, setting("Ratio"), n_training=150)
    assert result.n_training == 150
    assert [model.n_ for model in models] == [[150, 150]] * 2
    for model in models:
        for name in study_jets.names:
            assert not model.provenance_.seen(study_jets.test(name)).any()


def test_table_and_figures(study_jets: StudyJets, setting: MakeSetting) -> None:
    result = wrong_signal_study(study_jets, setting("Ratio", "Width"))
    rows = Table.from_records(result.records()).rows
    assert rows[0][:4] == ("Ratio", "ratio", "w", "w")
    assert rows[-1][2] == "qcd"
    (figure,) = result.figures().values()
    (drawn,) = figure.axes[0].images
    assert np.asarray(drawn.get_array()).shape == (4, 2)
    assert np.isfinite(np.asarray(drawn.get_array())).all()


@pytest.mark.slow
def test_boosted_trees_are_added_where_nothing_is_supervised(
    study_jets: StudyJets, setting: MakeSetting
) -> None:
    result = wrong_signal_study(study_jets, setting("Width"), n_training=60)
    assert [detector.name for detector in result.detectors] == ["bdt", "study_plugins:Width"]
    assert {f.trained_on for f in result.trainings if f.detector == "bdt"} == {"w", "top"}


def test_one_signal_is_no_choice(study_jets: StudyJets, setting: MakeSetting) -> None:
    one = StudyJets(study_jets.background, {"w": study_jets.jets("w")}, "qcd")
    with pytest.raises(ConfigError, match="two signals"):
        wrong_signal_study(one, setting("Ratio"))
