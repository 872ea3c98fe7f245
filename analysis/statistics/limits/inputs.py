"""What a limit is computed from: spectrum, signal, background and systematic uncertainties."""

from __future__ import annotations

import dataclasses
from typing import Any, Protocol

import numpy as np

from oddjet.analysis.statistics.exchange.model import Channel, Sample
from oddjet.analysis.statistics.limits.templates import warp_template
from oddjet.bounds import MOST_TOYS
from oddjet.errors import ConfigError, FitError
from oddjet.typing import Bools, Floats

__all__ = ["Inputs", "LimitInputs", "LimitSettings", "Systematics", "build_channel"]

FREEDOM = 10.0
"""Width of the constraint of a function's modes [σ of the sidebands]: wide enough that the data of the spectrum, which
hold the sidebands, decide (the constraint takes 0.5 % off an error), and narrow enough that fits of
few events stay in reach."""
LEAST_SIGNAL = 0.5
"""Less of the signal than this in the bins that have information gives no limit."""
DEFAULT_TOYS = 2000
"""Toys where few events are expected: the observed limit and the median come out to about 5 %."""
LOW_COUNT = 20.0
"""Expected background events under the signal below which toys replace the asymptotic formulae."""

CHANNEL = "mass"
"""Name of the channel in workspaces and datacards."""


@dataclasses.dataclass(frozen=True)
class Systematics:
    """Sizes of the systematic uncertainties; 0 leaves one out.

    The defaults are of the size that CMS quotes for jets with substructure in Run 2; an analysis
    puts its own.

    Attributes:
        luminosity: Relative, of the signal's yield (1.6 % for 2016-2018, CMS-PAS-LUM-20-001).
        mass_scale: Relative, of the jet mass scale.
        mass_resolution: Relative, of the signal's width.
        tagger_efficiency: Relative, of the signal's yield after the cut.
        spurious_signal: Events that the background estimate may mistake for signal, from a
            spurious-signal test.
    """

    luminosity: float = 0.016
    mass_scale: float = 0.01
    mass_resolution: float = 0.10
    tagger_efficiency: float = 0.10
    spurious_signal: float = 0.0

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            top = np.inf if field.name == "spurious_signal" else 1.0
            if not (np.isfinite(value) and 0 <= value < top):
                expected = "a number ≥ 0 of events" if np.isinf(top) else "a fraction in [0, 1)"
                msg = f"systematics: {field.name}: expected {expected}, received {value:g}"
                raise ConfigError(msg)


@dataclasses.dataclass(frozen=True)
class LimitSettings:
    """How a limit is set.

    Attributes:
        function: Background function, a family or ``auto``; see `fit_sidebands`.
        is_data: Whether contents are numbers of events; weighted simulation gives expected
            limits only.
        unblind: Whether the data under the signal may be looked at.
        systematics: Sizes of the uncertainties.
        cl: Confidence level.
        n_toys: Toys without signal, fitted at each strength, and about as many with one (half at first, three times
            at the limits that are known worst); 0 for the asymptotic formulae. None, the default, takes toys
            (`DEFAULT_TOYS`) where the background expects fewer than `LOW_COUNT` events in the bins that
            hold 95 % of the signal, and the formulae elsewhere.
        seed: Fixes the toys.
        lumi_ifb: Luminosity, to give a cross section as well [1/fb].
        efficiency: Fraction of produced signal events that enter the spectrum.
    """

    function: str = "auto"
    is_data: bool = True
    unblind: bool = False
    systematics: Systematics = dataclasses.field(default_factory=Systematics)
    cl: float = 0.95
    n_toys: int | None = None
    seed: int = 1
    lumi_ifb: float | None = None
    efficiency: float = 1.0

    def __post_init__(self) -> None:
        if self.unblind and not self.is_data:
            msg = "weighted simulation holds no data to unblind: draw pseudo-data, or leave it out"
            raise ConfigError(msg)
        if self.n_toys is not None and not 0 <= self.n_toys <= MOST_TOYS:
            msg = f"n_toys: expected 0 to {MOST_TOYS}, received {self.n_toys}"
            raise ConfigError(msg)
        if not 0 < self.cl < 1:
            msg = f"expected a confidence level between 0 and 1, received {self.cl:g}"
            raise FitError(msg)
        if not 0 < self.efficiency <= 1 or (self.lumi_ifb is not None and not self.lumi_ifb > 0):
            msg = (
                "a cross section needs a luminosity > 0 and an efficiency in (0, 1], received "
                f"{self.lumi_ifb} and {self.efficiency:g}"
            )
            raise FitError(msg)


