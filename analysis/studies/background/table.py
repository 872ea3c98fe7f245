"""The study: each estimate of the background on the same experiments, without a signal, with one, and after a distorted cut."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from scipy import stats

from oddjet.analysis.report.page import Cell, Section, Table
from oddjet.analysis.statistics.background.spurious import LIMIT
from oddjet.analysis.studies.background.estimators import ESTIMATORS
from oddjet.analysis.studies.background.truth import DISTORTIONS, Cut, Truth
from oddjet.errors import ConfigError, look_up
from oddjet.processors.engine.progress import Reporter, SilentReporter

__all__ = ["BackgroundStudy", "Measured", "StudyOptions", "study_background"]

WIDEST = 1.15
"""Standard deviation of the significances without a signal up to which their Gaussian tail is believed."""
OFTEN = 0.08
"""Share of experiments without a signal above 1.64 σ up to which an estimate is safe: 5 ± 3 %."""
BY_CHANCE = 0.05
"""More often than that only where chance would seldom do it."""
REFERENCE_JETS = 7500.0
"""Signals are of so many jets; of others as large that their significance stays, the background being known."""
MORE_NULLS = 3
"""Experiments without a signal for one with it."""
FEWEST_JETS = 100
"""With fewer, most estimates fail."""
MOST_PASS = 0.45
"""Score bins begin at twice the share that passes, and a distorted cut keeps up to 5 % more."""
NO_ESTIMATE = "known"
"""How the names of estimators begin that know the truth."""

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class StudyOptions:
    """What is measured.

    Attributes:
        jets: Background jets in the range, one size after the other.
        cut: The cut.
        shares: Signals over background, at 7,500 jets; at N jets times √(7,500/N).
        estimators: Names, of `ESTIMATORS`; all if none.
        n_experiments: For each signal and each distortion; three times as many without either.
        seed: Fixes the experiments.
    """

    jets: tuple[float, ...] = (7500.0, 75_000.0, 750_000.0)
    cut: Cut = dataclasses.field(default_factory=Cut)
    shares: tuple[float, ...] = (0.01, 0.02)
    estimators: tuple[str, ...] = ()
    n_experiments: int = 100
    seed: int = 1

    def __post_init__(self) -> None:
        for name in self.estimators:
            look_up(ESTIMATORS, name, "estimator")
        for what, values, ends in (
            ("jets", self.jets, (FEWEST_JETS, 1e12)),
            ("efficiencies", self.cut[1:], (0.0, 1.0)),
            ("efficiencies of the background", self.cut[:1], (0.0, MOST_PASS)),
            ("shares of signal", self.shares, (0.0, 1.0)),
        ):
            low, top = ends
            if not all(low < value < top for value in values):
                msg = f"study background: expected {what} between {low:g} and {top:g}, received {list(values)}"
                raise ConfigError(msg)
        if self.n_experiments < 10 or not self.jets:
            msg = (
                "study background: expected 10 experiments or more and a number of jets, received "
                f"{self.n_experiments} and {list(self.jets)}"
            )
            raise ConfigError(msg)


@dataclasses.dataclass(frozen=True)
class Measured:
    """One estimate on one spectrum of one size; significances in σ.

    Attributes:
        n_jets: Expected background jets.
        null: Mean of the significance without a signal.
        null_error: Its error from the number of experiments.
        width: Standard deviation without a signal.
        often: Share of experiments without a signal above 1.64 σ.
        medians: Median significance by the share of signal at 7,500 jets, calibrated on the experiments without: less
            their mean, over their standard deviation.
        spurious: By distortion, how far the mean without a signal moves, and the error of that from the number of
            experiments.
        n_failed: Share of experiments without a valid fit.
        n_null: Experiments without a signal.
    """

    spectrum: str
    n_jets: float
    estimator: str
    null: float
    null_error: float
    width: float
    often: float
    medians: dict[float, float]
    spurious: dict[str, tuple[float, float]]
    n_failed: float
    n_null: int

    @property
    def knows_the_truth(self) -> bool:
        """Whether this is no estimate, but what knowing the background would give."""
        return self.estimator.startswith(NO_ESTIMATE)

    @property
    def problems(self) -> tuple[str, ...]:
        """Why it is not safe here, a few words each; none where it is.

        What is within two errors of a limit on a mean counts as beyond it: more experiments make more safe.
        """
        reasons = []
        if not abs(self.null) + 2.0 * self.null_error < LIMIT:
            reasons.append(f"mean {self.null:+.2f}")
        if not self.width < WIDEST:
            reasons.append(f"width {self.width:.2f}")
        k = round(self.often * self.n_null)
        if stats.binom.sf(k - 1, self.n_null, OFTEN) < BY_CHANCE:
            reasons.append(f"{100 * self.often:.0f} % above 1.64 σ")
        reasons += [
            f"{name} {shift:+.2f}"
            for name, (shift, error) in self.spurious.items()
            if not abs(shift) + 2.0 * error < LIMIT
        ]
        if self.n_failed > 0.01:
            reasons.append(f"{100 * self.n_failed:.0f} % of fits fail")
        return tuple(reasons)

    def cells(self) -> tuple[Cell, ...]:
        """The line of the table."""
        verdict = "–" if self.knows_the_truth else "yes" if not self.problems else "no"
        return (
            self.estimator,
            f"{self.null:+.2f} ± {self.null_error:.2f}",
            f"{self.width:.2f}",
            f"{100 * self.often:.1f} %",
            *(f"{median:.1f}" for median in self.medians.values()),
            *(f"{shift:+.2f}" for shift, _ in self.spurious.values()),
            verdict,
        )


@dataclasses.dataclass(frozen=True)
class BackgroundStudy:
    """The study of some spectra.

    Attributes:
        truths: The spectra.
        options: What was measured.
        measured: One entry a spectrum, size and estimator, in this order.
    """

    truths: tuple[Truth, ...]
    options: StudyOptions
    measured: tuple[Measured, ...]

    def at(self, spectrum: str, n_jets: float) -> tuple[Measured, ...]:
        """Give what was measured on one spectrum of one size."""
        return tuple(m for m in self.measured if (m.spectrum, m.n_jets) == (spectrum, n_jets))

    def safe(self, spectrum: str, n_jets: float) -> tuple[Measured, ...]:
        """Give the estimates that are safe there, the most sensitive first."""
        good = [m for m in self.at(spectrum, n_jets) if not (m.knows_the_truth or m.problems)]
        return tuple(sorted(good, key=lambda m: -max(m.medians.values(), default=0.0)))

    def statements(self) -> tuple[str, ...]:
        """Say of every spectrum and size what is safe, and how far the others are from it."""
        said = []
        for truth in self.truths:
            for n_jets in self.options.jets:
                good = self.safe(truth.name, n_jets)
                bad = [
                    f"{m.estimator} ({', '.join(m.problems)})"
                    for m in self.at(truth.name, n_jets)
                    if m.problems and not m.knows_the_truth
                ]
                first = (
                    f"safe are, the most sensitive first: {'; '.join(m.estimator for m in good)}"
                    if good
                    else "nothing that was tried is safe"
                )
                rest = f". Not safe: {'; '.join(bad)}" if bad else ""
                said.append(f"{truth.name}, {n_jets:,.0f} jets: {first}{rest}")
        return tuple(said)

    def section(self) -> Section:
        """Show the study: a table for every spectrum and size, and what is safe there."""
        options = self.options
        headers = (
            *("Estimate", "No signal: mean [σ]", "width", "above 1.64 σ"),
            *(f"median, {100 * share:g} % [σ]" for share in options.shares),
            *DISTORTIONS,
            "safe",
        )
        tables = tuple(
            Table(
                headers,
                tuple(m.cells() for m in self.at(truth.name, n_jets)),
                f"{truth.name} ({truth.note}), {n_jets:,.0f} jets, of which a cut keeps "
                f"{100 * options.cut.efficiency:g} % of the background and {100 * options.cut.kept:g} % of the signal",
            )
            for truth in self.truths
            for n_jets in options.jets
        )
        about = (
            f"medians of {options.n_experiments} experiments, calibrated on {MORE_NULLS * options.n_experiments} without a "
            f"signal; signals over background are those at {REFERENCE_JETS:,.0f} jets, at N jets times √({REFERENCE_JETS:,.0f}/N). "
            "linear, quadratic, rho: how far the mean moves where the efficiency of the cut changes by ± 5 % over the range, by 5 % "
            f"of a parabola, or with a correlation of 0.1 with the mass. Safe: all of these and the mean below {LIMIT:g} σ, two "
            f"errors included, the width below {WIDEST:g}, and not significantly more than {100 * OFTEN:g} % above 1.64 σ"
        )
        return Section(
            title="What estimates of the background are worth",
            anchor="background",
            tables=tables,
            statements=(about, *self.statements()),
            numbers=self.to_dict(),
        )

    def to_dict(self) -> dict[str, Any]:
        """Every number, ready for JSON."""
        options = dataclasses.asdict(self.options) | {"cut": self.options.cut._asdict()}
        return {
            "study": "background",
            "options": options,
            "spectra": [
                {
                    "name": truth.name,
                    "edges": truth.edges.tolist(),
                    "background": truth.background.tolist(),
                    "signal": truth.signal.tolist(),
                    "window": list(truth.window),
                    "note": truth.note,
                }
                for truth in self.truths
            ],
            "measured": [
                {
                    **dataclasses.asdict(m),
                    "medians": {f"{share:g}": value for share, value in m.medians.items()},
                    "problems": list(m.problems),
                }
                for m in self.measured
            ],
            "safe": {
                f"{truth.name}, {n_jets:g} jets": [
                    m.estimator for m in self.safe(truth.name, n_jets)
                ]
                for truth in self.truths
                for n_jets in self.options.jets
            },
        }


def study_background(
    truths: Sequence[Truth], options: StudyOptions, reporter: Reporter | None = None
) -> BackgroundStudy:
    """Draw experiments of every spectrum and size, and give all estimators the same ones.

    Args:
        truths: The spectra, each with a name of its own.
        options: What to measure.
        reporter: Told how far it is.

    Raises:
        ConfigError: Two spectra have one name, or there is none.
    """
    names = [truth.name for truth in truths]
    if not names or len(set(names)) < len(names):
        msg = f"study background: expected spectra, each with a name of its own, received {names}"
        raise ConfigError(msg)
    estimators = options.estimators or tuple(ESTIMATORS)
    n_parts = len(truths) * len(options.jets) * len(estimators)
    measured: list[Measured] = []
    with (reporter or SilentReporter()).track("study background", n_parts, "estimates") as update:
        for truth in truths:
            for n_jets in options.jets:
                for estimator in estimators:
                    measured.append(_measure(truth, n_jets, estimator, options))
                    update(len(measured))
    return BackgroundStudy(tuple(truths), options, tuple(measured))


def _measure(truth: Truth, n_jets: float, estimator: str, options: StudyOptions) -> Measured:
    """Measure one estimate; the experiments depend on what is asked, and not on the estimate."""
    scale, n, cut = (REFERENCE_JETS / n_jets) ** 0.5, options.n_experiments, options.cut
    rng = np.random.default_rng((options.seed, round(n_jets)))
    nothing = truth.draw(n_jets, 0.0, cut, MORE_NULLS * n, rng)
    z = partial(ESTIMATORS[estimator], truth, n_jets * cut.efficiency * truth.background)
    null = z(nothing)
    mean, width = float(np.nanmean(null)), float(np.nanstd(null, ddof=1))
    medians, spurious, failed = {}, {}, [np.isnan(null)]
    for share in options.shares:
        seen = z(truth.draw(n_jets, share * scale, cut, n, rng))
        medians[share] = (float(np.nanmedian(seen)) - mean) / width
        failed.append(np.isnan(seen))
    first = nothing._replace(scores=nothing.scores[:n])
    for name in DISTORTIONS:
        moved = z(truth.distorted(first, name, rng)) - null[:n]
        error = float(np.nanstd(moved, ddof=1) / np.sqrt(n))
        spurious[name] = (float(np.nanmean(moved)), error)
        failed.append(np.isnan(moved))
    n_null = int(np.isfinite(null).sum())
    _log.info("%s, %g jets, %s: mean %.3f, width %.3f", truth.name, n_jets, estimator, mean, width)
    return Measured(
        spectrum=truth.name,
        n_jets=float(n_jets),
        estimator=estimator,
        null=mean,
        null_error=width / n_null**0.5,
        width=width,
        often=float(np.mean(null[np.isfinite(null)] > stats.norm.isf(0.05))),
        medians=medians,
        spurious=spurious,
        n_failed=float(np.mean(np.concatenate(failed))),
        n_null=n_null,
    )
