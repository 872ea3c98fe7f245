from __future__ import annotations

import numpy as np
import pytest
from drawn import assert_whole

from oddjet.analysis.report.figures.encode import figure_bytes
from oddjet.analysis.report.figures.normalised import NormalisedTraining, normalised_trainings
from oddjet.analysis.report.figures.style import PlotLabel
from oddjet.errors import ConfigError

EPOCHS = np.arange(1, 41)
HELD = NormalisedTraining(
    "with guard",
    {
        "e_plus": (0.07 + 0.01 * np.exp(-EPOCHS / 5)).tolist(),
        "e_minus": (0.075 - 0.01 * np.exp(-EPOCHS / 5)).tolist(),
        "emd": (1.2 + 0.4 * (EPOCHS / 15 - 1) ** 2).tolist(),
        "loss": EPOCHS.tolist(),
    },
)
FREE = NormalisedTraining(
    "without guard",
    {
        "e_plus": (0.07 * np.exp(EPOCHS / 10)).tolist(),
        "e_minus": (0.07 * np.exp(EPOCHS / 6)).tolist(),
        "emd": (1.6 + EPOCHS / 10).tolist(),
    },
)


@pytest.mark.parametrize("trainings", [[HELD, FREE], [HELD], []], ids=["two", "one", "none"])
def test_picture_renders_with_ink_and_margins(trainings: list[NormalisedTraining]) -> None:
    assert_whole(normalised_trainings(trainings, label=PlotLabel("simulation", "13 TeV")))


def test_lines_are_the_history_and_the_least_distance_is_marked() -> None:
    assert HELD.best_epoch == 15
    left, right = normalised_trainings([HELD]).axes
    lines = [np.asarray(line.get_xydata()) for line in left.lines]
    np.testing.assert_allclose(lines[0], np.stack([EPOCHS, HELD.history["e_plus"]], axis=1))
    np.testing.assert_allclose(lines[2], np.stack([EPOCHS, HELD.history["e_minus"]], axis=1))
    curve, mark = (np.asarray(line.get_xydata()) for line in right.lines[:2])
    np.testing.assert_allclose(curve, np.stack([EPOCHS, HELD.history["emd"]], axis=1))
    np.testing.assert_allclose(mark, [[15, 1.2]])


def test_energies_that_run_away_make_the_axis_logarithmic() -> None:
    assert normalised_trainings([HELD, FREE]).axes[0].get_yscale() == "symlog"
    assert normalised_trainings([HELD]).axes[0].get_yscale() == "linear"


def test_energies_that_are_no_numbers_leave_the_rest() -> None:
    history = FREE.history | {"e_minus": [*FREE.history["e_minus"][:-1], float("inf")]}
    figure_bytes(normalised_trainings([HELD, NormalisedTraining("x", history)]), dpi=30)


@pytest.mark.parametrize(
    "history", [{}, {"e_plus": [1.0], "e_minus": [1.0], "emd": []}, {"loss": [1.0]}]
)
def test_a_history_of_another_training_is_refused(history: dict[str, list[float]]) -> None:
    with pytest.raises(ConfigError, match="expected e_plus, e_minus and emd"):
        NormalisedTraining("plain", history)
