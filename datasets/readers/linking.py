"""Linking candidates to jets by index, in two passes over the links and without a Python loop.

Links come as pairs (jet index, candidate index) an event, in any order. Nothing is taken from how
many links a jet should have: real files hold jets whose count says six and that have none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from oddjet.errors import LinkError, NonFiniteError
from oddjet.typing import Bools, Ints, Singles

__all__ = ["LinkTable", "link_candidates"]

_OK, _BAD_JET, _BAD_CANDIDATE = 0, 1, 2

Indices = npt.NDArray[np.int32]


@dataclass(frozen=True, kw_only=True)
class LinkTable:
    """Which candidates belong to which jets, event by event.

    Attributes:
        jet_offsets: Where each event's jets begin (n_events + 1).
        candidate_offsets: Where each event's candidates begin (n_events + 1).
        link_offsets: Where each event's links begin (n_events + 1).
        jet_index: Jet of each link, counted within its event (n_links).
        candidate_index: Candidate of each link, counted within its event (n_links).
        jet_branch: Name of the jet index, for messages.
        candidate_branch: Name of the candidate index, for messages.
        candidates: Name of the candidates, for messages.
        where: The file and range, for messages.
    """

    jet_offsets: Ints
    candidate_offsets: Ints
    link_offsets: Ints
    jet_index: Indices
    candidate_index: Indices
    jet_branch: str = "jetIdx"
    candidate_branch: str = "candidateIdx"
    candidates: str = "candidates"
    where: str = ""

    @property
    def at(self) -> str:
        """The beginning of a message."""
        return f"{self.where}: " if self.where else ""

    def check_shape(self) -> None:
        """Check that jets, candidates and links are of the same events.

        Raises:
            LinkError: If not.
        """
        events = [len(o) - 1 for o in (self.jet_offsets, self.candidate_offsets, self.link_offsets)]
        if len(set(events)) != 1:
            msg = f"{self.at}jets, candidates and links are of {events[0]}, {events[1]} and {events[2]} events"
            raise LinkError(msg)
        n_links = int(self.link_offsets[-1])
        if not len(self.jet_index) == len(self.candidate_index) == n_links:
            msg = (
                f"{self.at}{self.jet_branch} has {len(self.jet_index)} links, {self.candidate_branch}"
                f" {len(self.candidate_index)}, their offsets {n_links}"
            )
            raise LinkError(msg)

    def refuse(self, code: int, event: int, link: int) -> None:
        """Raise the error of a bad link, naming event, value and bound.

        Raises:
            LinkError: Always.
        """
        if code == _BAD_JET:
            offsets, value = self.jet_offsets, self.jet_index[link]
            branch, what = self.jet_branch, "jets"
        else:
            offsets, value = self.candidate_offsets, self.candidate_index[link]
            branch, what = self.candidate_branch, self.candidates
        bound = offsets[event + 1] - offsets[event]
        msg = (
            f"{self.at}{branch} is {value} in event {event}, which has {bound} {what} (expected 0 to {bound - 1});"
            " the file is damaged or not of the format it seems to be"
        )
        raise LinkError(msg)


def link_candidates(
    table: LinkTable,
    candidates: dict[str, npt.NDArray[Any]],
    *,
    weights: Singles | None,
    slots: Ints,
    n_slots: int,
    mask_bad: bool = False,
) -> tuple[Ints, dict[str, npt.NDArray[Any]], Ints, Bools]:
    """Gather the candidates of each wanted jet, hardest first.

    Args:
        table: The links.
        candidates: pt, eta, phi, mass (float32) and others, each (n_candidates).
        weights: Multiplies pt and mass; candidates of weight 0 are dropped (n_candidates). None for
            no weights.
        slots: For each jet its place in the result, or −1 if it is not wanted (n_jets).
        n_slots: Number of wanted jets.
        mask_bad: Give a jet with a candidate that is not finite no candidates, instead of refusing it.

    Returns:
        Offsets (n_slots + 1), the candidates' fields (n_kept), the number of links of each jet
        (n_slots), with those dropped, and which jets have a candidate that is not finite (n_slots).

    Raises:
        LinkError: If an index is outside its event's jets or candidates, also for jets that are not
            wanted.
        NonFiniteError: If a linked candidate of a wanted jet has a NaN or infinite number, and such
            jets are not masked.
    """
    table.check_shape()
    for name, values in candidates.items():
        if len(values) != table.candidate_offsets[-1]:
            prefix = table.candidates
            msg = f"{table.at}{prefix}_{name} has another length than {prefix}_pt"
            raise LinkError(msg)
    links = _Links.of(table, slots, weights)
    n_links, n_kept = np.zeros(n_slots, np.int64), np.zeros(n_slots, np.int64)
    code, event, link = _count(links, n_links, n_kept)
    if code != _OK:
        table.refuse(code, event, link)
    offsets = np.append(0, np.cumsum(n_kept))
    chosen = np.empty(offsets[-1], np.int64)
    _fill(links, offsets, chosen)
    sorted_pt = np.empty(len(chosen), np.float32)
    columns = tuple(candidates[name] for name in ("pt", "eta", "phi", "mass"))
    first_bad = np.full(n_slots, -1, np.int64)
    _order(offsets, chosen, links, columns, sorted_pt, first_bad)
    is_bad = first_bad >= 0
    if is_bad.any() and not mask_bad:
        _refuse_non_finite(table, candidates, weights, int(chosen[first_bad[is_bad][0]]))
    if is_bad.any():
        kept = np.repeat(~is_bad, np.diff(offsets))
        chosen, sorted_pt = chosen[kept], sorted_pt[kept]
        offsets = np.append(0, np.cumsum(np.where(is_bad, 0, n_kept)))
    fields = {name: sorted_pt if name == "pt" else v[chosen] for name, v in candidates.items()}
    if weights is not None:
        fields["mass"] = fields["mass"] * weights[chosen]
    return offsets, fields, n_links, is_bad


class _Links(NamedTuple):
    """What the compiled passes read: the arrays of a `LinkTable` and of `link_candidates`."""

    jet_offsets: Ints
    candidate_offsets: Ints
    link_offsets: Ints
    jet_index: Indices
    candidate_index: Indices
    slots: Ints
    is_weighted: bool
    weights: Singles

    @classmethod
    def of(cls, table: LinkTable, slots: Ints, weights: Singles | None) -> _Links:
        return cls(
            table.jet_offsets,
            table.candidate_offsets,
            table.link_offsets,
            table.jet_index,
            table.candidate_index,
            slots,
            weights is not None,
            np.ones(1, np.float32) if weights is None else weights,
        )


def _refuse_non_finite(
    table: LinkTable, candidates: dict[str, npt.NDArray[Any]], weights: Singles | None, index: int
) -> None:
    event = int(np.searchsorted(table.candidate_offsets, index, side="right")) - 1
    values = {name: float(candidates[name][index]) for name in ("pt", "eta", "phi", "mass")}
    if weights is not None:
        values["weight"] = float(weights[index])
    msg = (
        f"{table.at}one of the {table.candidates} in event {event} is not finite: {values}; the file is damaged."
        " To leave out such jets, counted in the cut flow, set selection.on_bad_jet to mask"
    )
    raise NonFiniteError(msg)


@numba.njit(cache=True, nogil=True)
def _count(links: _Links, n_links: Ints, n_kept: Ints) -> tuple[int, int, int]:
    """Check every link and count those of wanted jets: (code, event, link) of the first bad one."""
    for event in range(len(links.jet_offsets) - 1):
        first_jet, first_candidate = links.jet_offsets[event], links.candidate_offsets[event]
        n_jets = links.jet_offsets[event + 1] - first_jet
        n_candidates = links.candidate_offsets[event + 1] - first_candidate
        for link in range(links.link_offsets[event], links.link_offsets[event + 1]):
            jet = links.jet_index[link]
            if jet < 0 or jet >= n_jets:
                return _BAD_JET, event, link
            candidate = links.candidate_index[link]
            if candidate < 0 or candidate >= n_candidates:
                return _BAD_CANDIDATE, event, link
            slot = links.slots[first_jet + jet]
            if slot >= 0:
                n_links[slot] += 1
                # NaN differs from 0: it is kept here and refused when gathered.
                if not links.is_weighted or links.weights[first_candidate + candidate] != 0:
                    n_kept[slot] += 1
    return _OK, 0, 0


@numba.njit(cache=True, nogil=True)
def _fill(links: _Links, offsets: Ints, chosen: Ints) -> None:
    """Put the flat indices of each wanted jet's candidates into its range, in the links' order."""
    cursor = offsets[:-1].copy()
    for event in range(len(links.jet_offsets) - 1):
        for link in range(links.link_offsets[event], links.link_offsets[event + 1]):
            slot = links.slots[links.jet_offsets[event] + links.jet_index[link]]
            if slot >= 0:
                candidate = links.candidate_offsets[event] + links.candidate_index[link]
                if not links.is_weighted or links.weights[candidate] != 0:
                    chosen[cursor[slot]] = candidate
                    cursor[slot] += 1


@numba.njit(cache=True, nogil=True)
def _order(
    offsets: Ints,
    chosen: Ints,
    links: _Links,
    columns: tuple[Singles, ...],
    sorted_pt: Singles,
    first_bad: Ints,
) -> None:
    """Sort each jet's candidates by falling pt, ties in the order of the links.

    `first_bad` takes the place of each jet's first candidate that is not finite; others stay at −1.
    """
    pt, eta, phi, mass = columns
    for slot in range(len(offsets) - 1):
        start, stop = offsets[slot], offsets[slot + 1]
        # By insertion: jets have tens of candidates, often nearly sorted.
        for i in range(start, stop):
            candidate = chosen[i]
            value = pt[candidate]
            if links.is_weighted:
                value *= links.weights[candidate]
            if not (
                np.isfinite(value)
                and np.isfinite(eta[candidate])
                and np.isfinite(phi[candidate])
                and np.isfinite(mass[candidate])
            ):
                first_bad[slot] = i
                break
            j = i
            while j > start and sorted_pt[j - 1] < value:
                sorted_pt[j] = sorted_pt[j - 1]
                chosen[j] = chosen[j - 1]
                j -= 1
            sorted_pt[j] = value
            chosen[j] = candidate
