"""Small simulated samples, made once."""

from __future__ import annotations

from pathlib import Path

import awkward as ak
import pytest
import uproot

from oddjet.datasets.simulation import SimulationSummary, simulate


@pytest.fixture(scope="session")
def w_sample(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, SimulationSummary]:
    path = tmp_path_factory.mktemp("simulation") / "w.root"
    return path, simulate("w", 60, seed=7, output=path, pt_hat_min=350)


@pytest.fixture(scope="session")
def w_events(w_sample: tuple[Path, SimulationSummary]) -> ak.Array:
    with uproot.open(w_sample[0]) as file:
        return file["Events"].arrays()
