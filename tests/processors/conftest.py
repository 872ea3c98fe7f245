"""Small simulated files, files made from them, executors, and a detector that scores by the mass."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
import uproot
from chosen import OPEN
from coffea.nanoevents import NanoEventsFactory
from coffea.nanoevents.schemas import BaseSchema
from coffea.processor.executor import ExecutorBase
from toy_tables import module_on_path

from oddjet.condor import Cluster, open_executor
from oddjet.datasets.files.dataset import Dataset, Fileset
from oddjet.datasets.skims.manifest import Manifest
from oddjet.datasets.skims.skim import open_skim
from oddjet.ml.folds import FoldedDetector
from oddjet.processors.engine.options import RunOptions
from oddjet.processors.events.selection import Selection
from oddjet.processors.run import run_skim

Change = Callable[[dict[str, Any]], None]
Rewrite = Callable[..., Path]


@pytest.fixture(scope="session")
def w(simulate_once: Callable[[str, int], Path]) -> Path:
    """A file of 200 simulated events; not to be changed."""
    return simulate_once("w", 200)


@pytest.fixture(scope="session")
def fileset(qcd: Path, w: Path) -> Fileset:
    return Fileset(
        datasets={
            "qcd": Dataset(files=[str(qcd)], kind="background", cross_section_pb=2.0),
            "w": Dataset(files=[str(w)], kind="signal", truth=(24,), cross_section_pb=1.0),
        }
    )


@pytest.fixture
def iterative() -> Iterator[ExecutorBase]:
    with open_executor() as executor:
        yield executor


@pytest.fixture(scope="session")
def executors(mass_detector: str) -> Iterator[dict[str, ExecutorBase]]:
    """One of each kind; workers are started once, and inherit the path."""
    with ExitStack() as stack:
        yield {
            kind: stack.enter_context(open_executor(Cluster(executor=kind, workers=2)))
            for kind in ("iterative", "futures", "dask")
        }


@pytest.fixture(scope="session")
def skim_folder(fileset: Fileset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A skim without images, in several chunks; not to be changed."""
    folder = tmp_path_factory.mktemp("skim")
    with open_executor() as executor:
        run_skim(
            fileset,
            selection=Selection(),
            output=folder,
            executor=executor,
            options=RunOptions(chunk_size=150),
        )
    return folder


@pytest.fixture
def rewrite(tmp_path: Path) -> Rewrite:
    """Copy a file's events, changed; as data without what is generated, of run 361001, and with the tree of blocks."""

    def rewrite(
        source: Path,
        name: str = "changed.root",
        *,
        entries: int | None = None,
        change: Change | None = None,
        drop: Sequence[str] = (),
        keep_runs: bool = False,
        as_data: bool = False,
    ) -> Path:
        with uproot.open(source) as file:
            events = file["Events"].arrays(entry_stop=entries)
            runs = file["Runs"].arrays() if keep_runs else None
        counters = {f"n{n.partition('_')[0]}" for n in events.fields if events[n].ndim > 1}
        data = {n: events[n] for n in events.fields if n not in counters and n not in drop}
        if as_data:
            generated = ("gen", "lhe", "psweight", "pileup", "flavour")
            data = {n: a for n, a in data.items() if not any(w in n.lower() for w in generated)}
            data["run"] = data["run"] + np.uint32(361_000)
        if change is not None:
            change(data)
        path = tmp_path / name
        with uproot.recreate(path) as file:
            types = {n: ak.Array(a).type.content for n, a in data.items()}
            tree = file.mktree("Events", types)
            tree.extend(data)
            if runs is not None:
                columns = {n: ak.to_numpy(runs[n]) for n in runs.fields}
                sums = file.mktree("Runs", {n: c.dtype for n, c in columns.items()})
                sums.extend(columns)
            if as_data:
                numbers = np.stack([np.asarray(data[n]) for n in ("run", "luminosityBlock")], 1)
                run, block = np.unique(numbers, axis=0).T.astype(np.uint32)
                blocks = file.mktree("LuminosityBlocks", {"run": "u4", "luminosityBlock": "u4"})
                blocks.extend({"run": run, "luminosityBlock": block})
        return path

    return rewrite


@pytest.fixture
def open_events() -> Callable[..., tuple[Any, set[str]]]:
    """Open a file as coffea's Runner does; give events and a function that tells what was read."""

    def open_events(path: Path, start: int = 0, stop: int | None = None) -> tuple[Any, Any]:
        log: list[Any] = []
        events = NanoEventsFactory.from_root(
            {str(path): "Events"},
            schemaclass=BaseSchema,
            mode="virtual",
            entry_start=start,
            entry_stop=stop,
            access_log=log,
        ).events()
        return events, lambda: {access.branch for access in log}

    return open_events


PLUGIN = '''
import json
from pathlib import Path

import numpy as np

from oddjet.ml.detectors.base import Detector
from oddjet.ml.representations.jet_image import JetImage


class MassDetector(Detector):
    """The heavier, the more anomalous; and the other way round."""

    score_names = ("mass", "light")
    min_jets = 1

    def __init__(self, *, offset: float = 0.0, representation=None):
        self.offset = offset
        self.representation = representation or JetImage(pixels=8)

    def _fit(self, jets, *, validation, seed, progress):
        self.scale_ = float(np.mean(np.asarray(jets.mass)))

    def _scores(self, jets):
        mass = np.asarray(jets.mass, dtype=np.float64) / self.scale_ + self.offset
        return {"mass": mass, "light": -mass}

    def _save(self, folder: Path):
        (folder / "scale.json").write_text(json.dumps(self.scale_))

    def _load(self, folder: Path):
        self.scale_ = json.loads((folder / "scale.json").read_text())
'''


@pytest.fixture(scope="session")
def mass_detector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Path of a detector whose scores are easy to know."""
    folder = tmp_path_factory.mktemp("mass_package")
    with module_on_path(folder, "mass_detectors", PLUGIN):
        yield "mass_detectors:MassDetector"


@pytest.fixture(scope="session")
def detector_folder(
    skim_folder: Path, mass_detector: str, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A folded detector, trained on the skim's background."""
    jets = open_skim(skim_folder).jets(kinds="background")
    folder = tmp_path_factory.mktemp("models") / "mass"
    FoldedDetector.fit(jets, detector=(mass_detector, {}), k=3, seed=1).save(folder)
    return folder


@pytest.fixture(scope="session")
def delta_r() -> Callable[[float, float, float, float], float]:
    """ΔR from complex numbers: nothing of it is shared with the code that is tested."""

    def delta_r(eta1: float, phi1: float, eta2: float, phi2: float) -> float:
        delta_phi = np.angle(np.exp(1j * (float(phi1) - float(phi2))))
        return float(np.hypot(float(eta1) - float(eta2), delta_phi))

    return delta_r


@pytest.fixture
def skim(iterative: ExecutorBase, tmp_path: Path) -> Callable[..., Manifest]:
    """Skim files as one dataset."""
    folders = iter(range(100))

    def skim(
        *files: Path,
        kind: Any = "background",
        selection: Selection = OPEN,
        options: RunOptions | None = None,
        **known: Any,
    ) -> Manifest:
        dataset = Dataset(files=[str(file) for file in files], kind=kind, **known)
        return run_skim(
            Fileset(datasets={"d": dataset}),
            output=tmp_path / f"skim{next(folders)}",
            executor=iterative,
            selection=selection,
            options=options,
        )

    return skim
