"""Histograms of a run whose data are blinded, read by every command that takes a file."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import awkward as ak
import numpy as np
import pytest
import uhi.io.json  # noqa: F401
import uproot
from typer.testing import CliRunner

import oddjet
from oddjet.analysis.cli.app import app
from oddjet.analysis.hunt.histogram import hunt_file, hunt_spectrum
from oddjet.analysis.report.show import section_of
from oddjet.analysis.statistics.bumphunt.settings import ScanSettings
from oddjet.analysis.statistics.exchange.histogram_files import read_histogram
from oddjet.analysis.statistics.limits.inputs import LimitSettings
from oddjet.analysis.statistics.limits.spectrum import SignalModel, limit_spectrum
from oddjet.analysis.statistics.spectrum import Spectrum
from oddjet.errors import FitError, InputError
from oddjet.processors.blinding import Blinding
from oddjet.processors.histogram_files import load_histograms, write_histograms
from oddjet.processors.histograms import HUNTED, Filler, HistogramSettings, Totals
from oddjet.processors.sample import HuntSample

N = 20_000
WINDOW = (65.0, 105.0)
REST = "&variation=nominal&working_point=all&pt=sum"
HIDDEN = [
    f"histograms.json:d_s?dataset=run{REST}",
    f"histograms.json:d_s?dataset=sum{REST}",
    f"histograms.json:{HUNTED}?dataset=run&pattern=sum",
    "histograms.root:d_s/run/nominal/all/mass",
    f"histograms.root:{HUNTED}/all/mass",
]
SHOWN = [
    f"histograms.json:d_s?dataset=qcd{REST}",
    "histograms.root:d_s/qcd/nominal/all/mass",
]
FAST = ScanSettings(function="exppoly3", n_toys=20)


def write(folder: Path, in_window: int) -> Path:
    """Histograms of data that hold so many jets in the window, and of simulation."""
    rng = np.random.default_rng(5)
    mass = 50 + rng.exponential(45, N)
    beside = mass[(mass < WINDOW[0]) | (mass >= WINDOW[1])]
    settings = HistogramSettings(
        n_bins=40,
        mass_range=(50.0, 250.0),
        hunted=("d_s",),
        sample=HuntSample("data", None, scales={"run": 1.0}),
        blinding=Blinding(("run",), "msoftdrop", window=WINDOW),
    )
    filler = Filler(settings, {"d_s": "d_s_calibrated"}, ("run", "qcd"))
    totals = Totals()
    for name, values in (
        ("run", np.concatenate([beside, np.full(in_window, 85.0)])),
        ("qcd", mass),
    ):
        columns = {
            "msoftdrop": values,
            "pt": np.full(values.size, 500.0),
            "weight": np.ones(values.size),
            "d_s_calibrated": np.full(values.size, 0.5),
            "rank": np.zeros(values.size, np.int16),
        }
        totals.add(filler.fill(ak.Array(columns), name))
    write_histograms(folder, totals, settings)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("histograms"), 4321)


def test_files_of_a_blinded_run_do_not_depend_on_the_window(folder: Path, tmp_path: Path) -> None:
    write(tmp_path, 0)
    name = "histograms.json"
    assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()


@pytest.mark.parametrize("source", HIDDEN)
def test_a_hunt_in_a_file_hides_what_its_run_hides(folder: Path, source: str) -> None:
    spectrum = read_histogram(f"{folder}/{source}")
    assert spectrum.blind_window == WINDOW
    assert np.isnan(spectrum.counts[3:11]).all()
    assert np.isfinite(np.delete(spectrum.counts, np.s_[3:11])).all()
    result = hunt_file(f"{folder}/{source}", FAST)
    assert result.bump_hunt is None
    assert result.fit is not None
    assert result.fit.observed is None
    assert "65–105 GeV of the data are blinded and not in the file" in result.problem
    section = section_of(result)
    assert "blinded" in str(section.tables)
    assert any("--unblind" in warning for warning in section.warnings)
    assert result.to_dict()["blind_window"] == list(WINDOW)


@pytest.mark.parametrize("source", SHOWN)
def test_simulation_beside_it_is_shown(folder: Path, source: str) -> None:
    spectrum = read_histogram(f"{folder}/{source}")
    assert spectrum.blind_window is None
    assert spectrum.counts[3:11].sum() > 4000


def test_a_range_takes_what_is_hidden_with_it(folder: Path) -> None:
    spectrum = read_histogram(f"{folder}/{HIDDEN[0]}")
    part = spectrum.within(80, 200)
    assert part.blind_window == (80.0, 105.0)
    assert np.isfinite(part.underflow)
    assert spectrum.within(110, 200).blind_window is None
    with pytest.raises(FitError, match="nothing is left to use"):
        spectrum.within(70, 100)


def test_a_given_background_is_compared_outside_alone(folder: Path) -> None:
    background = f"{folder}/{SHOWN[0]}"
    settings = FAST.model_copy(update={"max_toys": 0})
    result = hunt_file(f"{folder}/{HIDDEN[0]}", settings, background=background)
    assert result.bump_hunt is not None
    assert result.bump_hunt.blind_window == WINDOW
    windows = result.bump_hunt.best.table
    assert np.all((windows.high <= WINDOW[0]) | (windows.low >= WINDOW[1]))


def test_limits_are_expected_ones_until_the_file_is_filled_again(folder: Path) -> None:
    spectrum = read_histogram(f"{folder}/{HIDDEN[0]}")
    settings = LimitSettings(function="exppoly3", n_toys=0)
    (limit,) = limit_spectrum(spectrum, [SignalModel(85.0, 5.0)], settings=settings)
    assert limit.limit.observed is None
    assert limit.fit is not None
    assert limit.fit.data.blind_window == WINDOW  # all of it, though the signal needs less
    (beside,) = limit_spectrum(spectrum, [SignalModel(110.0, 5.0)], settings=settings)
    assert beside.fit is not None
    assert beside.fit.data.blind_window == (65.0, 125.0)
    unblinded = dataclasses.replace(settings, unblind=True)
    with pytest.raises(
        FitError, match=r"65–105 GeV of the data are blinded .*oddjet run … --unblind"
    ):
        limit_spectrum(spectrum, [SignalModel(85.0, 5.0)], settings=unblinded)


def test_histograms_in_python_say_so_too(folder: Path) -> None:
    table = load_histograms(folder / "histograms.json")["d_s"]
    data = table["run", "nominal", "all", :, ::sum]
    assert hunt_spectrum(data, FAST).bump_hunt is None
    data.metadata = {"blinded": {"window": "wide"}}
    with pytest.raises(InputError, match="what the file says of its blinding"):
        hunt_spectrum(data, FAST)


@pytest.mark.parametrize("name", [f"{HUNTED}/all/mass", "d_s/run/nominal/all/mass"])
def test_histograms_of_uproot_keep_what_is_hidden_out_of_their_file(
    folder: Path, name: str
) -> None:
    with uproot.open(folder / "histograms.root") as file:
        data, simulation = file[name], file["d_s/qcd/nominal/all/mass"]
    for histogram in (data, data.to_hist(), data.to_hist().copy()):
        assert oddjet.hunt(histogram, function="exppoly3").bump_hunt is None
        with pytest.raises(FitError, match="65–105 GeV of the data are blinded"):
            oddjet.limit(histogram, 80.0, 6.0, unblind=True)
    assert Spectrum.from_histogram(simulation).blind_window is None


def test_the_commands_print_no_number_of_the_window(folder: Path, tmp_path: Path) -> None:
    same = write(tmp_path, 0)
    for source in HIDDEN:
        outputs = []
        for at in (folder, same):
            done = CliRunner().invoke(app, ["hunt", f"{at}/{source}", "--function", "exppoly3"])
            assert done.exit_code == 0, done.output
            outputs.append(done.output.replace(str(at), ""))
        assert outputs[0] == outputs[1]
        assert "blinded" in outputs[0]
