from __future__ import annotations

from typing import Any, cast

import pytest

from oddjet.analysis.studies.benchmarks import throughput
from oddjet.analysis.studies.benchmarks.throughput import (
    detector_rates,
    emd_rate,
    quick_hyper_parameters,
    representation_rates,
)
from oddjet.datasets.jets import Jets, Truth
from oddjet.ml import create, detector_class, detector_names
from oddjet.ml.detectors import Detector
from oddjet.ml.representations import REPRESENTATIONS


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throughput, "SECONDS", 0.001)


def test_every_representation_is_timed() -> None:
    rates = representation_rates(300)
    assert list(rates) == list(REPRESENTATIONS)
    assert all(rate > 0 for rate in rates.values())


@pytest.mark.parametrize("supervised", [False, True])
def test_detectors_are_trained_and_timed(
    plugin: str, monkeypatch: pytest.MonkeyPatch, supervised: bool
) -> None:
    cls, seen = detector_class(plugin), []
    monkeypatch.setattr(cls, "supervised", supervised)
    fit = cls._fit

    def noting(self: Detector, jets: Jets, **others: Any) -> None:
        seen.append(set(jets.label.to_list()) if "label" in jets.fields else set())
        fit(self, jets, **others)

    monkeypatch.setattr(cls, "_fit", noting)
    rates = detector_rates(plugin, 300)
    assert rates["jets_per_second"] > 0
    assert rates["representation_jets_per_second"] > 0
    assert seen == [{Truth.BACKGROUND, Truth.MERGED} if supervised else set()]


@pytest.mark.parametrize("name", detector_names())
def test_only_the_training_is_shortened(name: str) -> None:
    quick = quick_hyper_parameters(detector_class(name))
    hyper_parameters = create(name, **quick).hyper_parameters()
    assert hyper_parameters == detector_class(name).hyper_parameter_defaults() | quick
    assert all("epochs" in key or key in ("stages", "starts") for key in quick)


class Staged:
    """Stands for a detector that is trained in stages and keeps jets for its scores."""

    min_jets = 100

    @staticmethod
    def hyper_parameter_defaults() -> dict[str, object]:
        return {
            "stages": (50, 10, 90),
            "pretrain_epochs": 0,
            "noise_epochs": None,
            "width": 64,
            "svm_jets": 20_000,
            "stored_codes": 50_000,
        }


def test_stages_are_an_epoch_each_and_what_is_kept_is_filled() -> None:
    cls = cast("type[Detector]", Staged)
    assert quick_hyper_parameters(cls) == {"stages": [1, 1, 1], "pretrain_epochs": 0}
    assert throughput.training_jets(cls) == 50_000


def test_the_energy_movers_distance_is_timed() -> None:
    assert emd_rate(300) > 0
