"""A skim of toy jets: a falling mass, and a signal at 120 GeV with fewer, wider constituents."""

from __future__ import annotations

import awkward as ak
import numpy as np
import pytest
from toy_tables import write_table

from oddjet.datasets.jets import Truth, make_jets
from oddjet.datasets.skims.skim import Skim

SIZES = {"qcd": 6000, "top": 900}


@pytest.fixture(scope="session")
def toy_skim(tmp_path_factory: pytest.TempPathFactory) -> Skim:
    """6000 background and 900 signal jets, one an event."""
    folder = tmp_path_factory.mktemp("skim")
    samples = {}
    for number, (name, n) in enumerate(SIZES.items()):
        rng = np.random.default_rng(number)
        is_signal = name == "top"
        mass = rng.normal(120, 8, n) if is_signal else 40 + rng.exponential(45, n)
        width = rng.uniform(0.03, 0.2, (n, 1)) + 0.1 * is_signal
        pt = rng.exponential(20, (n, 8)) + 1
        angles = {axis: width * rng.normal(size=(n, 8)) for axis in ("eta", "phi")}
        samples[name] = make_jets(
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
    return write_table(folder, samples, {"qcd": "background", "top": "signal"})
