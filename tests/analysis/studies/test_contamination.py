from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from oddjet.analysis.report.page import Table
from oddjet.analysis.studies.contamination import Contamination, contamination_study
from oddjet.analysis.studies.jets import StudyJets
from oddjet.analysis.studies.study import Setting
from oddjet.errors import ConfigError

MakeSetting = Callable[..., Setting]


@pytest.fixture(scope="module")
def result(study_jets: StudyJets, setting: MakeSetting) -> Contamination:
    """All ratios."""
    return contamination_study(study_jets, setting())


def test_trainings_have_one_size_and_the_wanted_mixture(
    study_jets: StudyJets, result: Contamination
) -> None:
    assert len(result.trainings) == 2 * 5 * 2  # signals × ratios × scores
    for training in result.trainings:
        n = result.n_training[training.signal]
        assert training.n_background + training.n_signal == n
        assert training.n_signal == pytest.approx(
            n * training.ratio / (1 + training.ratio), abs=0.5
        )
        assert training.n_background <= len(study_jets.training("qcd"))
        assert training.n_signal <= len(study_jets.training(training.signal))
    # As many as there are: all background without signal, or all signal at w/Q = 1.
    limits = len(study_jets.training("qcd")), 2 * len(study_jets.training("top"))
    assert result.n_training["top"] == min(limits)


def test_signal_in_the_training_hides_it(result: Contamination) -> None:
    areas = {
        training.ratio: training.evaluation.auc.value
        for training in result.trainings
        if (training.signal, training.evaluation.score) == ("top", "distance")
    }
    # The mean of the training jets moves from 0 towards 2: at 1 both kinds are equally far.
    assert areas[0.0] > areas[0.25] > areas[1.0]
    assert areas[1.0] == pytest.approx(0.5, abs=0.1)
    widths = {
        training.ratio: training.evaluation.auc.value
        for training in result.trainings
        if (training.signal, training.evaluation.score) == ("top", "width")
    }
    assert len(set(widths.values())) == 1  # the same test jets throughout


def test_repeats_have_seeds_of_their_own(study_jets: StudyJets, setting: MakeSetting) -> None:
    result = contamination_study(
        study_jets, setting(seed=5), ratios=[0.1], n_training=90, repeats=2
    )
    assert result.n_training == {"w": 90, "top": 90}
    assert {training.seed for training in result.trainings} == {5, 6}
    distances = [e for e in result.trainings if e.evaluation.score == "distance"]
    assert distances[0].evaluation.auc.value != distances[1].evaluation.auc.value
    assert [row[4] for row in Table.from_records(result.records()).rows[:4]] == [5, 5, 6, 6]


def test_curves_belong_to_the_areas(result: Contamination) -> None:
    for training in result.trainings:
        efficiencies = np.concatenate([[0.0], training.curve.background_efficiency])
        signal = np.concatenate([[0.0], training.curve.signal_efficiency])
        area = np.trapezoid(signal, efficiencies)
        assert area == pytest.approx(training.evaluation.auc.value, abs=0.01)


def test_table_and_figures(result: Contamination) -> None:
    assert Table.from_records(result.records()).rows
    assert set(result.figures()) == {
        *("contamination_w", "contamination_roc_w_Width_distance"),
        "contamination_roc_w_Width_width",
        *("contamination_top", "contamination_roc_top_Width_distance"),
        "contamination_roc_top_Width_width",
    }


@pytest.mark.parametrize("options", [{"ratios": [-0.1]}, {"ratios": []}, {"repeats": 0}])
def test_refusals(study_jets: StudyJets, setting: MakeSetting, options: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="contamination"):
        contamination_study(study_jets, setting(), **options)  # type: ignore[arg-type]
