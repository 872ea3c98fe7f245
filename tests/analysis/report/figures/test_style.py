"""Names of a user are no formulae, whatever is in them."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure

from oddjet.analysis.report.figures.encode import figure_bytes
from oddjet.analysis.report.figures.roc import RocLine, roc_curves
from oddjet.analysis.report.figures.scores import ScoreSample, score_distributions
from oddjet.analysis.report.figures.spectra import cut_flow_bars, spectrum
from oddjet.analysis.report.figures.style import (
    Histogram,
    PlotLabel,
    legend_text,
    styled,
    without_formulae,
)

NAME = r"$\frac{a$ and $b_$"
"""No formula that could be drawn: to read it as one raises an error."""
LABEL = PlotLabel("data", NAME)
EDGES = np.linspace(0.0, 10.0, 5)
VALUES = np.arange(1.0, 9.0)


def a_spectrum() -> Figure:
    return spectrum([Histogram.fill(NAME, VALUES, EDGES)], axis_label=NAME, label=LABEL)


def a_cut_flow() -> Figure:
    return cut_flow_bars({NAME: [(legend_text(NAME), 4.0), ("last", 2.0)]}, label=LABEL)


def a_roc_curve() -> Figure:
    return roc_curves([RocLine(NAME, VALUES / 10, VALUES / 20)], label=LABEL)


def a_score() -> Figure:
    sample = ScoreSample(NAME, VALUES, np.ones(8), True)
    return score_distributions(
        [sample], [sample], name=NAME, working_points={NAME: 3.0}, label=LABEL
    )


@pytest.mark.parametrize("make", [a_spectrum, a_cut_flow, a_roc_curve, a_score])
def test_a_name_with_dollars_is_drawn_as_it_is(make: object) -> None:
    figure = make()  # type: ignore[operator]
    assert figure_bytes(figure)
    texts = [text.get_text() for text in figure.findobj() if hasattr(text, "get_text")]
    assert any(NAME.replace("$", r"\$") in text for text in texts)
    assert not any(NAME in text for text in texts)


def test_our_own_formulae_stay() -> None:
    @styled
    def draw() -> Figure:
        figure = Figure()
        figure.subplots().set_xlabel(
            r"$p_T$, $\epsilon_s$, log$_{10}$, $10^{-3}$, 4 pb$^{-1}$ of 5 $"
        )
        return figure

    text = draw().axes[0].get_xlabel()
    assert text == r"$p_T$, $\epsilon_s$, log$_{10}$, $10^{-3}$, 4 pb$^{-1}$ of 5 \$"
    assert without_formulae(text) == text
