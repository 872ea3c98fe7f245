"""Jets: one awkward record array, one record a jet, everywhere in oddjet.

==================  ==================  ================================================================
field               type                meaning
==================  ==================  ================================================================
pt, eta, phi, mass  float               the jet's axis and mass [GeV, radians]
constituents        var * {pt, eta,     particles, hardest first, float32: pt and mass [GeV];
                    phi, mass, pdgId?}  a jet may have none
msoftdrop           float               soft-drop mass [GeV] as the source gives it
tau1 … tau4         float               N-subjettiness
run                 uint32              with the next two: the event
luminosityBlock     uint32
event               uint64
weight              float64             genWeight × corrections, unnormalised; 1 in data
label               int8                a `Truth`
dataset             string              name in the fileset (categorical)
file_id             string              uuid of the file the jet was read from (categorical)
entry               int64               entry of the event in that file
jet_index           int16               position in the source's collection
rank                int16               0 for the leading selected jet of its event, then 1, …
truth_pdgId         int32               matched generated resonance, 0 without
truth_delta_r       ?float32            ΔR to it, missing without
gen_pt, gen_mass    ?float32            matched generated jet [GeV], missing without
image_index         int64               row in the part's image file, −1 without images
==================  ==================  ================================================================

Only `JETS_REQUIRED` must be there; further columns may be added under other names. Whether pt and
mass are corrected is the source's affair: NanoAOD's are, and its constituents are not, so the
constituents' sum is close to the *raw* jet.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import IntEnum
from typing import Any, TypeAlias

import awkward as ak
import numpy as np
import numpy.typing as npt

from oddjet.datasets.columns import (
    CATEGORICAL_FIELDS,
    JET_FIELDS,
    OPTIONAL_VALUES,
    as_column,
    categorical,
    concatenate_categories,
    refuse_non_finite,
)
from oddjet.datasets.kinematics.geometry import cartesian, collider, sum_momenta
from oddjet.errors import InputError, did_you_mean

__all__ = [
    "CATEGORICAL_FIELDS",
    "CONSTITUENT_FIELDS",
    "JETS_REQUIRED",
    "JET_FIELDS",
    "Jets",
    "Truth",
    "concatenate",
    "empty_jets",
    "make_jets",
    "require_columns",
    "sum_constituents",
]

Jets: TypeAlias = ak.Array
"""A record array as this module describes."""

JETS_REQUIRED: tuple[str, ...] = ("pt", "eta", "phi", "mass", "constituents")

CONSTITUENT_FIELDS: dict[str, str] = {
    "pt": "float32",
    "eta": "float32",
    "phi": "float32",
    "mass": "float32",
    "pdgId": "int32",
}

_AXIS = ("pt", "eta", "phi", "mass")


class Truth(IntEnum):
    """What a jet is; a signal jet is one with `label >= Truth.MATCHED`.

    UNMATCHED jets come from signal samples but point to no resonance (initial-state radiation, for
    instance). MERGED jets hold all the decay products of their resonance.
    """

    DATA = -1
    BACKGROUND = 0
    UNMATCHED = 1
    MATCHED = 2
    MERGED = 3

    @property
    def dtype(self) -> np.dtype[np.int8]:
        """The column's type; Awkward asks it of whatever is compared with an array."""
        return np.dtype(np.int8)


def make_jets(constituents: Any, **columns: Any) -> Jets:
    """Build jets from their constituents.

    Constituents are sorted hardest first and a missing mass is taken as 0. Those of pt 0 are padding,
    not particles, and left out. Of `pt`, `eta`, `phi` and `mass`, those not given are taken from the
    constituents' four-vector sum (E-scheme, in float64); a jet without constituents then has zeros.

    Args:
        constituents: n_jets * var * {pt [GeV], eta, phi[, mass [GeV]][, pdgId][, …]}, any awkward
            array, padded with zeros or not.
        **columns: One value a jet each (n_jets): the fields that this module's table lists, or
            others. A string is given to every jet. None leaves the column out.

    Returns:
        The jets, n_jets records.

    Raises:
        InputError: If the constituents are not of that shape, a pt is below 0 or a column's length differs.
        NonFiniteError: If a number is NaN or infinite.

    >>> jets = make_jets([[{"pt": 3.0, "eta": 0.0, "phi": 0.0}, {"pt": 4.0, "eta": 0.0, "phi": 1.5707963}]])
    >>> round(float(jets.pt[0]), 3), round(float(jets.mass[0]), 3)
    (5.0, 4.899)
    >>> jets.constituents.pt.to_list()
    [[4.0, 3.0]]
    """
    offsets, fields = _without_padding(*_flatten_constituents(constituents))
    fields = _hardest_first(offsets, fields)
    n_jets = len(offsets) - 1
    arrays: dict[str, Any] = {}
    if missing := [name for name in _AXIS if columns.get(name) is None]:
        axis = _four_vector_sum(offsets, fields)
        arrays.update({name: axis[name] for name in missing})
    for name, values in columns.items():
        if values is not None:
            arrays[name] = as_column(name, values, n_jets)
    ordered = {name: arrays.pop(name) for name in _AXIS}
    ordered.update(arrays)
    ordered["constituents"] = _nest(offsets, fields)
    return ak.zip(ordered, depth_limit=1)


