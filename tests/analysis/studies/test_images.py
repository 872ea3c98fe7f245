from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from oddjet.analysis.report.page import Table
from oddjet.analysis.studies.images import average_images_study
from oddjet.analysis.studies.jets import StudyJets
from oddjet.analysis.studies.study import Setting
from oddjet.errors import ConfigError
from oddjet.ml.representations.jet_image import JetImage

MakeSetting = Callable[..., Setting]


def test_averages_are_those_of_the_images(study_jets: StudyJets, setting: MakeSetting) -> None:
    result = average_images_study(study_jets, setting())
    image = JetImage()
    everything = {average.sample: average for average in result.images if not average.score}
    assert list(everything) == ["qcd", "w", "top"]
    for name, average in everything.items():
        images = image(study_jets.test(name))[..., 0]
        np.testing.assert_allclose(average.image, images.mean(axis=0), rtol=1e-5, atol=1e-9)
        assert average.total == pytest.approx(1, abs=1e-5)
        # Constituents spread by 0.1 in η and in φ; half a pixel more or less.
        assert average.spread == pytest.approx(0.1 * np.sqrt(2), abs=0.015)


def test_the_most_anomalous_jets_are_averaged(study_jets: StudyJets, setting: MakeSetting) -> None:
    result = average_images_study(study_jets, setting(), share=0.05)
    chosen = next(e for e in result.images if (e.score, e.sample) == ("width", "top"))
    test = study_jets.test("top")
    n = int(0.05 * len(test))
    assert chosen.n_jets == n
    widest = test[np.argsort(-np.asarray(test.width))[:n]]
    expected = JetImage()(widest)[..., 0].mean(axis=0)
    np.testing.assert_allclose(chosen.image, expected, rtol=1e-5, atol=1e-9)


def test_reconstructions_of_the_same_images_are_averaged(
    study_jets: StudyJets, setting: MakeSetting
) -> None:
    result = average_images_study(study_jets, setting("Epochs"), image={"pixels": 8})
    halved = [average for average in result.images if average.score == "reconstructed"]
    assert [average.total for average in halved] == pytest.approx([0.5] * 3, abs=1e-5)
    other = average_images_study(study_jets, setting("Epochs"))
    assert not any(average.score == "reconstructed" for average in other.images)


def test_table_and_figures(study_jets: StudyJets, setting: MakeSetting) -> None:
    result = average_images_study(study_jets, setting(), share=0.1)
    rows = Table.from_records(result.records()).rows
    assert rows[0][:3] == ("–", "all", "qcd")
    assert rows[3][:3] == ("Width", "10 % highest distance", "qcd")
    assert list(result.figures()) == ["images", "images_Width_distance", "images_Width_width"]


def test_refusals(study_jets: StudyJets, setting: MakeSetting) -> None:
    with pytest.raises(ConfigError, match="share"):
        average_images_study(study_jets, setting(), share=0)
    with pytest.raises(ConfigError, match="pixel"):
        average_images_study(study_jets, setting(), image={"pixel": 8})
