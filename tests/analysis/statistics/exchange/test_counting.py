"""A card of pass and fail, parsed back by a reader that knows nothing of the writer, and its likelihood evaluated."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pytest
from pass_fail import gaussian, pass_fail, shifted_peak
from scipy import special

from oddjet.analysis.statistics.components import Component
from oddjet.analysis.statistics.exchange.datacard import write_datacard
from oddjet.analysis.statistics.exchange.workspace import pyhf_model
from oddjet.analysis.statistics.limits.inputs import Systematics
from oddjet.analysis.statistics.limits.likelihood import Likelihood
from oddjet.analysis.statistics.limits.passfail import PassFailInputs


class Card:
    """A counting card of Combine: bins, processes, ``lnN``, ``rateParam`` with and without formula, ``param``."""

    def __init__(self, text: str) -> None:
        lines = [line.split() for line in text.splitlines() if line and line[0] not in "#-"]
        (bins, columns), (_, observed) = (
            [line[1:] for line in lines if line[0] == "bin"],
            [["", ""], next(line[1:] for line in lines if line[0] == "observation")],
        )
        self.observed = dict(zip(bins, map(float, observed), strict=True))
        names, numbers = (line[1:] for line in lines if line[0] == "process")
        assert [name == "signal" for name in names] == [number == "0" for number in numbers]
        rates = next(line[1:] for line in lines if line[0] == "rate")
        self.columns = list(zip(columns, names, strict=True))
        self.rates = list(map(float, rates))
        self.logs = {
            line[0]: [0.0 if k == "-" else math.log(float(k)) for k in line[2:]]
            for line in lines
            if line[1] == "lnN"
        }
        self.constrained = [*self.logs, *(line[0] for line in lines if line[1] == "param")]
        self.factors: dict[tuple[str, str], list[str]] = {}
        self.formulas: dict[tuple[str, str], tuple[str, list[str]]] = {}
        for name, kind, *rest in lines:
            if kind == "rateParam" and re.fullmatch(r"\[[^@]*\]", rest[-1]):
                self.factors.setdefault((rest[0], rest[1]), []).append(name)
            elif kind == "rateParam":
                self.formulas[rest[0], rest[1]] = (rest[2], rest[3].split(","))

    def minus_log(self, mu: float, values: dict[str, float]) -> float:
        """−ln L over that of the saturated model."""
        events = dict.fromkeys(self.observed, 0.0)
        for place, column in enumerate(self.columns):
            rate = self.rates[place] * (mu if column[1] == "signal" else 1.0)
            rate *= math.exp(sum(values[name] * log[place] for name, log in self.logs.items()))
            for name in self.factors.get(column, []):
                rate *= values[name]
            if column in self.formulas:
                text, names = self.formulas[column]
                known = {f"x{i}": values[name] for i, name in enumerate(names)}
                rate *= eval(text.replace("@", "x"), {"abs": abs, "sqrt": math.sqrt}, known)
            events[column[0]] += rate
        total = sum(0.5 * values[name] ** 2 for name in self.constrained)
        for name, n in self.observed.items():
            total += events[name] - n + special.xlogy(n, n) - special.xlogy(n, events[name])
        return float(total)


def inputs_with_everything() -> PassFailInputs:
    modes = 0.1 * np.random.default_rng(2).standard_normal((2, 2, 3, 6))
    modes[:, :, 0] = 0.0
    edges = np.linspace(50.0, 210.0, 7)
    w = np.broadcast_to(gaussian(edges, 82.0, 10.0) * 60.0, (2, 3, 6)).copy()
    peak = shifted_peak("W → qq", w, edges, constraint=0.2, variances=0.05 * w**2)
    return pass_fail(
        n_bins=6,
        shares=(0.1, 0.05),
        regions=2,
        modes=modes,
        peak=peak,
        signal=80.0,
        systematics=Systematics(),
    )


@pytest.mark.parametrize("free_norm", [False, True])
def test_a_card_that_is_read_back_has_the_same_likelihood_at_ten_points(
    tmp_path: Path, free_norm: bool
) -> None:
    inputs = inputs_with_everything()
    if free_norm:
        (peak,) = inputs.model.components
        free = Component(peak.name, peak.contents, shifts=peak.shifts)
        object.__setattr__(inputs.model, "components", (free,))
    channel = inputs.channel()
    (path,) = write_datacard(tmp_path, channel)
    card = Card(path.read_text(encoding="utf-8"))
    assert {"jms", "jmr", "tagger", "lumi", "map0"} <= set(card.constrained)
    assert sorted(card.observed) == sorted(channel.cells)
    likelihood = Likelihood(channel, free=inputs.free)
    data = likelihood.data(channel.data)
    rng = np.random.default_rng(5)
    smooth = [sample.name for sample in channel.samples].index("smooth")
    differences = []
    for _ in range(10):
        x = 0.5 * rng.standard_normal((1, likelihood.n_parameters))
        x[0, 0] = abs(x[0, 0])
        values = dict(zip(channel.nuisances, x[0, 1:].tolist(), strict=True))
        values |= {name: math.exp(values[name]) for name in channel.unconstrained}
        scale = likelihood.state(x, data).rates[smooth].scale[0]
        values |= dict(zip(channel.samples[smooth].factors, scale.tolist(), strict=True))
        mine = likelihood._derivatives(x, data)[0][0]
        differences.append(card.minus_log(x[0, 0], values) - mine)
        assert abs(differences[-1]) < 1e-6 * abs(mine) + 1e-6


def test_pyhf_expects_the_same_in_every_bin() -> None:
    inputs = inputs_with_everything()
    channel = inputs.channel()
    model, data = pyhf_model(channel)
    likelihood = Likelihood(channel, free=inputs.free)
    seen = likelihood.data(channel.data)
    order = [channel.cells.index(name) for name in model.config.channels]
    assert data[: len(order)] == channel.data[order].tolist()
    rng = np.random.default_rng(6)
    smooth = next(s for s in channel.samples if s.name == "smooth")
    for _ in range(10):
        x = 0.3 * rng.standard_normal((1, likelihood.n_parameters))
        x[0, 0] = abs(x[0, 0])
        state = likelihood.state(x, seen)
        values = {"mu": x[0, 0], **dict(zip(channel.nuisances, x[0, 1:], strict=True))}
        values |= {name: np.exp(values[name]) for name in channel.unconstrained}
        scale = state.rates[1].scale[0]
        values |= dict(zip(smooth.factors, scale, strict=True))
        pars = [values[name] for name in model.config.par_names]
        expected = np.asarray(model.expected_data(pars, include_auxdata=False))
        assert expected == pytest.approx(state.events[0][order], rel=2e-4, abs=0.02)
