"""Where the documents' jets live: windows in pt with a background, signals, and roles by event.

Each window is one skim of built-in samples (`catalog:reproduce`). The roles are decided by the event
number, so that no jet has two: of a background, half the events train, a quarter are for validation
and a quarter for the test; of a signal, half are for validation and half for the test. In inverse
tagging a signal takes the background's roles and the other way round.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Literal, TypeAlias

import awkward as ak
import numpy as np
import numpy.typing as npt

from oddjet.analysis.pipeline.samples import ready_samples
from oddjet.analysis.trials import local_cluster
from oddjet.condor.cluster import open_executor
from oddjet.datasets.files.fileset import Fileset, load_fileset
from oddjet.datasets.folds import fold_of
from oddjet.datasets.jets import Jets, Truth
from oddjet.datasets.skims.skim import Skim, open_skim
from oddjet.errors import ConfigError, look_up
from oddjet.processors.engine.options import RunOptions
from oddjet.processors.engine.progress import Reporter, SilentReporter
from oddjet.processors.events.selection import Selection
from oddjet.processors.run import run_skim

__all__ = ["ROLES", "WINDOWS", "Role", "Window", "get_window", "ready_window"]

Role: TypeAlias = Literal["train", "validation", "test"]

FOLDS = 4
ROLES: dict[str, dict[Role, tuple[int, ...]]] = {
    "background": {"train": (2, 3), "validation": (0,), "test": (1,)},
    "signal": {"train": (0, 2), "validation": (0, 2), "test": (1, 3)},
}
"""Folds of events by role. What trains on signal, the supervised ceiling, chooses nothing with it."""
CHUNK_SIZE = 100_000


@dataclasses.dataclass(frozen=True)
class Window:
    """Jets of one kind of selection.

    Attributes:
        name: Short name, also of the skim's folder.
        title: What it is, for tables.
        background: Dataset of the background.
        signals: Datasets of signals → the label a jet needs to count as signal.
        selection: Cuts of the skim.
        pt_range: Narrower window in pt for a comparison, [low, high) in GeV; None for all jets.
        leading: Keep the hardest jet of each event alone.
        skim: Name of the skim, where several windows share one.
    """

    name: str
    title: str
    background: str
    signals: dict[str, Truth]
    selection: Selection
    pt_range: tuple[float, float] | None = None
    leading: bool = False
    skim: str = ""

    @property
    def folder(self) -> str:
        """Name of the skim's folder."""
        return self.skim or self.name

    def jets(self, skim: Skim, dataset: str, role: Role, *, nominal: bool) -> Jets:
        """Read the jets of a dataset that have a role, in random order of the events.

        `nominal` says whether the dataset plays the background here, which is trained on.
        """
        jets = skim.jets(dataset)
        keep = np.ones(len(jets), dtype=bool)
        if dataset in self.signals:
            keep &= np.asarray(jets["label"]) >= int(self.signals[dataset])
        if self.pt_range is not None:
            pt = np.asarray(jets["pt"])
            keep &= (pt >= self.pt_range[0]) & (pt < self.pt_range[1])
        if self.leading:
            keep &= is_leading(jets)
        folds = ROLES["background" if nominal else "signal"][role]
        keep &= np.isin(fold_of(jets, FOLDS), folds)
        return ak.to_packed(jets[keep])


def is_leading(jets: Jets) -> npt.NDArray[np.bool_]:
    """Mark the hardest jet of each event, the first of equal ones: bool, shape (n,)."""
    names = ("run", "luminosityBlock", "event")
    keys = [np.asarray(jets[name], dtype=np.uint64) for name in names]
    order = np.lexsort((np.arange(len(jets)), -np.asarray(jets["pt"], np.float64), *keys))
    first = np.zeros(len(jets), dtype=bool)
    if len(jets):
        changes = np.zeros(len(jets) - 1, dtype=bool)
        for key in keys:
            changes |= np.diff(key[order]) != 0
        first[order[0]] = True
        first[order[1:][changes]] = True
    return first


