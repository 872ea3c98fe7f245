"""What the samples are for: spectra that fall, masses that peak, the invisible fraction."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import awkward as ak
import numpy as np
import pytest
import uproot

from oddjet.datasets.kinematics.geometry import delta_r
from oddjet.datasets.simulation import SimulationSummary, simulate
from oddjet.datasets.simulation.genparticles import IS_LAST_COPY
from oddjet.typing import Floats

pytestmark = pytest.mark.slow


Make = Callable[..., tuple[Path, SimulationSummary]]


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Simulate a process: each call once."""

    @cache
    def make(
        process: str, n_events: int, pt_hat_min: int | None = None
    ) -> tuple[Path, SimulationSummary]:
        output = tmp_path_factory.mktemp(process) / f"{process}.root"
        return output, simulate(process, n_events, seed=11, output=output, pt_hat_min=pt_hat_min)

    return make


def read(path: Path) -> ak.Array:
    with uproot.open(path) as file:
        return file["Events"].arrays(
            ["FatJet_pt", "FatJet_eta", "FatJet_nConstituents", "PFMET_pt"]
        )


def jet_pt(path: Path, *, eta_max: float = 2.0) -> Floats:
    """Transverse momenta of the AK8 jets of a simulated file [GeV]."""
    with uproot.open(path) as file:
        jets = file["Events"].arrays(["FatJet_pt", "FatJet_eta"])
    return _flat(jets.FatJet_pt[abs(jets.FatJet_eta) < eta_max])


def matched_masses(
    path: Path,
    truth: tuple[int, ...],
    *,
    pt_min: float,
    pt_max: float = np.inf,
    eta_max: float = 2.0,
    delta_r_max: float = 0.4,
) -> Floats:
    """Soft-drop masses of the AK8 jets around last copies of particles, or of all [GeV]."""
    jet_names = [f"FatJet_{key}" for key in ("pt", "eta", "phi", "msoftdrop")]
    gen_names = [f"GenPart_{key}" for key in ("eta", "phi", "pdgId", "statusFlags")]
    with uproot.open(path) as file:
        events = file["Events"].arrays(jet_names + gen_names)
    chosen = (events.FatJet_pt > pt_min) & (events.FatJet_pt < pt_max)
    chosen = chosen & (abs(events.FatJet_eta) < eta_max)
    mass = events.FatJet_msoftdrop[chosen]
    if not truth:
        return _flat(mass)
    code = abs(events.GenPart_pdgId)
    last = (events.GenPart_statusFlags & IS_LAST_COPY) != 0
    wanted = ak.zeros_like(last)
    for one in truth:
        wanted = wanted | ((code == one) & last)
    delta_eta = events.FatJet_eta[chosen][:, :, None] - events.GenPart_eta[wanted][:, None]
    delta_phi = events.FatJet_phi[chosen][:, :, None] - events.GenPart_phi[wanted][:, None]
    near = ak.any(delta_r(delta_eta, delta_phi) < delta_r_max, axis=-1)
    return _flat(mass[near])


def _flat(values: ak.Array) -> Floats:
    return np.asarray(ak.to_numpy(ak.flatten(values)), dtype=np.float64)


def peak(masses: np.ndarray, low: float, high: float, width: float) -> float:
    counts, edges = np.histogram(masses, np.arange(low, high + width, width))
    best = np.argmax(counts)
    return float((edges[best] + edges[best + 1]) / 2)


@pytest.mark.parametrize(
    ("pt_hat_min", "cut", "n_events"),
    [
        pytest.param(100, 150, 1500, marks=pytest.mark.long),
        pytest.param(120, 200, 1500, marks=pytest.mark.long),
        (350, 450, 300),
    ],
)
def test_qcd_jet_spectrum_falls_from_the_cut_on(
    make: Make, pt_hat_min: int, cut: float, n_events: int
) -> None:
    path, _ = make("qcd", n_events, pt_hat_min)
    pt = jet_pt(path)
    width = 0.15 * cut
    counts, _ = np.histogram(pt, cut + width * np.arange(5))
    assert counts[0] > 50
    # A bin may exceed the one before it by three standard deviations, no more.
    assert (np.diff(counts) < 3 * np.sqrt(counts[:-1] + counts[1:])).all()
    assert counts[0] > 1.5 * counts[2]


def test_w_peak(make: Make) -> None:
    path, summary = make("w", 250, 350)
    assert abs(peak(matched_masses(path, summary.truth, pt_min=300), 40, 120, 5) - 80) < 8


def test_top_peak(make: Make) -> None:
    path, summary = make("top", 160, 600)
    assert abs(peak(matched_masses(path, summary.truth, pt_min=550), 120, 220, 10) - 172) < 16


@pytest.mark.parametrize(("process", "mass"), [("stealth80", 80), ("stealth400", 400)])
def test_stealth_boson_peaks(make: Make, process: str, mass: float) -> None:
    path, summary = make(process, 170)
    masses = matched_masses(path, summary.truth, pt_min=500)
    assert len(masses) > 200
    # From half the mass on: below it is where a jet holds one of the two decay products only.
    assert peak(masses, 0.5 * mass, 600, 0.1 * mass) == pytest.approx(mass, rel=0.13)


@pytest.mark.parametrize(("process", "low", "high"), [("aachen", 0.73, 0.78), ("svj", 0.27, 0.31)])
def test_invisible_fraction(make: Make, process: str, low: float, high: float) -> None:
    _, summary = make(process, 250)
    assert summary.r_inv is not None
    assert low < summary.r_inv < high


def test_heidelberg_is_all_visible(make: Make) -> None:
    path, summary = make("heidelberg", 320)
    assert summary.r_inv == 0
    masses = matched_masses(path, summary.truth, pt_min=150, pt_max=300)
    assert len(masses) > 100
    shoulder = ((masses > 35) & (masses < 65)).mean()
    assert shoulder > 0.2


def test_dark_jets_are_softer_and_have_fewer_particles_than_qcd(make: Make) -> None:
    dark, _ = make("aachen", 250)
    qcd, _ = make("qcd", 200, 100)
    counts, missing = [], []
    for path in (dark, qcd):
        events = read(path)
        missing.append(np.median(events.PFMET_pt))
        chosen = (events.FatJet_pt > 150) & (events.FatJet_pt < 300) & (abs(events.FatJet_eta) < 2)
        counts.append(ak.mean(events.FatJet_nConstituents[chosen]))
    assert counts[0] < counts[1]
    assert missing[0] > 3 * missing[1]
