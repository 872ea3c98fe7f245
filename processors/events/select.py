"""From a chunk of events to its selected jets."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import awkward as ak
import numpy as np
import numpy.typing as npt
from coffea.analysis_tools import PackedSelection

from oddjet.datasets.balance import Balance
from oddjet.datasets.folds import mix64
from oddjet.datasets.jets import Jets, Truth, make_jets
from oddjet.datasets.luminosity.mask import LumiMask
from oddjet.datasets.skims.manifest import CutStep
from oddjet.errors import NonFiniteError
from oddjet.processors.events.branches import (
    AXIS,
    GEN_JET,
    GEN_PART,
    JET_COLUMNS,
    LEPTON,
    RAW_FACTOR,
    jet_fields,
)
from oddjet.processors.events.cutflow import CutFlow
from oddjet.processors.events.gen_matching import match_generated
from oddjet.processors.events.jet_cuts import is_leading, passes_eta, passes_pt, rank_by_pt
from oddjet.processors.events.jet_id import (
    COMPARED,
    JetId,
    choose_jet_ids,
    passes_jet_ids,
)
from oddjet.processors.events.noise_filters import passes_noise_filters
from oddjet.processors.events.objects import (
    Objects,
    concatenate_objects,
    is_finite,
    read_objects,
    refuse_not_finite,
)
from oddjet.processors.events.overlap import has_no_lepton
from oddjet.processors.events.selection import Selection
from oddjet.processors.events.source import ChunkSource
from oddjet.processors.events.triggers import passes_triggers
from oddjet.processors.events.truth import TruthMatch, match_truth
from oddjet.typing import Bools, Floats, Ints

__all__ = ["SelectedJets", "select_jets"]

JetIds = list[tuple[JetId, Bools]]


@dataclass(frozen=True)
class SelectedJets:
    """Selected jets of a chunk, and what was left out.

    Attributes:
        jets: The jets, with all columns of `oddjet.datasets.jets` but `image_index`.
        cutflow: What each cut left.
        counts: jets_without_links: jets passing all cuts with no constituents linked to them;
            jets_without_weight: with linked constituents, all of weight 0; links_without_weight;
            jets_not_finite: masked for a number that is not finite.
        balance: How the constituents of the jets add up to them.
        notes: How the jets were read, for every later output.
            events_without_PATH: of files that lack a trigger's path.
        sumw: Σ weight of all events, before any cut.
        sumw2: Σ weight² of all events.
    """

    jets: Jets
    cutflow: tuple[CutStep, ...]
    counts: dict[str, int]
    balance: Balance
    notes: tuple[str, ...]
    sumw: float
    sumw2: float


def select_jets(
    events: Any, *, selection: Selection, source: ChunkSource, lumi_mask: LumiMask | None = None
) -> SelectedJets:
    """Select jets: certified luminosity, noise filters, trigger; pt, η, ID, leptons, generated match, links.

    Args:
        events: Anything that gives a branch for its name; `branches.list_branches` says which.
        selection: The cuts.
        source: Where the events come from.
        lumi_mask: Certified luminosity, for data.

    Returns:
        The jets in the order of the file, with cut flow.

    Raises:
        NonFiniteError: If a weight, or a jet or one of its constituents that is not to be masked, is NaN
            or infinite.
        LinkError: If an index points outside its collection.
    """
    jets = _read_jets(events, selection, source)
    if selection.on_bad_jet == "refuse":
        remedy = "leave out such jets, counted, set selection.on_bad_jet to mask"
        _refuse(jets, _cut_on(jets), source, remedy)
    weights = _read_weights(events, source)
    cutflow = CutFlow(weights, jets)

    passed = _cut_events(events, selection, source, lumi_mask, cutflow)
    selected = passed[jets.event]
    cutflow.add_jets("jets", selected)
    generated, match = _match_generated(events, jets, selection, source)
    jet_ids = _jet_ids(events, jets, selection, source)
    for name, mask in _jet_cuts(events, jets, match, selection, source, jet_ids).items():
        selected = selected & mask
        cutflow.add_jets(name, selected)

    place, constituents, counts = _link(events, jets, selected, selection, source, cutflow)
    selected = np.zeros(len(jets), bool)
    selected[place] = True
    balance = _balance(jets, place, constituents)
    if selection.leading_only:
        leading = is_leading(jets, selected)
        constituents = constituents[leading[place]]
        place = np.flatnonzero(leading)
        cutflow.add_jets("leading jet", leading)

    columns = _columns(events, jets, weights, place, source)
    columns |= _truth_columns(events, jets, place, selection, source)
    if generated is not None and match is not None:
        columns |= _generated_columns(generated, match[place])
    return SelectedJets(
        jets=make_jets(constituents, **columns),
        cutflow=cutflow.steps,
        counts=counts | _count_missing_paths(events, selection),
        balance=balance,
        notes=_notes(jet_ids, source),
        sumw=float(np.sum(weights)),
        sumw2=float(np.sum(weights**2)),
    )


def _link(
    events: Any,
    jets: Objects,
    selected: Bools,
    selection: Selection,
    source: ChunkSource,
    cutflow: CutFlow,
) -> tuple[Ints, ak.Array, dict[str, int]]:
    """Put constituents to the selected jets: the places of those that have any, these, and what was counted."""
    masks_bad = selection.on_bad_jet == "mask"
    if masks_bad:
        finite_jets = is_finite(jets, jets.columns)
        n_bad = int(np.count_nonzero(selected & ~finite_jets | ~is_finite(jets, _cut_on(jets))))
        selected = selected & finite_jets
    linked = source.reader.constituents(
        events, jet_mask=_nest(jets, selected), where=source.where, mask_bad=masks_bad
    )
    counts = {}
    is_masked = np.asarray(linked.is_masked)
    if masks_bad:
        counts["jets_not_finite"] = n_bad + int(np.count_nonzero(is_masked))
        finite = selected.copy()
        finite[np.flatnonzero(selected)[is_masked]] = False
        cutflow.add_jets("finite numbers", finite)
    has_particles = np.asarray(ak.num(linked.constituents, axis=1)) > 0
    place = np.flatnonzero(selected)[has_particles]
    with_particles = np.zeros(len(jets), bool)
    with_particles[place] = True
    cutflow.add_jets("linked constituents", with_particles)
    counts |= {
        "jets_without_links": linked.n_without,
        "jets_without_weight": int(np.count_nonzero(~has_particles & ~is_masked))
        - linked.n_without,
        "links_without_weight": linked.n_dropped,
    }
    return place, linked.constituents[has_particles], counts


def _refuse(objects: Objects, names: Sequence[str], source: ChunkSource, remedy: str) -> None:
    refuse_not_finite(
        objects, names, where=source.where, first_entry=source.entry_start, remedy=f"To {remedy}"
    )


def _cut_on(jets: Objects) -> list[str]:
    """Columns that cuts compare: NaN is neither above nor below, so a jet with one would be lost without a word."""
    return [name for name in (*AXIS[:3], *COMPARED) if name in jets.columns]


def _balance(jets: Objects, place: Ints, constituents: ak.Array) -> Balance:
    """Compare jets with the sum of their constituents, which is not corrected."""
    pt = jets["pt"][place].astype(np.float64)
    if is_raw := RAW_FACTOR in jets.columns:
        pt = pt * (1 - jets[RAW_FACTOR][place])
    return Balance.measure(constituents, pt, is_raw=is_raw)


def _notes(jet_ids: JetIds, source: ChunkSource) -> tuple[str, ...]:
    """What every later output repeats of how the jets were read."""
    reader = source.reader
    read_as = f"read as {reader.name}: {reader.description}"
    return (read_as, *(jet_id.describe() for jet_id, _ in jet_ids))


def _read_jets(events: Any, selection: Selection, source: ChunkSource) -> Objects:
    prefix = source.reader.jet
    fields = jet_fields(events.fields, selection=selection, prefix=prefix)
    return read_objects(events, prefix, fields)


def _jet_ids(events: Any, jets: Objects, selection: Selection, source: ChunkSource) -> JetIds:
    """Choose the jet ID by the year that is stated, of data without one by the runs; empty without events."""
    if not selection.jet_id:
        return []
    return choose_jet_ids(
        jets.columns,
        year=source.year,
        runs=np.asarray(events["run"]) if source.is_data else np.zeros(len(events), np.uint32),
        mitigation=source.reader.mitigation,
        eta_max=selection.eta_max,
        where=source.where,
    )


def _read_weights(events: Any, source: ChunkSource) -> Floats:
    if source.is_data:
        return np.ones(len(events))
    weights = np.asarray(events["genWeight"], np.float64)
    bad = np.flatnonzero(~np.isfinite(weights))
    if len(bad):
        msg = (
            f"{source.where}: genWeight of entry {source.entry_start + bad[0]} is {weights[bad[0]]},"
            f" and {len(bad) - 1} more are not finite; the file is damaged"
        )
        raise NonFiniteError(msg)
    return weights


def _cut_events(
    events: Any,
    selection: Selection,
    source: ChunkSource,
    lumi_mask: LumiMask | None,
    cutflow: CutFlow,
) -> Bools:
    """Apply the cuts on events, in order; count each."""
    cuts = PackedSelection()
    cuts.add("all", np.ones(len(events), bool))
    if source.is_data and lumi_mask is not None:
        cuts.add(
            "certified luminosity",
            lumi_mask.mask(np.asarray(events["run"]), np.asarray(events["luminosityBlock"])),
        )
    if selection.noise_filters:
        filters = selection.noise_filters
        cuts.add("noise filters", passes_noise_filters(events, filters=filters))
    if selection.triggers.paths:
        paths = selection.triggers.branches(ak.fields(events))
        cuts.add(selection.triggers.cut, passes_triggers(events, paths=paths))
    for n_cuts, name in enumerate(cuts.names, start=1):
        cutflow.add_events(name, cuts.all(*cuts.names[:n_cuts]))
    return np.asarray(cuts.all(*cuts.names))


def _jet_cuts(
    events: Any,
    jets: Objects,
    match: Ints | None,
    selection: Selection,
    source: ChunkSource,
    jet_ids: JetIds,
) -> dict[str, Bools]:
    """Compute the cuts on jets, in order, each on its own."""
    cuts = {
        "pt": passes_pt(jets, pt_min=selection.pt_min, pt_max=selection.pt_max),
        "eta": passes_eta(jets, eta_max=selection.eta_max),
    }
    if selection.jet_id:
        cuts["jet ID"] = passes_jet_ids(jets, jet_ids)
    if selection.lepton_delta_r is not None:
        leptons = concatenate_objects(
            read_objects(events, "Electron", LEPTON), read_objects(events, "Muon", LEPTON)
        )
        _refuse(leptons, LEPTON, source, "look at no leptons, set selection.lepton_delta_r to null")
        cuts["lepton overlap"] = has_no_lepton(
            jets,
            leptons,
            lepton_pt_min=selection.lepton_pt_min,
            delta_r=selection.lepton_delta_r,
        )
    if match is not None:
        cuts["generated match"] = match >= 0
    return cuts


def _match_generated(
    events: Any, jets: Objects, selection: Selection, source: ChunkSource
) -> tuple[Objects | None, Ints | None]:
    """Match to generated jets; nothing where there are none or no match is asked for."""
    if source.is_data or selection.gen_match_delta_r is None:
        return None, None
    generated = read_objects(events, source.reader.gen_jet, GEN_JET)
    _refuse(generated, GEN_JET, source, "match no jets, set selection.gen_match_delta_r to null")
    return generated, match_generated(jets, generated, delta_r=selection.gen_match_delta_r)


def _nest(jets: Objects, mask: Bools) -> ak.Array:
    offsets = ak.index.Index64(jets.offsets)
    return ak.Array(ak.contents.ListOffsetArray(offsets, ak.contents.NumpyArray(mask)))


def _columns(
    events: Any,
    jets: Objects,
    weights: Floats,
    place: Ints,
    source: ChunkSource,
) -> dict[str, Any]:
    """What a jet is and where it is from; `place` are the selected jets among all."""
    event = jets.event[place]
    columns: dict[str, Any] = {
        name: jets[name][place] for name in (*AXIS, *JET_COLUMNS) if name in jets.columns
    }
    for name in ("run", "luminosityBlock", "event"):
        columns[name] = np.asarray(events[name])[event]
    if source.repeats_events:
        columns["run"] = _own_runs(source.file_uuid, source.entry_start + event)
    columns["weight"] = weights[event]
    columns["dataset"] = source.dataset
    columns["file_id"] = source.file_uuid
    columns["entry"] = source.entry_start + event
    columns["jet_index"] = jets.position[place]
    columns["rank"] = rank_by_pt(event, columns["pt"])
    return columns


def _own_runs(file_uuid: str, entry: Ints) -> npt.NDArray[np.uint32]:
    """Give events a run number by file and entry, so that those of equal numbers stay apart in folds and drawings."""
    file = np.uint64(uuid.UUID(file_uuid).int & (2**64 - 1))
    return (mix64(mix64(file) ^ entry.astype(np.uint64)) >> np.uint64(32)).astype(np.uint32)


def _count_missing_paths(events: Any, selection: Selection) -> dict[str, int]:
    """Count the events of files in which a path counts as not fired."""
    paths = selection.triggers.paths
    present = selection.triggers.branches(ak.fields(events)) if paths else ()
    return {f"events_without_{path}": len(events) for path in paths if path not in present}


def _truth_columns(
    events: Any,
    jets: Objects,
    place: Ints,
    selection: Selection,
    source: ChunkSource,
) -> dict[str, Any]:
    """Label jets. All jets of a signal, or of a peak, that names no resonance count as matched."""
    if source.kind in {"signal", "peaking"} and source.truth:
        chosen = np.zeros(len(jets), bool)
        chosen[place] = True
        match = match_truth(
            jets.where(chosen),
            read_objects(events, "GenPart", GEN_PART),
            truth=source.truth,
            delta_r=selection.truth_delta_r,
            merged_delta_r=selection.merged_delta_r,
        )
    else:
        truth = {
            "data": Truth.DATA,
            "background": Truth.BACKGROUND,
            "peaking": Truth.MATCHED,
            "signal": Truth.MATCHED,
        }[source.kind]
        match = TruthMatch(
            label=np.full(len(place), truth, np.int8),
            pdg_id=np.zeros(len(place), np.int32),
            delta_r=np.full(len(place), np.inf),
        )
    return {
        "label": match.label,
        "truth_pdgId": match.pdg_id,
        "truth_delta_r": _mask(match.delta_r, np.isfinite(match.delta_r)),
    }


def _generated_columns(generated: Objects, match: Ints) -> dict[str, Any]:
    return {f"gen_{name}": generated[name][match] for name in ("pt", "mass")}


def _mask(values: Floats, valid: Bools) -> ak.Array:
    return ak.mask(np.where(valid, values, 0.0), valid)
