from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from oddjet.analysis.report.page import Report, write_report
from oddjet.analysis.report.sections.sculpting import sculpting_section
from oddjet.analysis.sculpting.cut import JetSample
from oddjet.analysis.sculpting.efficiencies import mass_shapes, scan_efficiencies
from oddjet.analysis.sculpting.fakes import HuntedIn
from oddjet.analysis.sculpting.judging import JudgeSettings, judge
from oddjet.analysis.sculpting.scores import ScoreVerdict, SculptingResult

EDGES = (450.0, 1000.0)


@pytest.fixture(scope="module")
def result() -> SculptingResult:
    rng = np.random.default_rng(1)
    mass = 50 + rng.uniform(0, 200, 6000)
    pt = rng.uniform(450, 1000, 6000)
    scores = []
    for name, slope in (("blind", 0.0), ("sculpts", 1.0)):
        jets = JetSample.from_arrays(
            rng.standard_normal(6000) + slope * (mass - 150) / 58, mass, pt
        )
        signal = JetSample.from_arrays(
            rng.normal(1, 1, 500), rng.normal(82, 8, 500), np.full(500, 600.0)
        )
        steps = scan_efficiencies(jets, {"w": signal}, window=(65, 105), pt_edges=EDGES)
        hunted = HuntedIn(edges=np.linspace(50, 250, 21), widths=(1, 4), jets=20)
        settings = JudgeSettings(pt_edges=EDGES, working_points=(0.5, 0.1), hunted=hunted)
        verdict = judge(jets, settings)
        shapes = mass_shapes(jets, edges=np.linspace(50, 250, 21))
        scores.append(ScoreVerdict(name, verdict, tuple(steps), shapes))
    return SculptingResult(
        ("qcd",), "background", ("w",), "msoftdrop", (50, 250), (65, 105), (), tuple(scores)
    )


def test_verdicts_are_told_and_a_sculpted_mass_is_warned_of(result: SculptingResult) -> None:
    section = sculpting_section(result)
    assert [row[1] for row in section.tables[0].rows] == ["PASS", "FAIL"]
    assert len(section.warnings) == 1
    assert "sculpts" in section.warnings[0]
    assert len([picture.png for picture in section.pictures]) == 6
    assert section.numbers["outcome"] == "FAIL"
    assert [len(table.rows) for table in section.folded] == [2, 2, 7, 2, 2, 7]
    assert section.folded[2].headers[-1] == "w left in the window"


def test_data_are_shown_beside_and_a_fail_there_is_not_called_sculpting(
    result: SculptingResult,
) -> None:
    data = dataclasses.replace(result, datasets=("jetht",), kind="data", signals=())
    section = sculpting_section(dataclasses.replace(result, beside=data))
    assert [row[0] for row in section.tables[0].rows][2:] == ["blind on data", "sculpts on data"]
    assert len(section.paragraphs) == 2
    assert "or there is a signal" in section.warnings[1]
    names = [picture.name for picture in section.pictures]
    assert len(set(names)) == len(names) == 10
    assert section.numbers["beside"]["kind"] == "data"


def test_the_section_fits_into_a_report(result: SculptingResult, tmp_path: Path) -> None:
    page = write_report(tmp_path / "r.html", Report("t", "", (sculpting_section(result),)))
    assert "Does the cut sculpt the mass?" in page.read_text()
    assert '"sculpts"' in page.with_suffix(".json").read_text()
