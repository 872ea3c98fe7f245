"""What is declared of a dataset and not borne out by its files.

Each such thing is a `Doubt`: it is refused, or, where the dataset's `accept` names it, becomes a note that the manifest and everything
made from it repeat.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from oddjet.datasets.files.dataset import Accepted, Dataset
from oddjet.datasets.files.history import FileHistory
from oddjet.datasets.files.years import runs_of_year, year_of_run
from oddjet.errors import OddjetError

__all__ = [
    "ROUNDED",
    "Doubt",
    "describe_history",
    "doubts_before_reading",
    "doubts_of_blocks",
    "doubts_of_runs",
    "notes_before_reading",
    "refuse",
    "unknown_history",
]

ROUNDED = 1e-3
"""Relative difference that a sum stated by hand may have to that of the files: it may be rounded."""

_SHOWN = 3
_RUN_OF_SIMULATION = 1
"""CMS numbers the events of simulation in run 1; those of data have six digits since 2010."""


@dataclass(frozen=True)
class Doubt:
    """Something that is declared and that the files do not bear out.

    Attributes:
        key: What the dataset's `accept` has to name for it to be taken.
        what: What was expected and what came.
        meaning: What is done where it is accepted.
    """

    key: Accepted
    what: str
    remedy: str
    meaning: str


def doubts_before_reading(dataset: Dataset, files: Mapping[str, FileHistory]) -> list[Doubt]:
    """Compare what is declared of a dataset with the histories of its files, by path."""
    return (
        _doubts_of_data(dataset, files)
        if dataset.kind == "data"
        else _doubts_of_sums(dataset, files)
    )


def notes_before_reading(dataset: Dataset, files: Mapping[str, FileHistory]) -> list[str]:
    """Say what nobody can know of a dataset from its files, and what oddjet takes to be so."""
    if dataset.kind == "data":
        without = [path for path, history in files.items() if not history.has_blocks]
        what = "no tree LuminosityBlocks: luminosity blocks are listed where events are left"
        return [f"{_some(without, files)} {what}"] if without else []
    if dataset.cross_section_pb is None or dataset.sumw or dataset.n_events:
        return []
    filtered = {p: h for p, h in files.items() if h.is_known and not h.is_whole and h.n_entries}
    counts = Counter((history.n_generated, history.sumw) for history in filtered.values())
    same = [path for path, h in filtered.items() if counts[h.n_generated, h.sumw] > 1]
    what = (
        "been filtered and equal sums in the Runs trees: they are taken to be different files; if they are parts of one, each with"
        " its whole Runs tree, state sumw"
    )
    return [f"{_some(same, files)} {what}"] if same else []


def describe_history(dataset: Dataset, files: Sequence[FileHistory]) -> str:
    """Say what the cross section of a dataset belongs to, and which part of the generated events is left."""
    if dataset.kind == "data" or dataset.cross_section_pb is None:
        return ""
    left, counts = sum(file.n_entries for file in files), [file.n_generated for file in files]
    if dataset.sumw is not None:
        return f"its cross section belongs to Σ weight {dataset.sumw:.9g}, as stated; {left:,} events are left"
    if dataset.n_events is not None:
        return f"its cross section belongs to {dataset.n_events:,} events, as stated; {left:,} are left"
    if None in counts:
        return ""
    total = sum(count or 0 for count in counts)
    return f"its cross section belongs to the {total:,} events of the Runs trees; {left:,} are left"


def _doubts_of_data(dataset: Dataset, files: Mapping[str, FileHistory]) -> list[Doubt]:
    doubts = []
    if generated := [path for path, history in files.items() if history.generated]:
        mark = files[generated[0]].generated
        what = f"it is declared as data, and {_some(generated, files)} {mark}, which real events do not have"
        doubts.append(_as_data(what))
    without = [path for path, history in files.items() if not history.has_blocks]
    if dataset.lumi_table is not None and without:
        doubts.append(
            Doubt(
                "unknown_luminosity",
                f"lumi_table cannot give its luminosity: {_some(without, files)} no tree LuminosityBlocks, so"
                " blocks of which no event is left are not known",
                "Keep that tree when skimming; or leave lumi_table out and state lumi_ifb in the analysis",
                "the luminosity is that of the blocks of which events are left, too low if files were filtered",
            )
        )
    runs = [number for history in files.values() for number in history.runs or ()]
    return [*doubts, *doubts_of_runs(dataset, runs)]


def doubts_of_blocks(dataset: Dataset, files: Mapping[str, int]) -> tuple[list[Doubt], list[str]]:
    """Say of which files the tree of luminosity blocks is not whole.

    Args:
        dataset: The dataset, of data.
        files: Path to how many blocks of its events the tree does not list.

    Returns:
        What is in doubt where a table is to give the luminosity; what is to be noted where none is.
    """
    odd = [path for path, number in files.items() if number]
    if not odd:
        return [], []
    what = (
        f"{_some(odd, files)} events in {sum(files.values())} luminosity blocks that the tree LuminosityBlocks does not list, which"
        " was lost in part where files were merged or copied: blocks of which no event is left are not known"
    )
    if dataset.lumi_table is None:
        return [], [what]
    remedy = "Keep that tree of all files when merging; or leave lumi_table out and state lumi_ifb in the analysis"
    meaning = "the luminosity is that of the blocks that are listed or of which events are left, too low if files were filtered"
    return [Doubt("unknown_luminosity", what, remedy, meaning)], []


def doubts_of_runs(dataset: Dataset, runs: Iterable[int]) -> list[Doubt]:
    """Compare the run numbers of a dataset of data with its kind, and with its year where it names one of CMS."""
    listed = set(runs) if dataset.kind == "data" else set()
    doubts = []
    if _RUN_OF_SIMULATION in listed:
        what = f"it is declared as data, and holds run {_RUN_OF_SIMULATION}, which is that of simulation"
        doubts.append(_as_data(what))
        listed.remove(_RUN_OF_SIMULATION)
    span = runs_of_year(dataset.year) if dataset.year else None
    other = sorted(run for run in listed if span and not span[0] <= run <= span[1])
    if span is None or not other:
        return doubts
    year = year_of_run(other[0])
    real = f", which is of {year}" if year else ""
    return [
        *doubts,
        Doubt(
            "other_year",
            f"its year is {dataset.year} (runs {span[0]} to {span[1]}), and it holds run {other[0]}{real}",
            "Correct its year",
            "the year is kept as it is declared",
        ),
    ]


def _doubts_of_sums(dataset: Dataset, files: Mapping[str, FileHistory]) -> list[Doubt]:
    """Whether it is known what the cross section of simulation belongs to."""
    if dataset.sumw is not None or dataset.n_events is not None:
        return _doubts_of_statement(dataset, files)
    wrong = [path for path, history in files.items() if history.is_wrong]
    unknown = [path for path, history in files.items() if not history.is_known]
    doubts = []
    if wrong:
        first = files[wrong[0]]
        doubts.append(
            unknown_history(
                f"{_some(wrong, files, 'have', 'has')} more events than the Runs tree counts"
                f" ({first.n_entries} and {first.n_generated}): a Runs tree was lost where files were merged"
            )
        )
    if unknown and dataset.cross_section_pb is not None:
        doubts.append(
            unknown_history(
                f"it has a cross section, and {_some(unknown, files)} no Runs tree with the Σ weight of all"
                " generated events: it is not known what was filtered before"
            )
        )
    return doubts


def _doubts_of_statement(dataset: Dataset, files: Mapping[str, FileHistory]) -> list[Doubt]:
    """Compare a stated sum with the Runs trees: equal where all files have whole ones, at least theirs elsewhere."""
    name = "sumw" if dataset.sumw is not None else "n_events"
    stated = float(getattr(dataset, name))
    told = {p: h.sumw if name == "sumw" else h.n_generated for p, h in files.items()}
    known = {path: value for path, value in told.items() if value is not None}
    is_whole = len(known) == len(files) and not any(h.is_wrong for h in files.values())
    total = float(sum(known.values()))
    if name == "n_events":  # what is left was generated
        total = float(sum(max(h.n_entries, known.get(path, 0)) for path, h in files.items()))
    off = stated - total
    if (off >= 0 and not is_whole) or abs(off) <= ROUNDED * max(abs(total), abs(stated)):
        return []
    if not is_whole:
        left = " and the events that are left" if name == "n_events" else ""
        return [
            Doubt(
                "unknown_history",
                f"{name} states {stated:.9g}, and more is known of its files, {total:.9g}, from the Runs trees of {len(known)} of"
                f" {len(files)} files{left}",
                f"State {name} of all files",
                f"{name} is used as it is stated",
            )
        ]
    return [
        Doubt(
            "unknown_history",
            f"{name} states {stated:.9g}, and the Runs trees of its {len(files)} files add up to {total:.9g}",
            f"Leave {name} out, so that the Runs trees are used; or list all the files that it is of",
            f"{name} is used as it is stated",
        )
    ]


def _as_data(what: str) -> Doubt:
    return Doubt(
        "simulation_as_data",
        what,
        "Give it kind: background or signal",
        "simulated events count as data, each with weight 1",
    )


def unknown_history(what: str) -> Doubt:
    """Doubt what a cross section belongs to."""
    return Doubt(
        "unknown_history",
        what,
        "State the sum (sumw) or the number (n_events) of all generated events of the dataset, or keep the Runs tree"
        " when skimming",
        "the cross section is taken to belong to the events that are left, as if none had been filtered",
    )


def refuse(
    doubts: Mapping[str, Sequence[Doubt]],
    datasets: Mapping[str, Dataset],
    error: type[OddjetError],
) -> dict[str, tuple[str, ...]]:
    """Refuse what is in doubt and not accepted.

    What is accepted is given as notes by dataset, for every later output.

    Raises:
        OddjetError: The error, if something is not accepted; the message lists all.
    """
    notes: dict[str, tuple[str, ...]] = {}
    lines = []
    for name, listed in doubts.items():
        accepted = datasets[name].accept
        notes[name] = tuple(
            f"{doubt.what}; accepted ({doubt.key}): {doubt.meaning}"
            for doubt in listed
            if doubt.key in accepted
        )
        lines += [
            f"dataset {name}: {doubt.what}. {doubt.remedy}. Or give the dataset accept: [{doubt.key}]: then {doubt.meaning},"
            " and every output says so"
            for doubt in listed
            if doubt.key not in accepted
        ]
    if lines:
        raise error("\n".join(lines))
    return notes


def _some(
    paths: Sequence[str], files: Collection[str], many: str = "have", one: str = "has"
) -> str:
    """Name some of the files: "2 of 5 files (a.root, b.root) have"."""
    more = ", …" if len(paths) > _SHOWN else ""
    verb = one if len(paths) == 1 else many
    return f"{len(paths)} of {len(files)} files ({', '.join(paths[:_SHOWN])}{more}) {verb}"
