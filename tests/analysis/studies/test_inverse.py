from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from oddjet.analysis.report.page import Table
from oddjet.analysis.studies.inverse import InverseTagging, inverse_tagging_study
from oddjet.analysis.studies.jets import StudyJets, shuffled
from oddjet.analysis.studies.study import Setting
from oddjet.errors import ConfigError

MakeSetting = Callable[..., Setting]


@pytest.fixture(scope="module")
def result(study_jets: StudyJets, setting: MakeSetting) -> InverseTagging:
    """Both signals."""
    return inverse_tagging_study(study_jets, setting())


def test_either_direction_is_tested_on_the_other(
    study_jets: StudyJets, result: InverseTagging
) -> None:
    assert result.n_training == min(len(study_jets.training(n)) for n in study_jets.names)
    evaluations = {
        (t.trained_on, t.anomaly, t.evaluation.score): t.evaluation for t in result.taggings
    }
    assert (
        len(evaluations) == len(result.taggings) == 2 * 4
    )  # scores × (two signals, two directions)
    widths = {name: study_jets.column(name, "width") for name in study_jets.names}
    for trained_on, anomaly in (("qcd", "w"), ("qcd", "top"), ("w", "qcd"), ("top", "qcd")):
        training = shuffled(study_jets.training(trained_on), result.n_training, seed=1)
        mean = np.asarray(training.width).mean()
        values, is_anomaly, _ = study_jets.pair(widths, anomaly, trained_on)
        expected = roc_auc_score(is_anomaly, np.abs(values - mean))
        evaluation = evaluations[trained_on, anomaly, "distance"]
        assert evaluation.auc.value == pytest.approx(expected)
        assert evaluation.auc.low < expected < evaluation.auc.high
        assert evaluation.auc.value > 0.6  # a distance finds both ways
    # The width itself finds wide jets, whatever it was trained on.
    assert evaluations["qcd", "top", "width"].auc.value > 0.9
    assert evaluations["top", "qcd", "width"].auc.value < 0.1


def test_the_same_seed_gives_the_same_result(study_jets: StudyJets, setting: MakeSetting) -> None:
    first = inverse_tagging_study(study_jets, setting(), n_training=100)
    assert first.n_training == 100
    assert first.to_dict() == inverse_tagging_study(study_jets, setting(), n_training=100).to_dict()
    other = inverse_tagging_study(study_jets, setting(seed=2), n_training=100)
    assert other.taggings != first.taggings


def test_table_and_figures_name_everything(result: InverseTagging) -> None:
    rows = Table.from_records(result.records()).rows
    assert len(rows) == 8
    assert rows[0][:4] == ("Width", "distance", "qcd", "w")
    assert list(result.figures()) == ["inverse_w", "inverse_top"]


def test_supervised_detectors_are_refused(study_jets: StudyJets, setting: MakeSetting) -> None:
    with pytest.raises(ConfigError, match="supervised"):
        inverse_tagging_study(study_jets, setting("bdt"))
