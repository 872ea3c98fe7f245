"""Skims of toy jets for all windows: backgrounds of one prong, signals of two."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import awkward as ak
import numpy as np
import pytest
from toy_tables import write_table

from oddjet.analysis.studies.reproduce.windows import WINDOWS
from oddjet.datasets.jets import Truth, make_jets
from oddjet.datasets.skims.skim import Skim

PT = {"w": 250.0, "top": 600.0, "ene": 600.0, "golling": 550.0, "svj": 550.0, "dark": 200.0}


def write_toy_skim(folder: Path, names: dict[str, bool], *, pt: float, n: int = 800) -> Skim:
    """Write n jets of each dataset (name → whether it is a signal) of a given pt, two an event."""
    jets = {}
    for number, (name, is_signal) in enumerate(names.items()):
        rng = np.random.default_rng(number)
        size = (n, 14)
        side = np.where(rng.random(size) < 0.5, 0.3, 0.0) if is_signal else np.zeros(size)
        width = rng.uniform(0.03, 0.2, (n, 1))
        particles = rng.exponential(1.0, size) + 0.02
        particles *= pt / particles.sum(axis=1, keepdims=True)
        constituents = ak.zip(
            {
                "pt": particles,
                "eta": width * rng.normal(size=size) + side,
                "phi": width * rng.normal(size=size),
            }
        )
        jets[name] = make_jets(
            ak.from_regular(constituents),
            msoftdrop=rng.uniform(5, 200, n),
            pt=np.full(n, pt) * rng.uniform(0.99, 1.01, n),
            run=np.ones(n, int),
            luminosityBlock=np.ones(n, int),
            event=np.arange(n) // 2 + 10_000 * number,
            weight=np.ones(n),
            label=np.full(n, Truth.MERGED if is_signal else Truth.BACKGROUND),
            dataset=name,
        )
    kinds = {n: "signal" if is_signal else "background" for n, is_signal in names.items()}
    return write_table(folder, jets, kinds)


@pytest.fixture(scope="session")
def toy_skims(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Skim]:
    """The skim of a window, by the window's name; each written once."""
    folder = tmp_path_factory.mktemp("skims")
    written: dict[str, Skim] = {}

    def skim(name: str) -> Skim:
        window = WINDOWS[name]
        if window.folder not in written:
            sharing = [other for other in WINDOWS.values() if other.folder == window.folder]
            names = {other.background: False for other in sharing}
            names |= {signal: True for other in sharing for signal in other.signals}
            written[window.folder] = write_toy_skim(folder / window.folder, names, pt=PT[name])
        return written[window.folder]

    return skim
