"""The base class of representations, their registry, and their identity on disk."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, cast

import numpy as np
import numpy.typing as npt

from oddjet.datasets.jets import Jets
from oddjet.errors import DetectorError, did_you_mean
from oddjet.ml.plugins import class_path, import_class

__all__ = ["REPRESENTATIONS", "Representation", "representation_from_identity"]

REPRESENTATIONS: dict[str, str] = {
    "EnergyFlow": "oddjet.ml.representations.energy_flow:EnergyFlow",
    "JetFeatures": "oddjet.ml.representations.jet_features:JetFeatures",
    "JetImage": "oddjet.ml.representations.jet_image:JetImage",
    "JetShapes": "oddjet.ml.representations.jet_shapes:JetShapes",
    "LeadingConstituents": "oddjet.ml.representations.leading_constituents:LeadingConstituents",
    "LundGraph": "oddjet.ml.representations.lund_graph:LundGraph",
    "Substructure": "oddjet.ml.representations.substructure:Substructure",
}
"""Name → `module:Class`, imported when asked for."""


@dataclasses.dataclass(frozen=True)
class Representation(ABC):
    """A recipe that turns jets into an array with one row a jet.

    Subclasses are frozen dataclasses. Their fields and `version` are all that may influence the
    numbers: both are saved with every detector and skim, and compared when these are read.
    """

    version: ClassVar[int] = 1
    """Raised whenever the same fields would give other numbers than before."""

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """Shape of one jet's row, without the jet axis."""

    @abstractmethod
    def __call__(self, jets: Jets) -> npt.NDArray[np.floating[Any]]:
        """Represent jets.

        Args:
            jets: Array of n jets as `oddjet.make_jets` builds it; n may be 0.

        Returns:
            Array of shape (n, *shape).
        """

    def blocks(self, jets: Jets, size: int) -> Iterator[npt.NDArray[np.floating[Any]]]:
        """Represent jets block by block, for those who have no room for all rows at once.

        Args:
            jets: n jets.
            size: Most jets of a block.

        Yields:
            Consecutive rows of what calling gives. They may be overwritten by the next block.
        """
        for start in range(0, len(jets), size):
            yield self(jets[start : start + size])

    def identity(self) -> dict[str, Any]:
        """Say in JSON types which recipe this is.

        Returns:
            `{"class": registered name or "module:Class", "version": int, "fields": {...}}`;
            equal identities give equal numbers.
        """
        path = class_path(type(self))
        names = {registered: name for name, registered in REPRESENTATIONS.items()}
        return {
            "class": names.get(path, path),
            "version": self.version,
            "fields": dataclasses.asdict(self),
        }

    @staticmethod
    def from_identity(identity: Mapping[str, Any]) -> Representation:
        """Build the representation an identity describes.

        See `representation_from_identity`.
        """
        return representation_from_identity(identity)


def representation_from_identity(identity: Mapping[str, Any]) -> Representation:
    """Build the representation that `Representation.identity` described.

    Args:
        identity: A mapping with `class` and, optionally, `version` (default: the present one)
            and `fields` (default: none given, so the class's defaults).

    Raises:
        DetectorError: If the class is unknown or no representation, if the version is not the
            one this code computes, or if the fields do not fit.
    """
    unknown_keys = set(identity) - {"class", "version", "fields"}
    name = identity.get("class")
    if not isinstance(name, str) or unknown_keys:
        msg = (
            f"a representation's identity has the keys 'class', 'version' and 'fields'. "
            f"Received: {dict(identity)!r}."
        )
        raise DetectorError(msg)
    if name not in REPRESENTATIONS and ":" not in name:
        msg = (
            f"unknown representation {name!r}.{did_you_mean(name, REPRESENTATIONS)} Known: "
            f"{', '.join(sorted(REPRESENTATIONS))}; or write 'their_package.module:Class'."
        )
        raise DetectorError(msg)
    cls = cast(
        "type[Representation]", import_class(REPRESENTATIONS.get(name, name), Representation)
    )
    version = identity.get("version", cls.version)
    if version != cls.version:
        msg = (
            f"representation {name!r} was saved as version {version}, this oddjet computes version "
            f"{cls.version}: the numbers would differ. Use the oddjet that wrote it, or make the "
            f"skim and train the detector again."
        )
        raise DetectorError(msg)
    try:
        return cls(**identity.get("fields", {}))
    except (TypeError, ValueError) as error:
        known = [field.name for field in dataclasses.fields(cls)]
        msg = f"representation {name!r} has the fields {known}: {error}."
        raise DetectorError(msg) from error
