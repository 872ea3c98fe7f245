"""What a limit is computed from where jets that fail a cut are known as well as those that pass it.

The model is that of the conditional hunt (`statistics.channels`): jets that fail are free in each mass bin, and the
ratio of those that pass to them is smooth, with the fluctuations of the map as nuisances. The signal has its own share of
jets that pass and that fail.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
from scipy import stats

from oddjet.analysis.statistics.channels.model import ChannelModel
from oddjet.analysis.statistics.components import Component
from oddjet.analysis.statistics.exchange.model import Channel, Sample, safe_name, safe_names
from oddjet.analysis.statistics.limits.inputs import Systematics
from oddjet.analysis.statistics.limits.likelihood import Data, Fits, Likelihood, guarded_fit
from oddjet.analysis.statistics.limits.templates import interpolated, retagged, warp_template
from oddjet.errors import FitError
from oddjet.typing import Bools, Floats

__all__ = ["PassFailInputs"]

LEAST_JETS = 1e-3
"""Expected jets that fail in an empty bin: the unit of a free factor, which is then zero."""
LEAST_ERROR = 0.1
"""Statistical errors of a component below this part of a bin's Poisson error are left out."""
LEAST_SIGNAL = 0.5
"""A mass scale or resolution that moves more than this out of the histogram leaves nothing to exclude."""
MAP = "map"
"""How columns begin that say how the map of a cut may be off: what was learned elsewhere measures them."""
SMOOTH = "smooth"
"""Name of the smooth background."""


