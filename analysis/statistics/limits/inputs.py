"""What a limit is computed from: spectrum, signal, background and systematic uncertainties."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from oddjet.analysis.statistics.exchange.model import Channel, Sample
from oddjet.analysis.statistics.limits.templates import background_modes, warp_template
from oddjet.errors import ConfigError, FitError
from oddjet.typing import Floats

__all__ = ["LimitInputs", "LimitSettings", "Systematics", "build_channel"]

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
        n_toys: Toys at each signal strength; 0 for the asymptotic limit.
        seed: Fixes the toys.
        lumi_ifb: Luminosity, to give a cross section as well [1/fb].
        efficiency: Fraction of produced signal events that enter the spectrum.
    """

    function: str = "auto"
    is_data: bool = True
    unblind: bool = False
    systematics: Systematics = dataclasses.field(default_factory=Systematics)
    cl: float = 0.95
    n_toys: int = 0
    seed: int = 1
    lumi_ifb: float | None = None
    efficiency: float = 1.0

    def __post_init__(self) -> None:
        if self.unblind and not self.is_data:
            msg = "weighted simulation holds no data to unblind: draw pseudo-data, or leave it out"
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


@dataclasses.dataclass(frozen=True)
class LimitInputs:
    """One signal hypothesis against one spectrum.

    Attributes:
        edges: Bin edges, n_bins + 1 of them [GeV].
        observed: Events a bin, shape (n_bins,); None while they are blinded.
        background: Expected events a bin, shape (n_bins,), > 0 where events were observed.
        signal_shape: Fraction of the signal in each bin, shape (n_bins,); the sum is at most 1.
        mass: Mass of the signal [GeV], for names and figures.
        signal_yield: Events at μ = 1, those outside the bins included.
        background_covariance: Between bins, shape (n_bins, n_bins); of a fit.
        background_variances: Σw² a bin, shape (n_bins,); of a given histogram.
        systematics: Their sizes.
    """

    edges: Floats
    observed: Floats | None
    background: Floats
    signal_shape: Floats
    mass: float
    signal_yield: float
    background_covariance: Floats | None = None
    background_variances: Floats | None = None
    systematics: Systematics = dataclasses.field(default_factory=Systematics)

    def __post_init__(self) -> None:
        background = self.background
        if not (np.isfinite(background).all() and (background >= 0).all() and background.any()):
            msg = "the background must expect finite numbers ≥ 0 of events, and some: check the fit"
            raise FitError(msg)
        empty = background <= 0
        if self.observed is not None and (bad := empty & (self.observed > 0)).any():
            at = int(np.flatnonzero(bad)[0])
            msg = (
                f"{int(bad.sum())} bins have events where the background expects none, the first "
                f"[{self.edges[at]:g}, {self.edges[at + 1]:g}) GeV: the likelihood does not exist; "
                "use wider bins or a smaller range"
            )
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

    def to_dict(self) -> dict[str, Any]:
        """Every number, ready for JSON."""
        return {
            "mass": self.mass,
            "edges": self.edges.tolist(),
            "observed": None if self.observed is None else self.observed.tolist(),
            "background": self.background.tolist(),
            "background_errors": np.sqrt(self.total_variances).tolist(),
            "signal_shape": self.signal_shape.tolist(),
            "signal_yield_at_mu_1": self.signal_yield,
            "systematics": dataclasses.asdict(self.systematics),
        }

    @property
    def total_variances(self) -> Floats:
        """Variance of the expected background a bin, shape (n_bins,)."""
        total = np.zeros(self.background.size)
        if self.background_covariance is not None:
            total += np.diag(self.background_covariance)
        if self.background_variances is not None:
            total += self.background_variances
        return total


def build_channel(inputs: LimitInputs) -> Channel:
    """Turn the inputs into a statistical model.

    The spurious signal is an additive one of zero mean: N_spur events of the signal's shape, times
    a standard normal nuisance parameter. It is expressed as a shape variation of the background,
    which is the same under HistFactory's additive interpolation, and which Combine can read.

    Args:
        inputs: One signal hypothesis.
    """
    sizes = inputs.systematics
    signal = inputs.signal_yield * inputs.signal_shape
    warped: dict[str, tuple[Floats, Floats]] = {}
    if sizes.mass_scale:
        warped["jms"] = (
            warp_template(signal, inputs.edges, scale=1 - sizes.mass_scale),
            warp_template(signal, inputs.edges, scale=1 + sizes.mass_scale),
        )
    if sizes.mass_resolution:
        warped["jmr"] = (
            warp_template(signal, inputs.edges, stretch=1 - sizes.mass_resolution),
            warp_template(signal, inputs.edges, stretch=1 + sizes.mass_resolution),
        )
    norms = {"lumi": sizes.luminosity, "tagger": sizes.tagger_efficiency}
    return Channel(
        name=CHANNEL,
        edges=inputs.edges,
        samples=(
            Sample(
                "signal",
                signal,
                is_signal=True,
                shapes=warped,
                norms={name: size for name, size in norms.items() if size},
            ),
            Sample(
                "background",
                inputs.background,
                shapes=_background_shapes(inputs),
                stat_errors=_stat_errors(inputs),
            ),
        ),
        observed=inputs.observed,
    )


def _background_shapes(inputs: LimitInputs) -> dict[str, tuple[Floats, Floats]]:
    changes: dict[str, Floats] = {}
    if inputs.background_covariance is not None:
        modes = background_modes(inputs.background_covariance)
        changes = {f"{CHANNEL}_fit{i}": mode for i, mode in enumerate(modes)}
    if spurious := inputs.systematics.spurious_signal:
        changes[f"{CHANNEL}_spurious"] = spurious * inputs.signal_shape
    nominal = inputs.background
    return {name: (nominal - change, nominal + change) for name, change in changes.items()}


def _stat_errors(inputs: LimitInputs) -> Floats | None:
    variances = inputs.background_variances
    return None if variances is None or not variances.any() else np.sqrt(variances)
