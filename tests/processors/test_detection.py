"""What workers are told about detectors."""

from __future__ import annotations

from pathlib import Path

import pytest

from oddjet.datasets.skims.skim import open_skim
from oddjet.ml import plugins
from oddjet.processors.detection import find_detectors, score_jets


def test_a_worker_is_told_which_classes_a_detector_may_be_of(
    skim_folder: Path, detector_folder: Path, mass_detector: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that its owner found to be known: a worker has imported nothing yet."""
    (reference,) = find_detectors({"mass": detector_folder})
    assert reference.classes[:1] == (mass_detector,)
    assert "oddjet.ml.representations.jet_image:JetImage" in reference.classes
    monkeypatch.setattr(plugins, "_ALLOWED", {})
    score_jets(open_skim(skim_folder).jets()[:3], (reference,))
    assert set(plugins._ALLOWED) == set(reference.classes)