class Inputs(Protocol):
    """One signal hypothesis, whatever the background is known from; see `LimitInputs` for what each is."""

    @property
    def edges(self) -> Floats:
        """Mass bin edges, n_bins + 1 of them [GeV]."""

    @property
    def observed(self) -> Floats | None:
        """Events a bin, shape (n_bins,); None while they are blinded."""

    @property
    def background(self) -> Floats:
        """Expected events a bin without a signal, shape (n_bins,)."""

    @property
    def total_variances(self) -> Floats:
        """Variance of the expected background a bin, shape (n_bins,)."""

    @property
    def signal_shape(self) -> Floats:
        """Fraction of the signal in each bin, shape (n_bins,)."""

    @property
    def mass(self) -> float:
        """Mass of the signal [GeV]."""

    @property
    def signal_yield(self) -> float:
        """Events at μ = 1."""

    @property
    def cross_section_pb(self) -> float | None:
        """Cross section at μ = 1 [pb]; None where only luminosity and efficiency say it."""

    @property
    def reference_yield(self) -> float:
        """Signal events of the size of the limit."""

    @property
    def background_under_signal(self) -> float:
        """Expected background in the fewest bins that hold 95 % of the signal."""

    @property
    def left_out(self) -> tuple[str, ...]:
        """Bins without information, in words."""

    @property
    def free(self) -> frozenset[str]:
        """Nuisance parameters that nothing else measures."""

    def channel(self, *, signal_yield: float | None = None) -> Channel:
        """Turn them into a statistical model."""

    def to_dict(self) -> dict[str, Any]:
        """Every number, ready for JSON."""


