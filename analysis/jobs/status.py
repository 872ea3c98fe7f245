"""What is done, going on, failed, and why: read from an output folder alone, even if the run died.

Nothing is written, and no process has to be alive: parts count by their records, as for a run.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from oddjet.analysis.config import CONFIG_FILE, AnalysisConfig
from oddjet.analysis.jobs.damage import (
    Damage,
    damage_of_detector,
    damage_of_run,
    damage_of_table,
)
from oddjet.analysis.jobs.step import Fault, State, StepStatus
from oddjet.analysis.jobs.submit import BATCH, list_jobs, list_rounds, read_batch
from oddjet.analysis.pipeline.folder import UNFINISHED, Run
from oddjet.analysis.scores.blinding import blinding_of, blinding_of_folder, told_alone
from oddjet.condor.events import JobState, read_events
from oddjet.datasets.skims.manifest import (
    MANIFEST,
    ChunkRecord,
    Manifest,
    describe_place,
    read_manifest,
)
from oddjet.datasets.skims.parts import read_part_record
from oddjet.errors import ConfigError, OddjetError, SkimError
from oddjet.processors.engine.keys import with_key
from oddjet.processors.engine.plan import make_plan
from oddjet.processors.engine.rounds import FAILURES, read_failures
from oddjet.processors.jobs import read_job
from oddjet.processors.skim import SkimProcessor

__all__ = ["Fault", "State", "StepStatus", "read_status"]

logger = logging.getLogger(__name__)

_PART = re.compile(r"[0-9a-f]{20}\.json")
_TEMPORARY = re.compile(r"\.[0-9a-f]{20}\..*\.(parquet|npy|json)")
_QUIET_SECONDS = 120.0
_QUIET_CHUNKS = 3.0
HIDDEN = "jets of data are not counted while they are blinded"
"""The note of a step that has some."""


@dataclass(frozen=True)
class _Wanted:
    """What a step is to make: (dataset, key) to entries; None where only the number is known."""

    n_chunks: int
    n_events: int | None = None
    keys: Mapping[tuple[str, str], int] | None = None
    faults: tuple[Fault, ...] = field(default=())


def read_status(folder: Path | str, *, plan: bool = True, verify: bool = False) -> list[StepStatus]:
    """Give the state of an output folder: of a skim, of scores, of a run, or of submitted jobs.

    Args:
        folder: The folder; the run may be going on, finished, or dead.
        plan: For a run, open its files to know what is planned; else only what exists is shown.
        verify: Compare every file with the SHA-256 that was written down for it: all of it is read.

    Returns:
        One status a step, in the order of the chain.

    Raises:
        ConfigError: If the folder is none of these.
    """
    folder = Path(folder)
    if (folder / BATCH).is_file():
        steps = _batch_status(folder)
        return (
            [_with_damage(step, _damage_of_round(step.folder)) for step in steps]
            if verify
            else steps
        )
    if (folder / CONFIG_FILE).is_file():
        return _run_status(folder, plan=plan, verify=verify)
    if (folder / MANIFEST).is_file() or (folder / FAILURES).is_file() or _parts(folder):
        manifest = _manifest(folder)
        blinding = blinding_of_folder(folder, manifest) if manifest is not None else None
        step = _folder_status(folder, "", hidden=blinding.datasets if blinding else ())
        told = told_alone(folder, manifest) if manifest is not None else ()
        step = replace(step, note="; ".join(filter(None, (step.note, *told))))
        return [_with_damage(step, damage_of_table(folder)) if verify else step]
    msg = (
        f"{folder} {describe_place(folder, 'holds nothing that oddjet made')}: expected a"
        " skim, a scores table, the output of `oddjet run`, or the folder of `oddjet submit`"
    )
    raise ConfigError(msg)


def _parts(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*/*.json") if _PART.fullmatch(path.name))


def _folder_status(
    folder: Path, name: str, wanted: _Wanted | None = None, hidden: Collection[str] = ()
) -> StepStatus:
    """Look at a skim or a scores table; jets of hidden datasets are not counted."""
    records, newest = _read_records(folder)
    manifest = _manifest(folder)
    if wanted is None and manifest is not None:
        wanted = _wanted_by_manifest(manifest)
    n_there = len(records)
    if wanted is not None and wanted.keys is not None:
        records = [r for r in records if (r.dataset, r.key) in (wanted.keys or {})]
    writing = [path for path in folder.glob("*/.*") if _TEMPORARY.fullmatch(path.name)]
    newest = max([newest, *(_mtime(path) for path in writing)])
    ago = time.time() - newest if newest else None
    longest = max((record.seconds for record in records), default=0.0)
    n_planned = wanted.n_chunks if wanted else None
    faults = (*(wanted.faults if wanted else ()), *_faults(folder, manifest))
    is_quiet = ago is None or ago > max(_QUIET_SECONDS, _QUIET_CHUNKS * longest)
    n_other = n_there - len(records)
    state: State
    if manifest is not None and n_planned == len(records):
        state = "incomplete" if manifest.missing else "finished"
    elif ago is not None and not is_quiet:
        state = "going on"
    elif manifest is not None and (n_other or not manifest.missing):
        state = "outdated"
    elif manifest is not None:
        state = "incomplete"
    else:
        state = "stopped" if ago is not None or faults else "not begun"
    notes = [f"{n_other} parts are of other files, settings or code"] * bool(n_other)
    if any(record.dataset in hidden for record in records):
        notes.append(HIDDEN)
    if state in ("incomplete", "outdated", "stopped"):
        notes.append("repeat the command: what is done is kept, and the rest is made")
    return StepStatus(
        name=name or (manifest.kind if manifest else folder.name),
        folder=folder,
        state=state,
        n_done=len(records),
        n_planned=n_planned,
        n_events=sum(record.n_events for record in records),
        n_events_planned=wanted.n_events if wanted else None,
        n_jets=_shown_jets(records, hidden),
        n_writing=len(writing),
        seconds_ago=ago,
        faults=faults,
        note="; ".join(notes),
    )


def _shown_jets(records: Iterable[ChunkRecord], hidden: Collection[str]) -> int:
    return sum(record.n_jets for record in records if record.dataset not in hidden)


def _hidden(config: AnalysisConfig) -> tuple[str, ...]:
    """Datasets of an analysis of which jets are hidden; their number would tell how many."""
    blinding = blinding_of(config, config.resolve_fileset().datasets)
    return blinding.datasets if blinding else ()


def _read_records(folder: Path) -> tuple[list[ChunkRecord], float]:
    """Read the existing records, and when the newest was written."""
    paths = _parts(folder)
    records = (read_part_record(folder, path.parent.name, path.stem) for path in paths)
    newest = max((_mtime(path) for path in paths), default=0.0)
    return [record for record in records if record is not None], newest


def _mtime(path: Path) -> float:
    """When a file was written; 0 where it is gone by now."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _manifest(folder: Path) -> Manifest | None:
    """Read the manifest; None where there is none, or, with a warning, it cannot be used."""
    if not (folder / MANIFEST).is_file():
        return None
    try:
        return read_manifest(folder)
    except OddjetError as error:
        logger.warning("%s", error)
        return None


