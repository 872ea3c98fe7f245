"""The base class of representations, their registry, and their identity on disk."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, cast

import numpy as np
import numpy.typing as npt

from oddjet.constraints import check_fields
from oddjet.datasets.jets import Jets
from oddjet.errors import DetectorError
from oddjet.ml.plugins import class_path, named_class, saved_class
from oddjet.registry import Registry

__all__ = [
    "REPRESENTATIONS",
    "NamedColumns",
    "Representation",
    "representation_class",
    "representation_from_identity",
]

_REPRESENTATIONS = {
    "energy_flow": "oddjet.ml.representations.energy_flow:EnergyFlow",
    "jet_features": "oddjet.ml.representations.jet_features:JetFeatures",
    "jet_image": "oddjet.ml.representations.jet_image:JetImage",
    "jet_shapes": "oddjet.ml.representations.jet_shapes:JetShapes",
    "leading_constituents": "oddjet.ml.representations.leading_constituents:LeadingConstituents",
    "lund_graph": "oddjet.ml.representations.lund_graph:LundGraph",
    "substructure": "oddjet.ml.representations.substructure:Substructure",
}

REPRESENTATIONS: Registry[str] = Registry("representations", _REPRESENTATIONS, load=str)
"""Name → `module:Class`, imported when asked for; also those that other packages add."""


@dataclasses.dataclass(frozen=True)
class Representation(ABC):
    """A recipe that turns jets into an array with one row a jet.

    Subclasses are frozen dataclasses. Their fields and `version` are all that may influence the
    numbers: both are saved with every detector and skim, and compared when these are read.
    """

    version: ClassVar[int] = 1
    """Raised whenever the same fields would give other numbers than before."""

    def __post_init__(self) -> None:
        """Check the fields, where they declare what they may be.

        Raises:
            ConfigError: If a value is not allowed.
        """
        check_fields(self, label=type(self).__name__)

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """Shape of one jet's row, without the jet axis."""

    @abstractmethod
    def __call__(self, jets: Jets) -> npt.NDArray[np.floating[Any]]:
        """Represent jets.

        Args:
            jets: Array of n jets as `oddjet.make_jets` builds it, with `eta`, `phi` and
                `constituents: var * {pt [GeV], eta, phi[, mass]}`; n may be 0. This package's own
                representations also take `threads`, to share the jets among; the result does not
                depend on it.

        Returns:
            Array of shape (n, *shape).

        Raises:
            NonFiniteError: If an axis, a constituent or a column used has a NaN or an infinity.
        """

    def blocks(self, jets: Jets, size: int) -> Iterator[npt.NDArray[np.floating[Any]]]:
        """Represent jets block by block, where memory does not hold all rows at once.

        Yields:
            Consecutive rows of what calling gives. They may be overwritten by the next block.
        """
        for start in range(0, len(jets), size):
            yield self(jets[start : start + size])

    def identity(self) -> dict[str, Any]:
        """Describe in JSON types which recipe this is.

        Returns:
            `{"class": name of a registered class or "module:Class", "version": int, "fields": {...}}`;
            equal identities give equal numbers.
        """
        path = class_path(type(self))
        return {
            "class": type(self).__name__ if path in REPRESENTATIONS.own.values() else path,
            "version": self.version,
            "fields": dataclasses.asdict(self),
        }


@dataclasses.dataclass(frozen=True)
class NamedColumns(Representation):
    """A representation with one number a column, each with a name."""

    names: ClassVar[tuple[str, ...]]
    """Names of the columns."""

    @property
    def shape(self) -> tuple[int]:
        """Shape of one jet's row: (number of columns,)."""
        return (len(self.names),)


def representation_from_identity(
    identity: str | Mapping[str, Any], *, saved_in: str = ""
) -> Representation:
    """Build a representation from its name, its name and fields, or its identity on disk.

    Args:
        identity: A name of `REPRESENTATIONS` or `"their_package.module:Class"`; a mapping of one
            such name to the fields, `{"jet_image": {"pixels": 20}}`; or what
            `Representation.identity` gave, of which `version` (default: the present one) and
            `fields` (default: the class's own defaults) may be left out.
        saved_in: The file that says it, of somebody else perhaps: nothing is imported for its sake.

    Raises:
        DetectorError: If the class is unknown or no representation, if the version is not the
            one this code computes, or if the fields do not fit.
    """
    name, version, fields = _name_version_fields(identity)
    cls = representation_class(name, saved_in=saved_in)
    if version not in (None, cls.version):
        msg = (
            f"representation {name!r} was saved as version {version}, this oddjet computes version "
            f"{cls.version}: the numbers would differ. Use the oddjet that wrote it, or make the "
            f"skim and train the detector again."
        )
        raise DetectorError(msg)
    try:
        return cls(**fields)
    except (TypeError, ValueError) as error:
        known = [field.name for field in dataclasses.fields(cls)]
        msg = f"representation {name!r} has the fields {known}: {error}."
        raise DetectorError(msg) from error


def representation_class(name: str, *, saved_in: str = "") -> type[Representation]:
    """Find a representation by its registered or class' name, or as `their_package.module:Class`.

    Args:
        name: The name.
        saved_in: The file that says it, if one does: see `oddjet.ml.plugins.saved_class`.

    Raises:
        DetectorError: If there is no such name, or the class is no representation.
    """
    by_class = {path.rpartition(":")[2]: path for path in REPRESENTATIONS.own.values()}
    if saved_in:
        path = by_class.get(name, name)
        return saved_class("representations", path, Representation, where=saved_in)
    paths = {**REPRESENTATIONS, **by_class}
    return cast("type[Representation]", named_class(paths, name, Representation, "representation"))


def _name_version_fields(identity: str | Mapping[str, Any]) -> tuple[str, int | None, Any]:
    if isinstance(identity, str):
        return identity, None, {}
    if len(identity) == 1 and "class" not in identity:
        name, fields = next(iter(identity.items()))
        if isinstance(fields, Mapping | None):
            return name, None, fields or {}
    class_name = identity.get("class")
    if not isinstance(class_name, str) or set(identity) - {"class", "version", "fields"}:
        msg = (
            f"a representation's identity has the keys 'class', 'version' and 'fields', or is a "
            f"name with its fields. Received: {dict(identity)!r}."
        )
        raise DetectorError(msg)
    return class_name, identity.get("version"), identity.get("fields", {})
