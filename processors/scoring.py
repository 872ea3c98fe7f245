"""Running detectors over a fileset or a skim: scores table and histograms in one folder."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from coffea.processor.executor import ExecutorBase

from oddjet.datasets.disk.checksums import file_sha256
from oddjet.datasets.disk.lock import lock_folder
from oddjet.datasets.files.fileset import Fileset
from oddjet.datasets.skims.manifest import ChunkRecord, Manifest, write_manifest
from oddjet.datasets.skims.skim import Skim
from oddjet.errors import ConfigError, SkimError
from oddjet.processors.anomaly import AnomalyProcessor, JetScorer, score_part
from oddjet.processors.detection import find_detectors
from oddjet.processors.engine.attempts import Attempts, attempt_chunk, without_retries
from oddjet.processors.engine.cleanup import remove_stale_parts
from oddjet.processors.engine.keys import code_digest, detector_code, with_key
from oddjet.processors.engine.options import RunOptions
from oddjet.processors.engine.rounds import run_chunks
from oddjet.processors.engine.summary import package_versions
from oddjet.processors.events.selection import Selection
from oddjet.processors.events.source import ChunkSource
from oddjet.processors.fileset import FilesetPass, warn_missing
from oddjet.processors.histogram_files import HISTOGRAMS, HISTOGRAMS_ROOT, write_histograms
from oddjet.processors.histograms import Counts, Histograms, HistogramSettings, check_scales
from oddjet.processors.replicas import REPLICAS, replicas_of, save_replicas
from oddjet.processors.totals import add_up

__all__ = ["AnomalyResult", "run_anomaly"]


@dataclass(frozen=True)
class AnomalyResult:
    """What a run gave.

    Attributes:
        manifest: Of the scores table, as written.
        histograms: Raw or decorrelated score to histogram, scaled, and the joint table of what is hunted
            in; also in the folder's histograms.json.
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
    histograms: HistogramSettings | None = None,
    scales: Mapping[str, float] | None = None,
    selection: Selection | None = None,
    options: RunOptions | None = None,
) -> AnomalyResult:
    """Score jets of a fileset or a skim; what is done already is kept.

    Beside the histograms are the replicas of the calibration of what is cut on. Histograms are filled from the table: another binning, working point or scale scores nothing again.

    Args:
        source: Files of events, or a skim.
        detectors: Label to folder of each folded detector.
        output: Folder for the scores table, histograms.json, histograms.root and replicas.npz.
        executor: Where to run, see `oddjet.condor.open_executor`.
        histograms: What to fill, and which jets are hunted in.
        scales: Dataset to the factor on its weights, σ·k·L·1000/Σw; 1 for data. Without scales
            weights stay as they are. The table and numbers of jets are never scaled.
        selection: The cuts, for files; Khanal's by default. A skim has its own.
        options: How files are cut into chunks, and what is refused.

    Returns:
        Manifest, histograms and counts.

    Raises:
        InputError: If a file or its jets cannot be used.
        DetectorError: If a detector cannot be used.
        ConfigError: If scales or selection do not fit, or pseudo-data cannot be drawn: the table and the
            other histograms are written then.
        ProcessingError: If chunks failed, or another process writes into the folder.
    """
    output, options = Path(output), options or RunOptions()
    settings = histograms or HistogramSettings()
    summaries = source.manifest.datasets if isinstance(source, Skim) else source.datasets
    kinds = {name: dataset.kind for name, dataset in summaries.items()}
    if scales is not None:
        check_scales(scales, kinds)
    scorer = JetScorer(find_detectors(detectors), output.absolute(), settings, tuple(kinds))
    filler = scorer.filler
    parts: _SkimPass | FilesetPass
    if isinstance(source, Skim):
        parts = _SkimPass.prepare(source, scorer, selection, options)
    else:
        parts = _prepare_files(source, scorer, selection or Selection.khanal(), options)
    with lock_folder(output):
        manifest = parts.run(executor, "scores", _config(scorer, scales, options))
        totals = add_up(filler, Skim(scorer.output, manifest, options.verify), executor)
        written = write_histograms(output, totals, settings, scales, manifest.caveats)
        manifest = _committed(output, manifest, scorer)
        if not isinstance(source, Skim):
            warn_missing(output, manifest)
        remove_stale_parts(output, parts.keys)
    if settings.sample is not None:
        totals.weights.check(settings.sample.lumi_ifb or 0.0)
    return AnomalyResult(manifest, written, totals.passed)


