"""Damage at rest: every file of an output folder against the SHA-256 that was written down for it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeAlias

from oddjet.analysis.pipeline.certify import certificate_folder
from oddjet.analysis.pipeline.folder import Run
from oddjet.analysis.pipeline.report_key import ReportKey
from oddjet.analysis.pipeline.train import KEY_FILE
from oddjet.datasets.disk.checksums import fits
from oddjet.datasets.disk.state import DamagedStateError, read_state, unseal
from oddjet.datasets.files.fileset import Fileset
from oddjet.datasets.simulation.run import read_summary, summary_path
from oddjet.datasets.skims.manifest import MANIFEST, read_manifest
from oddjet.datasets.skims.parts import part_paths, read_part_record
from oddjet.errors import OddjetError
from oddjet.ml.folder import read_info
from oddjet.ml.folds import INFO_FILE

__all__ = ["Damage", "damage_of_detector", "damage_of_run", "damage_of_table"]

Damage: TypeAlias = tuple[Path, str]
"""A file, and what is wrong with it."""

_DIFFERS = "its SHA-256 is not the one that was written down"
_THREADS = 4


def _compare(expected: dict[Path, str]) -> list[Damage]:
    with ThreadPoolExecutor(_THREADS) as threads:
        whole = threads.map(lambda item: fits(item[0], item[1], "always"), expected.items())
        return [(path, _DIFFERS) for path, fine in zip(expected, whole, strict=True) if not fine]


def _states(paths: Iterator[Path]) -> Iterator[Damage]:
    for path in paths:
        try:
            unseal(path)
        except (OSError, DamagedStateError) as error:
            yield path, str(error)


def damage_of_table(folder: Path) -> list[Damage]:
    """Look at a skim, a scores table, or the parts of a job: manifest, records and all files that they name."""
    damage: list[Damage] = []
    expected: dict[Path, str] = {}
    records = []
    if (folder / MANIFEST).is_file():
        try:
            manifest = read_manifest(folder)
        except OddjetError as error:
            damage.append((folder / MANIFEST, str(error)))
        else:
            records += list(manifest.chunks)
            expected |= {folder / name: value for name, value in manifest.outputs.items()}
    for path in sorted(folder.glob("*/[!.]*.json")):
        record = read_part_record(folder, path.parent.name, path.stem)
        if record is None:
            damage.append((path, "it is no record, or one of files that are not there"))
        else:
            records.append(record)
    for record in records:
        hashes = record.hashes
        paths = part_paths(folder, record)
        expected |= {path: hashes[path.suffix] for path in paths if path.suffix in hashes}
        if not hashes:
            damage.append((paths[0], "an oddjet that wrote no checksums made it"))
    return list(dict.fromkeys([*damage, *_compare(expected)]))


def damage_of_detector(folder: Path) -> list[Damage]:
    """Look at all files of a trained detector."""
    key_path = folder.with_name(f"{folder.name}.{KEY_FILE}")
    damage = list(_states(path for path in [key_path] if path.is_file()))
    try:
        read_info(folder, INFO_FILE)
    except OddjetError as error:
        damage.append((folder, str(error)))
    return damage


def damage_of_run(run: Run) -> list[Damage]:
    """Look at what a run has beside tables and detectors: samples, injections, the certificate and the report."""
    fileset = run.config.fileset
    datasets = fileset.datasets.values() if isinstance(fileset, Fileset) else ()
    damage: list[Damage] = []
    for path in (Path(name) for dataset in datasets for name in dataset.files):
        if summary_path(path).is_file():
            summary = read_summary(path)
            if summary is None:
                what = f"it is not what was written: remove it, or simulate {path.name} again"
                damage.append((summary_path(path), what))
            elif summary.file_sha256 is not None:
                damage += _compare({path: summary.file_sha256})
    for folder in (run.injection_folder, certificate_folder(run)):
        damage += _states(folder.rglob("*.json"))
    damage += _states(path for path in [run.seconds_file, run.report_key_file] if path.is_file())
    kept = read_state(run.report_key_file, ReportKey)
    if kept is not None:
        damage += [(path, _DIFFERS) for path in kept.damaged(run.report)]
    elif run.report.is_file():
        damage.append((run.report, "there is no SHA-256 of it"))
    return damage
