from __future__ import annotations

import subprocess
import sys
import types
from pathlib import Path

import awkward as ak
import numpy as np
import pytest

from oddjet.datasets.jets import make_jets
from oddjet.datasets.skims import lazy
from oddjet.datasets.skims.compaction import compact
from oddjet.datasets.skims.lazy import lazy_jets
from oddjet.datasets.skims.manifest import ChunkRecord, DatasetSummary, Manifest, write_manifest
from oddjet.datasets.skims.parts import write_part
from oddjet.datasets.skims.skim import open_skim
from oddjet.errors import ConfigError

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two datasets, of which one lacks a column that may have no value; a part without jets."""
    rng = np.random.default_rng(1)
    chunks = []
    for dataset, counts in {"qcd": [50, 0, 30], "jetht": [20, 10]}.items():
        for index, n in enumerate(counts):
            sizes = rng.poisson(8, n)
            names = ("pt", "eta", "phi", "mass")
            values = {name: rng.uniform(10, 90, sizes.sum()) for name in names}
            constituents = ak.unflatten(ak.zip(values), sizes)
            more = {"gen_pt": ak.mask(np.ones(n), rng.random(n) < 0.5)} if dataset == "qcd" else {}
            jets = make_jets(
                constituents, event=np.arange(n), weight=rng.normal(size=n), dataset=dataset, **more
            )
            key = f"{index:020x}"
            record = ChunkRecord(
                key=key, dataset=dataset, file="a.root", file_uuid="u", tree="Events", entry_start=0, entry_stop=9,
                n_events=9, n_jets=n, sumw=1.0, sumw2=1.0,
            )  # fmt: skip
            write_part(tmp_path / "skim", dataset, key, jets, images=None, record=record)
            chunks.append(record)
    summary = DatasetSummary(kind="background", sumw=1.0, sumw2=1.0, n_events=1)
    datasets = {"qcd": summary, "jetht": summary}
    manifest = Manifest(kind="skim", datasets=datasets, chunks=tuple(chunks))
    write_manifest(tmp_path / "skim", manifest)
    return tmp_path / "skim"


def test_without_dask_awkward_the_way_to_it_is_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "dask_awkward", None)
    with pytest.raises(ConfigError, match=r"environment of its own.*pip install '\.\[lazy\]'"):
        lazy_jets(open_skim(folder))


def test_a_dask_that_is_too_new_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dask_awkward", types.ModuleType("dask_awkward"))
    versions = {"dask": "2026.8.0", "dask-awkward": "2026.2.1"}
    monkeypatch.setattr(lazy, "version", versions.__getitem__)
    with pytest.raises(ConfigError, match=r"older than 2025\.4, received 2026\.8\.0.*'\.\[lazy"):
        lazy_jets(open_skim(folder))


SCRIPT = """
import sys
import awkward as ak
import pyarrow.parquet as pq
from oddjet.datasets.skims.lazy import lazy_jets
from oddjet.datasets.skims.skim import open_skim

seen = set()
for name in ("read", "read_row_groups"):
    def watched(self, *args, function=getattr(pq.ParquetFile, name), **options):
        seen.add(tuple(sorted(options["columns"] or ())))
        return function(self, *args, **options)
    setattr(pq.ParquetFile, name, watched)

jets = open_skim(sys.argv[1]).jets()
array = lazy_jets(open_skim(sys.argv[1]))
assert type(array).__module__.startswith("dask_awkward")
assert array.npartitions == 5 and len(array) == 110 and array.fields == jets.fields
seen.clear()
chosen = array[array.pt > 300].weight.compute()
assert seen == {("pt", "weight")}, seen
assert 0 < len(chosen) < 110
assert ak.array_equal(chosen, jets[jets.pt > 300].weight)
seen.clear()
assert ak.array_equal(ak.sum(array.constituents.pt, axis=-1).compute(), ak.sum(jets.constituents.pt, axis=-1))
assert seen == {("constituents",)}, seen
assert array.compute().to_list() == jets.to_list()
print("fine")
"""


@pytest.mark.long
def test_lazy_looks_in_an_environment_of_their_own(folder: Path, tmp_path: Path) -> None:
    """With what reading skims needs and no more: the whole of oddjet[lazy] takes minutes to install."""
    python = tmp_path / "lazy" / "bin" / "python"
    install = [python, "-m", "pip", "install", "--quiet"]
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "lazy"], check=True)
    subprocess.run([*install, "--no-deps", ROOT], check=True)
    packages = ["dask-awkward>=2025.9", "pyarrow", "pydantic", "pyyaml"]
    subprocess.run([*install, *packages], check=True)

    def look() -> str:
        command = [python, "-c", SCRIPT, folder]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    assert look() == "fine\n"
    compact(folder)
    assert look() == "fine\n"
