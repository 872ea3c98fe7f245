"""Detectors of unusual jets, one file each, by name."""

from __future__ import annotations

from oddjet.ml.detectors.base import Detector
from oddjet.registry import Registry

__all__ = ["DETECTORS", "Detector"]

_DETECTORS = {
    "khanal": "oddjet.ml.detectors.khanal:KhanalDetector",
    "ene": "oddjet.ml.detectors.ene:EneDetector",
    "kmeans": "oddjet.ml.detectors.kmeans:KMeansDetector",
    "gmm": "oddjet.ml.detectors.gmm:GaussianMixtureDetector",
    "observables": "oddjet.ml.detectors.observables:ObservableDetector",
    "dirichlet": "oddjet.ml.detectors.dirichlet:DirichletDetector",
    "autoencoder": "oddjet.ml.detectors.autoencoder:AutoencoderDetector",
    "nae": "oddjet.ml.detectors.nae:NormalisedAutoencoderDetector",
    "golling": "oddjet.ml.detectors.golling:GollingDetector",
    "inn": "oddjet.ml.detectors.inn:InvertibleDetector",
    "lund_nae": "oddjet.ml.detectors.lund_nae:LundAutoencoderDetector",
    "bdt": "oddjet.ml.detectors.bdt:BoostedTreesDetector",
}

DETECTORS: Registry[str] = Registry(
    "detectors", _DETECTORS, load=str, aliases={"foils": "observables"}
)
"""Name → `module:Class`, imported when asked for; also those that other packages add."""
