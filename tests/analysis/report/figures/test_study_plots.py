"""The pictures of the studies render, are not empty, lose nothing at the border, show their numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pytest
from drawn import assert_whole

from oddjet.analysis.report.figures.contamination import ContaminationLine, contamination_curve
from oddjet.analysis.report.figures.dots import Dots, dot_rows
from oddjet.analysis.report.figures.encode import figure_bytes
from oddjet.analysis.report.figures.epochs import (
    Reconstruction,
    mean_scores_by_epoch,
    reconstructions,
)
from oddjet.analysis.report.figures.mass_response import MassPair, mass_response, masses_in_and_out
from oddjet.analysis.report.figures.matrix import coefficient_matrix
from oddjet.analysis.report.figures.scores import ScoreSample
from oddjet.analysis.report.figures.thresholds import scores_with_thresholds
from oddjet.ml.evaluation.bootstrap import Interval
from oddjet.ml.evaluation.thresholds import Cut, Threshold

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RNG = np.random.default_rng(1)


def area(value: float) -> Interval:
    return Interval(value, value - 0.02, value + 0.03)


def masses(n: int = 300) -> MassPair:
    before = RNG.gamma(3, 20, n)
    return MassPair(before, before * RNG.normal(0.9, 0.1, n), before * 1.1, np.ones(n))


def reconstruction(n_epochs: int) -> Reconstruction:
    image = np.zeros((8, 8, 1))
    image[3:5, 3:6] = 1 / 6
    outputs = {10 * i: image * RNG.normal(1, 0.2, image.shape) for i in range(1, n_epochs + 1)}
    return Reconstruction(image, outputs, 0.8)


def sample(name: str, values: np.ndarray, *, is_signal: bool = False) -> ScoreSample:
    return ScoreSample(name, values, None, is_signal)


CUTS = [
    Cut(Threshold("background mean", 1.0), area(0.8), area(0.4)),
    Cut(Threshold("between", 1.5, needs_signal=True), area(0.6), area(0.2)),
]
LINE = ContaminationLine(
    "kmeans min_d",
    np.array([0, 0.05, 0.1, 0.25, 1.0]),
    [
        [Interval(0.9, 0.88, 0.92)],
        [Interval(0.89, 0.86, 0.91), Interval(0.91, 0.88, 0.93)],
        [Interval(0.88, 0.86, 0.9)],
        [Interval(0.85, 0.83, 0.87)],
        [Interval(0.7, 0.66, 0.74)],
    ],
)

FIGURES: dict[str, Callable[[], Figure]] = {
    "dots": lambda: dot_rows(
        [
            Dots("AUC", {"a$": area(0.8), "b": area(0.6)}),
            Dots("fixed", {"b": None, "c": area(0.5)}),
        ],
        axis_label="AUC",
        reference=0.5,
    ),
    "no dots": lambda: dot_rows([], axis_label="AUC"),
    "many kinds": lambda: dot_rows(
        [Dots(f"kind {i}", {"a": area(0.1 * i)}) for i in range(8)], axis_label="AUC"
    ),
    "matrix": lambda: coefficient_matrix(
        np.array([[0.9, -0.8], [0.0, np.nan]]),
        rows=["a rather long name, trained on something", "_b$"],
        columns=["mass", "$p_T$"],
        value_label="Coefficient",
        column_label="among qcd",
    ),
    "contamination": lambda: contamination_curve([LINE, LINE], axis_label="w / qcd (w/Q)"),
    "contamination, none": lambda: contamination_curve(
        [ContaminationLine("x", np.zeros(1), [[Interval(0.9, 0.8, 1.0)]])],
        axis_label="w/Q",
    ),
    "contamination, never none": lambda: contamination_curve(
        [ContaminationLine("x", np.array([0.1, 1]), [[Interval(a, 0, 1)] for a in (0.9, 0.8)])],
        axis_label="w/Q",
    ),
    "means": lambda: mean_scores_by_epoch(
        [10, 20], {"qcd": [area(0.3), area(0.1)], "w": [area(0.9), area(0.5)]}, score="mse"
    ),
    "reconstructions": lambda: reconstructions(reconstruction(3)),
    "one reconstruction": lambda: reconstructions(reconstruction(1)),
    "many reconstructions": lambda: reconstructions(reconstruction(20)),
    "masses": lambda: masses_in_and_out({"qcd": masses(), "w": masses(), "top": masses()}),
    "one mass": lambda: masses_in_and_out({"qcd": masses(1)}),
    "response": lambda: mass_response({"qcd": masses(), "w": masses()}, signals=["w"]),
    "response of few": lambda: mass_response({"qcd": masses(5)}),
    "thresholds": lambda: scores_with_thresholds(
        [sample("qcd", RNG.normal(size=300)), sample("w", RNG.normal(2, 1, 300), is_signal=True)],
        CUTS,
        name="s",
    ),
    "thresholds, logarithmic": lambda: scores_with_thresholds(
        [sample("qcd", RNG.lognormal(0, 1.5, 300))], CUTS, name="s"
    ),
    "thresholds, one value": lambda: scores_with_thresholds(
        [sample("qcd", np.ones(5))], CUTS, name="s"
    ),
    "thresholds, no jets": lambda: scores_with_thresholds(
        [sample("qcd", np.zeros(0))], [], name="s"
    ),
}


@pytest.mark.parametrize("name", FIGURES)
def test_picture_renders_with_ink_and_margins(name: str) -> None:
    assert_whole(FIGURES[name]())


def test_same_figure_gives_the_same_bytes() -> None:
    first, second = (figure_bytes(FIGURES["contamination"]()) for _ in range(2))
    assert first == second


def test_a_missing_number_leaves_its_line_empty() -> None:
    axes = FIGURES["dots"]().axes[0]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["a\\$", "b", "c"]
    drawn = [container.lines[0].get_xdata().tolist() for container in axes.containers]
    assert drawn == [[0.8, 0.6], [0.5]]


def test_the_matrix_writes_its_numbers() -> None:
    axes = FIGURES["matrix"]().axes[0]
    assert [text.get_text() for text in axes.texts[:4]] == ["0.90", "−0.80", "0.00", "–"]


def test_every_ratio_has_its_tick() -> None:
    axes = FIGURES["contamination"]().axes[0]
    labels = [text.get_text() for text in axes.get_xticklabels()]
    assert labels == ["0", "0.05", "0.1", "0.25", "1"]
    line = axes.lines[0]
    assert line.get_ydata()[1] == pytest.approx(0.9)  # mean of two trainings


def test_many_epochs_are_thinned_to_the_first_and_last() -> None:
    panels = FIGURES["many reconstructions"]().axes
    texts = [text.get_text() for axes in panels for text in axes.texts]
    shown = [text for text in texts if text.startswith("epoch")]
    assert len(shown) == 6
    assert (shown[0], shown[-1]) == ("epoch 10", "epoch 200")


def test_densities_have_area_one() -> None:
    axes = FIGURES["thresholds"]().axes[0]
    for patch in axes.patches:
        heights, edges, _ = patch.get_data()  # type: ignore[attr-defined]
        assert np.sum(heights * np.diff(edges)) == pytest.approx(1, abs=0.02)
    for curve in axes.lines[:2]:
        assert np.trapezoid(curve.get_ydata(), curve.get_xdata()) == pytest.approx(1, abs=0.05)


def test_response_profile_is_that_put_in() -> None:
    right = FIGURES["response"]().axes[1]
    medians = np.asarray(right.lines[0].get_ydata())
    assert medians == pytest.approx(np.full(12, 0.9), abs=0.08)
