"""The limit on what a hunt did not find: in its signal window, and on the signals of the fileset."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from oddjet.analysis.config import HuntConfig
from oddjet.analysis.hunt.hunt import Hunt
from oddjet.analysis.hunt.spurious import with_spurious
from oddjet.analysis.hunt.templates import SignalTemplate
from oddjet.analysis.statistics.background.signal import gaussian_fractions
from oddjet.analysis.statistics.channels.model import ChannelModel
from oddjet.analysis.statistics.components import Component
from oddjet.analysis.statistics.conditional.model import KNOWN_JETS
from oddjet.analysis.statistics.conditional.score_bins import ScoreBins
from oddjet.analysis.statistics.limits.inputs import LimitSettings, Systematics
from oddjet.analysis.statistics.limits.passfail import PassFailInputs
from oddjet.analysis.statistics.limits.shares import limit_shares
from oddjet.analysis.statistics.limits.spectrum import SignalModel, SpectrumLimit, limit_spectrum
from oddjet.analysis.statistics.spectrum import Spectrum, overlaps
from oddjet.errors import FitError
from oddjet.typing import Bools

__all__ = ["limit_hunt", "share_inputs"]

WINDOW_WIDTHS = 6.0
"""The signal window holds ± 3 standard deviations of the signal."""
GAUSSIAN = (
    "of a Gaussian it is not known how many jets fail the cut: none are assumed to, and if some do, the limit is too low by "
    "their share of what the jets that fail predict (a signal that passes in 55 % of its jets, after a cut of 10 %: 9 %)"
)

UNKNOWN = (
    "the error of the cuts' calibration is not known and left out: the limit does not hold where more jets are hunted in "
    "than they were learned on. `oddjet score` makes a table that knows it"
)


def limit_hunt(
    hunt: Hunt,
    settings: HuntConfig,
    signals: Callable[[], Sequence[SignalTemplate]] = tuple,
    *,
    gaussians: Sequence[SignalModel] = (),
    how: LimitSettings | None = None,
) -> tuple[tuple[SpectrumLimit, ...], tuple[str, ...]]:
    """Set limits on Gaussians at the tightest cut on the main score, and on each simulated signal.

    By default there is one Gaussian: at the window's centre, a sixth of the window wide, so that the window holds
    three standard deviations on either side. Where jets that pass are compared with jets that fail, limits are from
    these; on a signal of the fileset from all cuts on the main score together.

    Args:
        hunt: The hunt. While it is blinded only expected limits are set.
        settings: Signal window, background function, orders.
        signals: Gives the signals of the fileset; they are used in a conditional hunt alone.
        gaussians: Other Gaussians.
        how: Uncertainties, confidence level, toys; whether it is unblinded is the hunt's.

    Returns:
        The limits, and why others are missing.
    """
    how = how or LimitSettings(function=settings.function)
    how = dataclasses.replace(how, unblind=not hunt.blinded)
    low, high = settings.window
    window = SignalModel(0.5 * (low + high), (high - low) / WINDOW_WIDTHS)
    problems, templates = [], tuple[SignalTemplate, ...]()
    try:
        templates = tuple(signals()) if hunt.by_share else ()
    except FitError as error:
        problems.append(f"no limits on signals of the fileset: {error}")
    limits = []
    todo = {f"at {g.mass:g} GeV": partial(_on_gaussian, g) for g in gaussians or (window,)}
    todo |= {f"on {template.name}": partial(_on_template, template) for template in templates}
    for name, limit in todo.items():
        try:
            limits.append(
                dataclasses.replace(limit(hunt, settings, how), caveats=hunt.sample.caveats)
            )
        except FitError as error:
            problems.append(f"no limit {name}: {error}")
    return tuple(limits), tuple(problems)


def _on_gaussian(
    signal: SignalModel, hunt: Hunt, settings: HuntConfig, how: LimitSettings
) -> SpectrumLimit:
    if not hunt.by_share:
        if hunt.joint is not None and any(peak.contents.any() for peak in hunt.joint.peaks):
            msg = (
                "known peaks are expected, which a limit by a function would take for signal: cut on a decorrelated score, "
                "or use hunt.method: conditional"
            )
            raise FitError(msg)
        point = hunt.tightest
        spectrum = Spectrum(point.edges, point.counts, name=point.name)
        hidden = settings.window if hunt.blinded else None
        seen = dataclasses.replace(spectrum, blind_window=hidden)
        how, said = with_spurious(how, seen, signal, hunt.simulated)
        limit = limit_spectrum(spectrum, [signal], settings=how)[0]
        return dataclasses.replace(limit, notes=(*limit.notes, *said))
    make = partial(_gaussian_inputs, hunt, settings, signal, how.systematics)
    return limit_shares(make, settings.orders, how)


def _on_template(
    template: SignalTemplate, hunt: Hunt, settings: HuntConfig, how: LimitSettings
) -> SpectrumLimit:
    make = partial(share_inputs, hunt, settings, template, how.systematics)
    return limit_shares(make, settings.orders, how, name=template.name)


def share_inputs(
    hunt: Hunt,
    settings: HuntConfig,
    template: SignalTemplate,
    systematics: Systematics,
    order: int,
) -> PassFailInputs:
    """Gather what the limit on a simulated signal is computed from: all cuts on the main score, all bins of pt.

    Raises:
        FitError: The template is not fit for it.
    """
    cuts = [hunt.working_points.index(point) for point in hunt.main_points[1:]]
    model = _model(hunt, cuts, order)
    contents = template.score_bins
    if contents.shape != model.table.shape:
        msg = f"{template.name}: expected a template of {model.table.shape} bins, received {contents.shape}"
        raise FitError(msg)
    passing = contents[:, 1:].sum(axis=(0, 1))
    if not passing.sum() > 0:
        msg = (
            f"no jet of {template.name} passes {hunt.main_points[1].name} in the range of the hunt"
        )
        raise FitError(msg)
    centres = 0.5 * (model.table.edges[1:] + model.table.edges[:-1])
    share = 100.0 * passing.sum() / contents.sum()
    return PassFailInputs(
        model,
        Component("signal", contents, is_signal=True),
        float(passing @ centres / passing.sum()),
        _hidden(hunt, settings),
        template.cross_section_pb,
        systematics,
        notes=(
            f"{share:.3g} % of the jets of {template.name} pass {hunt.main_points[1].name}",
            (
                f"statistical errors of {template.name} are not used: {100 * template.error:.2g} % after the tightest cut, more "
                "in a bin"
            ),
            *_unknown(hunt),
        ),
    )


def _gaussian_inputs(
    hunt: Hunt, settings: HuntConfig, signal: SignalModel, systematics: Systematics, order: int
) -> PassFailInputs:
    model = _model(hunt, [hunt.working_points.index(hunt.tightest)], order)
    shape = gaussian_fractions(model.table.edges, mass=signal.mass, width=signal.width)
    passing = model.table.counts[:, 1].sum(axis=1) + 0.5
    contents = np.zeros(model.table.shape)
    contents[:, 1] = (passing / passing.sum())[:, None] * shape
    component = Component("signal", contents, is_signal=True)
    hidden = _hidden(hunt, settings)
    notes = (GAUSSIAN, *_unknown(hunt))
    inputs = PassFailInputs(
        model, component, signal.mass, hidden, systematics=systematics, notes=notes
    )
    # One unit of the strength is of the size of the limit.
    reference = inputs.reference_yield / inputs.signal_yield
    scaled = component.transformed(lambda jets: reference * jets)
    return dataclasses.replace(inputs, signal=scaled)


def _unknown(hunt: Hunt) -> tuple[str, ...]:
    """Say that the map may be off by an amount that nobody knows."""
    imprint = None if hunt.joint is None else hunt.joint.imprint
    return () if imprint is not None and not imprint.unknown else (UNKNOWN,)


def _hidden(hunt: Hunt, settings: HuntConfig) -> Bools:
    edges = hunt.tightest.edges
    return overlaps(edges, settings.window) & hunt.blinded


def _model(hunt: Hunt, cuts: Sequence[int], order: int) -> ChannelModel:
    """The model of the conditional hunt, whose constants are free."""
    assert hunt.joint is not None
    model = ScoreBins.make(hunt.joint, cuts, (order, order)).model
    constants = model.precision == KNOWN_JETS
    return dataclasses.replace(model, precision=np.where(constants, 0.0, model.precision))