@dataclasses.dataclass(frozen=True)
class LimitInputs:
    """One signal hypothesis against one spectrum.

    Attributes:
        edges: Bin edges, n_bins + 1 of them [GeV].
        observed: Events a bin, shape (n_bins,); None while they are blinded.
        background: Expected events a bin, shape (n_bins,), ≥ 0. Bins in which none are expected have no
            information on a signal of unknown size (the likelihood does not exist without it): they are
            left out of every fit, and `left_out` names them.
        signal_shape: Fraction of the signal in each bin, shape (n_bins,); the sum is at most 1.
        mass: Mass of the signal [GeV], for names and figures.
        signal_yield: Events at μ = 1, those outside the bins included.
        background_modes: Independent changes of ln(events) a bin at one σ, shape (n_modes, n_bins).
        modes_are_free: Whether the modes are those of a function that is fitted to these bins: they
            are then constrained by `FREEDOM` σ alone, and not measured anew in toys.
        background_variances: Σw² a bin, shape (n_bins,); of a given histogram.
        systematics: Their sizes.
    """

    edges: Floats
    observed: Floats | None
    background: Floats
    signal_shape: Floats
    mass: float
    signal_yield: float
    background_modes: Floats | None = None
    modes_are_free: bool = False
    background_variances: Floats | None = None
    systematics: Systematics = dataclasses.field(default_factory=Systematics)

    def __post_init__(self) -> None:
        background = self.background
        if not (np.isfinite(background).all() and (background >= 0).all() and background.any()):
            msg = "the background must expect finite numbers ≥ 0 of events, and some: check the fit"
            raise FitError(msg)
        inside = float(self.signal_shape.sum())
        if not (np.isfinite(self.signal_shape).all() and 0 < inside <= 1 + 1e-9):
            msg = (
                f"a signal at {self.mass:g} GeV puts {inside:.3g} of its events into "
                f"[{self.edges[0]:g}, {self.edges[-1]:g}] GeV: expected a fraction above 0"
            )
            raise FitError(msg)
        if (self.signal_shape < 0).any():
            msg = "the signal template has negative bins: use one without negative weights"
            raise FitError(msg)
        if not (np.isfinite(self.signal_yield) and self.signal_yield > 0):
            msg = f"expected a signal yield > 0 events at μ = 1, received {self.signal_yield:g}"
            raise FitError(msg)
        if (kept := float(self.signal_shape[self.informed].sum())) < LEAST_SIGNAL * inside:
            msg = (
                f"{100 * kept / inside:.2g} % of the signal at {self.mass:g} GeV is in bins in which the "
                f"background expects events: expected {100 * LEAST_SIGNAL:g} % or more; "
                f"left out were {', '.join(self.left_out)}. Use wider bins, or a background with more events"
            )
            raise FitError(msg)

    def to_dict(self) -> dict[str, Any]:
        """Every number, ready for JSON."""
        return {
            "mass": self.mass,
            "edges": self.edges.tolist(),
            "observed": None if self.observed is None else self.observed.tolist(),
            "background": self.background.tolist(),
            "background_errors": np.sqrt(self.total_variances).tolist(),
            "bins_left_out": list(self.left_out),
            "signal_shape": self.signal_shape.tolist(),
            "signal_yield_at_mu_1": self.signal_yield,
            "systematics": dataclasses.asdict(self.systematics),
        }

    @property
    def cross_section_pb(self) -> None:
        """Not known: luminosity and efficiency of the settings say it."""
        return

    @property
    def free(self) -> frozenset[str]:
        """Nuisance parameters that nothing else measures: those of a function that is fitted to these bins."""
        return frozenset(_modes(self)) if self.modes_are_free else frozenset()

    def channel(self, *, signal_yield: float | None = None) -> Channel:
        """Turn them into a statistical model; see `build_channel`."""
        return build_channel(self, signal_yield=signal_yield)

    @property
    def total_variances(self) -> Floats:
        """Variance of the expected background a bin, shape (n_bins,)."""
        total = np.zeros(self.background.size)
        if self.background_modes is not None:
            total += np.sum((self.background * self.background_modes) ** 2, axis=0)
        if self.background_variances is not None:
            total += self.background_variances
        return total

    @property
    def informed(self) -> Bools:
        """Bins in which the background expects events, shape (n_bins,)."""
        return self.background > 0

    @property
    def left_out(self) -> tuple[str, ...]:
        """The bins without information, in words, with the events that were observed there."""
        where = np.flatnonzero(~self.informed)
        words = [f"[{self.edges[i]:g}, {self.edges[i + 1]:g}) GeV" for i in where]
        if self.observed is not None:
            words = [
                f"{w} ({self.observed[i]:g} observed)" for w, i in zip(words, where, strict=True)
            ]
        return tuple(words)

    @property
    def background_under_signal(self) -> float:
        """Expected background events in the fewest bins that hold 95 % of the signal."""
        order = np.argsort(self.signal_shape * self.informed)[::-1]
        share = np.cumsum((self.signal_shape * self.informed)[order])
        n_bins = int(np.searchsorted(share, 0.95 * share[-1])) + 1
        return float(self.background[order[:n_bins]].sum())

    @property
    def reference_yield(self) -> float:
        """Signal events of the size of the limit: two σ of the best estimator of the yield, and three."""
        use = self.informed
        spread = np.maximum(self.background[use] + self.total_variances[use], 1e-300)
        return 3.0 + 2.0 / float(np.sqrt(np.sum(self.signal_shape[use] ** 2 / spread)))


