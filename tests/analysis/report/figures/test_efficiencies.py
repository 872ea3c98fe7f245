from __future__ import annotations

import numpy as np
import pytest

from oddjet.analysis.report.figures.efficiencies import (
    efficiency_across_mass,
    inverse_divergence,
    relative_entropies,
)
from oddjet.analysis.report.figures.encode import figure_bytes
from oddjet.analysis.sculpting.cut import JetSample
from oddjet.analysis.sculpting.efficiencies import (
    EfficiencyStep,
    mass_shapes,
    scan_efficiencies,
)

EDGES = (500.0, 900.0)


def _jets(slope: float = 0.0) -> JetSample:
    rng = np.random.default_rng(1)
    mass = rng.uniform(50, 250, 2000)
    return JetSample.from_arrays(rng.random(2000) + slope * mass, mass, np.full(2000, 600.0))


def _scans() -> dict[str, list[EfficiencyStep]]:
    signals = {"w": _jets(), "top": _jets()}
    return {
        name: scan_efficiencies(_jets(slope), signals, pt_edges=EDGES)
        for name, slope in (("_blind$", 0.0), ("sculpts", 0.01))
    }


@pytest.mark.parametrize("excluded", [False, True])
def test_tight_cuts_have_efficiencies_and_no_shape(excluded: bool) -> None:
    shapes = mass_shapes(_jets(), edges=np.linspace(50, 250, 21))
    figure = efficiency_across_mass(shapes, window=(65, 105), excluded=excluded)
    top, bottom = figure.axes
    texts = [text.get_text() for text in top.get_legend().get_texts()]  # type: ignore[union-attr]
    # 2000 jets: 100 pass at 5 %, five a bin; 40 at 2 %.
    assert texts == ["all", "50 %", "20 %", "10 %"]
    assert bottom.get_yscale() == "log"
    assert figure_bytes(figure).startswith(b"\x89PNG")


def test_the_inverse_is_drawn_and_the_chance_beside() -> None:
    scans = _scans()
    axes = inverse_divergence(scans).axes[0]
    curves = axes.get_lines()
    assert len(curves) == 3
    expected = [1 / step.jsd.value for step in scans["sculpts"]]
    assert np.asarray(curves[1].get_ydata()) == pytest.approx(expected)
    expected = [1 / step.jsd_by_chance for step in scans["_blind$"]]
    assert np.asarray(curves[2].get_ydata()) == pytest.approx(expected)


def test_entropies_have_signals_beside() -> None:
    scans = _scans()
    left, right = relative_entropies(scans).axes
    assert len(left.get_lines()) == 3
    assert len(right.get_lines()) == 4
    expected = [step.signal_efficiencies["top"] for step in scans["sculpts"]]
    assert np.asarray(right.get_lines()[3].get_ydata()) == pytest.approx(expected)


def test_without_a_signal_it_is_said() -> None:
    figure = relative_entropies({"blind": scan_efficiencies(_jets(), pt_edges=EDGES)})
    assert any("no signal" in text.get_text() for text in figure.axes[1].texts)
    assert figure_bytes(figure).startswith(b"\x89PNG")
