"""Lazy looks at a skim: a dask-awkward array, of which only the columns that are used are read."""

from __future__ import annotations

import functools
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import awkward as ak

from oddjet.datasets.jets import Jets, concatenate
from oddjet.datasets.skims.manifest import ChunkRecord
from oddjet.datasets.skims.parts import part_columns
from oddjet.datasets.skims.skim import Skim
from oddjet.errors import ConfigError, SkimError

__all__ = ["lazy_jets"]

_INSTALL = (
    "make an environment of its own for it, since its dask is older than that of current coffea and"
    " distributed. In the checkout of oddjet: python -m venv lazy && lazy/bin/pip install '.[lazy]'"
)


def lazy_jets(skim: Skim) -> Any:
    """Give the jets of a skim, or of a scores table, as a dask-awkward array.

    Args:
        skim: Of at least one part.

    Returns:
        `dask_awkward.Array` of all jets, in the order of `Skim.jets`; one partition a part. Columns
        are read when it is computed, and only those that are used; ``constituents`` as a whole.

    Raises:
        ConfigError: If dask-awkward is not installed, or does not fit the dask that is.
        SkimError: If the skim has no parts.
    """
    library = _library()
    records = skim.manifest.chunks
    if not records:
        msg = f"{skim.folder} has no parts; a lazy array needs at least one"
        raise SkimError(msg)
    firsts = {record.dataset: record for record in reversed(records)}
    empty = concatenate([skim.only(record).jets()[:0] for record in reversed(firsts.values())])
    empty = _plain(empty)
    reader = _reader_class()(skim, empty)
    borders = [0]
    for record in records:
        borders.append(borders[-1] + record.n_jets)
    return library.from_map(reader, list(records), label="skim", divisions=tuple(borders))


def _library() -> Any:
    try:
        dask_awkward = import_module("dask_awkward")
    except ImportError as error:
        try:
            state = (
                f"dask-awkward {version('dask-awkward')} does not work with dask {version('dask')}"
            )
        except PackageNotFoundError:
            state = "dask-awkward is not installed"
        msg = f"lazy skims need dask-awkward, and {state} ({error}): {_INSTALL}"
        raise ConfigError(msg) from error
    if tuple(map(int, version("dask").split(".")[:2])) >= (2025, 4):
        msg = (
            f"dask-awkward {version('dask-awkward')} needs dask older than 2025.4, received"
            f" {version('dask')}: {_INSTALL}"
        )
        raise ConfigError(msg)
    return dask_awkward


def _plain(jets: Jets) -> Jets:
    """Make strings of names: awkward cannot put categorical arrays of several partitions together."""
    for name in jets.fields:
        if ak.is_categorical(jets[name]):
            jets = ak.with_field(jets, ak.to_packed(ak.from_categorical(jets[name])), name)
    return jets


@functools.cache
def _reader_class() -> type:
    """Make the class that reads parts, and with which dask-awkward leaves columns out."""
    mixin: Any = import_module("dask_awkward.lib.io.columnar").ColumnProjectionMixin
    unproject_layout = import_module("dask_awkward.lib.unproject_layout").unproject_layout

    class PartReader(mixin):  # type: ignore[misc]
        behavior = None
        attrs = None
        use_optimization = True

        def __init__(self, skim: Skim, empty: Jets, columns: frozenset[str] | None = None) -> None:
            self.skim = skim
            self.empty = empty
            self.columns = columns

        @property
        def form(self) -> Any:
            return self.empty.layout.form

        def __call__(self, record: ChunkRecord) -> Jets:
            # Parts of other datasets may lack columns; all get the same type.
            names = self.empty.fields
            if self.columns is not None:
                tops = {column.partition(".")[0] for column in self.columns} or {"pt"}
                names = [name for name in names if name in tops]
            stored = set(part_columns(self.skim.folder, record, self.skim.verify))
            part = self.skim.only(record).jets(columns=[name for name in names if name in stored])
            jets = concatenate([self.empty[names], _plain(part)])
            return ak.Array(unproject_layout(self.form, jets.layout))

        def project_columns(self, columns: frozenset[str]) -> PartReader:
            return PartReader(self.skim, self.empty, columns)

    return PartReader
