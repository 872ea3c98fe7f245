"""Columns of jets: their types, names kept once, and finite numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import awkward as ak
import numpy as np
import numpy.typing as npt

from oddjet.errors import InputError, NonFiniteError

__all__ = [
    "CATEGORICAL_FIELDS",
    "JET_FIELDS",
    "OPTIONAL_VALUES",
    "as_column",
    "categorical",
    "concatenate_categories",
    "refuse_non_finite",
]

JET_FIELDS: dict[str, str] = {
    "run": "uint32",
    "luminosityBlock": "uint32",
    "event": "uint64",
    "weight": "float64",
    "label": "int8",
    "jet_index": "int16",
    "rank": "int16",
    "entry": "int64",
    "truth_pdgId": "int32",
    "truth_delta_r": "float32",
    "image_index": "int64",
    "gen_pt": "float32",
    "gen_mass": "float32",
}
"""The columns whose type is fixed; others keep the type they come with."""

CATEGORICAL_FIELDS = ("dataset", "file_id")
"""The columns of names, each kept once with an index a jet."""

OPTIONAL_VALUES = frozenset({"truth_delta_r", "gen_pt", "gen_mass"})
"""The columns in which a value may be missing."""


def as_column(name: str, values: Any, n_jets: int) -> ak.Array:
    """Make a column: one finite value a jet, of the type that `JET_FIELDS` fixes.

    Args:
        name: The field.
        values: One value a jet (n_jets), or a string for all.
        n_jets: Number of jets.

    Returns:
        n_jets values; categorical strings for `CATEGORICAL_FIELDS` and for a single string.

    Raises:
        InputError: If the length differs, a value is missing where none may be, or does not fit the
            type.
        NonFiniteError: If a number is NaN or infinite.
    """
    if isinstance(values, str):
        return categorical([values], np.zeros(n_jets, np.int64))
    if not isinstance(values, ak.Array) and (numbers := np.asarray(values)).dtype.kind in "buif":
        values = numbers  # Awkward itself does not take integers of 2⁶³ and above out of a list
    array = ak.materialize(values if isinstance(values, ak.Array) else ak.Array(values))
    if len(array) != n_jets:
        msg = f"column {name} has {len(array)} values for {n_jets} jets"
        raise InputError(msg)
    if name in JET_FIELDS:
        array = _typed(name, array, JET_FIELDS[name])
    if name in CATEGORICAL_FIELDS:
        return _to_categorical(name, array)
    kind = array.type.content
    kind = kind.content if isinstance(kind, ak.types.OptionType) else kind
    if isinstance(kind, ak.types.NumpyType) and kind.primitive.startswith("float"):
        refuse_non_finite(f"column {name}", ak.to_numpy(ak.fill_none(array, 0.0)), None)
    return array


def _typed(name: str, array: ak.Array, dtype: str) -> ak.Array:
    """The type that is fixed for the field, if that changes no value."""
    if name not in OPTIONAL_VALUES:
        if ak.any(ak.is_none(array)):
            msg = f"column {name} has missing values; only {', '.join(sorted(OPTIONAL_VALUES))} may"
            raise InputError(msg)
        values = ak.to_numpy(array, allow_missing=False)
        with np.errstate(invalid="ignore"):  # NaN cast to an integer; it does not come back as NaN
            cast = values.astype(dtype)
            changed = np.dtype(dtype).kind in "iu" and not np.array_equal(
                cast.astype(values.dtype), values
            )
        if changed:
            msg = f"column {name} has values that are not {dtype}; received {str(ak.type(array))[:100]}"
            raise InputError(msg)
        return ak.Array(cast)
    array = ak.values_astype(array, dtype)
    return array if array.layout.is_option else ak.mask(array, np.ones(len(array), bool))


def _to_categorical(name: str, array: ak.Array) -> ak.Array:
    if ak.is_categorical(array):
        return array
    if len(array) == 0:
        return categorical([], np.empty(0, np.int64))
    if array.layout.parameter("__array__") != "string":
        msg = f"column {name} must hold strings; received {str(ak.type(array))[:100]}"
        raise InputError(msg)
    # NumPy's unique works on fixed-width strings; names are short.
    names, index = np.unique(ak.to_numpy(array), return_inverse=True)
    return categorical([str(word) for word in names], index)


def categorical(names: Sequence[str], index: npt.NDArray[Any]) -> ak.Array:
    """Make a column of names, of which each jet has one by its index (n_jets)."""
    content = ak.from_iter(names).layout if names else ak.Array([""])[:0].layout
    layout = ak.contents.IndexedArray(
        ak.index.Index64(np.asarray(index, np.int64)),
        content,
        parameters={"__array__": "categorical"},
    )
    return ak.Array(layout)


def concatenate_categories(columns: Sequence[ak.Array]) -> ak.Array:
    """Put categorical columns one after another, each name once; Awkward itself does not."""
    names: dict[str, int] = {}
    indices = []
    for column in columns:
        numbers = [names.setdefault(word, len(names)) for word in ak.categories(column).to_list()]
        index = np.asarray(column.layout.index.data)
        indices.append(np.asarray(numbers, np.int64)[index])
    return categorical(list(names), np.concatenate(indices))


def refuse_non_finite(
    what: str, values: npt.NDArray[Any], offsets: npt.NDArray[np.int64] | None
) -> None:
    """Refuse NaN and infinity.

    Args:
        what: What the values are, for the message.
        values: Numbers (n).
        offsets: Where each jet's values begin (n_jets + 1), or None if there is one a jet.

    Raises:
        NonFiniteError: If there are any; the message says how many and in which jet first.
    """
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad) == 0:
        return
    first = int(bad[0])
    jet = first if offsets is None else int(np.searchsorted(offsets, first, side="right")) - 1
    msg = (
        f"{what}: {len(bad)} of {len(values)} values are NaN or infinite, the first in jet {jet}"
        f" ({values[first]}); drop these jets or repair their source"
    )
    raise NonFiniteError(msg)
