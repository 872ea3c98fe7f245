"""Looking at the jets that are hunted in: all at once, or in stages; of data, each look is in the ledger."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from oddjet.analysis.config import CONFIG_FILE, AnalysisConfig, UnblindingConfig, load_config
from oddjet.analysis.hunt.frozen import Frozen
from oddjet.analysis.hunt.histogram import FileHunt, hunt_file
from oddjet.analysis.hunt.hunt import Hunt, hunt
from oddjet.analysis.hunt.ledger import (
    Event,
    jets_key,
    ledger_of,
    look_of,
    read_ledger,
    record,
    record_hunt,
    record_unblinding,
)
from oddjet.analysis.hunt.spectra import HuntedSpectra
from oddjet.analysis.hunt.stages import FROZEN, freeze, read_frozen
from oddjet.analysis.scores.blinding import blinding_of
from oddjet.analysis.statistics.bumphunt.settings import ScanSettings
from oddjet.analysis.statistics.exchange.histogram_files import source_parts
from oddjet.datasets.skims.manifest import MANIFEST, Manifest, read_manifest
from oddjet.errors import ConfigError
from oddjet.processors.blinding import Blinding, Part
from oddjet.processors.histograms import HUNTED, HistogramSettings
from oddjet.processors.sample import HuntSample

__all__ = ["check_file", "hunt_in_file", "look", "record_limit", "staged"]

Read = Callable[[HistogramSettings], HuntedSpectra]
"""Gives the spectra of jets, see `oddjet.analysis.hunt.spectra.read_histograms`."""


def staged(
    sample: HuntSample, config: AnalysisConfig, *, explores: bool | None = None
) -> HuntSample:
    """Give the jets that a stage hunts in: those that explore, or after unblinding the others; all without stages.

    Args:
        sample: All jets.
        config: The analysis.
        explores: Which; as the analysis says if None.
    """
    stages = config.unblinding
    if stages is None:
        return sample
    part = Part(stages.explore, not config.unblind if explores is None else explores)
    lumi = sample.lumi_ifb
    return dataclasses.replace(
        sample,
        part=part,
        lumi_ifb=lumi and lumi * part.fraction,
        caveats=(*sample.caveats, part.caveat),
    )


def look(
    config: AnalysisConfig, scores: Path, wanted: HistogramSettings, read: Read, *, workers: int = 1
) -> Hunt:
    """Hunt in spectra, and write down that, of data: what was looked at, and the p.

    Args:
        config: The analysis.
        scores: Folder of the scores table that they are of.
        wanted: The spectra.
        read: Reads them.
        workers: Threads of the scan.

    Raises:
        ConfigError: The look cannot be recorded, or what exploring wrote down cannot be used.
    """
    about = look_of(config, read_manifest(scores), wanted.hunted)
    if config.unblinding is not None:
        return _Stages(config, config.unblinding, scores, wanted, read, about, workers).look()
    spectra = read(wanted)
    if spectra.sample.kind != "data":
        return hunt(spectra, config.hunt, workers=workers)
    ledger = ledger_of(scores)
    if config.unblind:
        record_unblinding(ledger, about)
    result = hunt(spectra, config.hunt, unblind=config.unblind, workers=workers)
    record_hunt(ledger, "hunt", about, result)
    return result


@dataclasses.dataclass(frozen=True)
class _Stages:
    """A hunt in stages: see `oddjet.analysis.hunt.stages`."""

    config: AnalysisConfig
    settings: UnblindingConfig
    scores: Path
    wanted: HistogramSettings
    read: Read
    about: dict[str, object]
    workers: int

    @property
    def ledger(self) -> Path:
        return ledger_of(self.scores)

    @property
    def frozen_file(self) -> Path:
        return self.ledger.with_name(FROZEN)

    @property
    def is_seen(self) -> bool:
        """Whether jets that test have been seen: then nothing more is written down.

        One unblinding is enough: another selection, or more files, still hold events that were seen.
        """
        return bool(read_ledger(self.ledger).unblindings)

    def look(self) -> Hunt:
        if not self.config.unblind:
            return self._explore(self.wanted)
        if self.is_seen or self.frozen_file.is_file():
            try:
                frozen = read_frozen(self.frozen_file, self.about)
            except ConfigError:
                if self.is_seen:
                    raise
                frozen = self._explored()
        else:
            frozen = self._explored()
        return self._test(frozen)

    def _explored(self) -> Frozen:
        """Explore now, in the jets that do."""
        assert self.wanted.sample is not None
        sample, share = self.wanted.sample, self.settings.explore
        part, lumi, own = Part(share, explores=True), sample.lumi_ifb, sample.part
        if lumi is not None and own is not None:
            lumi *= part.fraction / own.fraction
        other = dataclasses.replace(sample, part=part, lumi_ifb=lumi, caveats=(part.caveat,))
        data = tuple(sample.scales or ()) if sample.kind == "data" else ()
        blinding = Blinding(data, self.wanted.mass, share=share) if data else None
        wanted = self.wanted.model_copy(update={"sample": other, "blinding": blinding})
        frozen = self._explore(wanted).frozen
        assert frozen is not None
        return frozen

    def _explore(self, wanted: HistogramSettings) -> Hunt:
        spectra = self.read(wanted)
        result = hunt(spectra, self.config.hunt, unblind=True, workers=self.workers)
        self._record("explore", result)
        frozen = freeze(self.frozen_file, result, self.settings, self.about, keep=self.is_seen)
        return dataclasses.replace(result, frozen=frozen)

    def _test(self, frozen: Frozen) -> Hunt:
        spectra = self.read(self.wanted)
        if spectra.sample.kind == "data":
            record_unblinding(self.ledger, self.about)
        settings = self.config.hunt.model_copy(update={"windows": frozen.windows or None})
        result = hunt(spectra.only(frozen.labels), settings, unblind=True, workers=self.workers)
        self._record("test", result)
        return dataclasses.replace(result, frozen=frozen)

    def _record(self, event: Event, result: Hunt) -> None:
        if result.sample.kind == "data":
            record_hunt(self.ledger, event, self.about, result)


def hunt_in_file(
    source: str, settings: ScanSettings, *, background: str | None = None, workers: int = 1
) -> FileHunt:
    """Hunt in a histogram of a file, see `hunt_file`; write it down where it is of data in a scores table.

    Args:
        source: As of `hunt_file`, as the others are.
        settings: How to scan.
        background: Expected background.
        workers: Threads.

    Raises:
        ConfigError: The look cannot be recorded; or the file holds what its run hides.
    """
    for name in (source, background):
        if name is not None:
            check_file(name)
    result = hunt_file(source, settings, background=background, workers=workers)
    scan, of_data = result.bump_hunt, _of_data(source)
    if scan is not None and of_data is not None:
        folder, manifest, name = of_data
        about = {
            "jets": jets_key(manifest),
            "source": name,
            "hunt": settings.model_dump(mode="json", exclude={"n_toys", "max_toys", "seed"}),
            "background": background,
        }
        record(ledger_of(folder), "hunt", about, p=scan.global_p, is_bound=scan.global_p_is_bound)
    return result


def check_file(source: str) -> None:
    """Refuse a histogram of data of a run that hides what the histogram's file holds.

    Args:
        source: ``FILE[:HISTOGRAM]``, of any origin; only those of a run are refused.

    Raises:
        ConfigError: The run is blinded, and its file was filled with all data.
    """
    of_data = _of_data(source)
    if of_data is None or (of_data[1].config.get("histograms") or {}).get("blinding") is not None:
        return
    config = of_data[0].parent / CONFIG_FILE
    if not config.is_file():
        return
    hidden = blinding_of(load_config(config), of_data[1].datasets)
    if hidden is not None:
        msg = (
            f"{source} belongs to the run of {config}, which hides of the data: {hidden.what}. The file was filled with "
            f"all of them, by an older version or by other settings: fill it again with `oddjet run "
            f"{shlex.quote(str(config))}`; with --unblind if you want to look at the data"
        )
        raise ConfigError(msg)


def record_limit(source: str, about: Mapping[str, Any]) -> None:
    """Write down that a limit looked under a signal, where its histogram is of data in a scores table.

    Args:
        source: ``FILE[:HISTOGRAM]``.
        about: What limit was set, ready for JSON.

    Raises:
        ConfigError: It cannot be recorded.
    """
    of_data = _of_data(source)
    if of_data is not None:
        folder, manifest, name = of_data
        look = {"jets": jets_key(manifest), "source": name, **about}
        record(ledger_of(folder), "limit", look)


def _of_data(source: str) -> tuple[Path, Manifest, str] | None:
    """Say whose data a histogram holds: folder of the scores table, its manifest, and its one name there.

    None for a histogram of simulation, or of something else than a scores table.
    """
    path, name, choices = source_parts(source)
    folder = path.parent.resolve()
    if not (folder / MANIFEST).is_file():
        return None
    manifest = read_manifest(folder)
    asked = "&".join(f"{axis}={value}" for axis, value in sorted(choices.items()))
    own = f"{path.name}:{name}" + (f"?{asked}" if asked else "")
    is_of_data = manifest.kind == "scores" and _is_of_data(own, manifest)
    return (folder, manifest, own) if is_of_data else None


def _is_of_data(name: str, manifest: Manifest) -> bool:
    """Whether a histogram in the file of a scores table holds data: of all datasets, or of one that is data."""
    data = [n for n, dataset in manifest.datasets.items() if dataset.kind == "data"]
    sample = (manifest.config.get("histograms") or {}).get("sample") or {}
    whole = "dataset=sum" in name or HUNTED in name
    if HUNTED in name and sample.get("kind") != "data":
        return False
    return bool(data) and (whole or any(f"dataset={n}" in name or f"/{n}/" in name for n in data))
