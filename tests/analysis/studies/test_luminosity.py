"""At which luminosity a hunt finds a signal: a curve that crosses where it should, and what it says of itself."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from cut_tables import toy_table

from oddjet.analysis.config import HuntConfig
from oddjet.analysis.hunt.hunt import Hunt, hunt
from oddjet.analysis.hunt.spectra import HuntedSpectra
from oddjet.analysis.report.write import write_section
from oddjet.analysis.scores.sample import HuntSample
from oddjet.analysis.studies.luminosity import LuminosityStudy, study_luminosity
from oddjet.errors import ConfigError

SETTINGS = HuntConfig(
    range=(40, 240), bin_width=5, window=(150, 200), working_points=(0.1,), widths=(2, 6), n_toys=100,
    function="exppoly2",
)  # fmt: skip


def hunt_at(lumi: float, seed: int) -> Hunt:
    """7,500 jets at 1/fb, of which 2 % are signal, and the cut keeps 55 % of it."""
    table = toy_table(n=round(7500 * lumi), share=0.02, seed=seed)
    points = (("", 1.0), ("d", 0.1))
    sample = HuntSample("pseudo-data", lumi, seed)
    spectra = HuntedSpectra(("d",), "msoftdrop", sample, points, table, decorrelated=True)
    return hunt(spectra, SETTINGS)


@pytest.fixture(scope="module")
def result() -> LuminosityStudy:
    return study_luminosity(hunt_at, highest=2.0, lumis=(1.5, 0.1, 0.5), n_drawings=3, level=2.0)


def test_more_luminosity_finds_more(result: LuminosityStudy) -> None:
    assert [point.lumi_ifb for point in result.points] == [0.1, 0.5, 1.5]
    median = [point.main.band[1] for point in result.points]
    assert median[0] < 2.0 < median[2]
    assert median == sorted(median)
    for point in result.points:
        assert point.n_jets == pytest.approx(7650 * point.lumi_ifb, rel=0.02)
    assert result.reached is not None
    assert 0.1 < result.reached < 1.5
    below, above = (next(p for p in result.points if p.lumi_ifb == at) for at in (0.1, 1.5))
    assert above.functions is not None
    assert below.functions is not None
    assert above.functions.band[1] > below.functions.band[1]
    assert below.main.n_bounds == 0


def test_everything_is_told_and_written(result: LuminosityStudy, tmp_path: Path) -> None:
    section = result.section()
    assert f"from {result.reached:.3g}/fb on" in section.statements[0]
    assert [row[0] for row in section.tables[0].rows] == ["0.1", "0.5", "1.5"]
    files = write_section(tmp_path, section)
    numbers = json.loads((tmp_path / "luminosity.json").read_text())
    assert numbers["reached_ifb"] == pytest.approx(result.reached)
    assert any(path.suffix == ".png" for path in files)


def test_the_crossing_is_interpolated_in_the_root_of_the_luminosity(
    result: LuminosityStudy,
) -> None:
    low, high = result.points[1], result.points[2]
    y = [point.main.band[1] for point in (low, high)]
    if y[0] < 2:
        x = np.sqrt([low.lumi_ifb, high.lumi_ifb])
        assert result.reached == pytest.approx(np.interp(2.0, y, x) ** 2)
    else:
        assert result.reached is not None
        assert result.reached < 0.5


def test_what_is_never_found_or_always_is_said_so(result: LuminosityStudy) -> None:
    nowhere = LuminosityStudy(result.scores, 2.0, result.points[:1], 2.0)
    assert nowhere.reached is None
    assert "stays below 2 σ up to 0.1/fb" in nowhere.sentence()
    at_once = LuminosityStudy(result.scores, 2.0, result.points[2:], 2.0)
    assert at_once.reached == 1.5
    assert "the lowest that was tried" in at_once.sentence()
    too_few = LuminosityStudy(result.scores, 2.0, result.points)
    assert too_few.reached is None
    assert (
        "2.33 σ or more: too few pseudo-experiments to tell 3 σ (hunt.n_toys)" in too_few.sentence()
    )


@pytest.mark.parametrize("lumis", [(0.0, 1.0), (1.0, 2.5)])
def test_luminosities_that_cannot_be_drawn_are_refused(lumis: tuple[float, ...]) -> None:
    with pytest.raises(ConfigError, match="up to 2/fb"):
        study_luminosity(hunt_at, highest=2.0, lumis=lumis)
