"""The section that says what made the report."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from oddjet.analysis.report.page import Block, Cell, Section, Table
from oddjet.datasets.disk.numbers import jsonable
from oddjet.datasets.skims.manifest import Manifest

__all__ = ["provenance_section"]


def provenance_section(
    *,
    config: Mapping[str, Any],
    manifest: Manifest | None = None,
    versions: Mapping[str, str] | None = None,
    commands: Sequence[str] = (),
    seconds: Mapping[str, float] | None = None,
) -> Section:
    """Say with what the results were made: configuration, inputs, versions, commands.

    Args:
        config: The resolved configuration.
        manifest: Of the skim: its files, datasets and counts of entries.
        versions: Versions of packages; by default those of the manifest.
        commands: Command lines that make the same again.
        seconds: Wall time of each step.
    """
    used = dict(versions or (manifest.versions if manifest else {}))
    tables = []
    if manifest is not None:
        tables += _inputs(manifest)
    if seconds:
        rows = tuple((name, round(value, 1)) for name, value in seconds.items())
        tables.append(Table(("Step", "Seconds"), rows, "Wall time of the steps of this run."))
    if used:
        tables.append(Table(("Package", "Version"), tuple(used.items()), "Versions."))
    blocks = [Block("Resolved configuration", _as_text(config))]
    if commands:
        blocks.insert(0, Block("Commands", "\n".join(commands)))
    return Section(
        title="Provenance",
        anchor="provenance",
        tables=tuple(tables),
        blocks=tuple(blocks),
        warnings=() if manifest is None else manifest.caveats,
        numbers={
            "config": dict(config),
            "versions": used,
            "commands": list(commands),
            "seconds": dict(seconds or {}),
            "files": [] if manifest is None else [f.model_dump() for f in manifest.files],
            "caveats": [] if manifest is None else list(manifest.caveats),
        },
    )


def _as_text(config: Mapping[str, Any]) -> str:
    # Through JSON, so that only plain values reach the YAML writer.
    plain = json.loads(json.dumps(jsonable(config)))
    return str(yaml.safe_dump(plain, sort_keys=False, allow_unicode=True))


def _inputs(manifest: Manifest) -> list[Table]:
    fields = ("kind", "cross_section_pb", "k_factor", "n_events", "sumw", "generated_sumw")
    headers = ("Dataset", "Kind", "σ [pb]", "k-factor", "Events read", "Σw read", "Σw of σ", "from")
    datasets: tuple[tuple[Cell, ...], ...] = tuple(
        (
            name,
            *(getattr(dataset, field) for field in fields),
            dataset.norm.source if dataset.norm else None,
        )
        for name, dataset in manifest.datasets.items()
    )
    files: tuple[tuple[Cell, ...], ...] = tuple(
        (file.dataset, file.path, file.n_entries, file.size, file.uuid) for file in manifest.files
    )
    caption = (
        f"Entries: {manifest.planned_entries} planned = {manifest.processed_entries} processed + "
        f"{manifest.failed_entries} failed. The cross section σ belongs to the Σw of all generated "
        "events: of the files' Runs trees, as stated (sumw, n_events), or of the events read."
    )
    return [
        Table(headers, datasets, caption),
        Table(("Dataset", "File", "Entries", "Bytes", "uuid"), files, "Input files."),
    ]
