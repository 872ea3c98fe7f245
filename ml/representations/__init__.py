"""What a detector sees of a jet: frozen, callable dataclasses from jets to arrays.

Adding one is one file and one line in `REPRESENTATIONS`. No TensorFlow here: skims write
representations on machines that never load a network.
"""

from __future__ import annotations

from oddjet.ml.representations.base import (
    REPRESENTATIONS,
    Representation,
    representation_class,
    representation_from_identity,
)

__all__ = [
    "REPRESENTATIONS",
    "Representation",
    "representation_class",
    "representation_from_identity",
]