def _committed(output: Path, manifest: Manifest, scorer: JetScorer) -> Manifest:
    """Write the replicas, and the manifest with the SHA-256 of the files beside it; give it as written."""
    loaded = {detector.label: detector.load() for detector in scorer.detectors}
    save_replicas(output / REPLICAS, replicas_of(loaded))
    names = (HISTOGRAMS, HISTOGRAMS_ROOT, REPLICAS)
    hashes = {name: file_sha256(output / name) for name in names}
    manifest = manifest.model_copy(update={"outputs": hashes})
    write_manifest(output, manifest)
    return manifest


def _config(
    scorer: JetScorer, scales: Mapping[str, float] | None, options: RunOptions
) -> dict[str, Any]:
    return {
        "detectors": [
            {key: value for key, value in asdict(detector).items() if key != "classes"}
            for detector in scorer.detectors
        ],
        "histograms": scorer.histograms.model_dump(mode="json"),
        "scales": dict(scales) if scales is not None else None,
        "trust_code": options.trust_code,
        "code": code_digest(),
    }


def _prepare_files(
    fileset: Fileset, scorer: JetScorer, selection: Selection, options: RunOptions
) -> FilesetPass:
    settings = {
        "selection": selection.identity(),
        "detectors": _identity(scorer, trust_code=options.trust_code),
    }
    processor = AnomalyProcessor(selection, scorer)
    return FilesetPass.prepare(fileset, processor, settings, scorer.output, options)


@dataclass(frozen=True)
class _SkimPass:
    """A skim whose jets are scored, part by part."""

    skim: Skim
    scorer: JetScorer
    parts: Mapping[str, tuple[ChunkRecord, ChunkSource]]
    options: RunOptions

    @classmethod
    def prepare(
        cls, skim: Skim, scorer: JetScorer, selection: Selection | None, options: RunOptions
    ) -> _SkimPass:
        if selection is not None:
            msg = "selection: a skim has been selected already; leave it out, or give the fileset"
            raise ConfigError(msg)
        if skim.manifest.kind != "skim":
            msg = f"{skim.folder} holds {skim.manifest.kind}, expected a skim of jets"
            raise SkimError(msg)
        # Workers may run in other folders.
        skim = replace(skim, folder=skim.folder.absolute())
        trust_code = options.trust_code
        identity = _identity(scorer, trust_code=trust_code)
        parts = {}
        for part in skim.manifest.chunks:
            settings = {"skim_part": part.key, "detectors": identity}
            chunk = with_key(_source_of(part, skim), settings=settings, trust_code=trust_code)
            parts[chunk.key] = (part, chunk)
        return cls(skim, scorer, parts, options)

    @property
    def keys(self) -> set[str]:
        return set(self.parts)

    def run(
        self, executor: ExecutorBase, kind: Literal["scores"], config: dict[str, Any]
    ) -> Manifest:
        attempts = self.options.attempts or Attempts.from_executor(executor)
        work = functools.partial(
            _attempt_part,
            scorer=self.scorer,
            attempts=replace(attempts, output=self.scorer.output),
        )

        def score(todo: list[ChunkSource]) -> dict[str, Any]:
            items = [(self.skim.only(self.parts[chunk.key][0]), chunk) for chunk in todo]
            result, _ = without_retries(executor)(items, work, None)
            return dict(result)

        records, _ = run_chunks(
            [chunk for _, chunk in self.parts.values()],
            self.scorer.output,
            score,
            executor=executor,
            options=replace(self.options, allow_missing=False),
            sizes={key: part.n_jets for key, (part, _) in self.parts.items()},
        )
        manifest = self.skim.manifest
        more = {"skim": str(self.skim.folder), "skim_config": manifest.config}
        return manifest.model_copy(
            update={
                "kind": kind,
                "config": {**config, **more},
                "versions": package_versions(),
                "representation": None,
                "chunks": tuple(records),
                "outputs": {},
            }
        )


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
