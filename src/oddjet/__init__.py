"""oddjet: from NanoAOD to a bump in jet mass, with an anomaly score shown not to have made it."""

from __future__ import annotations

from importlib.metadata import version

from oddjet.datasets.jets import Truth, make_jets
from oddjet.datasets.skims.skim import Skim, open_skim

__all__ = ["Skim", "Truth", "__version__", "make_jets", "open_skim"]

__version__ = version("oddjet")
