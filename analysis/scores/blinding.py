"""What of data an analysis hides, and what the run hides that a folder belongs to."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from oddjet.analysis.config import CONFIG_FILE, AnalysisConfig, load_config
from oddjet.analysis.scores.sample import blinded_range
from oddjet.datasets.disk.validation import validate
from oddjet.datasets.skims.manifest import CutStep, Manifest, read_manifest
from oddjet.errors import ConfigError
from oddjet.processors.blinding import Blinding
from oddjet.processors.histograms import HistogramSettings

__all__ = [
    "ALONE",
    "FIRST_JET_CUT",
    "blinding_of",
    "blinding_of_folder",
    "check_blinding",
    "shown_cutflow",
    "shown_jets",
    "told_alone",
]

FIRST_JET_CUT = "jets"
"""The step of the cut flow from which on jets are cut on: what is left tells how many are hidden."""

ALONE = "data are shown whole: blinding begins with an analysis, whose run this skim is not of"
"""What is said of a skim without a run."""


class _OfKind(Protocol):
    @property
    def kind(self) -> str: ...


def blinding_of(config: AnalysisConfig, datasets: Mapping[str, _OfKind]) -> Blinding | None:
    """What of data an analysis hides; None where there are none, or they are unblinded.

    Args:
        config: The analysis.
        datasets: What is known of each dataset, its kind among it.
    """
    data = tuple(name for name, dataset in datasets.items() if dataset.kind == "data")
    if not data or config.unblind:
        return None
    mass, stages = config.hunt.mass, config.unblinding
    if stages is not None:
        return Blinding(data, mass, share=stages.explore)
    return Blinding(data, mass, window=blinded_range(config.hunt))


def blinding_of_folder(folder: Path | str, manifest: Manifest) -> Blinding | None:
    """What is hidden of the data of a skim or a scores table: as its run says, else as its histograms do.

    Args:
        folder: Of the skim or scores.
        manifest: Its manifest.

    Raises:
        ConfigError: The settings of its run cannot be read.
    """
    of_run = Path(folder).absolute().parent / CONFIG_FILE
    if of_run.is_file():
        return blinding_of(load_config(of_run), manifest.datasets)
    filled = manifest.config.get("histograms") or {}
    return validate(HistogramSettings, filled, f"{folder}: histograms").blinding


def told_alone(folder: Path | str, manifest: Manifest) -> tuple[str, ...]:
    """Say of a skim of data that nothing of it is hidden, where no run says what its window is."""
    has_data = any(dataset.kind == "data" for dataset in manifest.datasets.values())
    is_of_run = (Path(folder).absolute().parent / CONFIG_FILE).is_file()
    return (ALONE,) if has_data and manifest.kind == "skim" and not is_of_run else ()


def shown_cutflow(manifest: Manifest, blinding: Blinding | None) -> dict[str, tuple[CutStep, ...]]:
    """The cut flow without what tells how many jets of data are hidden: their cuts on jets."""
    hidden = blinding.datasets if blinding else ()
    return {
        name: _before_jets(steps) if name in hidden else steps
        for name, steps in manifest.cutflow.items()
    }


def _before_jets(steps: tuple[CutStep, ...]) -> tuple[CutStep, ...]:
    names = [step.name for step in steps]
    return steps[: names.index(FIRST_JET_CUT)] if FIRST_JET_CUT in names else ()


def shown_jets(manifest: Manifest, blinding: Blinding | None) -> dict[str, int | None]:
    """Numbers of jets by dataset; None for data of which something is hidden."""
    n_jets = dict.fromkeys(manifest.datasets, 0)
    for chunk in manifest.chunks:
        n_jets[chunk.dataset] += chunk.n_jets
    hidden = blinding.datasets if blinding else ()
    return {name: None if name in hidden else number for name, number in n_jets.items()}


def check_blinding(config: AnalysisConfig, scores: Path, way_out: str = "") -> None:
    """Refuse to show what a scores table hides: as its run says, else as its histograms were filled.

    Args:
        config: By which data are hidden here.
        scores: Folder of the table.
        way_out: What else one can do than to hide the same, for the message.

    Raises:
        ConfigError: Other data would be hidden here.
    """
    of_run = scores.absolute().parent / CONFIG_FILE
    if of_run.is_file():
        run = load_config(of_run)
        hidden, asked = _hidden(run), _hidden(config)
        if run.unblind or hidden == asked:
            return
        msg = (
            f"{scores} belongs to the run of {of_run}, which hides {hidden} of the data; here {asked} would be "
            f"hidden instead. Use the run's settings: --config {shlex.quote(str(of_run))} (config= in Python)"
        )
    else:
        manifest = read_manifest(scores)
        filled, wanted = (
            blinding_of_folder(scores, manifest),
            blinding_of(config, manifest.datasets),
        )
        if filled is None or wanted is None or wanted.covers(filled):
            return
        msg = (
            f"{scores} was made with data blinded: {filled.what}; here {wanted.what} would be hidden instead. Use the "
            "settings that it was made with (--config or --set), or score again with others"
        )
    raise ConfigError(msg + (f"; or {way_out}" if way_out else ""))


def _hidden(config: AnalysisConfig) -> str:
    """What a configuration hides of data while they are blinded, in words."""
    if config.unblinding is not None:
        return f"{100 * (1 - config.unblinding.explore):g} % of the events"
    low, high = config.hunt.window
    return f"{config.hunt.mass} in {low:g}–{high:g} GeV"
