from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pytest
from scipy.stats import norm

from oddjet.analysis.config import DetectorConfig
from oddjet.analysis.studies import STUDIES, describe_studies, get_study
from oddjet.analysis.studies.jets import StudyJets
from oddjet.analysis.studies.study import (
    Cell,
    Curve,
    Reconstructs,
    ReconstructsMass,
    Setting,
    StudyResult,
    training_jets,
)
from oddjet.datasets.jets import Truth
from oddjet.errors import ConfigError, DetectorError
from oddjet.ml import detector_class
from oddjet.ml.evaluation.roc import roc_curve

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from oddjet.analysis.report.figures.style import PlotLabel

MakeSetting = Callable[..., Setting]


@dataclasses.dataclass(frozen=True, eq=False)
class Toy(StudyResult):
    study: ClassVar[str] = "toy"
    numbers: np.ndarray
    curve: Curve
    hidden: int = dataclasses.field(metadata={"shown_only": True})

    def records(self) -> list[dict[str, Cell]]:
        return [{"x": 1.0}]

    def figures(self, *, label: PlotLabel | None = None) -> dict[str, Figure]:
        del label
        return {}


def test_every_study_is_listed_with_its_options() -> None:
    studies = {study.name: study for study in describe_studies()}
    assert list(studies) == list(STUDIES)
    assert all(study.summary.endswith(".") for study in studies.values())
    assert studies["contamination"].options["ratios"] == (1.0, 0.25, 0.1, 0.05, 0.0)
    with pytest.raises(ConfigError, match="Did you mean 'inverse'"):
        get_study("invers")


def test_results_become_json(study_jets: StudyJets, setting: MakeSetting) -> None:
    curve = Curve((0.5, 1.0), (0.1, 1.0))
    result = Toy(
        **setting().common_fields(study_jets),
        numbers=np.array([1.0, np.nan]),
        curve=curve,
        hidden=3,
    )
    content = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert content["study"] == "toy"
    assert content["numbers"] == [1.0, None]
    assert content["curve"]["background_efficiency"] == [0.1, 1.0]
    assert content["detectors"][0]["name"] == "study_plugins:Width"
    assert content["signals"] == ["w", "top"]
    assert content["n_test"] == study_jets.n_test()
    assert "hidden" not in content
    assert result.records() == [{"x": 1.0}]


def test_thinned_curves_follow_the_curve() -> None:
    rng = np.random.default_rng(1)
    is_signal = np.arange(20_000) % 2 == 0
    curve = Curve.from_roc(roc_curve(rng.normal(is_signal * 1.0), is_signal))
    expected = norm.sf(norm.isf(np.array(curve.signal_efficiency)) + 1)
    np.testing.assert_allclose(curve.background_efficiency[:-2], expected[:-2], atol=0.02)


def test_supervised_detectors_get_labelled_signal(study_jets: StudyJets) -> None:
    labels = training_jets(study_jets, DetectorConfig(name="bdt"), seed=1).label.to_numpy()
    n_signal = sum(len(study_jets.training(name)) for name in study_jets.signals)
    assert np.count_nonzero(labels == Truth.MERGED) == n_signal
    plain = training_jets(study_jets, DetectorConfig(name="observables"), seed=1)
    assert len(plain) == len(study_jets.training("qcd"))


def test_supervised_detectors_are_refused_where_labels_are_not_asked(setting: MakeSetting) -> None:
    setting("observables").require_unsupervised(study="inverse")
    with pytest.raises(ConfigError, match="'bdt' is supervised"):
        setting("observables", "bdt").require_unsupervised(study="inverse")


def test_what_a_detector_lacks_is_said_before_it_is_trained(setting: MakeSetting) -> None:
    setting("Epochs").require_ability(ReconstructsMass, study="mass")
    assert issubclass(detector_class("khanal"), Reconstructs)
    with pytest.raises(DetectorError, match=r"'observables' has no method reconstruct_masses"):
        setting("observables").require_ability(ReconstructsMass, study="mass")


def test_labels_of_detectors_must_differ(setting: MakeSetting) -> None:
    with pytest.raises(ConfigError, match="label of its own"):
        setting("Width", "Width")
    with pytest.raises(ConfigError, match="expected detectors"):
        Setting(())


def test_each_training_keeps_its_state_apart(
    study_jets: StudyJets, setting: MakeSetting, tmp_path: Path
) -> None:
    seen = []
    detector = setting().detectors[0]
    cls = detector_class(detector.name)
    fit = cls.fit

    def spy(self: object, *args: object, **keywords: object) -> object:
        seen.append(keywords["resume_in"])
        return fit(self, *args, **keywords)  # type: ignore[arg-type]

    cls.fit = spy  # type: ignore[method-assign, assignment]
    try:
        for what, seed in (("qcd", 1), ("qcd and 0.1 w", 1), ("qcd", 2), ("qcd", 1)):
            resumed = setting(resume_in=tmp_path)
            resumed.train(detector, study_jets.training("qcd"), what=what, seed=seed)
        setting().train(detector, study_jets.training("qcd"), what="qcd")
    finally:
        cls.fit = fit  # type: ignore[method-assign]
    assert seen[0] == seen[3]
    assert len(set(seen[:3])) == 3
    assert all(folder.parent == tmp_path for folder in seen[:4])
    assert seen[4] is None
