"""Jets as flat columns, a batch at a time: what the compiled kernels of the representations read."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import awkward as ak
import numpy as np

from oddjet.datasets.jets import Jets, require_columns
from oddjet.datasets.kinematics.compiled import four_momenta
from oddjet.errors import ConfigError, NonFiniteError
from oddjet.typing import Floats, Ints

__all__ = ["BATCH", "FlatJets", "flat_batches", "flatten_jets", "over_jets"]


BATCH = 32_768
"""Jets flattened at a time: some 45 MB of columns, however many jets there are."""


@dataclasses.dataclass(frozen=True)
class FlatJets:
    """n jets and their constituents, jet after jet, all float64.

    Attributes:
        pt: Of the constituents [GeV], shape (n_constituents,); `eta`, `phi` [radians] and
            `mass` likewise.
        mass: See `pt`; zeros where the jets' constituents have none, empty if not asked for.
        offsets: Constituents of jet i are `offsets[i]:offsets[i + 1]`; `offsets[0]` is 0; shape
            (n + 1,).
        axis_eta, axis_phi: Of the jets [radians], shape (n,).
    """

    pt: Floats
    eta: Floats
    phi: Floats
    mass: Floats
    offsets: Ints
    axis_eta: Floats
    axis_phi: Floats

    def __len__(self) -> int:
        return len(self.axis_eta)

    @property
    def counts(self) -> Ints:
        """Constituents of each jet, shape (n,)."""
        return np.diff(self.offsets)

    @property
    def momenta(self) -> Floats:
        """(px, py, pz, E) of the constituents [GeV], shape (n_constituents, 4)."""
        return np.asarray(four_momenta(self.pt, self.eta, self.phi, self.mass))

    def part(self, start: int, stop: int) -> FlatJets:
        """Take the jets from `start` to before `stop`, without copying constituents."""
        inside = slice(self.offsets[start], self.offsets[stop])
        return FlatJets(
            self.pt[inside],
            self.eta[inside],
            self.phi[inside],
            self.mass[inside],
            self.offsets[start : stop + 1] - self.offsets[start],
            self.axis_eta[start:stop],
            self.axis_phi[start:stop],
        )

    def not_finite(self) -> int:
        """Count the jets with a NaN or infinity in their axis or in a constituent."""
        columns = [self.pt, self.eta, self.phi]
        if len(self.mass):
            columns.append(self.mass)
        axes = (self.axis_eta, self.axis_phi)
        if all(np.isfinite(column).all() for column in (*columns, *axes)):
            return 0
        fine = np.isfinite(columns).all(axis=0)
        jets = np.searchsorted(self.offsets, np.flatnonzero(~fine), side="right") - 1
        return len(np.union1d(jets, np.flatnonzero(~np.isfinite(axes).all(axis=0))))


def flatten_jets(jets: Jets, *, label: str, masses: bool = False) -> FlatJets:
    """Lay n jets with `eta`, `phi` and `constituents` out flat, in float64, for the caller `label`.

    Raises:
        InputError: If a column is missing.
    """
    require_columns(jets, ("eta", "phi", "constituents"), where=label)
    constituents = jets["constituents"]
    require_columns(constituents, ("pt", "eta", "phi"), where=f"{label}, constituents")
    counts = np.asarray(ak.num(constituents["pt"], axis=1), dtype=np.int64)
    pt, eta, phi = (
        np.asarray(ak.flatten(constituents[name], axis=1), dtype=np.float64)
        for name in ("pt", "eta", "phi")
    )
    mass = np.zeros(len(pt) if masses else 0)
    if masses and "mass" in constituents.fields:
        mass = np.asarray(ak.flatten(constituents["mass"], axis=1), dtype=np.float64)
    return FlatJets(
        pt,
        eta,
        phi,
        mass,
        np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(counts)]),
        *(np.asarray(jets[name], dtype=np.float64) for name in ("eta", "phi")),
    )


def flat_batches(jets: Jets, *, label: str, masses: bool = False) -> Iterator[tuple[int, FlatJets]]:
    """Lay jets out flat, as `flatten_jets` does, batch by batch, with the row of the first jet.

    Raises:
        InputError: If a column is missing.
        NonFiniteError: If an axis or a constituent has a NaN or an infinity: at the end, when all
            such jets are counted. Nothing is given from the first of them on.
    """
    bad = 0
    for start in range(0, len(jets), BATCH):
        flat = flatten_jets(jets[start : start + BATCH], label=label, masses=masses)
        bad += flat.not_finite()
        if not bad:
            yield start, flat
    if bad:
        msg = (
            f"{label}: {bad} of {len(jets)} jets have a NaN or infinity in their axis or in a "
            f"constituent. Drop them first."
        )
        raise NonFiniteError(msg)


def over_jets(
    jets: Jets,
    work: Callable[[FlatJets, slice], None],
    *,
    label: str,
    threads: int = 1,
    masses: bool = False,
) -> None:
    """Do a work batch by batch, each batch shared among threads.

    Args:
        jets: n jets: `eta`, `phi` and `constituents: var * {pt [GeV], eta, phi[, mass]}`.
        work: Called with some of the jets and the rows they are, which no other call has.
        label: The caller, for messages.
        threads: How many calls of `work` may run at once; kernels should release the GIL.
        masses: Whether the constituents' masses are needed.

    Raises:
        ConfigError: If `threads` is not a positive integer.
        InputError: If a column is missing.
        NonFiniteError: If an axis or a constituent has a NaN or an infinity; `work` has then been
            called for some of the other jets.
    """
    if isinstance(threads, bool) or not isinstance(threads, int) or threads < 1:
        msg = f"{label}: threads must be a positive integer. Received: {threads!r}."
        raise ConfigError(msg)
    with ThreadPoolExecutor(threads) as pool:
        for start, flat in flat_batches(jets, label=label, masses=masses):
            _share(work, flat, start, pool, threads)


def _share(
    work: Callable[[FlatJets, slice], None],
    flat: FlatJets,
    start: int,
    pool: ThreadPoolExecutor,
    threads: int,
) -> None:
    if threads == 1:
        work(flat, slice(start, start + len(flat)))
        return
    borders = np.linspace(0, len(flat), threads + 1, dtype=np.int64)

    def run(thread: int) -> None:
        lo, hi = int(borders[thread]), int(borders[thread + 1])
        if lo < hi:
            work(flat.part(lo, hi), slice(start + lo, start + hi))

    list(pool.map(run, range(threads)))
