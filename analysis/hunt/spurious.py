"""The spurious signal of a function in the limit of a hunt, from simulated background after the same cut."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from oddjet.analysis.statistics.background.many import BatchModel
from oddjet.analysis.statistics.bumphunt.joint import JointTable
from oddjet.analysis.statistics.bumphunt.misfit import misfits
from oddjet.analysis.statistics.limits.inputs import LimitSettings
from oddjet.analysis.statistics.limits.spectrum import SignalModel
from oddjet.analysis.statistics.spectrum import Spectrum
from oddjet.errors import ConfigError, FitError

__all__ = ["with_spurious"]


def with_spurious(
    settings: LimitSettings,
    spectrum: Spectrum,
    signal: SignalModel,
    simulated: Mapping[str, Spectrum],
) -> tuple[LimitSettings, tuple[str, ...]]:
    """Take what the function finds of a signal in simulated background as an uncertainty of its yield.

    Args:
        settings: How the limit is set; a spurious signal that they have already stays.
        spectrum: What the limit is set in, by name one of those that are simulated; its hidden bins are not used.
        signal: The signal.
        simulated: Simulated background by the name of the spectrum, that of all jets among them.

    Returns:
        The settings, and what was done, a sentence; none without simulation.
    """
    if settings.systematics.spurious_signal or spectrum.name not in simulated:
        return settings, ()
    made, hidden = simulated[spectrum.name], spectrum.hidden
    try:
        factor = spectrum.counts[~hidden].sum() / max(made.counts[~hidden].sum(), 1e-300)
        counts = np.where(hidden, factor * made.counts, spectrum.counts)
        one = np.ones((1, 1), np.bool_)
        table = JointTable((spectrum.name,), spectrum.edges, one, counts[None])
        (left,) = misfits(table, settings.function, simulated)
        model = BatchModel.make(settings.function, spectrum.edges, left.expected)
        events = left.events(signal.shape(spectrum.edges), model)
    except (FitError, ConfigError) as error:
        return settings, (f"the spurious signal is not known, and not in the limit: {error}",)
    systematics = dataclasses.replace(settings.systematics, spurious_signal=events)
    said = f"spurious signal of {settings.function} in simulated background: {events:.3g} events"
    return dataclasses.replace(settings, systematics=systematics), (said,)