def empty_jets(columns: Sequence[str] = ()) -> Jets:
    """Zero jets with the right types.

    Args:
        columns: Further fields to have, out of `JET_FIELDS`, or floats under other names.

    Returns:
        A record array of length 0 with `JETS_REQUIRED` and the columns asked for.
    """
    fields = {
        name: np.empty(0, CONSTITUENT_FIELDS[name])
        for name in ("pt", "eta", "phi", "mass", "pdgId")
    }
    arrays: dict[str, Any] = {name: np.empty(0, np.float32) for name in _AXIS}
    for name in columns:
        if name in CATEGORICAL_FIELDS:
            arrays[name] = categorical([], np.empty(0, np.int64))
        elif name not in JETS_REQUIRED:
            values = ak.Array(np.empty(0, JET_FIELDS.get(name, "float32")))
            arrays[name] = ak.mask(values, np.zeros(0, bool)) if name in OPTIONAL_VALUES else values
    arrays["constituents"] = _nest(np.zeros(1, np.int64), fields)
    return ak.zip(arrays, depth_limit=1)


def concatenate(parts: Iterable[Jets]) -> Jets:
    """Put jets one after another.

    Args:
        parts: Jets with the same fields. A part that lacks a field whose values may be missing
            (`truth_delta_r`, `gen_pt`, `gen_mass`) gets it, with no value.

    Returns:
        All jets in order; `empty_jets()` for no parts.

    Raises:
        InputError: If the parts do not have the same fields.
    """
    parts = list(parts)
    if not parts:
        return empty_jets()
    fields = list(dict.fromkeys(name for part in parts for name in part.fields))
    padded = []
    for index, part in enumerate(parts):
        lacking = [name for name in fields if name not in part.fields]
        if refused := [name for name in lacking if name not in OPTIONAL_VALUES]:
            msg = (
                f"cannot concatenate jets: part {index} of {len(parts)} lacks {', '.join(refused)}, which"
                " others have; select common columns first, for example jets[['pt', 'eta', 'phi', 'mass',"
                " 'constituents']]"
            )
            raise InputError(msg)
        for name in lacking:
            nothing = ak.mask(
                ak.Array(np.zeros(len(part), JET_FIELDS[name])), np.zeros(len(part), bool)
            )
            part = ak.with_field(part, nothing, name)  # noqa: PLW2901
        padded.append(part[fields])
    if len(padded) == 1:
        return padded[0]
    categorical = [name for name in fields if all(ak.is_categorical(p[name]) for p in padded)]
    plain = [name for name in fields if name not in categorical]
    merged = ak.concatenate([part[plain] for part in padded])
    columns = {name: merged[name] for name in plain}
    for name in categorical:
        columns[name] = concatenate_categories([part[name] for part in padded])
    return ak.zip({name: columns[name] for name in fields}, depth_limit=1)


def require_columns(jets: Jets, names: Iterable[str], *, where: str = "") -> None:
    """Check that jets have the columns a job needs.

    Args:
        jets: The jets.
        names: Fields that must be there.
        where: Who asks, for the message.

    Raises:
        InputError: If fields are missing; the message names them all.
    """
    if missing := [name for name in names if name not in jets.fields]:
        hints = "".join(did_you_mean(name, jets.fields) for name in missing)
        msg = (
            f"{where + ': ' if where else ''}the jets have no column {', '.join(missing)};"
            f" there are {', '.join(jets.fields)}.{hints}"
        )
        raise InputError(msg)


