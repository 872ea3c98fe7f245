"""Limits: the band over mass, and a spectrum with a signal at its limit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from oddjet.analysis.report.figures import draw
from oddjet.analysis.report.figures.style import BACKGROUND, DATA, SIGNAL, PlotLabel, styled
from oddjet.analysis.statistics.limits.upper import Limit
from oddjet.errors import ConfigError

__all__ = ["limit_band", "signal_at_limit"]

INNER, OUTER = "#607641", "#F5BB54"
"""68 % and 95 %, as the CMS publication committee asks for."""


@styled
def limit_band(
    limits: Sequence[Limit],
    *,
    axis_label: str = "Signal mass [GeV]",
    label: PlotLabel | None = None,
) -> Figure:
    """Draw limits over mass with their expected bands.

    The vertical axis is the cross section where a luminosity is known, else the yield.

    Raises:
        ConfigError: There are fewer than two masses.
    """
    if len(limits) < 2:
        msg = f"a band over mass needs limits at two masses or more, received {len(limits)}"
        raise ConfigError(msg)
    ordered = sorted(limits, key=lambda limit: limit.mass)
    in_pb = all(limit.in_pb(1.0) is not None for limit in ordered)

    def shown(limit: Limit, mu: float) -> float:
        cross_section = limit.in_pb(mu) if in_pb else None
        return limit.in_events(mu) if cross_section is None else cross_section

    mass = np.array([limit.mass for limit in ordered])
    band = np.array([[shown(limit, mu) for mu in limit.expected] for limit in ordered])
    figure, axes = draw.new_axes()
    axes.fill_between(mass, band[:, 0], band[:, 4], color=OUTER, lw=0, label="95 % expected")
    axes.fill_between(mass, band[:, 1], band[:, 3], color=INNER, lw=0, label="68 % expected")
    axes.plot(mass, band[:, 2], color=DATA, ls="--", label="median expected")
    seen = [(limit.mass, shown(limit, limit.observed)) for limit in ordered if limit.observed]
    if seen:
        axes.plot(*zip(*seen, strict=True), color=DATA, marker="o", ms=4, label="observed")
    top = max(float(band.max()), max((value for _, value in seen), default=0.0))
    if top > 30 * band.min():
        axes.set(yscale="log", ylim=(0.5 * band.min(), 5 * top))
    else:
        axes.set_ylim(0, 1.45 * top)
    axes.set_xlim(mass[0], mass[-1])
    unit = "σ [pb]" if in_pb else "signal events"
    name = f"Upper limit on {unit}, {100 * ordered[0].settings.cl:g} % CL"
    draw.finish(axes, axis_label, name, label, loc="upper right", title="" if seen else "blinded")
    return figure


@styled
def signal_at_limit(
    limit: Limit,
    *,
    axis_label: str = "Jet mass [GeV]",
    label: PlotLabel | None = None,
) -> Figure:
    """Draw the bins of the model: background with its error, and a signal at its limit on top."""
    inputs = limit.inputs
    figure, axes = draw.new_axes()
    errors = np.sqrt(inputs.total_variances)
    background = inputs.background
    axes.stairs(
        background + errors,
        inputs.edges,
        baseline=background - errors,
        fill=True,
        color=BACKGROUND,
        alpha=0.3,
        lw=0,
    )
    axes.stairs(background, inputs.edges, baseline=None, color=BACKGROUND, label="background ± 1σ")
    kind, mu = ("expected", limit.expected[2])
    if limit.observed is not None:
        kind, mu = "observed", limit.observed
    signal = limit.in_events(mu) * inputs.signal_shape
    axes.stairs(
        background + signal,
        inputs.edges,
        baseline=None,
        color=SIGNAL,
        label=f"+ {limit.in_events(mu):.3g} signal events,\n   the {kind} limit",
    )
    top = background + signal
    if inputs.observed is None:
        draw.hatch(axes, (inputs.edges[0], inputs.edges[-1]), "data blinded")
    else:
        centres = 0.5 * (inputs.edges[:-1] + inputs.edges[1:])
        spread = np.sqrt(inputs.observed)
        axes.errorbar(centres, inputs.observed, spread, fmt="o", color=DATA, ms=4.5, label="data")
        top = np.maximum(top, inputs.observed + spread)
    axes.set(ylim=(0, 1.5 * float(top.max())), xlim=(inputs.edges[0], inputs.edges[-1]))
    draw.finish(axes, axis_label, "Jets / bin", label, loc="upper right")
    return figure
