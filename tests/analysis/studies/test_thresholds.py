from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import norm

from oddjet.analysis.report.page import Table
from oddjet.analysis.studies.jets import StudyJets
from oddjet.analysis.studies.study import Setting
from oddjet.analysis.studies.thresholds import threshold_study
from oddjet.errors import InputError

MakeSetting = Callable[..., Setting]


def test_thresholds_come_from_one_half_and_are_used_on_the_other(
    study_jets: StudyJets, setting: MakeSetting
) -> None:
    result = threshold_study(study_jets, setting())
    width = next(cut_score for cut_score in result.scores if cut_score.score == "width")
    cuts = {cut.threshold.rule: cut for cut in width.cuts["top"]}
    first, second = study_jets.halves("qcd")
    values = study_jets.column("qcd", "width")
    mean = cuts["background mean"]
    assert mean.threshold.value == pytest.approx(values[first].mean())
    assert mean.background.value == pytest.approx(np.mean(values[second] > values[first].mean()))
    # Two Gaussians of unit width, 2 apart.
    assert mean.signal.value == pytest.approx(norm.sf(-2), abs=0.05)
    assert mean.background.value == pytest.approx(0.5, abs=0.1)
    middle = cuts["between the means"]
    assert middle.threshold.needs_signal
    assert middle.signal.value == pytest.approx(norm.sf(-1), abs=0.1)
    assert cuts["10 % of background"].background.value == pytest.approx(0.1, abs=0.06)


def test_table_and_figures(study_jets: StudyJets, setting: MakeSetting) -> None:
    result = threshold_study(study_jets, setting(), efficiencies=[0.2])
    rows = Table.from_records(result.records()).rows
    assert len(rows) == 2 * 2 * 6  # scores × signals × rules
    assert {row[-1] for row in rows} == {"yes", "no"}
    figures = result.figures()
    assert set(figures) == {
        f"thresholds_Width_{s}_{x}" for s in ("distance", "width") for x in ("w", "top")
    }
    # Background and one signal, not the other.
    axes = figures["thresholds_Width_width_w"].axes[0]
    assert {t for t in axes.get_legend_handles_labels()[1] if "%" not in t} == {"qcd", "w"}
    assert "samples" not in result.to_dict()["scores"][0]


def test_impossible_efficiencies_are_refused(study_jets: StudyJets, setting: MakeSetting) -> None:
    with pytest.raises(InputError, match="efficiencies"):
        threshold_study(study_jets, setting(), efficiencies=[0])
