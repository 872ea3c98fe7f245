"""Everything that can be known to be wrong before a run."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from oddjet.analysis.config import ROLES, AnalysisConfig, DetectorConfig, load_config
from oddjet.analysis.scores.blinding import blinding_of
from oddjet.analysis.scores.learning import (
    check_maps,
    learning_sample,
    learning_sentence,
)
from oddjet.analysis.scores.sample import dataset_scales
from oddjet.analysis.statistics.background.functions import FAMILIES, make_function
from oddjet.datasets.columns import JET_FIELDS
from oddjet.datasets.files.fileset import Fileset
from oddjet.datasets.readers import READERS
from oddjet.datasets.simulation import process_names
from oddjet.datasets.skims.manifest import MANIFEST, Manifest, read_manifest
from oddjet.errors import ConfigError, OddjetError, did_you_mean, look_up
from oddjet.ml import create
from oddjet.ml.decorrelation import DECORRELATIONS
from oddjet.ml.detectors import DETECTORS
from oddjet.ml.representations import REPRESENTATIONS
from oddjet.processors.events.branches import JET_COLUMNS
from oddjet.registry import Registry

__all__ = ["check_config", "check_pseudo_data", "describe_clashes", "problems_of_samples"]

logger = logging.getLogger(__name__)

REGISTRIES: tuple[Registry[Any], ...] = (
    DETECTORS,
    REPRESENTATIONS,
    DECORRELATIONS,
    READERS,
    FAMILIES,
)

_COLUMNS = dict.fromkeys(("pt", "eta", "phi", "mass", *JET_COLUMNS, *JET_FIELDS))
"""What a skim knows of each jet: numbers."""

Findings = Iterator[tuple[bool | None, str]]
"""Whether something is fine, None for a caveat: what was accepted, or what every output has to say; and what it is."""


def check_config(
    path: Path | str, changes: Mapping[str, Any] | None = None
) -> tuple[list[str], list[str], list[str]]:
    """Check an analysis without running it.

    Opens every file of the fileset (header, size, uuid, branches); events are read of the first local
    file of each dataset alone, a few hundred, to compare constituents with their jets.

    Args:
        path: The configuration.
        changes: Values by dotted key that replace those of the file.

    Returns:
        What is wrong, what every output will have to say, and what was found to be right; nothing wrong means
        that the run can start.
    """
    try:
        config = load_config(path, changes)
        fileset = config.resolve_fileset()
    except OddjetError as error:
        return [str(error)], [], []
    findings: dict[bool | None, list[str]] = {False: [], None: [], True: [f"{path} is valid"]}
    checks: list[Callable[[AnalysisConfig, Fileset], Findings]] = [
        _check_samples,
        _check_sources,
        _check_detectors,
        _check_function,
        _check_output,
    ]
    for clash in describe_clashes():
        logger.warning("%s", clash)
    for check in checks:
        try:
            for is_fine, text in check(config, fileset):
                findings[is_fine].append(text)
        except OddjetError as error:
            findings[False].append(str(error))
    return findings[False], findings[None], findings[True]


def describe_clashes() -> list[str]:
    """Say which names of other packages are taken, and so mean something else or nothing."""
    return [text for registry in REGISTRIES for text in registry.clashes.values()]


def _check_samples(config: AnalysisConfig, fileset: Fileset) -> Findings:
    """Look for what there is to hunt in, to train on and to simulate."""
    problems = list(problems_of_samples(config, fileset))
    yield from ((False, problem) for problem in problems)
    if not problems:
        maps = config.decorrelation is not None
        kinds = {name: dataset.kind for name, dataset in fileset.datasets.items()}
        yield True, learning_sentence(kinds, config.training, config.hunt, maps=maps)
        yield from ((True, text) for text in _hunted_for_each(config, kinds))
        if peaking := [name for name, kind in kinds.items() if kind == "peaking"]:
            names = ", ".join(peaking)
            yield True, f"known peaks: {names} are expected in the hunt, nothing is learned on them"
    requests = {n: d.simulate for n, d in fileset.datasets.items() if d.simulate is not None}
    for name, request in requests.items():
        if request.process not in process_names():
            known = ", ".join(process_names())
            yield False, f"dataset '{name}': no process '{request.process}'; there are {known}"
        else:
            yield True, f"dataset '{name}': {request.n_events:,} events to simulate"


def _hunted_for_each(config: AnalysisConfig, kinds: Mapping[str, str]) -> Iterator[str]:
    """Say how many events are hunted in for each that cuts are learned on, where there is a skim to count in."""
    folder = config.output / "skim"
    if not (folder / MANIFEST).is_file():
        return
    try:
        manifest = read_manifest(folder)
        if blinding_of(config, manifest.datasets) is not None:
            yield (
                "how many events are hunted in for each that cuts are learned on is in the report, outside what is "
                "blinded: a number of all data would tell what that holds"
            )
            return
        hunted, learned = _hunted_and_learned(manifest, config, kinds)
    except OddjetError:  # of a skim that is made again anyway
        return
    if learned > 0:
        yield (
            f"{hunted / learned:.2g} events of the skim in {folder} are hunted in for each that cuts are learned on, all "
            "masses together"
        )


def _hunted_and_learned(
    manifest: Manifest, config: AnalysisConfig, kinds: Mapping[str, str]
) -> tuple[float, float]:
    """Events of a skim that are hunted in, and that maps, or thresholds without maps, are learned on."""
    last = {name: steps[-1] for name, steps in manifest.cutflow.items() if steps and name in kinds}
    share = config.training.held_out
    samples = {r: learning_sample(r, kinds, config.training, config.hunt) for r in ROLES}
    calibrating = samples["maps" if config.decorrelation else "thresholds"].datasets
    learned = sum((1 - share) * last[name].n_events for name in calibrating if name in last)
    if config.pseudo_data:
        scales = dataset_scales(manifest.datasets, config.pseudo_data.lumi_ifb)
        return sum(scales[name] * last[name].sumw for name in last), learned
    used = {name for sample in samples.values() for name in sample.datasets}
    data = [name for name in last if kinds[name] == "data"]
    return sum(last[n].n_events * (share if n in used else 1.0) for n in data), learned


def check_pseudo_data(manifest: Manifest, config: AnalysisConfig) -> None:
    """Refuse a luminosity that the simulated events of a skim cannot stand for, before anything is trained.

    Held-out events stand for all. Of weights that differ the mean is looked at, the rest when events are drawn.

    Raises:
        ConfigError: On average an event stands for more than one.
    """
    if config.pseudo_data is None:
        return
    lumi, kinds = config.pseudo_data.lumi_ifb, {n: d.kind for n, d in manifest.datasets.items()}
    samples = [learning_sample(role, kinds, config.training, config.hunt) for role in ROLES]
    learned = {name for sample in samples for name in sample.datasets}
    scales = dataset_scales(manifest.datasets, lumi)
    for name, steps in manifest.cutflow.items():
        last = steps[-1] if steps and name in scales and kinds[name] != "data" else None
        if last is None or not last.n_events:
            continue
        share = config.training.held_out if name in learned else 1.0
        mean = scales[name] * last.sumw / last.n_events / share
        if mean > 1:
            msg = (
                f"pseudo_data: lumi_ifb of {lumi:g}/fb is too large for the simulated statistics of '{name}': on average a "
                f"selected event that is hunted in stands for {mean:.3g} events ({100 * share:g} % of them are hunted in): "
                f"draw at most {lumi / mean:.4g}/fb, or simulate more events"
            )
            raise ConfigError(msg)


def problems_of_samples(config: AnalysisConfig, fileset: Fileset) -> Iterator[str]:
    """Say what a whole analysis lacks to train on and to hunt in, which is known before anything is done."""
    kinds = {name: dataset.kind for name, dataset in fileset.datasets.items()}
    data = [name for name, kind in kinds.items() if kind == "data"]
    if data and config.pseudo_data:
        yield f"the fileset holds data ({', '.join(data)}) and pseudo_data are asked for: drop one"
    if not data and not config.pseudo_data:
        yield "no dataset of kind 'data' and no pseudo_data: there is nothing to hunt in"
    mass = (config.decorrelation and config.decorrelation.mass) or config.hunt.mass
    try:
        for role in ROLES:
            sample = learning_sample(role, kinds, config.training, config.hunt)
            check_maps(config.decorrelation if role == "maps" else None, sample, mass)
            for column in sample.learning.where:
                look_up(_COLUMNS, column, "column of a skim's jets to cut on (training: where)")
    except OddjetError as error:
        yield str(error)
    yield from _problems_of_peaks(config, fileset)
    if config.pseudo_data:
        for name, dataset in fileset.datasets.items():
            if dataset.simulate is None and dataset.kind != "data" and not dataset.cross_section_pb:
                yield f"dataset '{name}' has no cross_section_pb, which pseudo_data need"


def _problems_of_peaks(config: AnalysisConfig, fileset: Fileset) -> Iterator[str]:
    """Say what is missing to expect known peaks among the jets that are hunted in."""
    peaking = {name: d for name, d in fileset.datasets.items() if d.kind == "peaking"}
    for name in config.hunt.peaks.norms:
        if name not in peaking:
            known = f"there are {', '.join(peaking)}" if peaking else "there is none"
            hint = did_you_mean(name, peaking)
            yield f"hunt.peaks.norms: '{name}' is no dataset of kind peaking; {known}.{hint}"
    data = [dataset for dataset in fileset.datasets.values() if dataset.kind == "data"]
    if peaking and data and config.lumi_ifb is None and not all(d.lumi_table for d in data):
        yield (
            f"how many jets {', '.join(peaking)} should give in data is not known: set lumi_ifb, or a lumi_table of each "
            "dataset of data"
        )
    for name, dataset in peaking.items():
        if data and dataset.simulate is None and not dataset.cross_section_pb:
            yield f"dataset '{name}' is peaking and has no cross_section_pb: how many jets it gives is not known"


def _check_sources(config: AnalysisConfig, fileset: Fileset) -> Findings:
    """Open every file that exists already, and look for the branches the selection needs."""
    names = [name for name, dataset in fileset.datasets.items() if dataset.simulate is None]
    if not names:
        return
    from oddjet.processors.engine.preview import preview_fileset  # noqa: PLC0415 (slow import)

    yield from preview_fileset(
        fileset.only(names), selection=config.selection, chunk_size=config.chunk_size
    )


def _check_detectors(config: AnalysisConfig, fileset: Fileset) -> Findings:  # noqa: ARG001
    for settings in config.detectors:
        try:
            yield True, _check_detector(settings)
        except OddjetError as error:
            yield False, str(error)


def _check_detector(settings: DetectorConfig) -> str:
    detector = create(settings.name, **settings.hyper_parameters)
    if settings.cut is not None and settings.cut not in detector.score_names:
        msg = (
            f"detector '{settings.key}' has no score '{settings.cut}' to cut on; it has "
            f"{', '.join(detector.score_names)}"
        )
        raise ConfigError(msg)
    return f"detector '{settings.key}' gives {', '.join(detector.score_names)}"


def _check_function(config: AnalysisConfig, fileset: Fileset) -> Findings:  # noqa: ARG001
    name = config.hunt.function
    if name in FAMILIES:  # the number of parameters is chosen later
        make_function(f"{name}2", scale=1.0)
    elif name != "auto":
        make_function(name, scale=1.0)
    yield True, f"background function '{name}'"


def _check_output(config: AnalysisConfig, fileset: Fileset) -> Findings:  # noqa: ARG001
    for folder in (config.output, config.samples):
        existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
        if not existing.is_dir():
            yield False, f"{folder} cannot be a folder: {existing} is a file"
        elif not os.access(existing, os.W_OK):
            yield False, f"{folder} cannot be written: {existing} can only be read"
