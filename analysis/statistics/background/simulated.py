"""The spurious-signal test on a simulated spectrum: from a skim to a table of functions."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from oddjet.analysis.statistics.background.functions import function_names
from oddjet.analysis.statistics.background.smoothing import SmoothTemplate, smooth
from oddjet.analysis.statistics.background.spurious import SpuriousSignal, spurious_signal
from oddjet.analysis.statistics.spectrum import Histogram, Spectrum
from oddjet.errors import ConfigError

__all__ = ["SpuriousStudy", "study_functions"]


@dataclasses.dataclass(frozen=True)
class SpuriousStudy:
    """The test of several functions on one template.

    Attributes:
        template: The smooth template, at the luminosity of the simulation.
        n_data: Events in the range that it was scaled to.
        relative_width: Standard deviation of the signal over its mass.
        tests: One entry a function.
    """

    template: SmoothTemplate
    n_data: float
    relative_width: float
    tests: tuple[SpuriousSignal, ...]

    @property
    def accepted(self) -> tuple[SpuriousSignal, ...]:
        """Functions that are accepted, fewest parameters first."""
        good = [test for test in self.tests if test.accepted]
        return tuple(sorted(good, key=lambda test: (int(test.function[-1]), test.worst.bound)))

    def to_dict(self) -> dict[str, Any]:
        """Every number, ready for JSON."""
        return {
            "n_data": self.n_data,
            "relative_width": self.relative_width,
            "template": {
                "edges": self.template.data.edges.tolist(),
                "simulation": self.template.data.counts.tolist(),
                "variances": self.template.data.sumw2.tolist(),
                "smooth": self.template.counts.tolist(),
                "penalty": self.template.penalty,
                "n_effective_parameters": self.template.n_effective,
                "goodness_of_fit_p": self.template.p_value,
            },
            "accepted": [test.function for test in self.accepted],
            "tests": [test.to_dict() for test in self.tests],
        }


def study_functions(
    simulation: Histogram,
    *,
    n_data: float,
    relative_width: float = 0.1,
    functions: Sequence[str] = (),
    masses: Sequence[float] | None = None,
) -> SpuriousStudy:
    """Smooth a simulated spectrum, scale it to a number of events, and test functions on it.

    Args:
        simulation: Any histogram of weighted simulation, with Σw².
        n_data: Events in the range that data would have.
        relative_width: Standard deviation of the signal over its mass.
        functions: Names; all by default.
        masses: Masses of the signal [GeV]; two widths from the ends, half a width apart by default.

    Raises:
        FitError: The histogram is not fit for it.
        ConfigError: There is no function of that name, or n_data or the width is not positive.
    """
    for what, value in (("number of events", n_data), ("relative width", relative_width)):
        if not (np.isfinite(value) and value > 0):
            msg = f"the {what} must be positive and finite, received {value:g}"
            raise ConfigError(msg)
    template = smooth(Spectrum.from_histogram(simulation, is_data=False))
    factor = n_data / float(template.counts.sum())
    data = template.data
    n_effective = float(data.counts.sum() ** 2 / data.sumw2.sum())
    tests = tuple(
        spurious_signal(
            (template.counts * factor, data.edges),
            function=name,
            width=lambda mass: relative_width * mass,
            covariance=template.covariance * factor**2,
            n_effective=n_effective,
            masses=masses,
        )
        for name in functions or function_names()
    )
    return SpuriousStudy(template, float(n_data), relative_width, tests)
