"""An interrupted study goes on in the training it was in, and comes to the same end."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from oddjet.analysis.config import DetectorConfig
from oddjet.analysis.studies.inverse import inverse_tagging_study
from oddjet.analysis.studies.jets import StudyJets
from oddjet.analysis.studies.study import Setting
from oddjet.processors.engine.progress import SilentReporter, Update


class Counting(SilentReporter):
    """Notes the progress of each training, and interrupts one of them."""

    def __init__(self, *, stop_in: str = "") -> None:
        self.stop_in = stop_in
        self.seen: dict[str, list[int]] = {}

    @contextmanager
    def track(self, description: str, total: int, unit: str) -> Iterator[Update]:  # noqa: ARG002
        """Follow one training."""
        steps = self.seen.setdefault(description, [])

        def update(done: int, total: int | None = None, units: int | None = None) -> None:
            del total, units
            steps.append(done)
            if self.stop_in and self.stop_in in description:
                raise KeyboardInterrupt

        yield update


@pytest.mark.slow
def test_an_interrupted_study_goes_on(study_jets: StudyJets, tmp_path: Path) -> None:
    detector = DetectorConfig(
        name="autoencoder", hyper_parameters={"epochs": 2, "batch_size": 128, "checkpoint_every": 0}
    )
    jets = dataclasses.replace(study_jets, signals={"w": study_jets.signals["w"]})
    plain = inverse_tagging_study(jets, Setting((detector,)), n_training=200)
    stopped = Setting((detector,), 1, tmp_path, Counting(stop_in="on w"))
    with pytest.raises(KeyboardInterrupt):
        inverse_tagging_study(jets, stopped, n_training=200)
    counting = Counting()
    resumed = inverse_tagging_study(
        jets, Setting((detector,), 1, tmp_path, counting), n_training=200
    )
    # Nothing is left to do of the training that was complete: only its end is reported.
    assert counting.seen["autoencoder on qcd"] == [100]
    assert counting.seen["autoencoder on w"][-1] == 100
    assert resumed.to_dict() == plain.to_dict()
