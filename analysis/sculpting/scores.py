"""Judge the scores of a scores table, and measure what cuts on them do to the mass."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from oddjet.analysis.config import HuntConfig
from oddjet.analysis.hunt.hunt import dataset_scales
from oddjet.analysis.scores.quality import signal_jets
from oddjet.analysis.sculpting.cut import WORKING_POINTS
from oddjet.analysis.sculpting.ladder import (
    EfficiencyStep,
    JetSample,
    Shapes,
    mass_shapes,
    scan_efficiencies,
)
from oddjet.analysis.sculpting.separation import Separation, separations
from oddjet.analysis.sculpting.verdict import Outcome, Verdict, judge
from oddjet.errors import ConfigError, did_you_mean
from oddjet.processors.scores import Scores, open_scores

__all__ = ["ScoreVerdict", "SculptingResult", "judge_scores", "worst_outcome"]

Columns = dict[str, npt.NDArray[Any]]

N_SHAPE_BINS = 40


@dataclasses.dataclass(frozen=True)
class ScoreVerdict:
    """One score.

    Attributes:
        column: Its column of the table.
        verdict: Whether a cut on it sculpts the mass.
        ladder: What cuts do, first over all pt.
        shapes: The mass before and after.
        separation: How well it tells each signal from the background.
    """

    column: str
    verdict: Verdict
    ladder: tuple[EfficiencyStep, ...]
    shapes: Shapes
    separation: Mapping[str, Separation] = dataclasses.field(default_factory=dict)

    @property
    def inclusive(self) -> list[EfficiencyStep]:
        """The cuts over all pt."""
        first = self.ladder[0]
        return [
            rung
            for rung in self.ladder
            if (rung.pt_low, rung.pt_high) == (first.pt_low, first.pt_high)
        ]

    def jsd(self, working_point: float) -> float:
        """Jensen–Shannon divergence over all pt at a working point; NaN without it."""
        found = [r.jsd.value for r in self.inclusive if np.isclose(r.working_point, working_point)]
        return found[0] if found else float("nan")


@dataclasses.dataclass(frozen=True)
class SculptingResult:
    """Scores of one background.

    Attributes:
        datasets: What was judged.
        kind: ``background`` or ``data``.
        signals: Signals that efficiencies were measured of.
        mass: Column of the mass.
        mass_range: Masses that were judged [GeV].
        window: Signal window [GeV].
        excluded: Windows whose jets were left out of everything [GeV].
        scores: One entry a column.
    """

    datasets: tuple[str, ...]
    kind: str
    signals: tuple[str, ...]
    mass: str
    mass_range: tuple[float, float]
    window: tuple[float, float]
    excluded: tuple[tuple[float, float], ...]
    scores: tuple[ScoreVerdict, ...]

    @property
    def left_out(self) -> str:
        """The windows that were left out, in words; empty for none."""
        return " and ".join(f"{low:g}–{high:g} GeV" for low, high in self.excluded)

    @property
    def outcome(self) -> Outcome:
        """The worst verdict."""
        return worst_outcome([each.verdict.outcome for each in self.scores])

    def to_dict(self) -> dict[str, Any]:
        """Every number; arrays and NaN are left for `oddjet.analysis.report.page.jsonable`."""
        head = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if field.name != "scores"
        }
        scores = {
            each.column: {
                "verdict": each.verdict.to_dict(),
                "ladder": [dataclasses.asdict(rung) for rung in each.ladder],
                "mass": dataclasses.asdict(each.shapes),
                "separation": {n: dataclasses.asdict(s) for n, s in each.separation.items()},
            }
            for each in self.scores
        }
        return {**head, "outcome": self.outcome.value, "scores": scores}


def worst_outcome(outcomes: Sequence[Outcome]) -> Outcome:
    """The worst of several: FAIL, else INCONCLUSIVE, else PASS.

    >>> worst_outcome([Outcome.PASS, Outcome.INCONCLUSIVE]).value
    'INCONCLUSIVE'
    """
    order = (Outcome.FAIL, Outcome.INCONCLUSIVE, Outcome.PASS)
    return min(outcomes, key=order.index)


def judge_scores(
    folder: Path | str,
    columns: Sequence[str],
    *,
    datasets: Sequence[str] = (),
    signals: Sequence[str] = (),
    settings: HuntConfig | None = None,
    exclude: tuple[float, float] | None = None,
    working_points: Sequence[float] = WORKING_POINTS,
    seed: int = 1,
    **choices: Any,
) -> SculptingResult:
    """Judge scores on the jets that a hunt would look at.

    Only jets inside the hunt's mass range and pt edges count, the leading ones of each event if
    the hunt takes those; working points are quantiles of these. Several simulated datasets are
    weighted by their cross sections. In data the signal window of the settings is always left out.

    Args:
        folder: A scores table.
        columns: Scores to judge: raw, calibrated or decorrelated.
        datasets: Background datasets, or data; all background if empty.
        signals: Signal datasets; their merged jets count, or else the matched ones.
        settings: Mass column, range, window, pt edges and choice of jets; the defaults if None.
        exclude: A mass window that is left out [GeV]. In data the signal window is left out too.
        working_points: Background efficiencies.
        seed: Of everything random.
        **choices: Further arguments of `judge`.

    Raises:
        SkimError: If the table cannot be read or has no such column.
        InputError: If the jets cannot be judged; see `judge`.
        ConfigError: If a dataset is unknown, or data and simulation are mixed.
        TooFewJetsError: If there are too few jets.
    """
    settings = settings or HuntConfig()
    table = open_scores(folder)
    chosen, kind = _background(table, datasets)
    _known_signals(table, signals)
    if not columns:
        msg = "no score to judge: name columns of the scores table"
        raise ConfigError(msg)
    names = [*dict.fromkeys([settings.mass, "pt", "weight", "rank", *columns])]
    shut = [settings.window] if kind == "data" else []
    excluded = tuple(dict.fromkeys([*shut, *([exclude] if exclude else [])]))
    background = _rows(table, chosen, names, settings, excluded)
    others = {
        name: _of_signal(_rows(table, [name], [*names, "label"], settings, excluded))
        for name in signals
    }
    low, high = settings.range
    edges = np.linspace(low, high, min(N_SHAPE_BINS, round((high - low) / settings.bin_width)) + 1)
    found = []
    for column in dict.fromkeys(columns):
        jets = _sample(background, column, settings)
        samples = {name: _sample(rows, column, settings) for name, rows in others.items()}
        ladder = scan_efficiencies(
            jets,
            samples,
            window=None if excluded else settings.window,
            working_points=working_points,
            pt_edges=settings.pt_edges,
            seed=seed,
        )
        verdict = judge(
            jets.scores,
            jets.mass,
            jets.pt,
            weights=jets.weights,
            working_points=working_points,
            pt_edges=settings.pt_edges,
            seed=seed,
            **choices,
        )
        shapes = mass_shapes(jets, edges=edges, working_points=working_points)
        inclusive = ScoreVerdict(column, verdict, tuple(ladder), shapes).inclusive
        found.append(
            ScoreVerdict(
                column,
                verdict,
                tuple(ladder),
                shapes,
                separations(jets, samples, inclusive, seed=seed),
            )
        )
    return SculptingResult(
        datasets=tuple(chosen),
        kind=kind,
        signals=tuple(signals),
        mass=settings.mass,
        mass_range=settings.range,
        window=settings.window,
        excluded=excluded,
        scores=tuple(found),
    )


def _background(table: Scores, wanted: Sequence[str]) -> tuple[list[str], str]:
    known = table.manifest.datasets
    chosen = list(wanted) or [name for name, each in known.items() if each.kind == "background"]
    for name in chosen:
        if name not in known:
            msg = (
                f"the scores table has no dataset {name!r}.{did_you_mean(name, known)} Expected of"
                f" {', '.join(known)}"
            )
            raise ConfigError(msg)
    if not chosen:
        msg = f"no dataset of {', '.join(known) or 'the table'} is background: name one with --dataset"
        raise ConfigError(msg)
    kinds = {known[name].kind for name in chosen}
    if len(kinds) > 1 or "signal" in kinds:
        told = ", ".join(f"{name} ({known[name].kind})" for name in chosen)
        msg = (
            f"sculpting is judged on background simulation or on data, not on both; received {told}"
        )
        raise ConfigError(msg)
    return chosen, kinds.pop()


def _known_signals(table: Scores, signals: Sequence[str]) -> None:
    known = table.manifest.datasets
    for name in signals:
        if name not in known or known[name].kind != "signal":
            those = [each for each, summary in known.items() if summary.kind == "signal"]
            msg = f"{name!r} is no signal of the scores table; it has {', '.join(those) or 'none'}"
            raise ConfigError(msg)


def _rows(
    table: Scores,
    datasets: Sequence[str],
    names: Sequence[str],
    settings: HuntConfig,
    excluded: Sequence[tuple[float, float]],
) -> Columns:
    """Rows of datasets that a hunt would look at, with weights in proportion to cross sections."""
    known: Mapping[str, Any] = table.manifest.datasets
    chosen = {name: known[name] for name in datasets}
    scales = dataset_scales(chosen, 1.0) if len(chosen) > 1 else dict.fromkeys(chosen, 1.0)
    parts = []
    for name in datasets:
        rows = table.columns(names, datasets=name)
        rows["weight"] = np.asarray(rows["weight"], np.float64) * scales[name]
        parts.append(rows)
    joined = {name: np.concatenate([part[name] for part in parts]) for name in names}
    mass = joined[settings.mass]
    used = (mass >= settings.range[0]) & (mass < settings.range[1])
    for start, stop in excluded:
        used &= (mass < start) | (mass >= stop)
    if settings.jets == "leading":
        used &= joined["rank"] == 0
    return {name: values[used] for name, values in joined.items()}


def _of_signal(rows: Columns) -> Columns:
    """Jets of a signal sample that hold the signal: the merged ones, or else the matched."""
    chosen, _ = signal_jets(rows["label"])
    return {name: values[chosen] for name, values in rows.items()}


def _sample(rows: Columns, column: str, settings: HuntConfig) -> JetSample:
    return JetSample(rows[column], rows[settings.mass], rows["pt"], rows["weight"])
