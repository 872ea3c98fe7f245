"""Jets that pass and that fail a cut, in a few bins of mass, with a signal that passes more often."""

from __future__ import annotations

import numpy as np
from scipy import stats

from oddjet.analysis.statistics.channels.model import ChannelModel, ChannelTable
from oddjet.analysis.statistics.components import Component
from oddjet.analysis.statistics.limits.inputs import Systematics
from oddjet.analysis.statistics.limits.passfail import PassFailInputs
from oddjet.analysis.statistics.limits.templates import warp_template
from oddjet.typing import Floats

NONE = Systematics(0.0, 0.0, 0.0, 0.0, 0.0)


def gaussian(edges: Floats, mass: float, width: float) -> Floats:
    return np.diff(stats.norm.cdf(edges, mass, width))


def shifted_peak(
    name: str,
    contents: Floats,
    edges: Floats,
    *,
    constraint: float | None,
    variances: Floats | None = None,
) -> Component:
    """A peak with an uncertain mass scale."""
    low, high = (
        np.apply_along_axis(warp_template, 2, contents, edges, scale=scale)
        for scale in (0.99, 1.01)
    )
    return Component(name, contents, variances, constraint, {"jms": (low, high)})


def pass_fail(
    *,
    n_bins: int = 8,
    jets: float = 4000.0,
    shares: tuple[float, ...] = (0.1,),
    regions: int = 1,
    signal: float = 0.0,
    order: int = 1,
    modes: Floats | None = None,
    peak: Component | None = None,
    systematics: Systematics = NONE,
    seed: int = 1,
) -> PassFailInputs:
    """A falling spectrum in regions and score bins, drawn with `signal` jets of the signal."""
    edges = np.linspace(50.0, 210.0, n_bins + 1)
    centres = 0.5 * (edges[1:] + edges[:-1])
    falling = np.exp(-centres / 60.0)
    x = 2.0 * (centres - edges[0]) / (edges[-1] - edges[0]) - 1.0
    powers = np.polynomial.legendre.legvander(x, order)
    kept = np.array([1.0 - sum(shares), *shares])
    means = np.broadcast_to(
        jets * falling / falling.sum() * kept[None, :, None], (regions, kept.size, n_bins)
    )
    high = np.array([0.4, *np.full(len(shares), 0.6 / len(shares))])
    shape = np.broadcast_to(
        gaussian(edges, 120.0, 12.0) * high[None, :, None] / regions, means.shape
    )
    rng = np.random.default_rng([3, seed])
    means = means + (0.0 if peak is None else peak.contents)
    counts = rng.poisson(means + signal * shape).astype(float)
    table = ChannelTable(
        edges,
        tuple(f"pt {i}" for i in range(regions)),
        ("fails", *(f"{100 * share:g} %" for share in shares)),
        counts,
    )
    peaks = () if peak is None else (peak,)
    model = ChannelModel.make(table, powers, modes, peaks)
    return PassFailInputs(
        model,
        Component("signal", 100.0 * shape, is_signal=True),
        120.0,
        np.zeros(n_bins, np.bool_),
        systematics=systematics,
    )
