"""Detectors of unusual jets, one file each, by name."""

from __future__ import annotations

from oddjet.ml.detectors.base import Detector

__all__ = ["DETECTORS", "Detector"]

DETECTORS: dict[str, str] = {
    "khanal": "oddjet.ml.detectors.khanal:KhanalDetector",
}
"""Name → `module:Class`, imported when asked for."""