def _wanted_by_manifest(manifest: Manifest) -> _Wanted:
    chunks = [part for part in manifest.missing if part.entry_start is not None]
    return _Wanted(n_chunks=len(manifest.chunks) + len(chunks), n_events=manifest.planned_entries)


def _faults(folder: Path, manifest: Manifest | None) -> Iterator[Fault]:
    """List what the last run could not do: from its failures, else from the manifest."""
    failures = _read_failures(folder)
    if failures:
        yield from failures
    elif manifest is not None:
        for part in manifest.missing:
            yield Fault(part.where, part.error, part.message)


def _read_failures(folder: Path) -> list[Fault]:
    return [Fault(f.where, f.error, f.message) for f in read_failures(folder).values()]


def _with_damage(step: StepStatus, damage: Sequence[Damage]) -> StepStatus:
    """Add what is damaged to a step."""
    if not damage:
        return step
    faults = tuple(Fault(str(path), "damaged", what) for path, what in damage)
    note = "repeat the command: what is not what was written is made again"
    return replace(
        step,
        state="damaged",
        faults=(*faults, *step.faults),
        note="; ".join(filter(None, [note, step.note])),
    )


def _damage_of_round(place: Path) -> list[Damage]:
    parts = [path / "parts" for path in list_jobs(place)]
    return [damage for folder in parts for damage in damage_of_table(folder)]


def _run_status(folder: Path, *, plan: bool, verify: bool) -> list[StepStatus]:
    run = Run.open(folder)
    wanted, problem = None, ""
    if plan:
        try:
            wanted = _plan_of(run)
        except OddjetError as error:
            problem = str(error)
    hidden = _hidden(run.config)
    skim = _folder_status(run.skim_folder, "skim", wanted, hidden)
    if problem:
        told = "; ".join(filter(None, [f"what is planned is not known: {problem}", skim.note]))
        skim = replace(skim, note=told)
    made = _manifest(run.skim_folder)
    scored = None if made is None else _Wanted(len(made.chunks), made.processed_entries)
    steps = [skim, *(_training_status(place, key) for key, place in run.models.items())]
    steps.append(_with_strangers(_folder_status(run.scores_folder, "scores", scored, hidden), run))
    reported: State = "finished" if run.report.is_file() else "not begun"
    steps.append(StepStatus("report", run.report, reported))
    if not verify:
        return steps
    look = {run.skim_folder: damage_of_table, run.scores_folder: damage_of_table}
    look |= dict.fromkeys(run.models.values(), damage_of_detector)
    return [
        _with_damage(
            step, look[step.folder](step.folder) if step.folder in look else damage_of_run(run)
        )
        if step.state != "not begun"
        else step
        for step in steps
    ]


