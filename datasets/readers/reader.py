"""A reader: which branches of a format hold jets and constituents, and how to join them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal

import awkward as ak
import numpy as np
import numpy.typing as npt

from oddjet.datasets.readers.linking import LinkTable, link_candidates
from oddjet.errors import InputError
from oddjet.typing import Ints, Singles

__all__ = ["LinkedConstituents", "Reader"]

_COLUMNS = (
    "msoftdrop", "tau1", "tau2", "tau3", "tau4", "rawFactor", "area", "jetId", "nConstituents", "chMultiplicity",
    "neMultiplicity", "chHEF", "neHEF", "chEmEF", "neEmEF", "muEF", "hfHEF", "hfEmEF", "hadronFlavour",
)  # fmt: skip


@dataclass(frozen=True)
class LinkedConstituents:
    """Constituents put to their jets.

    Attributes:
        constituents: … * var * {pt [GeV], eta, phi, mass [GeV], pdgId}, hardest first; … is
            n_events * n_jets, or n_selected if a mask was given.
        n_linked: Links of each jet, with those dropped for weight 0: n_events * n_jets, or
            n_selected.
        n_without: Number of jets (of those wanted) that have no link at all; their lists are empty.
        n_dropped: Number of links dropped because their candidate has weight 0, of jets that are not
            masked.
        is_masked: Which jets have a candidate that is not finite, as n_linked; their lists are empty.
    """

    constituents: ak.Array
    n_linked: ak.Array
    n_without: int
    n_dropped: int
    is_masked: ak.Array


@dataclass(frozen=True, kw_only=True)
class Reader:
    """How to read one format.

    Jets' pt and mass are as in the file: corrected, in NanoAOD. Constituents are not corrected:
    their sum is close to pt · (1 − rawFactor).

    Attributes:
        jet: Jets' prefix.
        gen_jet: Generated jets' prefix.
        gen_jet_index: Branch of the matched generated jet's index, −1 without match.
        radius: Distance parameter of the jets.
        links: Links' prefix.
        link_index: Field of the links with the candidate's index.
        candidates: Candidates' prefix.
        weight: Field of the candidates that multiplies pt and mass, or None.
        mitigation: How pile-up is removed from the jets: PUPPI (weighted candidates) or CHS (charged
            hadrons of other vertices are left out).
        eta_max: |η| of the jets beyond which the format keeps no constituents; None for no limit.
        description: The format in a few words.
    """

    name: str
    jet: str
    gen_jet: str
    gen_jet_index: str
    radius: float
    links: str
    link_index: str
    candidates: str
    weight: str | None = None
    mitigation: Literal["PUPPI", "CHS"] = "PUPPI"
    eta_max: float | None = None
    description: str = ""

    @property
    def signature(self) -> str:
        """The branch that only this format has."""
        return f"{self.links}_jetIdx"

    @property
    def required(self) -> tuple[str, ...]:
        """Branches without which the format cannot be read."""
        jets = [f"{self.jet}_{field}" for field in ("pt", "eta", "phi", "mass")]
        return (*jets, *self.link_branches)

    @property
    def link_branches(self) -> tuple[str, ...]:
        """Branches that `constituents` reads beside the jets' pt."""
        fields = ["pt", "eta", "phi", "mass", "pdgId", *([self.weight] if self.weight else [])]
        return (
            f"{self.links}_jetIdx",
            f"{self.links}_{self.link_index}",
            *(f"{self.candidates}_{field}" for field in fields),
        )

    def eta_note(self, eta_max: float) -> str:
        """Note that a cut on |η| is wider than what the format keeps constituents of; empty if it is not."""
        if self.eta_max is None or eta_max <= self.eta_max:
            return ""
        return (
            f"{self.name} keeps constituents of jets with |η| < {self.eta_max:g} alone; eta_max is {eta_max:g}, and"
            " jets beyond are lost at 'linked constituents'"
        )

    def branches(self, available: Collection[str] | None = None) -> tuple[str, ...]:
        """List the branches to read.

        Args:
            available: The file's branches; those of `jet_columns` and the generated jets that are
                among them are listed too. None for the required ones alone.

        Returns:
            Names of branches, required ones first.
        """
        if available is None:
            return self.required
        generated = [f"{self.gen_jet}_{field}" for field in ("pt", "eta", "phi", "mass")]
        optional = [
            *self.jet_columns(available).values(),
            *(b for b in generated if b in available),
        ]
        return tuple(dict.fromkeys([*self.required, *optional]))

    def jet_columns(self, available: Collection[str]) -> dict[str, str]:
        """List which further quantities of the jets there are among branches: field to branch.

        For instance msoftdrop to FatJet_msoftdrop; the index of the matched generated jet is the
        field genJetIdx, whatever the jets.
        """
        columns = {field: f"{self.jet}_{field}" for field in _COLUMNS}
        columns["genJetIdx"] = self.gen_jet_index
        return {field: branch for field, branch in columns.items() if branch in available}

    def constituents(
        self,
        events: Any,
        *,
        jet_mask: ak.Array | None = None,
        where: str = "",
        mask_bad: bool = False,
    ) -> LinkedConstituents:
        """Put candidates to their jets, by index and never by counting.

        Args:
            events: Anything that gives a branch for its name: `tree.arrays()`, a coffea BaseSchema
                chunk.
            jet_mask: n_events * n_jets bool, to link the chosen jets alone; the result is then flat
                over them.
            where: The file and range, for messages.
            mask_bad: Give jets with a candidate that is not finite no constituents, instead of refusing
                them.

        Returns:
            The constituents: all jets' (n_events * n_jets * var) or the chosen jets' (n_selected *
            var).

        Raises:
            LinkError: If an index is outside its event's jets or candidates.
            NonFiniteError: If a candidate of a wanted jet is NaN or infinite, without `mask_bad`.
            InputError: If the mask is not of the jets' shape.
        """
        jet_offsets, _ = flatten(events[f"{self.jet}_pt"])
        slots, n_slots = _slots(jet_offsets, jet_mask, self.jet)
        table, candidates, weights = self._read_links(events, jet_offsets, where)
        offsets, fields, n_links, is_bad = link_candidates(
            table, candidates, weights=weights, slots=slots, n_slots=n_slots, mask_bad=mask_bad
        )
        record = ak.contents.RecordArray(
            [ak.contents.NumpyArray(values) for values in fields.values()], list(fields)
        )
        constituents: ak.contents.Content = ak.contents.ListOffsetArray(
            ak.index.Index64(offsets), record
        )
        n_linked: ak.contents.Content = ak.contents.NumpyArray(n_links)
        is_masked: ak.contents.Content = ak.contents.NumpyArray(is_bad)
        if jet_mask is None:
            by_event = ak.index.Index64(jet_offsets)
            constituents = ak.contents.ListOffsetArray(by_event, constituents)
            n_linked = ak.contents.ListOffsetArray(by_event, n_linked)
            is_masked = ak.contents.ListOffsetArray(by_event, is_masked)
        return LinkedConstituents(
            constituents=ak.Array(constituents),
            n_linked=ak.Array(n_linked),
            n_without=int(np.count_nonzero(n_links == 0)),
            n_dropped=int(n_links[~is_bad].sum()) - int(offsets[-1]),
            is_masked=ak.Array(is_masked),
        )

    def _read_links(
        self, events: Any, jet_offsets: Ints, where: str
    ) -> tuple[LinkTable, dict[str, npt.NDArray[Any]], Singles | None]:
        """Read the links, and the candidates with their weights."""
        link_offsets, jet_index = flatten(events[f"{self.links}_jetIdx"])
        _, candidate_index = flatten(events[f"{self.links}_{self.link_index}"])
        candidates = {}
        for field in ("pt", "eta", "phi", "mass", "pdgId"):
            candidate_offsets, values = flatten(events[f"{self.candidates}_{field}"])
            candidates[field] = values.astype(
                np.int32 if field == "pdgId" else np.float32, copy=False
            )
        weights = None
        if self.weight:
            _, values = flatten(events[f"{self.candidates}_{self.weight}"])
            weights = values.astype(np.float32, copy=False)
        table = LinkTable(
            jet_offsets=jet_offsets,
            candidate_offsets=candidate_offsets,
            link_offsets=link_offsets,
            jet_index=jet_index.astype(np.int32, copy=False),
            candidate_index=candidate_index.astype(np.int32, copy=False),
            jet_branch=f"{self.links}_jetIdx",
            candidate_branch=f"{self.links}_{self.link_index}",
            candidates=self.candidates,
            where=where,
        )
        return table, candidates, weights


def flatten(branch: Any) -> tuple[Ints, npt.NDArray[Any]]:
    """Give offsets (n_events + 1), the first 0, and flat content of a branch, n_events * var."""
    layout = ak.to_packed(ak.materialize(ak.Array(branch))).layout.to_ListOffsetArray64(True)
    offsets = np.asarray(layout.offsets.data)
    values = np.asarray(ak.to_numpy(layout.content, allow_missing=False))
    return offsets, values[: offsets[-1]]


def _slots(jet_offsets: Ints, jet_mask: ak.Array | None, jet: str) -> tuple[Ints, int]:
    """Each jet's place in the result, −1 for those not chosen; and how many are chosen."""
    n_jets = int(jet_offsets[-1])
    if jet_mask is None:
        return np.arange(n_jets), n_jets
    mask_offsets, mask = flatten(jet_mask)
    if not np.array_equal(mask_offsets, jet_offsets) or mask.dtype != np.bool_:
        msg = f"jet_mask must be n_events * n_jets * bool like {jet}_pt; received {str(ak.type(jet_mask))[:100]}"
        raise InputError(msg)
    return np.where(mask, np.cumsum(mask) - 1, -1), int(np.count_nonzero(mask))
