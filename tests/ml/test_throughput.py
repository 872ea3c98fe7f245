from __future__ import annotations

from typing import Any

import pytest

from oddjet.datasets.jets import Jets, Truth
from oddjet.ml import create, detector_class, detector_names, throughput
from oddjet.ml.detectors import Detector
from oddjet.ml.representations import REPRESENTATIONS
from oddjet.ml.throughput import detector_rates, quick_hyper_parameters, representation_rates


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
    assert all("epochs" in key or key == "starts" for key in quick)


def test_stages_are_an_epoch_each() -> None:
    class Staged:
        @staticmethod
        def hyper_parameter_defaults() -> dict[str, object]:
            return {
                "epochs": (50, 10, 90),
                "pretraining_epochs": 0,
                "width": 64,
                "noise_epochs": None,
            }

    assert quick_hyper_parameters(Staged) == {"epochs": [1, 1, 1], "pretraining_epochs": 0}  # type: ignore[arg-type]
