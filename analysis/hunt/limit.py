"""The limit on what a hunt did not find: at its tightest working point, in its signal window."""

from __future__ import annotations

from oddjet.analysis.hunt.hunt import Hunt
from oddjet.analysis.statistics.limits.inputs import LimitSettings
from oddjet.analysis.statistics.limits.spectrum import SignalModel, SpectrumLimit, limit_spectrum
from oddjet.analysis.statistics.spectrum import Spectrum
from oddjet.errors import FitError

__all__ = ["limit_hunt"]

WINDOW_WIDTHS = 6.0
"""The signal window holds ± 3 standard deviations of the signal."""


def limit_hunt(
    hunt: Hunt, window: tuple[float, float], *, function: str
) -> tuple[tuple[SpectrumLimit, ...], tuple[str, ...]]:
    """Set the limit at the tightest cut on the main score; `oddjet limit` sets others.

    The signal is a Gaussian at the window's centre, a sixth of the window wide, so that the window holds
    three standard deviations on either side.

    Args:
        hunt: The hunt. While it is blinded only the expected limit is set.
        window: The signal window [GeV].
        function: Background function.

    Returns:
        The limit, or none and why.
    """
    point = hunt.tightest
    spectrum = Spectrum(point.edges, point.counts, name=point.name, caveats=hunt.sample.caveats)
    settings = LimitSettings(function=function, unblind=not hunt.blinded)
    signal = SignalModel(0.5 * (window[0] + window[1]), (window[1] - window[0]) / WINDOW_WIDTHS)
    try:
        return limit_spectrum(spectrum, [signal], settings=settings), ()
    except FitError as error:
        return (), (f"no limit at {signal.mass:g} GeV: {error}",)
