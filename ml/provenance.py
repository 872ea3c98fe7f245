"""Which events a detector was trained on, so that it can refuse to score them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import numpy.typing as npt

from oddjet.datasets.disk.arrays import read_arrays
from oddjet.datasets.folds import jets_hash
from oddjet.datasets.jets import Jets
from oddjet.errors import DetectorError, TrainedOnError

__all__ = ["Provenance", "dataset_names"]

Hashes = npt.NDArray[np.uint64]
EVENT_FIELDS = ("run", "luminosityBlock", "event")


@dataclass(frozen=True)
class Provenance:
    """Hashes of the events seen in training, by dataset.

    Jets without `run`, `luminosityBlock` and `event` leave no trace and are never refused. Jets
    without a `dataset` column may belong to any dataset, so they are compared with all.

    Attributes:
        hashes: Dataset (`""` for jets without one) → sorted, unique event hashes.
    """

    hashes: dict[str, Hashes] = field(default_factory=dict)

    @classmethod
    def from_jets(cls, *jets: Jets | None) -> Provenance:
        """Collect the events of arrays of jets; None is passed over."""
        by_dataset: dict[str, list[Hashes]] = {}
        for array in jets:
            if array is None or not _has_events(array):
                continue
            for dataset, hashes, _ in _by_dataset(array):
                by_dataset.setdefault(dataset, []).append(hashes)
        return cls({name: np.unique(np.concatenate(parts)) for name, parts in by_dataset.items()})

    def seen(self, jets: Jets) -> npt.NDArray[np.bool_]:
        """Mark the jets of events seen in training: bool, shape (n,)."""
        seen = np.zeros(len(jets), dtype=bool)
        if not self.hashes or not len(jets) or not _has_events(jets):
            return seen
        for dataset, hashes, rows in _by_dataset(jets):
            for trained, known in self.hashes.items():
                if trained == dataset or "" in (trained, dataset):
                    seen[rows] |= np.isin(hashes, known)
        return seen

    def refuse(self, jets: Jets, *, detector: str) -> None:
        """Raise if any jet belongs to an event seen in training.

        Raises:
            TrainedOnError: Saying how many of which dataset, and what to do.
        """
        seen = self.seen(jets)
        if not seen.any():
            return
        trained = jets[seen]
        datasets = {name or "(no dataset column)" for name, _, _ in _by_dataset(trained)}
        msg = (
            f"{int(seen.sum())} of {len(jets)} jets belong to events that detector {detector!r} was "
            f"trained on (dataset {', '.join(sorted(datasets))}): their scores would look better "
            f"than those of new jets. Use FoldedDetector, which scores every jet with a model that "
            f"never saw its event, or pass allow_trained=True to have them all the same."
        )
        if "(no dataset column)" in datasets or "" in self.hashes:
            msg += (
                " Without a 'dataset' column, in training or here, events of different samples "
                "with the same run, luminosityBlock and event are taken to be the same."
            )
        raise TrainedOnError(msg)

    def summary(self) -> dict[str, int]:
        """Count the events by dataset."""
        return {name: len(hashes) for name, hashes in self.hashes.items()}

    def save(self, path: Path) -> None:
        """Write an `.npz` file."""
        names = sorted(self.hashes)
        arrays: dict[str, Any] = {f"hashes_{i}": self.hashes[name] for i, name in enumerate(names)}
        np.savez_compressed(path, datasets=np.array(names, dtype=np.str_), **arrays)

    @classmethod
    def load(cls, path: Path) -> Provenance:
        """Read what `save` wrote.

        Raises:
            DetectorError: If the file cannot be read.
        """
        data = read_arrays(path, error=DetectorError)
        names = [str(name) for name in data.pop("datasets", np.zeros(0, np.str_)).ravel()]
        hashes = [data.get(f"hashes_{i}", np.zeros(0)) for i in range(len(names))]
        if len(data) != len(names) or any(h.dtype != np.uint64 or h.ndim != 1 for h in hashes):
            msg = (
                f"{path}: expected hashes of events for each of {len(names)} datasets: without them jets"
                " trained on would be scored. Copy the folder again or train anew."
            )
            raise DetectorError(msg)
        return cls(dict(zip(names, hashes, strict=True)))


def dataset_names(jets: Jets) -> tuple[str, ...]:
    """Name the datasets that jets belong to, sorted; `""` for jets without a `dataset` column."""
    if "dataset" not in jets.fields:
        return ("",) if len(jets) else ()
    names, codes = _categories(jets["dataset"])
    return tuple(sorted(names[code] for code in np.unique(codes)))


def _has_events(jets: Jets) -> bool:
    return set(EVENT_FIELDS) <= set(jets.fields)


def _by_dataset(jets: Jets) -> list[tuple[str, Hashes, npt.NDArray[np.int64]]]:
    """Split jets by dataset: name, event hashes and rows of each."""
    hashes = jets_hash(jets)
    if "dataset" not in jets.fields:
        return [("", hashes, np.arange(len(jets)))]
    names, codes = _categories(jets["dataset"])
    parts = []
    for code, name in enumerate(names):
        rows = np.flatnonzero(codes == code)
        if len(rows):
            parts.append((name, hashes[rows], rows))
    return parts


def _categories(column: ak.Array) -> tuple[list[str], npt.NDArray[np.int64]]:
    """Give the distinct strings of a column and the index of each row's among them."""
    column = ak.to_packed(column)
    if not ak.is_categorical(column):
        column = ak.str.to_categorical(column)
    names = [str(name) for name in ak.to_list(ak.categories(column))]
    codes = np.asarray(column.layout.index, dtype=np.int64)
    return names, codes
