"""Where CLs from toys falls to a level: a smooth curve through the toys of all strengths, and its error.

The toys with signal that are at or beyond a value are Poisson numbers, with a mean of toys · CLb · CLs(μ); ln CLs is a
parabola in μ around the limit. Strengths with no such toy count as well as others.

References:
    P. McCullagh and J. A. Nelder, "Generalized linear models", 2nd ed. (1989), chapters 2 and 6.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from oddjet.errors import FitError
from oddjet.typing import Floats

__all__ = ["Crossing", "Levels", "cls_crossing"]

NEAR = 0.5
"""Strengths within this part of the limit from it are on the curve."""
LEAST_POINTS = 5
"""Strengths on the curve, even if they are farther away."""
ITERATIONS = 50
MOVED = 0.1
"""The curve is made again where the limit is farther from the middle of its strengths, as a part of it."""
STEP = 5.0
"""Toys on the wrong side of the limit, or off the curve, by so many standard deviations: CLs is no smooth curve."""
USUAL, SPREAD = np.array([-3.0, -4.0, -1.5]), np.array([10.0, 4.0, 3.0])
"""Value, slope and half the bend of ln CLs at a limit of 95 %, in units of the limit, and their spread: from events
without background (−3, −3, 0) to the limit of +2 σ where events are many (−3, −7.5, −6). They decide where toys are
very few."""


@dataclasses.dataclass(frozen=True)
class Levels:
    """CLs at one strength, for several values of the test statistic.

    Attributes:
        mu: Signal strength.
        n_toys: Toys with signal.
        cls: CLs of each value, shape (n_values,).
        clb: Part of the toys without signal at or beyond it, shape (n_values,).
        common: Error of ln CLs from the toys without signal, the same at every strength, shape (n_values,).
    """

    mu: float
    n_toys: int
    cls: Floats
    clb: Floats
    common: Floats


@dataclasses.dataclass(frozen=True)
class Crossing:
    """A limit from toys.

    Attributes:
        mu: Strength at which CLs is at the level.
        from_signal: Its relative Monte-Carlo error from the number of toys with signal.
        from_background: The same from those without.
    """

    mu: float
    from_signal: float
    from_background: float

    @property
    def error(self) -> float:
        """Monte-Carlo error of the strength."""
        return self.mu * float(np.hypot(self.from_signal, self.from_background))


def cls_crossing(table: Sequence[Levels], column: int, level: float, guess: float) -> Crossing:
    """Strength at which the CLs of one value falls to a level.

    Args:
        table: CLs at some strengths.
        column: Which value.
        level: One minus the confidence level.
        guess: About where that is.

    Raises:
        FitError: The toys do not show where.
    """
    strengths = np.array([levels.mu for levels in table])
    cls = np.array([levels.cls[column] for levels in table])
    exposure = np.array([levels.n_toys * levels.clb[column] for levels in table])
    centre = guess
    for i in range(ITERATIONS):
        x = strengths / centre - 1.0
        use = np.abs(x) <= max(NEAR, float(np.sort(np.abs(x))[min(LEAST_POINTS, x.size) - 1]))
        design = np.vander(x[use], 3, increasing=True)
        curve, covariance = _poisson_curve(design, exposure[use], cls[use] * exposure[use])
        step = _root(curve, float(np.log(level)))
        if not strengths.min() / 2.0 < centre < strengths.max() * 2.0:
            break
        # Two choices of strengths may point to each other: little by little the step may be larger.
        if abs(step) < min(MOVED * (1.0 + 0.1 * i), 0.3):
            terms, mu = step ** np.arange(3), centre * (1.0 + step)
            # −d ln CLs / d ln μ.
            slope = -float(curve[1] + 2.0 * curve[2] * step) * (1.0 + step)
            common = np.array([levels.common[column] for levels in table])[use]
            # Where no toy is beyond there is no spread to see.
            background = float(np.average(common, weights=(cls * exposure)[use] + 1e-9)) / slope
            signal = float(np.sqrt(terms @ covariance @ terms)) / slope
            if _is_step(strengths - mu, cls * exposure, level * exposure) or _is_far(
                (cls * exposure)[use], exposure[use] * np.exp(design @ curve)
            ):
                break
            return Crossing(mu, signal, background)
        centre *= 1.0 + float(np.clip(step, -0.3, 0.3))
    return _between(strengths, cls, level, guess)


def _is_step(beyond: Floats, counts: Floats, at_level: Floats) -> bool:
    """Whether strengths below the limit are excluded, or strengths beyond it are not."""
    far = (counts - at_level) / np.sqrt(at_level)
    return bool(np.any((beyond > 0) & (far > STEP) | (beyond < 0) & (far < -STEP)))


def _is_far(counts: Floats, curve: Floats) -> bool:
    """Whether a curve does not describe the toys: by half of what it says, and by no chance."""
    off = np.abs(counts - curve)
    return bool(np.any((off > STEP * np.sqrt(curve + 1.0)) & (off > 0.5 * curve)))


def _between(strengths: Floats, cls: Floats, level: float, guess: float) -> Crossing:
    """The middle of the two strengths between which CLs falls to a level, where that is no smooth curve.

    With almost no background the test statistic has few values, and CLs falls in steps. The error is half the step.
    """
    above = strengths[cls > level]
    below = strengths[(cls <= level) & (strengths > above.max(initial=0.0))]
    if not (above.size and below.size):
        msg = f"the toys do not show where CLs falls to {level:g}, about {guess:.3g} reference yields: throw more toys"
        raise FitError(msg)
    low, high = float(above.max()), float(below.min())
    return Crossing((low + high) / 2.0, (high - low) / (high + low), 0.0)


def _poisson_curve(design: Floats, exposure: Floats, beyond: Floats) -> tuple[Floats, Floats]:
    """Coefficients of ln CLs and their covariance, by Fisher's scoring."""
    curve, prior = USUAL.copy(), np.diag(1.0 / SPREAD**2)
    information = prior
    for _ in range(ITERATIONS):
        mean = exposure * np.exp(np.clip(design @ curve, -30.0, 1.0))
        information = (design * mean[:, None]).T @ design + prior
        step = np.linalg.solve(information, design.T @ (beyond - mean) - prior @ (curve - USUAL))
        curve = curve + step * min(1.0, 2.0 / max(float(np.abs(design @ step).max()), 1e-9))
        if np.abs(step).max() < 1e-8:
            break
    return curve, np.asarray(np.linalg.inv(information), dtype=np.float64)


def _root(curve: Floats, level: float) -> float:
    """Where the curve falls through a level; a step towards it where it does not."""
    constant, slope, bend = curve
    constant -= level
    square = slope**2 - 4.0 * bend * constant
    if slope >= 0 or square <= 0:
        return float(np.sign(constant)) or 1.0
    # The root at which the curve falls, without cancellation.
    return float(2.0 * constant / (np.sqrt(square) - slope))
