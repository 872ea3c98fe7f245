"""Known peaks as they are found among the jets that are hunted in: their norms, the scale and resolution of the mass.

Jets are fitted by bin of pt, score bin and mass, see `statistics.channels`: what is smooth has a share of jets in each
score bin that is a polynomial of mass, and peaks have their templates.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import stats

from oddjet.analysis.config import PeaksConfig
from oddjet.analysis.statistics.background.nested import ALPHA
from oddjet.analysis.statistics.bumphunt.joint import JointTable
from oddjet.analysis.statistics.channels.fitting import ChannelFit, fit
from oddjet.analysis.statistics.channels.model import ChannelModel
from oddjet.analysis.statistics.components import Component
from oddjet.analysis.statistics.conditional.model import KNOWN_JETS
from oddjet.analysis.statistics.conditional.score_bins import ScoreBins
from oddjet.analysis.statistics.limits.templates import warp_template
from oddjet.errors import FitError
from oddjet.typing import Floats

__all__ = [
    "MASS_RESOLUTION",
    "MASS_SCALE",
    "FoundPeak",
    "PeakCalibration",
    "calibrate",
    "expected_peaks",
    "with_errors",
]

MASS_SCALE, MASS_RESOLUTION = "jms", "jmr"
"""Names of the nuisances, as CMS calls them."""
N_REPLICAS = 100
SEED = 14
UNSEEN = 1e-3
"""Peaks with fewer jets than this in the bins that may be seen are not fitted."""
FAR = 2.0
"""Norms further than this from what is expected, in errors that were known beforehand, are said."""


@dataclasses.dataclass(frozen=True)
class FoundPeak:
    """One peak.

    Attributes:
        expected: Jets that simulation expects in the range.
        passing: How many of them pass the loosest cut.
        effective: Effective simulated jets that this is known from, (Σw)²/Σw².
        norm: What was found over what was expected.
        error: Its standard deviation, with what was known beforehand; infinite where none of its jets can be seen.
        prior: That, a relative error; None for a free norm.
    """

    name: str
    expected: float
    passing: float
    effective: float
    norm: float
    error: float
    prior: float | None


@dataclasses.dataclass(frozen=True, eq=False)
class PeakCalibration:
    """The peaks as they were found.

    Attributes:
        peaks: Each peak.
        shifts: Mass scale and resolution in data over those of simulation, each with its standard deviation; without
            those that are not free.
        order: Of the polynomial of mass in ln(share/failing share).
        p_value: Goodness of the fit, by χ².
        jets: Jets of all peaks by replicas of what was found, shape (n_replicas, n_patterns, n_bins), for what is
            smooth to be fitted on top of their mean.
    """

    peaks: tuple[FoundPeak, ...]
    shifts: dict[str, tuple[float, float]]
    order: int
    p_value: float
    jets: Floats

    @property
    def sentence(self) -> str:
        """The result in words, such as `w at 1.02 ± 0.08 of expectation, mass scale 0.998 ± 0.006`."""
        norms = [
            f"{p.name} at {_pm(p.norm, p.error)} of expectation"
            if np.isfinite(p.error)
            else f"{p.name} is not among the jets that can be seen"
            for p in self.peaks
        ]
        return ", ".join(
            [*norms, *(f"{name} {_pm(*shift)}" for name, shift in self.shifts.items())]
        )

    @property
    def doubts(self) -> tuple[str, ...]:
        """What to know before the numbers, and what is not found beside them, are believed."""
        few = [peak.name for peak in self.peaks if peak.effective < 10 * peak.expected]
        doubts = []
        if self.p_value < 0.01:
            doubts.append(
                f"peaks and smooth shares do not describe the jets (p = {self.p_value:.2g}): there is something else, "
                "such as a signal, or a peak without a dataset of kind peaking"
            )
        doubts += [
            f"{peak.name} is {peak.norm:.2f} times what is expected, {abs(np.log(peak.norm)) / peak.prior:.1f} times the error "
            "that was known beforehand: something else of the same mass would be taken for it, and windows there do not test it"
            for peak in self.peaks
            if peak.prior is not None and abs(np.log(peak.norm)) > FAR * peak.prior
        ]
        if few:
            doubts.append(
                f"the templates of {', '.join(few)} come of fewer than ten simulated jets for each that is expected, and the "
                "errors given here leave that out: simulate more"
            )
        return tuple(doubts)

    def to_dict(self) -> dict[str, Any]:
        """Every number but those by bin, ready for JSON."""
        told = {"sentence": self.sentence, "doubts": list(self.doubts)}
        numbers = {
            f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "jets"
        }
        return {**numbers, "peaks": [dataclasses.asdict(peak) for peak in self.peaks], **told}


def _pm(value: float, error: float) -> str:
    """A number and its error, of which two digits are shown."""
    if not np.isfinite(error):
        return "unknown"
    digits = max(0, 1 - int(np.floor(np.log10(error)))) if error > 0 else 3
    return f"{value:.{digits}f} ± {error:.{digits}f}"


def calibrate(
    table: JointTable, cuts: Sequence[int], settings: PeaksConfig, orders: tuple[int, int]
) -> PeakCalibration:
    """Fit known peaks together with what is smooth, in the score bins between cuts of one score.

    Args:
        table: The jets, with peaks and their errors.
        cuts: Places of the spectrum of all jets, and of those after each cut from the loosest to the tightest.
        settings: The errors of mass scale and resolution.
        orders: Lowest and highest order of the polynomial; more than the lowest where the likelihood asks for it.

    Raises:
        FitError: There is no cut that some jets pass and some fail, or no valid maximum.
    """
    hidden = [peak for peak in table.peaks if peak.contents.sum() < UNSEEN]
    seen = tuple(peak for peak in table.peaks if peak not in hidden)
    table = dataclasses.replace(table, peaks=seen)
    divided = table.select(cuts)
    fitted, order = fit(_channels(divided, orders[0])), orders[0]
    n_shares = len(table.regions) * (len(fitted.model.table.scores) - 1)
    while order < orders[1]:
        more = fit(_channels(divided, order + 1))
        if fitted.twice_nll - more.twice_nll < stats.chi2.isf(ALPHA, n_shares):
            break
        fitted, order = more, order + 1
    filled = int(np.count_nonzero(fitted.model.table.totals))
    ndf = filled * (len(fitted.model.table.scores) - 1) - n_shares * (order + 1)
    ndf -= sum(peak.constraint is None for peak in table.peaks)
    sizes = {MASS_SCALE: settings.mass_scale, MASS_RESOLUTION: settings.mass_resolution}
    named = {MASS_SCALE: "mass scale", MASS_RESOLUTION: "mass resolution"}
    return PeakCalibration(
        tuple(
            FoundPeak(
                peak.name,
                float(peak.contents.sum()),
                float(own.contents[:, 1:].sum()),
                _effective(peak),
                fitted.value(peak.name),
                fitted.error(peak.name),
                peak.constraint,
            )
            for peak, own in zip(table.peaks, fitted.model.components, strict=True)
        )
        + tuple(FoundPeak(p.name, 0.0, 0.0, np.inf, 1.0, np.inf, p.constraint) for p in hidden),
        {
            named[name]: (1.0 + sizes[name] * fitted.value(name), sizes[name] * fitted.error(name))
            for name in fitted.model.shifts
        },
        order,
        float(stats.chi2.sf(fitted.deviance, max(ndf, 1))),
        _replicas(table, fitted),
    )


def _effective(peak: Component) -> float:
    squares = 0.0 if peak.variances is None else float(peak.variances.sum())
    return float(peak.contents.sum()) ** 2 / squares if squares > 0 else np.inf


def _channels(table: JointTable, order: int) -> ChannelModel:
    """Divide the jets into score bins, between the cuts that tell some of them apart."""
    passing, cuts = table.spectra.sum(axis=1), [0]
    for place in range(1, passing.size):
        if 0 < passing[place] < passing[cuts[-1]]:
            cuts.append(place)
    if len(cuts) < 2:
        msg = (
            "no cut on a score that some jets pass and some fail, so known peaks are not fitted: loosen the working points "
            "(hunt.working_points)"
        )
        raise FitError(msg)
    model = ScoreBins.make(table, cuts[1:], (order, order)).model
    # One table with jets in every score bin needs no prior on the constants.
    return dataclasses.replace(
        model, precision=np.where(model.precision == KNOWN_JETS, 0.0, model.precision)
    )


def _replicas(table: JointTable, fitted: ChannelFit) -> Floats:
    """Peaks by pattern as they were found, after draws from the covariance of the fit and of simulation."""
    if not table.peaks:
        return np.zeros((1, *table.counts.shape))
    model, rng = fitted.model, np.random.default_rng(SEED)
    first = model.precision.size
    values, errors = fitted.values[first:], fitted.covariance[first:, first:]
    errors = np.where(np.isfinite(errors), errors, 0.0)  # of a peak without jets nothing depends
    drawn = rng.multivariate_normal(values, errors, N_REPLICAS, check_valid="ignore")
    norms, shifts = drawn[:, : len(table.peaks)], drawn[:, len(table.peaks) :]
    return _jets(table.peaks, (values, np.maximum(norms, 0.0), shifts), model.shifts, rng)


def _jets(
    peaks: tuple[Component, ...],
    drawn: tuple[Floats, Floats, Floats],
    names: tuple[str, ...],
    rng: np.random.Generator,
) -> Floats:
    """Jets of replicas, around what is most likely."""
    values, norms, shifts = drawn
    n = len(peaks)
    middle = sum(
        v * np.maximum(peak.at(dict(zip(names, values[n:], strict=True))), 0.0)
        for v, peak in zip(values[:n], peaks, strict=True)
    )
    jets = np.zeros((len(norms), *peaks[0].contents.shape))
    for place, (norm, shift) in enumerate(zip(norms, shifts, strict=True)):
        for factor, peak in zip(norm, peaks, strict=True):
            contents = peak.at(dict(zip(names, shift, strict=True)))
            if peak.variances is not None:
                contents = contents + np.sqrt(peak.variances) * rng.standard_normal(contents.shape)
            jets[place] += factor * contents
    return np.asarray(np.maximum(jets - jets.mean(axis=0) + middle, 0.0))


def expected_peaks(table: JointTable, problem: str) -> Floats:
    """Peaks as they were expected, where they cannot be fitted: replicas as of `PeakCalibration.jets`.

    Args:
        table: The jets and the peaks.
        problem: Why they cannot be fitted.

    Raises:
        FitError: A norm is free, so nothing is known of it.
    """
    free = [peak.name for peak in table.peaks if peak.constraint is None]
    if free:
        msg = (
            f"the norm of {', '.join(free)} is free, and known peaks cannot be fitted ({problem}): give a relative error in "
            "hunt.peaks.norms"
        )
        raise FitError(msg)
    rng = np.random.default_rng(SEED)
    names = tuple(dict.fromkeys(name for peak in table.peaks for name in peak.shifts))
    widths = np.array([peak.constraint or 0.0 for peak in table.peaks])
    norms = np.exp(widths * rng.standard_normal((N_REPLICAS, widths.size)))
    shifts = rng.standard_normal((N_REPLICAS, len(names)))
    values = np.concatenate([np.ones(widths.size), np.zeros(len(names))])
    return _jets(table.peaks, (values, norms, shifts), names, rng)


def with_errors(table: JointTable, settings: PeaksConfig) -> JointTable:
    """Give the peaks of a table the errors of their norms, and shifts of mass scale and resolution."""
    if not table.peaks:
        return table
    shifts = {
        MASS_SCALE: [{"scale": 1.0 + sign * settings.mass_scale} for sign in (-1, 1)],
        MASS_RESOLUTION: [{"stretch": 1.0 + sign * settings.mass_resolution} for sign in (-1, 1)],
    }
    sizes = {MASS_SCALE: settings.mass_scale, MASS_RESOLUTION: settings.mass_resolution}
    centres = 0.5 * (table.edges[1:] + table.edges[:-1])

    def shifted(peak: Component, how: dict[str, float]) -> Floats:
        total = float(peak.contents.sum())
        mean = float(peak.contents.sum(axis=0) @ centres) / total if total > 0 else 0.0
        return np.stack(
            [warp_template(row, table.edges, mean=mean, **how) for row in peak.contents]
        )

    return dataclasses.replace(
        table,
        peaks=tuple(
            dataclasses.replace(
                peak,
                constraint=settings.constraint(peak.name),
                shifts={
                    name: (shifted(peak, down), shifted(peak, up))
                    for name, (down, up) in shifts.items()
                    if sizes[name] > 0
                },
            )
            for peak in table.peaks
        ),
    )