def _with_strangers(step: StepStatus, run: Run) -> StepStatus:
    """Say so of scores that are of another skim, or of other detectors."""
    if step.state != "finished":
        return step
    try:
        run.check_scores()
    except SkimError as error:
        fault = Fault(str(step.folder), "SkimError", str(error))
        return replace(step, state="outdated", faults=(*step.faults, fault))
    except OddjetError:
        return step  # what is damaged is said of its own step
    return step


def _plan_of(run: Run) -> _Wanted:
    config = run.config
    settings = SkimProcessor(config.selection, run.folder, run.image).settings()
    plan = make_plan(
        config.resolve_fileset(),
        selection=config.selection,
        chunk_size=config.chunk_size,
        allow_missing=True,
    )
    chunks = [with_key(chunk, settings=settings, trust_code=False) for chunk in plan.chunks]
    keys = {(chunk.dataset, chunk.key): len(chunk) for chunk in chunks}
    faults = tuple(Fault(part.where, part.error, part.message) for part in plan.unusable)
    return _Wanted(len(keys), plan.n_entries, keys, faults)


def _training_status(place: Path, key: str) -> StepStatus:
    unfinished = place.with_name(f"{place.name}{UNFINISHED}")
    if unfinished.is_dir():
        newest = max((_mtime(path) for path in unfinished.rglob("*")), default=0.0)
        ago = time.time() - newest if newest else None
        going = ago is not None and ago < _QUIET_SECONDS
        state: State = "going on" if going else "stopped"
        note = "" if going else "repeat the command: training goes on where it was"
        return StepStatus(f"train {key}", place, state, seconds_ago=ago, note=note)
    return StepStatus(f"train {key}", place, "finished" if place.is_dir() else "not begun")


def _batch_status(folder: Path) -> list[StepStatus]:
    """Look at submitted jobs, round by round; what a later round did counts in each that has it."""
    batch = read_batch(folder)
    hidden = _hidden(batch.config)
    return [_round_status(place, batch.step, batch.output, hidden) for place in list_rounds(folder)]


def _round_status(place: Path, step: str, output: Path, hidden: Collection[str]) -> StepStatus:
    events = {process: state for (_, process), state in read_events(place / "jobs.log").items()}
    jobs = [_look_at_job(path, output, events.get(int(path.name))) for path in list_jobs(place)]
    done = [record for job in jobs for record in job.done]
    n_planned = sum(job.n_planned for job in jobs)
    states = [job.state for job in jobs]
    active = any(state.is_active for state in events.values())
    newest = _mtime(place / "jobs.log")
    return StepStatus(
        name=f"{step}, {place.name}",
        folder=place,
        state="finished" if len(done) == n_planned else ("going on" if active else "stopped"),
        n_done=len(done),
        n_planned=n_planned,
        n_events=sum(record.n_events for record in done),
        n_events_planned=sum(job.n_events for job in jobs),
        n_jets=_shown_jets(done, hidden),
        seconds_ago=time.time() - newest if newest else None,
        faults=tuple(fault for job in jobs for fault in job.faults),
        note="jobs: " + ", ".join(f"{states.count(name)} {name}" for name in dict.fromkeys(states)),
    )


@dataclass(frozen=True)
class _Job:
    """The state of a job, and what it has done."""

    state: str
    n_planned: int
    n_events: int
    done: list[ChunkRecord]
    faults: list[Fault]


def _look_at_job(path: Path, output: Path, state: JobState | None) -> _Job:
    chunks = [item.chunk for item in read_job(path / "job.json").chunks]
    records = [
        read_part_record(path / "parts", chunk.dataset, chunk.key)
        or read_part_record(output, chunk.dataset, chunk.key)
        for chunk in chunks
    ]
    done = [record for record in records if record is not None]
    name = str(state.state) if state else "not submitted"
    if state is not None and state.exit_code:
        name = "failed"
    faults: list[Fault] = []
    if len(done) < len(chunks):
        faults += _read_failures(path / "parts")
        if state is None or not state.is_active:
            reason = (state.reason if state else "") or "chunks of it are missing"
            faults.append(Fault(f"{path.parents[1].name}, job {path.name}", name, reason))
    return _Job(name, len(chunks), sum(len(chunk) for chunk in chunks), done, faults)
