"""A skim of toy jets: a falling mass, and a signal at 120 GeV with fewer, wider constituents."""

from __future__ import annotations

import awkward as ak
import numpy as np
import pytest

from oddjet.datasets.jets import Truth, make_jets
from oddjet.datasets.skims.manifest import ChunkRecord, DatasetSummary, Manifest, write_manifest
from oddjet.datasets.skims.parts import write_part
from oddjet.datasets.skims.skim import Skim, open_skim

SIZES = {"qcd": 6000, "top": 900}


@pytest.fixture(scope="session")
def toy_skim(tmp_path_factory: pytest.TempPathFactory) -> Skim:
    """6000 background and 900 signal jets, one an event."""
    folder = tmp_path_factory.mktemp("skim")
    chunks, datasets = [], {}
    for number, (name, n) in enumerate(SIZES.items()):
        rng = np.random.default_rng(number)
        is_signal = name == "top"
        mass = rng.normal(120, 8, n) if is_signal else 40 + rng.exponential(45, n)
        width = rng.uniform(0.03, 0.2, (n, 1)) + 0.1 * is_signal
        pt = rng.exponential(20, (n, 8)) + 1
        angles = {axis: width * rng.normal(size=(n, 8)) for axis in ("eta", "phi")}
        jets = make_jets(
            ak.from_regular(ak.zip({"pt": pt, **angles})),
            msoftdrop=mass,
            **{f"tau{i}": rng.uniform(0.3, 0.5, n) / i ** (1 + is_signal) for i in range(1, 5)},
            run=np.ones(n, int),
            luminosityBlock=np.ones(n, int),
            event=np.arange(n) + 10_000 * number,
            rank=np.zeros(n, np.int16),
            weight=np.ones(n),
            label=np.full(n, Truth.MERGED if is_signal else Truth.BACKGROUND),
            dataset=name,
        )
        record = ChunkRecord(
            key=f"key{number}", dataset=name, file="toy.root", file_uuid="u", tree="Events",
            entry_start=0, entry_stop=n, n_events=n, n_jets=n, sumw=n, sumw2=n,
        )  # fmt: skip
        write_part(folder, name, record.key, jets, images=None, record=record)
        chunks.append(record)
        kind = "signal" if is_signal else "background"
        datasets[name] = DatasetSummary(kind=kind, sumw=n, sumw2=n, n_events=n)  # type: ignore[arg-type]
    write_manifest(folder, Manifest(kind="skim", datasets=datasets, chunks=tuple(chunks)))
    return open_skim(folder)