WINDOWS: dict[str, Window] = {
    window.name: window
    for window in (
        Window(
            name="w",
            title="W, pt > 200 GeV",
            background="qcd_w",
            signals={"w": Truth.MERGED},
            selection=Selection.khanal(),
        ),
        Window(
            name="top",
            title="top, 550 < pt < 650 GeV",
            background="qcd_top",
            signals={"top": Truth.MERGED},
            # As the public top-tagging sample has it: all three quarks within the jet's radius.
            selection=Selection(pt_min=500.0, merged_delta_r=0.8),
            pt_range=(550.0, 650.0),
        ),
        Window(
            name="ene",
            title="top, leading jet of pt > 500 GeV",
            background="qcd_top",
            signals={"top": Truth.MERGED},
            selection=Selection(pt_min=500.0, merged_delta_r=0.8),
            leading=True,
            skim="top",
        ),
        Window(
            name="golling",
            title="leading jet of pt > 450 GeV",
            background="qcd_boosted",
            signals={
                "top_boosted": Truth.MATCHED,
                "stealth80": Truth.MATCHED,
                "stealth400": Truth.MATCHED,
            },
            selection=Selection(pt_min=450.0, merged_delta_r=0.8),
            leading=True,
            skim="boosted",
        ),
        Window(
            name="svj",
            title="pt > 450 GeV",
            background="qcd_boosted",
            signals={"svj": Truth.MATCHED, "top_boosted": Truth.MERGED},
            selection=Selection(pt_min=450.0, merged_delta_r=0.8),
            skim="boosted",
        ),
        Window(
            name="dark",
            title="dark jets, 150 < pt < 300 GeV",
            background="qcd_dark",
            signals={"aachen": Truth.MATCHED, "heidelberg": Truth.MATCHED},
            selection=Selection(pt_min=150.0, pt_max=300.0),
        ),
    )
}
"""Every window by name."""


def get_window(name: str) -> Window:
    """Look a window up; a `ConfigError` if there is none of that name."""
    return look_up(WINDOWS, name, "window")


def ready_window(
    name: str,
    output: Path,
    *,
    samples: Path,
    workers: int = 1,
    fileset: Fileset | None = None,
    reporter: Reporter | None = None,
) -> Skim:
    """Simulate and skim what a window needs, as far as it is not there.

    The skim holds the datasets of all windows that share it.

    Raises:
        ConfigError: If there is no such window, or the fileset lacks one of its datasets.
        ProcessingError: If a chunk fails.
    """
    reporter = reporter or SilentReporter()
    window = get_window(name)
    fileset = fileset or load_fileset("catalog:reproduce")
    needed = _datasets_of_skim(window.folder)
    if missing := [dataset for dataset in needed if dataset not in fileset.datasets]:
        msg = (
            f"window '{name}' needs the datasets {', '.join(needed)}; the fileset lacks "
            f"{', '.join(missing)} and has {', '.join(fileset.datasets)}"
        )
        raise ConfigError(msg)
    wanted = fileset.model_copy(update={"datasets": {n: fileset.datasets[n] for n in needed}})
    ready = ready_samples(wanted, samples, workers=workers, reporter=reporter)
    folder = output / window.folder
    with (
        open_executor(local_cluster(workers)) as pool,
        reporter.track(f"skim {name}", 0, "events") as update,
    ):
        run_skim(
            ready,
            selection=window.selection,
            output=folder,
            representation=None,
            executor=pool,
            options=RunOptions(chunk_size=CHUNK_SIZE, progress=update),
        )
    return open_skim(folder)


def _datasets_of_skim(folder: str) -> tuple[str, ...]:
    """Name the datasets of all windows with that skim, backgrounds first."""
    windows = [window for window in WINDOWS.values() if window.folder == folder]
    backgrounds = [window.background for window in windows]
    signals = [signal for window in windows for signal in window.signals]
    return tuple(dict.fromkeys((*backgrounds, *signals)))
