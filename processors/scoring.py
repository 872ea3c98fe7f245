"""Running detectors over a fileset or a skim: scores table and histograms in one folder."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from coffea.processor.executor import ExecutorBase

from oddjet.datasets.disk.lock import lock_folder
from oddjet.datasets.disk.validation import validate
from oddjet.datasets.files.fileset import Fileset
from oddjet.datasets.skims.manifest import ChunkRecord, Manifest, write_manifest
from oddjet.datasets.skims.skim import Skim
from oddjet.errors import ConfigError, SkimError
from oddjet.processors.anomaly import AnomalyProcessor, JetScorer, one_part, score_part
from oddjet.processors.detection import find_detectors
from oddjet.processors.engine.attempts import Attempts, attempt_chunk, without_retries
from oddjet.processors.engine.cleanup import remove_stale_parts
from oddjet.processors.engine.duplicates import check_unique
from oddjet.processors.engine.keys import code_digest, detector_code, with_key
from oddjet.processors.engine.missing import find_missing
from oddjet.processors.engine.plan import make_plan
from oddjet.processors.engine.progress import Progress
from oddjet.processors.engine.rounds import run_chunks, run_plan
from oddjet.processors.engine.summary import (
    check_sumw,
    make_manifest,
    package_versions,
    read_luminosity,
    read_sumw_runs,
)
from oddjet.processors.events.selection import Selection
from oddjet.processors.histograms import (
    PT_EDGES,
    Histograms,
    HistogramSettings,
    check_scales,
    save_histograms,
    scale_histogram,
)
from oddjet.processors.source import ChunkSource
from oddjet.processors.totals import Counts, add_up

__all__ = ["HISTOGRAMS", "AnomalyResult", "run_anomaly"]

logger = logging.getLogger(__name__)

HISTOGRAMS = "histograms.json"


@dataclass(frozen=True)
class AnomalyResult:
    """What a run gave.

    Attributes:
        manifest: Of the scores table, as written.
        histograms: Raw or decorrelated score to histogram, scaled; also in the folder's histograms.json.
        passed: Score to dataset to working point to number of jets.
    """

    manifest: Manifest
    histograms: Histograms
    passed: Counts


def run_anomaly(
    source: Fileset | Skim,
    *,
    detectors: Mapping[str, Path | str],
    output: Path | str,
    executor: ExecutorBase,
    mass: str = "msoftdrop",
    mass_range: tuple[float, float] = (0.0, 300.0),
    n_bins: int = 60,
    pt_edges: Sequence[float] = PT_EDGES,
    working_points: Sequence[float] = (0.1, 0.01),
    leading_only: bool = True,
    scales: Mapping[str, float] | None = None,
    selection: Selection | None = None,
    chunk_size: int = 100_000,
    progress: Progress | None = None,
    trust_code: bool = False,
    require_sumw: bool = True,
    require_unique: bool = True,
    allow_missing: bool = False,
    attempts: Attempts | None = None,
) -> AnomalyResult:
    """Score jets of a fileset or a skim; what is done already is kept.

    Another binning, working point or scale scores nothing again: histograms are then filled from
    the table.

    Args:
        source: Files of events, or a skim.
        detectors: Label to folder of each folded detector.
        output: Folder for the scores table and histograms.json.
        executor: Where to run, see `oddjet.condor.open_executor`.
        mass: Column of the histograms' mass axis, such as msoftdrop or mass.
        mass_range: Its ends [GeV].
        n_bins: Its number of bins.
        pt_edges: Edges of the pt axis [GeV].
        working_points: Background efficiencies, each a cut on the calibrated and on each
            decorrelated score.
        leading_only: Fill the leading selected jet of each event alone; the table has all.
        scales: Dataset to the factor on its weights, σ·k·L·1000/Σw; 1 for data. Without scales
            weights stay as they are. Weights in the table are never scaled.
        selection: The cuts, for files; Khanal's by default. A skim has its own.
        chunk_size: Most entries a chunk, for files.
        progress: Called with chunks done, chunks in all, and events done, for a skim jets done.
        trust_code: Use parts that other versions of the code made; the manifest says so.
        require_sumw: Refuse files whose Σ genWeight is not that of their Runs tree.
        require_unique: Refuse events that are there twice in files; in a skim that was looked for.
        allow_missing: Finish although files cannot be opened or chunks of files fail, as for
            `run_skim`. What is missing of a skim stays missing, and is named in the manifest.
        attempts: How often a chunk is tried; the executor's `retries`, and at least 3, by default.

    Returns:
        Manifest, histograms and counts.

    Raises:
        InputError: If a file or its jets cannot be used; of the kind that says why.
        DetectorError: If a detector cannot be used.
        ConfigError: If scales or selection do not fit.
        ProcessingError: If chunks failed, entries do not add up, or another process writes into the
            folder.
    """
    settings = validate(
        HistogramSettings,
        {
            "mass": mass,
            "mass_range": tuple(mass_range),
            "n_bins": n_bins,
            "pt_edges": tuple(pt_edges),
            "working_points": tuple(working_points),
            "leading_only": leading_only,
        },
        "histograms",
    )
    output = Path(output)
    if isinstance(source, Skim):
        names, kinds = source.datasets, {n: d.kind for n, d in source.manifest.datasets.items()}
    else:
        names, kinds = tuple(source.datasets), {n: d.kind for n, d in source.datasets.items()}
    check_scales(scales, kinds) if scales is not None else None
    scorer = JetScorer(find_detectors(detectors), output.absolute(), settings, names)
    run: Callable[..., tuple[Manifest, dict[str, Any]]]
    config: dict[str, Any] = {
        "detectors": [asdict(detector) for detector in scorer.detectors],
        "histograms": settings.model_dump(mode="json"),
        "scales": dict(scales) if scales is not None else None,
        "trust_code": trust_code,
        "code": code_digest(),
    }
    if isinstance(source, Skim):
        if selection is not None:
            msg = "selection: a skim has been selected already; leave it out, or give the fileset"
            raise ConfigError(msg)
        run = functools.partial(
            _run_skim, source, attempts=attempts or Attempts.from_executor(executor)
        )
    else:
        run = functools.partial(
            _run_fileset,
            source,
            selection=selection or Selection.khanal(),
            chunk_size=chunk_size,
            require_sumw=require_sumw,
            require_unique=require_unique,
            allow_missing=allow_missing,
            attempts=attempts,
        )
    with lock_folder(output):
        manifest, result = run(scorer, config, executor, progress=progress, trust_code=trust_code)
        table = Skim(folder=scorer.output, manifest=manifest)
        filled, passed = add_up(scorer, table, executor)
        if scales is not None:
            filled = {name: scale_histogram(each, scales) for name, each in filled.items()}
        save_histograms(output / HISTOGRAMS, filled)
        write_manifest(output, manifest)
        if not isinstance(source, Skim) and manifest.missing:
            missing = manifest.describe_missing(shown=0)
            logger.warning("%s: %s (manifest.json names all)", output, missing)
        remove_stale_parts(output, result["keys"])
    return AnomalyResult(manifest, filled, passed)


def _run_fileset(
    fileset: Fileset,
    scorer: JetScorer,
    config: dict[str, Any],
    executor: ExecutorBase,
    *,
    selection: Selection,
    chunk_size: int,
    progress: Progress | None,
    trust_code: bool,
    require_sumw: bool,
    require_unique: bool,
    allow_missing: bool,
    attempts: Attempts | None,
) -> tuple[Manifest, dict[str, Any]]:
    plan = make_plan(
        fileset, selection=selection, chunk_size=chunk_size, allow_missing=allow_missing
    )
    settings = {
        "selection": selection.identity(),
        "detectors": _identity(scorer, trust_code=trust_code),
    }
    chunks = [with_key(chunk, settings=settings, trust_code=trust_code) for chunk in plan.chunks]
    processor = AnomalyProcessor(selection, scorer)
    records, result = run_plan(
        plan,
        chunks,
        processor,
        scorer.output,
        executor=executor,
        progress=progress,
        allow_missing=allow_missing,
        attempts=attempts,
    )
    records, missing = find_missing(plan, chunks, records, result["failures"])
    if require_unique:
        check_unique(scorer.output, records, kinds=plan.kinds)
    sumw_runs = read_sumw_runs(plan)
    if require_sumw:
        check_sumw(plan, records, sumw_runs)
    config |= {
        "selection": selection.model_dump(mode="json"),
        "fileset": fileset.model_dump(mode="json"),
        "chunk_size": chunk_size,
        "unique_events": require_unique,
    }
    manifest = make_manifest(
        plan,
        records,
        kind="scores",
        config=config,
        representation=None,
        sumw_runs=sumw_runs,
        missing=missing,
        lumi=read_luminosity(plan, records, mask=processor.lumi_mask),
    )
    return manifest, {**result, "keys": {chunk.key for chunk in chunks}}


def _run_skim(
    skim: Skim,
    scorer: JetScorer,
    config: dict[str, Any],
    executor: ExecutorBase,
    *,
    progress: Progress | None,
    trust_code: bool,
    attempts: Attempts,
) -> tuple[Manifest, dict[str, Any]]:
    if skim.manifest.kind != "skim":
        msg = f"{skim.folder} holds {skim.manifest.kind}, expected a skim of jets"
        raise SkimError(msg)
    # Workers may run in other folders.
    skim = Skim(folder=skim.folder.absolute(), manifest=skim.manifest)
    parts = {}
    for part in skim.manifest.chunks:
        settings = {"skim_part": part.key, "detectors": _identity(scorer, trust_code=trust_code)}
        chunk = with_key(_source_of(part, skim), settings=settings, trust_code=trust_code)
        parts[chunk.key] = (part, chunk)

    def run(todo: list[ChunkSource]) -> dict[str, Any]:
        items = [(one_part(skim, parts[chunk.key][0]), chunk) for chunk in todo]
        work = functools.partial(
            _attempt_part, scorer=scorer, attempts=replace(attempts, output=scorer.output)
        )
        result, _ = without_retries(executor)(items, work, None)
        return dict(result)

    chunks = [chunk for _, chunk in parts.values()]
    sizes = {key: part.n_jets for key, (part, _) in parts.items()}
    records, result = run_chunks(
        chunks, scorer.output, run, executor=executor, sizes=sizes, progress=progress
    )
    manifest = skim.manifest.model_copy(
        update={
            "kind": "scores",
            "config": {**config, "skim": str(skim.folder), "skim_config": skim.manifest.config},
            "versions": package_versions(),
            "representation": None,
            "chunks": tuple(records),
        }
    )
    return manifest, {**result, "keys": set(parts)}


def _attempt_part(
    item: tuple[Skim, ChunkSource], *, scorer: JetScorer, attempts: Attempts
) -> dict[str, Any]:
    return attempt_chunk(item[1], lambda _: score_part(item, scorer=scorer), attempts)


def _identity(scorer: JetScorer, *, trust_code: bool) -> list[Any]:
    return [
        [d.label, d.fingerprint, None if trust_code else detector_code(d.folder)]
        for d in scorer.detectors
    ]


def _source_of(part: ChunkRecord, skim: Skim) -> ChunkSource:
    return ChunkSource(
        dataset=part.dataset,
        kind=skim.manifest.datasets[part.dataset].kind,
        truth=(),
        file=part.file,
        file_uuid=part.file_uuid,
        tree=part.tree,
        entry_start=part.entry_start,
        entry_stop=part.entry_stop,
        reader_name="",
    )
