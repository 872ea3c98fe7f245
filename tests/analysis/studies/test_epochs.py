from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from oddjet.analysis.config import DetectorConfig
from oddjet.analysis.report.page import Table
from oddjet.analysis.studies.epochs import Epochs, ReconstructsByEpoch, epoch_study
from oddjet.analysis.studies.jets import StudyJets
from oddjet.analysis.studies.study import Setting
from oddjet.errors import ConfigError
from oddjet.ml import create

MakeSetting = Callable[..., Setting]


@pytest.fixture(scope="module")
def result(study_jets: StudyJets, setting: MakeSetting) -> Epochs:
    """Of the toy that keeps its epochs."""
    return epoch_study(study_jets, setting("Epochs"))


def test_scores_are_followed_by_epoch(study_jets: StudyJets, result: Epochs) -> None:
    distance = next(score for score in result.scores if score.score == "distance")
    assert (distance.epochs, distance.kept) == ((2, 4), 4)
    # The toy's noise falls with epoch: it separates better, and its mean comes down.
    areas = [area.value for area in distance.auc["top"]]
    assert areas[0] < areas[1]
    means = [mean.value for mean in distance.mean["qcd"]]
    width = study_jets.column("qcd", "width")
    assert means[0] > means[1] > np.abs(width - width.mean()).mean()
    assert distance.mean["qcd"][0].low < means[0] < distance.mean["qcd"][0].high
    assert len(distance.curves["w"]) == 2
    assert result.losses == {"Epochs": {"loss": [2.0, 1.0], "val_loss": [3.0, 2.0]}}
    shown = result.reconstructed["Epochs"]
    np.testing.assert_allclose(shown.outputs[2], 0.5 * shown.image)
    np.testing.assert_allclose(shown.outputs[4], shown.image)


def test_table_and_figures(result: Epochs) -> None:
    rows = Table.from_records(result.records()).rows
    assert len(rows) == 2 * 2 * 3  # scores × epochs × samples
    assert "reconstructed" not in result.to_dict()
    assert set(result.figures()) == {
        *(f"epochs_{what}_Epochs_{s}" for what in ("mean", "auc") for s in ("distance", "width")),
        *(f"epochs_roc_Epochs_{s}_{x}" for s in ("distance", "width") for x in ("w", "top")),
        *("epochs_loss_Epochs", "epochs_reconstruction_Epochs"),
    }


def test_a_detector_without_epochs_is_told_so(study_jets: StudyJets, setting: MakeSetting) -> None:
    with pytest.raises(ConfigError, match="kept no models"):
        epoch_study(study_jets, setting("Width"))
    with pytest.raises(ConfigError, match="supervised"):
        epoch_study(study_jets, setting("bdt"))


@pytest.mark.slow
def test_an_autoencoder_gives_jets_back_as_it_did_at_each_epoch(study_jets: StudyJets) -> None:
    config = DetectorConfig(
        name="khanal", hyper_parameters={"epochs": 2, "checkpoint_every": 1, "batch_size": 256}
    )
    few = StudyJets(study_jets.background[:450], {"w": study_jets.signals["w"][:150]}, "qcd")
    model = create("khanal", **config.hyper_parameters)
    model.fit(few.training("qcd"), seed=1)
    assert isinstance(model, ReconstructsByEpoch)
    test = few.test("qcd")[:20]
    by_epoch = model.reconstruct_by_epoch(test)
    scores = model.scores_by_epoch(test)
    images = model.representation(test)
    assert list(by_epoch) == list(scores) == [1, 2]
    for epoch, outputs in by_epoch.items():
        assert outputs.shape == images.shape
        mse = np.mean((outputs - images) ** 2, axis=(1, 2, 3))
        np.testing.assert_allclose(mse, scores[epoch]["mse"], rtol=1e-4)
    result = epoch_study(few, Setting((config,)))
    assert list(result.reconstructed["khanal"].outputs) == [1, 2]
