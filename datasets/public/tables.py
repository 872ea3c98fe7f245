"""Tables of numbers, one row an event, read a few thousand rows at a time.

The public benchmarks are pandas data frames in HDF5. Their two layouts are simple enough for h5py alone:
``format="table"`` is one compound dataset with a field for each type of column, ``format="fixed"`` one
plain dataset for each. The names of columns are kept as a pickle there, which is not opened.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import h5py
import numpy as np
import numpy.typing as npt

from oddjet.errors import BadFileError, InputError, NonFiniteError

__all__ = ["Layout", "Source", "name_of", "read_rows"]

Floats = npt.NDArray[np.floating[Any]]
Source: TypeAlias = Path | str | npt.NDArray[Any]
"""An HDF5 file, a `.npy` file, or the rows themselves."""

_BY_HAND = "so labels may be elsewhere: read it with pandas.read_hdf, and give the rows as an array"
ROWS = 4096
"""Rows read at a time: some 70 MB of the widest table."""


@dataclass(frozen=True)
class Layout:
    """What a table looks like.

    Attributes:
        name: The benchmark, for messages.
        node: Where the HDF5 dataset is in its file.
        fields: Of a compound dataset: the fields in order, with their numbers of columns. Empty for a
            plain one.
        widths: Allowed numbers of columns altogether.
        columns: The columns in words, for messages.
        last: Names of a compound dataset's last columns, in order.
    """

    name: str
    node: str
    fields: Mapping[str, int]
    widths: tuple[int, ...]
    columns: str
    last: tuple[str, ...] = ()


def name_of(source: Source, default: str) -> str:
    """Name a source: a file by its name without the ending, rows by the default."""
    return default if isinstance(source, np.ndarray) else Path(source).stem


def read_rows(
    source: Source, layout: Layout, start: int, stop: int | None
) -> Iterator[tuple[int, Floats]]:
    """Read rows, bounded in memory.

    Args:
        source: Where the table is.
        layout: What it must look like.
        start: First row.
        stop: Row to stop before; None or one beyond the last reads to the end.

    Yields:
        The number of the first row, and at most `ROWS` rows with all columns, shape (rows, columns);
        at least once, with no rows if there are none to read.

    Raises:
        BadFileError: If the file is missing or cannot be read.
        InputError: If the table is of another layout, or there are no such rows.
        NonFiniteError: If a number is NaN or infinite.
    """
    with _open(source, layout) as (n_rows, read):
        end = n_rows if stop is None else min(stop, n_rows)
        if not 0 <= start <= end:
            msg = (
                f"{layout.name}: expected 0 ≤ start ≤ stop within {n_rows:,} rows. Received: "
                f"start={start}, stop={stop}."
            )
            raise InputError(msg)
        for first in range(start, end, ROWS) or (start,):
            rows = read(first, min(first + ROWS, end))
            if (bad := np.flatnonzero(~np.isfinite(rows).all(axis=1))).size:
                msg = (
                    f"{layout.name}: row {first + bad[0]:,} has a NaN or infinity; the file is "
                    f"damaged. Download it again, or read around it with start and stop."
                )
                raise NonFiniteError(msg)
            yield first, rows


@contextmanager
def _open(source: Source, layout: Layout) -> Iterator[tuple[int, Callable[[int, int], Floats]]]:
    """Open a table of the right layout: its number of rows, and how to read some."""
    if not isinstance(source, np.ndarray):
        path = Path(source)
        if not path.is_file():
            msg = f"{layout.name}: there is no file {path}."
            raise BadFileError(msg)
        if path.suffix != ".npy":
            with _open_hdf5(path, layout) as opened:
                yield opened
            return
        source = _map_npy(path, layout)
    rows = source
    if rows.ndim != 2 or rows.shape[1] not in layout.widths or rows.dtype.kind not in "fiu":
        _refuse(layout, "the rows", f"{rows.dtype} of shape {rows.shape}")
    yield len(rows), lambda start, stop: np.asarray(rows[start:stop])


def _map_npy(path: Path, layout: Layout) -> npt.NDArray[Any]:
    try:
        return np.asanyarray(np.load(path, mmap_mode="r", allow_pickle=False))
    except (OSError, ValueError, EOFError) as error:
        msg = f"{layout.name}: {path} cannot be read as a .npy file: {error}."
        raise BadFileError(msg) from error


@contextmanager
def _open_hdf5(path: Path, layout: Layout) -> Iterator[tuple[int, Callable[[int, int], Floats]]]:
    with suppress(ImportError):  # where it is installed, h5py reads Blosc once it is imported
        importlib.import_module("hdf5plugin")
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        msg = f"{layout.name}: {path} cannot be read as HDF5 (or, by its name, as .npy): {error}."
        raise BadFileError(msg) from error
    with file:
        if not isinstance(table := file.get(layout.node), h5py.Dataset):
            names = ", ".join(sorted(_dataset_names(file))[:10]) or "no datasets"
            _refuse(layout, f"{path}", f"no dataset {layout.node!r} in it, but {names}")
        _check_table(table, layout, path)
        _check_columns(table, layout, path)

        def read(start: int, stop: int) -> Floats:
            try:
                rows = table[start:stop]
            except OSError as error:
                msg = (
                    f"{layout.name}: {path} is damaged, or compressed in a way that h5py does not "
                    f"know ({error}). For Blosc, which the LHC Olympics use: pip install hdf5plugin."
                )
                raise BadFileError(msg) from error
            if not layout.fields:
                return np.asarray(rows)
            return np.concatenate([rows[name] for name in layout.fields], axis=1)

        yield len(table), read


def _dataset_names(file: Any) -> list[str]:
    names: list[str] = []
    file.visititems(
        lambda name, node: names.append(name) if isinstance(node, h5py.Dataset) else None
    )
    return names


def _check_table(table: Any, layout: Layout, path: Path) -> None:
    state = f"{layout.node!r} of type {str(table.dtype)[:200]} and shape {table.shape}"
    if not layout.fields:
        plain = table.dtype.kind in "fiu" and table.ndim == 2 and table.shape[1] in layout.widths
        if not plain:
            _refuse(layout, f"{path}", state)
        return
    names = table.dtype.names or ()
    shapes = {name: table.dtype[name].shape for name in names}
    if table.ndim != 1 or any(shapes.get(n) != (width,) for n, width in layout.fields.items()):
        _refuse(layout, f"{path}", state)


def _check_columns(table: Any, layout: Layout, path: Path) -> None:
    """Refuse a data frame whose columns are in another order, or partly in another dataset.

    Names of columns are pickles, in which the text of the names is looked for; they are not unpickled.
    """
    block = table.name.rpartition("/")[2].removesuffix("_values")
    others = [
        name
        for name in (() if layout.fields else table.parent)
        if name.endswith("_values") and name != f"{block}_values"
    ]
    if others:
        _refuse(layout, f"{path}", f"columns in {', '.join(others)} too, {_BY_HAND}")
    items = table.parent.get(f"{block}_items")
    if isinstance(items, h5py.Dataset) and items.dtype.kind in "iu" and items.ndim == 1:
        numbers = items[:].tolist()
        if numbers != sorted(numbers):
            _refuse(
                layout, f"{path}", f"columns that are not in the order of their numbers, {_BY_HAND}"
            )
    kind = table.attrs.get(f"{list(layout.fields)[-1]}_kind") if layout.last else None
    names = (
        kind.tobytes() if isinstance(kind, np.void) else kind if isinstance(kind, bytes) else b""
    )
    places = [names.find(name.encode()) for name in layout.last]
    if names and (-1 in places or places != sorted(places)):
        _refuse(
            layout,
            f"{path}",
            f"last columns that are not {', '.join(layout.last)} in this order, {_BY_HAND}",
        )


def _refuse(layout: Layout, what: str, state: str) -> None:
    widths = " or ".join(f"{width:,}" for width in layout.widths)
    fields = ", ".join(f"{name} ({width:,})" for name, width in layout.fields.items())
    msg = (
        f"{layout.name}: expected {widths} columns ({layout.columns}), in HDF5 as "
        f"{layout.node!r}{f' with the fields {fields}' if fields else ''}. Received, from {what}: "
        f"{state}."
    )
    raise InputError(msg)
