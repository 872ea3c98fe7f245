"""Trainings of normalised autoencoders: energies and earth mover's distance by epoch."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from oddjet.analysis.report.figures import draw
from oddjet.analysis.report.figures.style import PlotLabel, legend_text, styled
from oddjet.errors import ConfigError

__all__ = ["NormalisedTraining", "normalised_trainings"]


LINEAR_SHARE = 1e-2
"""Below this part of the largest energy of the least training the energy axis is linear."""


@dataclasses.dataclass(frozen=True)
class NormalisedTraining:
    """What a training logged.

    Attributes:
        history: `e_plus`, `e_minus` and `emd`, one number an epoch, as in
            `NormalisedAutoencoderDetector.history_`; anything else is not looked at.
    """

    label: str
    history: dict[str, list[float]]

    def __post_init__(self) -> None:
        lengths = {name: len(self.history.get(name, ())) for name in ("e_plus", "e_minus", "emd")}
        if len(set(lengths.values())) > 1 or not lengths["emd"]:
            msg = (
                f"NormalisedTraining: expected e_plus, e_minus and emd, one number an epoch. "
                f"Received for '{self.label}': {lengths}."
            )
            raise ConfigError(msg)

    @property
    def best_epoch(self) -> int:
        """The epoch of least distance, from 1, whose weights are kept."""
        return 1 + int(np.argmin(self.history["emd"]))


@styled
def normalised_trainings(
    trainings: Sequence[NormalisedTraining], *, label: PlotLabel | None = None
) -> Figure:
    """Draw energies of data and samples on the left, their distance on the right.

    The distance is the earth mover's, in standard deviations of the features. Where the largest
    energies of two trainings are more than a factor of eight apart, as after a collapse, the axis
    of energies is logarithmic beyond a hundredth of the lesser.
    """
    figure = draw.new_figure(width=10.4, height=4.6)
    left, right = figure.subplots(1, 2)
    for number, training in enumerate(trainings):
        colour, best = draw.colour_of(number), training.best_epoch
        _draw(left, training.history["e_plus"], best, colour, "-")
        _draw(left, training.history["e_minus"], best, colour, "--")
        _draw(right, training.history["emd"], best, colour, "-")
        right.plot([], [], "s", color=colour, label=legend_text(training.label))
    largest = [_largest_energy(training) for training in trainings]
    if largest and max(largest) > 8 * min(largest) > 0:
        left.set_yscale("symlog", linthresh=LINEAR_SHARE * min(largest))
    left.plot([], [], "-", color="#555555", label="$E_+$, data")
    left.plot([], [], "--", color="#555555", label="$E_-$, samples")
    right.plot([], [], "o", color="#555555", mfc="white", mew=1.6, label="kept")
    for axes, name in ((left, "Mean energy"), (right, "Earth mover's distance")):
        axes.set(xlabel="Epoch", ylabel=name)
        draw.whole_numbers(axes)
        axes.legend(loc="best")
    draw.title(left, label)
    return figure


def _largest_energy(training: NormalisedTraining) -> float:
    energies = np.abs([training.history["e_plus"], training.history["e_minus"]])
    return float(np.max(energies[np.isfinite(energies)], initial=0.0))


def _draw(axes: Axes, values: Sequence[float], best: int, colour: str, style: str) -> None:
    heights = np.asarray(values, dtype=np.float64)
    axes.plot(np.arange(1, heights.size + 1), heights, style, color=colour)
    draw.kept(axes, best, heights[best - 1], colour)