def build_channel(inputs: LimitInputs, *, signal_yield: float | None = None) -> Channel:
    """Turn the inputs into a statistical model of the bins that have information.

    A function's modes multiply the background by exp(θ · change): it stays positive. The spurious signal
    is an additive sample of zero mean: N_spur events of the signal's shape, times a standard
    normal nuisance parameter.

    Args:
        inputs: One signal hypothesis.
        signal_yield: Events at μ = 1; those of the inputs if None.

    Raises:
        FitError: An uncertainty moves half of the signal out of the histogram.
    """
    sizes, use, edges = inputs.systematics, inputs.informed, inputs.edges
    signal = (signal_yield or inputs.signal_yield) * inputs.signal_shape
    warped: dict[str, tuple[Floats, Floats]] = {}
    for name, keyword, size in (
        ("jms", "scale", sizes.mass_scale),
        ("jmr", "stretch", sizes.mass_resolution),
    ):
        if size:
            down = warp_template(signal, edges, **{keyword: 1 - size})
            up = warp_template(signal, edges, **{keyword: 1 + size})
            _check_warped(inputs, keyword, size, min(down.sum(), up.sum()) / signal.sum())
            warped[name] = (down[use], up[use])
    norms = {"lumi": sizes.luminosity, "tagger": sizes.tagger_efficiency}
    norms = {name: size for name, size in norms.items() if size}
    samples = [
        Sample("signal", signal[use], is_signal=True, shapes=warped, norms=norms),
        Sample(
            "background",
            inputs.background[use],
            modes={name: mode[use] for name, mode in _modes(inputs).items()},
            stat_errors=_stat_errors(inputs),
        ),
    ]
    if sizes.spurious_signal:
        events = sizes.spurious_signal * inputs.signal_shape[use]
        samples.append(Sample("spurious", events, scaled_by=f"{CHANNEL}_spurious"))
    kept = np.flatnonzero(use)
    whole = bool(use[kept[0] : kept[-1] + 1].all())
    return Channel(
        name=CHANNEL,
        edges=edges[kept[0] : kept[-1] + 2] if whole else np.arange(kept.size + 1.0),
        samples=tuple(samples),
        observed=None if inputs.observed is None else inputs.observed[use],
        notes=_notes(inputs, whole),
    )


def _check_warped(inputs: LimitInputs, keyword: str, size: float, left: float) -> None:
    """Refuse an uncertainty that moves the signal out of the histogram: the model then holds nothing to exclude."""
    if left < LEAST_SIGNAL:
        field = {"scale": "mass_scale", "stretch": "mass_resolution"}[keyword]
        msg = (
            f"systematics: {field} of {size:g} leaves {100 * left:.0f} % of a signal at {inputs.mass:g} GeV in "
            f"[{inputs.edges[0]:g}, {inputs.edges[-1]:g}] GeV: expected {100 * LEAST_SIGNAL:g} % or more. Give a "
            "smaller one, or a histogram of a wider range"
        )
        raise FitError(msg)


def _modes(inputs: LimitInputs) -> dict[str, Floats]:
    modes = () if inputs.background_modes is None else inputs.background_modes
    width = FREEDOM if inputs.modes_are_free else 1.0
    return {f"{CHANNEL}_fit{i}": width * mode for i, mode in enumerate(modes)}


def _notes(inputs: LimitInputs, whole: bool) -> tuple[str, ...]:
    notes = [f"A signal strength of 1 is {inputs.signal_yield:g} events."]
    if inputs.modes_are_free:
        notes.append(
            f"The background's function is fitted to these bins: its nuisances have {FREEDOM:g} times the "
            "errors of the sidebands."
        )
    if inputs.left_out:
        notes.append(f"Left out, no background is expected there: {', '.join(inputs.left_out)}.")
    if not whole:
        notes.append("Bins are numbered, because some in between are left out.")
    return tuple(notes)


def _stat_errors(inputs: LimitInputs) -> Floats | None:
    variances = inputs.background_variances
    if variances is None or not variances.any():
        return None
    return np.sqrt(variances[inputs.informed])