@dataclasses.dataclass(frozen=True, eq=False)
class PassFailInputs:
    """One signal hypothesis against jets by region, score bin and mass bin.

    Attributes:
        model: The background: jets, how their shares follow the mass, and components that are no signal.
        signal: Jets of the signal at μ = 1, all regions and score bins.
        mass: Mass of the signal [GeV], for names and figures.
        hidden: Mass bins whose jets are blinded, shape (n_bins,): the counts there are never looked at, and that of all
            jets is interpolated. With any, the limit is an expected one.
        cross_section_pb: Cross section that μ = 1 stands for [pb]; None where it is not known.
        systematics: Sizes of the uncertainties of the signal.
        notes: What a reader must know of the signal or the model, a sentence each.
    """

    model: ChannelModel
    signal: Component
    mass: float
    hidden: Bools
    cross_section_pb: float | None = None
    systematics: Systematics = dataclasses.field(default_factory=Systematics)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        contents = self.signal.contents
        if contents.shape != self.model.table.shape or not np.isfinite(contents).all():
            msg = (
                f"the signal at {self.mass:g} GeV: expected finite contents of the shape {self.model.table.shape}, "
                f"received {contents.shape}: use the bins of the table"
            )
            raise FitError(msg)
        if (contents < 0).any() or not contents[:, 1:].sum() > 0:
            msg = (
                f"no jets of the signal at {self.mass:g} GeV pass the cuts, or some bins are negative: expected contents "
                "≥ 0 and some above. Use a template with more events, or one without negative weights"
            )
            raise FitError(msg)

    @property
    def signal_yield(self) -> float:
        """Jets of the signal at μ = 1, those that fail among them."""
        return float(self.signal.contents.sum())

    @property
    def efficiency(self) -> float:
        """Share of the signal's jets that pass a cut."""
        return float(self.signal.contents[:, 1:].sum()) / self.signal_yield

    @property
    def blinded(self) -> bool:
        """Whether bins are hidden."""
        return bool(self.hidden.any())

    @property
    def edges(self) -> Floats:
        """Mass bin edges, n_bins + 1 of them [GeV]."""
        return self.model.table.edges

    @property
    def observed(self) -> Floats | None:
        """Jets that pass a cut, shape (n_bins,); None while they are blinded."""
        return None if self.blinded else self._passing(self.model.table.counts)

    @property
    def background(self) -> Floats:
        """Jets that are expected to pass without a signal, shape (n_bins,)."""
        return self._passing(self.expected)

    @property
    def signal_shape(self) -> Floats:
        """Part of all the signal's jets that pass a cut, by mass bin, shape (n_bins,)."""
        return self._passing(self.signal.contents) / self.signal_yield

    @property
    def left_out(self) -> tuple[str, ...]:
        """Bins without information: none, since jets that fail are free in each."""
        return ()

    def _passing(self, contents: Floats) -> Floats:
        return np.asarray(contents[:, 1:].sum(axis=(0, 1)))

    @property
    def total_variances(self) -> Floats:
        """Variance of `background` from what the shares leave open, all jets given, shape (n_bins,)."""
        likelihood, fit = self._null
        slopes = likelihood.state(fit.parameters, likelihood.data(self._shown)).slopes[0, 1:]
        covariance = np.linalg.pinv(fit.hessians[0][1:, 1:], hermitian=True)
        shape = self.model.table.shape
        passing = np.stack([self._passing(slope.reshape(shape)) for slope in slopes])
        return np.asarray(np.einsum("ib,ij,jb->b", passing, covariance, passing))

    @property
    def background_under_signal(self) -> float:
        """Expected background in the fewest bins that hold 95 % of the signal's passing jets."""
        signal, jets = self.signal.contents[:, 1:].ravel(), self.expected[:, 1:].ravel()
        order = np.argsort(signal)[::-1]
        share = np.cumsum(signal[order])
        n_bins = int(np.searchsorted(share, 0.95 * share[-1])) + 1
        return float(jets[order[:n_bins]].sum())

    @property
    def reference_yield(self) -> float:
        """Signal jets of the size of the limit: some that pass, and two σ of the best estimator."""
        shape = self.signal.contents[:, 1:] / self.signal_yield
        spread = np.maximum(self.expected[:, 1:], 1.0)
        return 3.0 / self.efficiency + 2.0 / float(np.sqrt(np.sum(shape**2 / spread)))

    @cached_property
    def expected(self) -> Floats:
        """Expected jets without a signal, of the shape of the counts: of a fit to what may be seen."""
        likelihood, fit = self._null
        seen = likelihood.data(self._shown)
        shape, events = self.model.table.shape, likelihood.expected(fit.parameters, seen)[0][0]
        events = events.reshape(shape)
        if not self.blinded:
            return np.asarray(events)
        full = Likelihood(self._channel(None, self.model.components))
        rates = [part.rates(fit.parameters) for part in full.parts]
        (smooth, *peaks) = (
            (rate.scale * rate.unit).reshape(shape) for rate in rates[1:]
        )  # the first is the signal
        added = np.sum(peaks, axis=0) + np.zeros(shape)
        jets = [interpolated(self.edges, row, self.hidden) for row in (events - added).sum(axis=1)]
        hidden = smooth * (np.stack(jets) / smooth.sum(axis=1))[:, None] + added
        return np.asarray(np.where(self.hidden, hidden, events))

    @cached_property
    def _null(self) -> tuple[Likelihood, Fits]:
        """The likelihood of what may be seen, and its fit without a signal."""
        components = tuple(c.transformed(self._visible) for c in self.model.components)
        likelihood = Likelihood(self._channel(None, components), free=self.free)
        start = np.zeros((1, likelihood.n_parameters))
        data = likelihood.data(self._shown)
        return likelihood, guarded_fit(likelihood, data, start, mu=0.0, what="pass and fail")

    def asimov(self, likelihood: Likelihood, means: Floats) -> Data:
        """Give expected data to a likelihood of `channel`, with priors in the middle of what was fitted without a signal."""
        null, fit = self._null
        known = dict(zip(null.names, fit.parameters[0, 1:], strict=True))
        centres = np.array([[known.get(name, 0.0) for name in likelihood.names]])
        return dataclasses.replace(likelihood.data(means.ravel()), centres=centres)

    def _visible(self, contents: Floats) -> Floats:
        """Nothing in hidden bins: with jets that fail free, such bins know nothing."""
        return np.where(self.hidden, 0.0, contents)

    @property
    def _shown(self) -> Floats:
        """Jets that may be seen, shape (n_cells,); none in hidden bins."""
        return self._visible(self.model.table.counts).ravel()

    @cached_property
    def _totals(self) -> Floats:
        """Jets of all score bins, shape (n_regions, n_bins), those of hidden bins interpolated."""
        totals = self._visible(self.model.table.totals)
        if not self.blinded:
            return totals
        return np.stack([interpolated(self.edges, row, self.hidden) for row in totals])

    @property
    def free(self) -> frozenset[str]:
        """Nuisance parameters that nothing else measures."""
        columns = zip(self.columns, self.model.precision, self.model.columns, strict=True)
        return frozenset(name for name, _, own in columns if not own.startswith(MAP))

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns of shares that pyhf and Combine take."""
        return safe_names(self.model.columns)

    def channel(self, *, signal_yield: float | None = None) -> Channel:
        """Turn the inputs into a statistical model: every region, score bin and mass bin is a channel of one bin.

        Args:
            signal_yield: Jets at μ = 1; those of the inputs if None.

        Raises:
            FitError: An uncertainty moves half of the signal out of the histogram.
        """
        return self._channel(signal_yield, self.model.components, self.expected)

    def _channel(
        self,
        signal_yield: float | None,
        components: tuple[Component, ...],
        instead: Floats | None = None,
    ) -> Channel:
        table = self.model.table
        _, n_scores, n_bins = table.shape
        cells = [
            (r, k, b)
            for r in range(len(table.regions))
            for k in range(n_scores)
            for b in range(n_bins)
        ]
        samples = [self._signal(signal_yield), self._smooth()]
        names = safe_names(f"peak_{c.name}" for c in components)
        samples += [
            _component(c, name, samples[1].expected)
            for c, name in zip(components, names, strict=True)
        ]
        return Channel(
            name="cells",
            edges=np.arange(len(cells) + 1.0),
            samples=tuple(samples),
            observed=None if self.blinded else self._shown,
            notes=self._card_notes(),
            cells=tuple(f"r{r}_k{k}_b{b}" for r, k, b in cells),
            instead=None if instead is None else instead.ravel(),
        )

    def _card_notes(self) -> tuple[str, ...]:
        table = self.model.table
        edges = ", ".join(f"{edge:g}" for edge in self.edges)
        return (
            f"A signal strength of 1 is {self.signal_yield:g} jets, of which {100 * self.efficiency:.3g} % pass.",
            *(f"r{i}: {name}" for i, name in enumerate(table.regions)),
            *(f"k{i}: {name}" for i, name in enumerate(table.scores)),
            f"b0 and so on: mass bins with the edges {edges} GeV",
            *self.notes,
        )

    def _smooth(self) -> Sample:
        table, model = self.model.table, self.model
        jets = np.where(self.hidden, 0.0, table.counts).sum(axis=2)
        ratio = (jets + 0.5) / (jets[:, :1] + 0.5)
        ratio[:, 0] = 1.0
        failing = np.maximum(self._totals / ratio.sum(axis=1)[:, None], LEAST_JETS)
        floats, modes = {}, {}
        for i, name in enumerate(self.columns):
            column = model.design[..., i].ravel()
            if model.precision[i] > 0:
                modes[name] = column / np.sqrt(model.precision[i])
            else:
                floats[name] = column
        return Sample(
            SMOOTH,
            (ratio[:, :, None] * failing[:, None, :]).ravel(),
            modes=modes,
            floats=floats,
            factors=tuple(
                f"fail_r{r}_b{b}"
                for r in range(len(table.regions))
                for _ in table.scores
                for b in range(self.edges.size - 1)
            ),
        )

    def _signal(self, signal_yield: float | None) -> Sample:
        contents, sizes = self.signal.contents, self.systematics
        scale = 1.0 if signal_yield is None else signal_yield / self.signal_yield
        shapes: dict[str, tuple[Floats, Floats]] = dict(self.signal.shifts)
        if sizes.mass_scale and "jms" not in shapes:
            shapes["jms"] = self._warped("mass_scale", "scale", sizes.mass_scale)
        if sizes.mass_resolution and "jmr" not in shapes:
            shapes["jmr"] = self._warped("mass_resolution", "stretch", sizes.mass_resolution)
        if sizes.tagger_efficiency:
            shapes["tagger"] = tuple(  # type: ignore[assignment]
                retagged(contents, sign * sizes.tagger_efficiency) for sign in (-1.0, 1.0)
            )
        return Sample(
            "signal",
            scale * contents.ravel(),
            is_signal=True,
            shapes={
                n: (scale * low.ravel(), scale * up.ravel()) for n, (low, up) in shapes.items()
            },
            norms={"lumi": sizes.luminosity} if sizes.luminosity else {},
        )

    def _warped(self, field: str, keyword: str, size: float) -> tuple[Floats, Floats]:
        """Contents of the signal at −1σ and +1σ of the mass scale or resolution."""
        low, high = (
            np.apply_along_axis(
                warp_template, 2, self.signal.contents, self.edges, **{keyword: 1.0 + sign * size}
            )
            for sign in (-1.0, 1.0)
        )
        left = min(low.sum(), high.sum()) / self.signal_yield
        if left < LEAST_SIGNAL:
            msg = (
                f"systematics: {field} of {size:g} leaves {100 * left:.0f} % of a signal at {self.mass:g} GeV in "
                f"[{self.edges[0]:g}, {self.edges[-1]:g}] GeV: expected {100 * LEAST_SIGNAL:g} % or more. Give a "
                "smaller one, or a histogram of a wider range"
            )
            raise FitError(msg)
        return low, high

    @cached_property
    def goodness(self) -> tuple[float, int]:
        """Deviance of the fit to what may be seen, and its degrees of freedom; with the signal unless it is blinded."""
        value = self.least
        if not self.blinded:
            likelihood = Likelihood(self.channel(signal_yield=self.reference_yield), free=self.free)
            data, start = likelihood.data(self._shown), self._null[1].parameters
            value = float(guarded_fit(likelihood, data, start, what="pass and fail").values[0])
        _, n_scores, _ = self.model.table.shape
        filled = int(np.count_nonzero(self._visible(self.model.table.totals)))
        return 2.0 * value, filled * (n_scores - 1) - len(self.free) - (not self.blinded)

    @property
    def least(self) -> float:
        """−ln L of the fit without a signal to what may be seen, over that of the saturated model."""
        return float(self._null[1].values[0])

    @property
    def n_modes(self) -> int:
        """Ways in which the map of the cut may be off."""
        return sum(name.startswith(MAP) for name in self.model.columns)

    @property
    def goodness_p(self) -> float:
        """How often χ² would be as large; NaN without a degree of freedom."""
        deviance, ndf = self.goodness
        return float(stats.chi2.sf(deviance, ndf)) if ndf > 0 else float("nan")

    def to_dict(self) -> dict[str, Any]:
        """Every number, ready for JSON."""
        table = self.model.table
        deviance, ndf = self.goodness
        return {
            "mass": self.mass,
            "edges": self.edges.tolist(),
            "regions": list(table.regions),
            "score_bins": list(table.scores),
            "observed": None if self.blinded else table.counts.tolist(),
            "background": self.expected.tolist(),
            "signal": self.signal.contents.tolist(),
            "signal_efficiency": self.efficiency,
            "signal_yield_at_mu_1": self.signal_yield,
            "cross_section_pb_at_mu_1": self.cross_section_pb,
            "components": [component.name for component in self.model.components],
            "n_map_modes": self.n_modes,
            "deviance": deviance,
            "ndf": ndf,
            "systematics": dataclasses.asdict(self.systematics),
            "notes": list(self.notes),
        }


def _component(component: Component, name: str, smooth: Floats) -> Sample:
    """Turn jets of a known kind into a sample, with their statistical errors where the Poisson error is not far larger."""
    ones, norm = np.ones(component.contents.size), f"norm_{name}"
    modes: dict[str, Floats] = {}
    floats: Mapping[str, Floats] = {norm: ones}
    if component.constraint is not None:
        modes, floats = {norm: component.constraint * ones}, {}
    if component.variances is not None:
        jets, squares = component.contents.ravel(), component.variances.ravel()
        for place in np.flatnonzero((jets > 0) & (squares > LEAST_ERROR**2 * (smooth + jets))):
            change = np.zeros(jets.size)
            change[place] = np.log1p(np.sqrt(squares[place]) / jets[place])
            modes[f"stat_{name}_{place}"] = change
    shapes = {
        safe_name(n): (low.ravel(), high.ravel()) for n, (low, high) in component.shifts.items()
    }
    return Sample(name, component.contents.ravel(), shapes=shapes, modes=modes, floats=floats)