def sum_constituents(constituents: Any) -> ak.Array:
    """Sum four-vectors of each jet's constituents, in float64.

    Args:
        constituents: n_jets * var * {pt [GeV], eta, phi[, mass [GeV]]}.

    Returns:
        n_jets * {pt, eta, phi, mass} float64: zeros for an empty jet.

    Raises:
        InputError: If the constituents are not of that shape.
        NonFiniteError: If a number is NaN or infinite.
    """
    return ak.zip(_four_vector_sum(*_flatten_constituents(constituents)))


def _flatten_constituents(
    constituents: Any,
) -> tuple[npt.NDArray[np.int64], dict[str, npt.NDArray[Any]]]:
    """Offsets (n_jets + 1) and flat, finite fields; pt is first and mass always there."""
    array = constituents if isinstance(constituents, ak.Array) else ak.Array(constituents)
    if len(array) == 0 and not ak.fields(array):
        fields = {name: np.empty(0, np.float32) for name in _AXIS}
        return np.zeros(1, np.int64), fields
    if array.ndim != 2 or not {"pt", "eta", "phi"} <= set(ak.fields(array)):
        msg = (
            "constituents must be n_jets * var * {pt, eta, phi[, mass]}; received"
            f" {str(ak.type(array))[:200]}"
        )
        raise InputError(msg)
    layout = ak.to_packed(ak.materialize(ak.from_regular(array, axis=None))).layout
    if layout.is_option or layout.content.is_option or not layout.content.is_record:
        msg = f"constituents must not have missing values; received {str(ak.type(array))[:200]}"
        raise InputError(msg)
    layout = layout.to_ListOffsetArray64(True)
    offsets = np.asarray(layout.offsets.data)
    names = [*_AXIS, *(name for name in ak.fields(array) if name not in _AXIS)]
    fields = {}
    for name in names:
        if name in layout.content.fields:
            values = ak.to_numpy(layout.content.content(name), allow_missing=False)
            values = values.astype(CONSTITUENT_FIELDS.get(name, values.dtype), copy=False)
        else:
            values = np.zeros(offsets[-1], np.float32)
        fields[name] = values
        if values.dtype.kind == "f":
            refuse_non_finite(f"constituents' {name}", values, offsets)
    return offsets, fields


def _without_padding(
    offsets: npt.NDArray[np.int64], fields: dict[str, npt.NDArray[Any]]
) -> tuple[npt.NDArray[np.int64], dict[str, npt.NDArray[Any]]]:
    """Leave out constituents of pt 0, and refuse those below."""
    pt = fields["pt"]
    if np.all(pt > 0):
        return offsets, fields
    if np.any(pt < 0):
        jet = int(np.searchsorted(offsets, np.argmax(pt < 0), side="right")) - 1
        msg = (
            f"constituents' pt must be at least 0 (0 is padding, which is left out); received {pt.min():g},"
            f" first in jet {jet}. Drop what is no particle"
        )
        raise InputError(msg)
    kept = np.concatenate(([0], np.cumsum(pt > 0)))
    return kept[offsets], {name: values[pt > 0] for name, values in fields.items()}


def _hardest_first(
    offsets: npt.NDArray[np.int64], fields: dict[str, npt.NDArray[Any]]
) -> dict[str, npt.NDArray[Any]]:
    pt = fields["pt"]
    rising = pt[1:] > pt[:-1]
    starts = offsets[1:-1]
    rising[starts[(starts > 0) & (starts < len(pt))] - 1] = False
    if not rising.any():
        return fields
    jet = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    order = np.lexsort((-pt, jet))
    return {name: values[order] for name, values in fields.items()}


def _four_vector_sum(
    offsets: npt.NDArray[np.int64], fields: dict[str, npt.NDArray[Any]]
) -> dict[str, npt.NDArray[np.float64]]:
    momenta = cartesian(*(fields[name].astype(np.float64) for name in _AXIS))
    return collider(*sum_momenta(momenta, np.diff(offsets)))


def _nest(offsets: npt.NDArray[np.int64], fields: dict[str, npt.NDArray[Any]]) -> ak.Array:
    record = ak.contents.RecordArray(
        [ak.contents.NumpyArray(np.ascontiguousarray(values)) for values in fields.values()],
        list(fields),
        length=int(offsets[-1]),
    )
    return ak.Array(ak.contents.ListOffsetArray(ak.index.Index64(offsets), record))
