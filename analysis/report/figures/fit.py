"""The sideband fit with its pulls."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from oddjet.analysis.report.figures import draw
from oddjet.analysis.report.figures.style import BACKGROUND, COLOURS, DATA, PlotLabel, styled
from oddjet.analysis.statistics.background.fit import BackgroundFit

__all__ = ["sideband_fit"]


@styled
def sideband_fit(
    fit: BackgroundFit,
    *,
    axis_label: str = "Jet soft-drop mass [GeV]",
    label: PlotLabel | None = None,
) -> Figure:
    """Draw the histogram, the fitted function with its band, and the pull of every bin.

    Bins that did not enter the fit have open markers and light pulls; blinded ones are hatched.
    """
    figure = draw.new_figure(7.2, 6.2)
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[2.6, 1])
    _draw_counts(top, fit, label.status if label else None)
    pulls = fit.pulls
    width = np.diff(fit.edges)
    low = fit.edges[:-1]
    bottom.bar(low[fit.use], pulls[fit.use], width[fit.use], align="edge", color=BACKGROUND)
    rest = ~fit.use & np.isfinite(pulls)
    bottom.bar(low[rest], pulls[rest], width[rest], align="edge", color=COLOURS[2], alpha=0.7)
    bottom.axhline(0, color=DATA, lw=0.9)
    for level in (-2, 2):
        bottom.axhline(level, color="#999999", lw=0.8, ls=":")
    finite = pulls[np.isfinite(pulls)]
    reach = max(3.4, 1.15 * float(np.abs(finite).max(initial=0.0)))
    bottom.set(ylim=(-min(reach, 4.4), reach), xlim=(fit.edges[0], fit.edges[-1]))
    bottom.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    bottom.set(ylabel="Pull", xlabel=axis_label)
    inside = fit.in_window
    span = (float(fit.edges[:-1][inside][0]), float(fit.edges[1:][inside][-1]))
    for axes in (top, bottom):
        if fit.observed is None:
            draw.hatch(axes, span, "blinded" if axes is top else None)
        else:
            draw.shade(axes, span, "not fitted" if axes is top else None)
    top.legend(loc="upper right")
    text = (
        f"χ²/ndf = {fit.fitted.deviance:.1f}/{fit.fitted.ndf},  p = {fit.p_value:.2g}\n"
        f"in the window: {fit.predicted:.4g} ± {fit.predicted_error:.2g} expected"
    )
    if fit.observed is not None:
        text += f", {fit.observed:.5g} seen"
    top.text(0.03, 0.04, text, transform=top.transAxes, fontsize=10.5, va="bottom")
    draw.title(top, label)
    figure.align_ylabels()
    return figure


def _draw_counts(axes: Axes, fit: BackgroundFit, name: str | None) -> None:
    centres = 0.5 * (fit.edges[:-1] + fit.edges[1:])
    width = np.diff(fit.edges)
    # Contents are drawn per bin of the first bin's width, so that the curve meets them.
    unit = float(width[0])
    values = fit.counts / width * unit
    errors = np.sqrt(np.maximum(fit.data.sumw2, 0)) / width * unit
    name = name or ("data" if fit.data.is_data else "simulation")
    for mask, face in ((fit.use, DATA), (~fit.use, "white")):
        shown = mask & np.isfinite(values) & (values > 0)
        axes.errorbar(
            centres[shown],
            values[shown],
            errors[shown],
            fmt="o",
            color=DATA,
            mfc=face,
            ms=4.5,
            elinewidth=1.1,
            label=name if mask is fit.use else None,
            zorder=3,
        )
    fine = np.linspace(fit.edges[0], fit.edges[-1], 400)
    axes.plot(fine, fit.density(fine) * unit, color=BACKGROUND, label=f"fit: {fit.name}")
    if fit.data.given is not None:
        peaks = fit.expected / width * unit
        axes.stairs(peaks, fit.edges, baseline=None, color=COLOURS[2], label="with known peaks")
    scaled, band = fit.expected / width * unit, fit.errors / width * unit
    axes.fill_between(
        centres, scaled - band, scaled + band, color=BACKGROUND, alpha=0.3, lw=0, label="fit ± 1σ"
    )
    axes.set_yscale("log")
    positive = values[np.isfinite(values) & (values > 0)]
    low = min(float(positive.min(initial=np.inf)), float(scaled.min()))
    high = max(float(positive.max(initial=0.0)), float(scaled.max()))
    axes.set_ylim(low / (high / low) ** 0.35 / 1.5, high * (high / low) ** 0.12 * 1.3)
    axes.set_ylabel(f"Jets / {unit:g} GeV")
