"""The one writer."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from oddjet.analysis.report.page import Picture, Section
from oddjet.analysis.report.write import write_section


def test_numbers_and_named_pictures_are_written(tmp_path: Path) -> None:
    section = Section(
        "Fit",
        "fit",
        pictures=(Picture(Figure, "a", name="mass of a/b"), Picture(Figure, "without a name")),
        numbers={"p": np.array([0.5, np.nan])},
    )
    written = write_section(tmp_path / "new", section)
    assert [path.name for path in written] == ["fit.json", "mass_of_a_b.png"]
    assert json.loads(written[0].read_text()) == {"p": [0.5, None]}
    assert written[1].read_bytes().startswith(b"\x89PNG")
    (other,) = write_section(tmp_path, Section("Fit", "fit"), name="x", numbers=[1])
    assert json.loads(other.read_text()) == [1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new", "x.json"]
