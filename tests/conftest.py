"""Fixtures shared by all tests."""

from __future__ import annotations

import fcntl
import gc
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import awkward as ak
import numpy as np
import pytest

from oddjet.datasets.jets import Jets, Truth, make_jets
from oddjet.datasets.simulation import simulate

ROOT = Path(__file__).resolve().parents[1]


def pytest_collection_finish() -> None:
    """Let the collector of cycles pass over all that was imported, which it would look at again and again."""
    gc.collect()
    gc.freeze()


def _shared(variable: str, name: str, what: str) -> Path:
    folder = Path(os.environ.get(variable, ROOT.parent / "shared" / name))
    if not folder.is_dir():
        pytest.skip(f"{what} not found in {folder}: set {variable}")
    return folder


@pytest.fixture(scope="session")
def samples() -> Path:
    """The folder of real CMS files; tests that need it say so when they skip."""
    return _shared("ODDJET_SAMPLES", "data", "real CMS files")


@pytest.fixture(scope="session")
def cases() -> Path:
    """The folder of inputs that users' reports describe; tests that need it say so when they skip."""
    return _shared("ODDJET_CASES", "cases", "inputs of users' reports")


@pytest.fixture
def heard_signals() -> Iterator[None]:
    """Commands that are started here hear Ctrl-C and a terminal's end, also where the tests do not."""
    before = {n: signal.signal(n, signal.SIG_DFL) for n in (signal.SIGINT, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


SimulateOnce = Callable[[str, int], Path]


@pytest.fixture(scope="session")
def simulate_once(tmp_path_factory: pytest.TempPathFactory) -> SimulateOnce:
    """Simulate a process above 350 GeV into a file that all processes of the tests share."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "simulated"
    folder.mkdir(exist_ok=True)

    def once(process: str, n_events: int) -> Path:
        path = folder / f"{process}.root"
        with (folder / f"{process}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # until the file is closed
            if not path.exists():
                simulate(process, n_events, seed=1, output=path, pt_hat_min=350)
        return path

    return once


@pytest.fixture(scope="session")
def qcd(simulate_once: SimulateOnce) -> Path:
    """A file of 400 simulated events; not to be changed."""
    return simulate_once("qcd", 400)


MakeToyJets = Callable[..., Jets]


def make_toy_jets(
    n: int, *, prongs: int, seed: int, dataset: str | None = None, events: bool = True
) -> Jets:
    """Synthetic jets of falling pt whose particles cluster around one axis, or around two 0.7 apart."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(15, 40, n)
    jet = np.repeat(np.arange(n), counts)
    size = len(jet)
    axis_eta, axis_phi = rng.uniform(-1.9, 1.9, n), rng.uniform(-np.pi, np.pi, n)
    angle = rng.uniform(0, 2 * np.pi, n)
    opening = 0.7 if prongs == 2 else 0.0
    side = rng.choice([-0.5, 0.5], size) * opening
    eta = axis_eta[jet] + side * np.sin(angle[jet]) + rng.normal(0, 0.06, size)
    phi = axis_phi[jet] + side * np.cos(angle[jet]) + rng.normal(0, 0.06, size)
    pt = rng.exponential(1.0, size)
    pt *= ((200 + rng.exponential(80, n)) / np.bincount(jet, weights=pt))[jet]
    phi = np.arctan2(np.sin(phi), np.cos(phi))
    constituents = ak.unflatten(ak.zip({"pt": pt, "eta": eta, "phi": phi}), counts)
    columns: dict[str, object] = {
        "label": np.full(n, Truth.MERGED if prongs == 2 else Truth.BACKGROUND),
        "weight": rng.uniform(0.5, 1.5, n),
    }
    if events:
        columns["run"] = np.ones(n, dtype=np.uint32)
        columns["luminosityBlock"] = np.arange(n) // 100 + 1
        columns["event"] = np.arange(n) + 1_000_000 * seed
    if dataset is not None:
        columns["dataset"] = ak.str.to_categorical(ak.Array([dataset] * n))
    return make_jets(constituents, **columns)


@pytest.fixture(scope="session")
def toy_jets() -> MakeToyJets:
    """Narrow jets with one prong, and wide ones with two."""
    return make_toy_jets
