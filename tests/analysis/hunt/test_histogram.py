"""Hunts in histograms from files, as other tools write them."""

from __future__ import annotations

import json
from pathlib import Path

import hist
import numpy as np
import pytest
import uproot
from scipy import stats
from typer.testing import CliRunner

from oddjet.analysis.cli.app import app
from oddjet.analysis.hunt.histogram import hunt_file, hunt_spectrum
from oddjet.analysis.report.sections.hunt import histogram_section
from oddjet.analysis.report.write import write_section
from oddjet.analysis.statistics.bumphunt.settings import ScanSettings
from oddjet.analysis.statistics.exchange.histogram_files import read_histogram
from oddjet.datasets.files.rootfiles import write_root
from oddjet.errors import FitError
from oddjet.processors.histogram_files import save_histograms

EDGES = np.linspace(50.0, 250.0, 41)
CENTRES = 0.5 * (EDGES[:-1] + EDGES[1:])
EXPECTED = 500 * np.exp(-(CENTRES - 50) / 45) + 1
SETTINGS = ScanSettings(n_toys=100, max_toys=0, function="exppoly3")


@pytest.fixture(scope="module")
def root_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A mass with a bump at 120 GeV in a folder, its background, and weighted simulation."""
    rng = np.random.default_rng(1)
    path = tmp_path_factory.mktemp("root") / "theirs.root"
    bump = 160 * np.exp(-0.5 * ((CENTRES - 120) / 7) ** 2)
    with uproot.recreate(path) as file:
        file["cr/mass"] = (rng.poisson(EXPECTED + bump).astype(float), EDGES)
        file["cr/background"] = (EXPECTED, EDGES)
        weighted = hist.Hist.new.Variable(EDGES, name="mass").Weight()
        weighted.fill(CENTRES, weight=0.5 * EXPECTED)
        file["simulation"] = weighted
    return path


def test_a_bump_in_a_root_histogram_is_found(root_file: Path, tmp_path: Path) -> None:
    result = hunt_file(f"{root_file}:cr/mass", SETTINGS)
    written = write_section(tmp_path / "out", histogram_section(result))
    scan = result.bump_hunt
    assert scan.window[0] < 120 < scan.window[1]
    assert scan.background == "fit beside each window"
    assert scan.global_p == 1 / 101
    content = json.loads((tmp_path / "out" / "hunt.json").read_text())
    assert content["window"] == list(scan.window)
    assert content["local_p"] == scan.local_p
    assert {file.name for file in written} == {"hunt.json", "p_values.png", "toys.png"}
    assert all(file.stat().st_size > 1000 for file in written)


def test_a_background_can_be_given(root_file: Path) -> None:
    result = hunt_file(
        f"{root_file}:cr/mass", SETTINGS, background=f"{root_file}:cr/background"
    ).bump_hunt
    assert result.background == "given"
    assert result.best.expected == pytest.approx(
        EXPECTED[(EDGES[:-1] >= result.window[0]) & (EDGES[1:] <= result.window[1])].sum()
    )


def test_a_range_and_a_signal_width(root_file: Path) -> None:
    settings = ScanSettings(range=(60, 240), signal_width=7, function="exppoly3", n_toys=50)
    result = hunt_file(f"{root_file}:cr/mass", settings)
    assert result.spectrum.edges[[0, -1]].tolist() == [60, 240]
    assert result.bump_hunt.background == "signal plus background"
    assert abs(np.mean(result.bump_hunt.window) - 120) < 6


def test_weighted_simulation_is_not_data(root_file: Path) -> None:
    with pytest.raises(FitError, match="a hunt needs whole numbers"):
        hunt_file(f"{root_file}:simulation", SETTINGS)


def test_smooth_spectra_in_wide_bins_have_no_bump(cases: Path) -> None:
    for name in ("smooth_1e05", "smooth_1e06", "smooth_1e07"):
        settings = ScanSettings(n_toys=50)
        result = hunt_spectrum(
            read_histogram(f"{cases}/variable_bins.root:{name}"), settings, window=(130, 170)
        )
        table = result.bump_hunt.best.table
        row = np.flatnonzero((table.low == 130) & (table.high == 170))[0]
        assert result.fit is not None
        assert table.expected[row] == pytest.approx(result.fit.predicted, rel=1e-4)
        assert table.local_p[row] > 0.3
        assert result.bump_hunt.global_p > 0.5
        assert result.flags == ()
    assert table.expected[row] == pytest.approx(275_606, rel=1e-3)
    assert table.observed[row] == 275_611


def test_few_events_and_an_excess_at_the_end_are_flagged(cases: Path) -> None:
    sparse = hunt_file(f"{cases}/hunt_shapes.root:sparse", ScanSettings(n_toys=300))
    assert any("is too small" in flag for flag in sparse.flags)
    edge = hunt_file(f"{cases}/hunt_shapes.root:edge_high", ScanSettings(n_toys=100))
    assert "not scanned: 50–55, 245–250 GeV" in edge.notes[0]
    assert any("poor fit" in flag for flag in edge.flags)
    section = histogram_section(sparse)
    assert section.warnings == sparse.flags
    assert section.statements == sparse.notes
    rows = dict(section.tables[0].rows)
    assert "of 300 toys" in str(rows["goodness of fit p beside it"])
    assert not str(rows["expected"]).startswith("0.0 ± 0.0")


def test_an_empty_tail_of_a_given_background_is_named(cases: Path) -> None:
    file = cases / "hunt_shapes.root"
    result = hunt_file(
        f"{file}:data", ScanSettings(n_toys=100, max_toys=0), background=f"{file}:bkg_zero_tail"
    )
    assert result.bump_hunt.unscanned == ((235.0, 250.0),)
    assert any(
        "expects nothing in 235–250 GeV, where 23 events were seen" in n for n in result.notes
    )
    same = hunt_file(
        f"{file}:data_zero_tail",
        ScanSettings(n_toys=100, max_toys=0),
        background=f"{file}:bkg_zero_tail",
    )
    assert same.bump_hunt.local_p == result.bump_hunt.local_p
    assert same.bump_hunt.local_p > 1e-3
    assert result.bump_hunt.global_p > 0.05


def test_the_error_of_a_given_background_counts(tmp_path: Path) -> None:
    """A background of as many simulated events as data: an on/off experiment, not a known number."""
    rng = np.random.default_rng(11)
    with uproot.recreate(tmp_path / "h.root") as file:
        for name, size in (("data", 1.0), ("as_many", 1.0), ("many", 1000.0)):
            made = hist.Hist.new.Variable(EDGES, name="mass").Weight()
            counts = rng.poisson(size * EXPECTED)
            made.view().value, made.view().variance = counts / size, counts / size**2
            file[name] = made
        file["unknown"] = (EXPECTED, EDGES)
    source, settings = f"{tmp_path}/h.root", ScanSettings(n_toys=50, max_toys=50)
    few, many, unknown = (
        hunt_file(f"{source}:data", settings, background=f"{source}:{name}")
        for name in ("as_many", "many", "unknown")
    )
    best = few.bump_hunt.best
    exact = stats.binom.sf(best.observed - 1, best.observed + best.expected, 0.5)
    assert best.local_p == pytest.approx(exact, rel=1e-6)
    assert best.expected_error == pytest.approx(best.expected**0.5)
    best = many.bump_hunt.best
    assert best.local_p == pytest.approx(best.local_p_fixed_background, rel=0.05)
    assert "not known (no Σw²)" in " ".join(unknown.notes)
    assert not any("Σw²" in note for note in (*few.notes, *many.notes))


def test_contents_per_gev_and_a_sumw2_that_was_not_kept(cases: Path) -> None:
    file = cases / "hunt_shapes.root"
    with pytest.raises(FitError, match="contents are events per GeV"):
        hunt_file(f"{file}:data_per_gev", SETTINGS)
    plain = hunt_file(f"{file}:data", SETTINGS).bump_hunt
    for name in ("data_sumw2_off", "data_sumw2_all_zero"):
        result = hunt_file(f"{file}:{name}", SETTINGS)
        assert result.bump_hunt.local_p == plain.local_p
        assert "Σw² is zero in" in result.notes[0]
    with pytest.raises(FitError, match="fractional contents"):
        hunt_file(f"{file}:bkg_numpy_no_sumw2", SETTINGS)


def test_the_command_line(root_file: Path) -> None:
    arguments = ["hunt", f"{root_file}:cr/mass", "--function", "exppoly3", "--toys", "50"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert "global p" in done.output
    wrong = CliRunner().invoke(app, ["hunt", f"{root_file}:cr/mess"])
    assert wrong.exit_code == 1
    with_folder = CliRunner().invoke(app, ["hunt", str(root_file.parent)])
    assert with_folder.exit_code == 1


@pytest.mark.parametrize("suffix", ["json", "root"])
def test_what_was_accepted_of_the_files_is_repeated(tmp_path: Path, suffix: str) -> None:
    """In what is printed, written and returned, by a hunt and by a limit."""
    table = hist.Hist(hist.axis.Variable(EDGES, name="mass"))
    table.view()[...] = np.round(EXPECTED)
    table.metadata = {"caveats": ["data: odd", "data: old"]}
    source = tmp_path / f"told.{suffix}"
    if suffix == "json":
        save_histograms(source, {"mass": table})
    else:
        write_root(source, [("mass", table), ("caveats", "data: odd\ndata: old")])
    hunted = ["hunt", f"{source}:mass", "--function", "exppoly3", "--toys", "20"]
    limited = ["limit", f"{source}:mass", "--mass", "120", "--width", "8"]
    limited += ["--function", "exppoly3"]
    for command, name in ((hunted, "hunt.json"), (limited, "limits.json")):
        done = CliRunner().invoke(app, [*command, "-o", str(tmp_path / "out")])
        assert done.exit_code == 0, done.output
        assert "data: odd" in done.stderr
        assert "data: old" in done.stderr
        content = json.loads((tmp_path / "out" / name).read_text())
        (content,) = content.get("limits", [content])
        assert content["caveats"] == ["data: odd", "data: old"]
    # A histogram in memory tells the same as its file.
    live = hunt_spectrum(table, SETTINGS, background=table)
    assert live.to_dict()["caveats"] == ["data: odd", "data: old"]
