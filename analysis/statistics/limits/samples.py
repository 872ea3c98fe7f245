"""What one sample of a model expects at many values of the nuisance parameters at once, with derivatives."""

from __future__ import annotations

import dataclasses

import numpy as np

from oddjet.analysis.statistics.exchange.counting import SOFT
from oddjet.analysis.statistics.exchange.model import Sample
from oddjet.typing import Floats

__all__ = ["FLOOR", "Rates", "SampleRates"]

FLOOR = 1e-60
"""Events a bin below which the expectation does not fall."""
LARGEST_LOG, LARGEST_EXPONENT = 300.0, 700.0
"""Largest ln(events) of a bin, and largest change of it: far beyond what a fit reaches, and short of an overflow."""


@dataclasses.dataclass(frozen=True)
class Rates:
    """What one sample expects: arrays of shape (n_sets, n_bins), `slopes` and `shapes` with rows in between.

    Attributes:
        scale: What multiplies the sample, shape (n_sets, 1), or (n_sets, n_bins) where bins have factors.
        unit: Events at a scale of 1.
        slopes: Derivatives of `unit` by the nuisance parameters of the sample's `rows`.
        shapes: First and second derivatives by those that vary the shape, and the bend of the positive part;
            None where none does.
    """

    scale: Floats
    unit: Floats
    slopes: Floats
    shapes: tuple[Floats, Floats, Floats] | None


class SampleRates:
    """One sample as arrays.

    Args:
        sample: The sample.
        names: Nuisance parameters of the model; parameters are μ and these.

    Attributes:
        multiplier: Column of the parameter that multiplies the sample; None where none does.
        rows: Columns of the parameters that it depends on otherwise.
    """

    def __init__(self, sample: Sample, names: tuple[str, ...]) -> None:
        n_bins = sample.expected.size
        self.nominal = sample.expected
        self.multiplier = 0 if sample.is_signal else None
        if sample.scaled_by:
            self.multiplier = 1 + names.index(sample.scaled_by)
        own = [
            *sample.shapes,
            *(n for n in (*sample.norms, *sample.modes, *sample.floats) if n not in sample.shapes),
        ]
        self.rows = np.array([1 + names.index(name) for name in own], dtype=np.int64)
        self.exponents = np.zeros((len(own), n_bins))
        for name, size in sample.norms.items():
            self.exponents[own.index(name)] += np.log1p(size)
        for name, change in (*sample.modes.items(), *sample.floats.items()):
            self.exponents[own.index(name)] += change
        logs = np.log(np.where(self.nominal > 0, self.nominal, 1.0))
        self.highest = np.minimum(LARGEST_LOG - logs, LARGEST_EXPONENT)
        self.n_shapes = len(sample.shapes)
        pairs = np.array(list(sample.shapes.values())).reshape(-1, 2, n_bins)
        self.down, self.up = self.nominal - pairs[:, 0], pairs[:, 1] - self.nominal

    def rates(self, parameters: Floats) -> Rates:
        """Events and derivatives at some parameters, shape (n_sets, 1 + n_nuisances)."""
        theta = parameters[:, self.rows]
        # What is bounded is the content, not its change: a fit may raise a bin from 1e-130 events to a whole one.
        factor = np.exp(np.clip(theta @ self.exponents, -LARGEST_EXPONENT, self.highest))
        scale = np.ones((len(parameters), 1))
        if self.multiplier is not None:
            scale = parameters[:, self.multiplier, None]
        if not self.n_shapes:
            unit = factor * self.nominal
            return Rates(scale, unit, unit[:, None, :] * self.exponents, None)
        change, first, second = _interpolate(theta[:, : self.n_shapes, None], self.down, self.up)
        shape, slope, bend = _positive(self.nominal + change.sum(axis=1), SOFT * self.nominal)
        unit, tilt = factor * shape, (factor * slope)[:, None, :]
        slopes = unit[:, None, :] * self.exponents
        slopes[:, : self.n_shapes] += tilt * first
        return Rates(scale, unit, slopes, (first, tilt * second, factor * bend))

    def add_slopes(self, rates: Rates, factors: Floats | None, slopes: Floats) -> None:
        """Add the derivatives of the events to those of the model, times factors a bin where there are some."""
        scaled = rates.scale if factors is None else rates.scale * factors
        slopes[:, self.rows] += rates.slopes * scaled[:, None, :]
        if self.multiplier is not None:
            slopes[:, self.multiplier] += rates.unit if factors is None else rates.unit * factors

    def add_curvature(self, rates: Rates, weights: Floats, hessian: Floats) -> None:
        """Add the sample's second derivatives, weighted a bin, to a Hessian."""
        scaled = weights * rates.scale
        curvature = (self.exponents * (scaled * rates.unit)[:, None, :]) @ self.exponents.T
        if rates.shapes is not None:
            mixed = (rates.slopes * scaled[:, None, :]) @ self.exponents.T
            curvature = mixed + mixed.transpose(0, 2, 1) - curvature
            first, second, bend = rates.shapes
            both = (first * (scaled * bend)[:, None, :]) @ first.transpose(0, 2, 1)
            curvature[:, : self.n_shapes, : self.n_shapes] += both
            own = np.arange(self.n_shapes)
            curvature[:, own, own] += np.sum(scaled[:, None, :] * second, axis=2)
        hessian[:, self.rows[:, None], self.rows] += curvature
        if self.multiplier is not None:
            by_scale = np.sum(rates.slopes * weights[:, None, :], axis=2)
            hessian[:, self.multiplier, self.rows] += by_scale
            hessian[:, self.rows, self.multiplier] += by_scale


def _interpolate(theta: Floats, down: Floats, up: Floats) -> tuple[Floats, Floats, Floats]:
    """Change of a shape, with two derivatives: pyhf's ``code4p``; CERN-OPEN-2012-016, section 4.1."""
    mean, bend, square = 0.5 * (up + down), 0.0625 * (up - down), theta**2
    above, below = theta > 1.0, theta < -1.0
    inside = theta * mean + bend * square * (15.0 - 10.0 * square + 3.0 * square**2)
    first = mean + bend * theta * (30.0 - 40.0 * square + 18.0 * square**2)
    second = bend * (30.0 - 120.0 * square + 90.0 * square**2)
    return (
        np.where(above, theta * up, np.where(below, theta * down, inside)),
        np.where(above, up, np.where(below, down, first)),
        np.where(above | below, 0.0, second),
    )


def _positive(values: Floats, soft: Floats) -> tuple[Floats, Floats, Floats]:
    """(v + √(v² + soft²)) / 2 with two derivatives: v itself far above zero, and positive below."""
    root = np.maximum(np.sqrt(values**2 + soft**2), FLOOR)
    norm = 2.0 / (1.0 + np.sqrt(1.0 + SOFT**2))
    bend = 0.5 * norm * soft**2 / root**3
    return 0.5 * norm * (values + root), 0.5 * norm * (1.0 + values / root), bend
