"""Judge the scores of a scores table, and measure what cuts on them do to the mass."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from oddjet.analysis.config import HuntConfig
from oddjet.analysis.scores.quality import signal_jets
from oddjet.analysis.scores.sample import (
    blinded_range,
    dataset_scales,
    histogram_settings,
    hunted_rows,
)
from oddjet.analysis.sculpting.cut import JetSample
from oddjet.analysis.sculpting.efficiencies import (
    EfficiencyStep,
    Shapes,
    mass_shapes,
    scan_efficiencies,
)
from oddjet.analysis.sculpting.fakes import HuntedIn
from oddjet.analysis.sculpting.judging import JudgeSettings, judge
from oddjet.analysis.sculpting.separation import Separation, separations
from oddjet.analysis.sculpting.verdict import Outcome, Verdict
from oddjet.datasets.disk.checksums import Verify
from oddjet.datasets.folds import event_hash, mix64
from oddjet.errors import ConfigError, look_up
from oddjet.ml.score_names import ScoreName
from oddjet.processors.blinding import explored
from oddjet.processors.sample import HeldOut
from oddjet.processors.scores import Scores, open_scores
from oddjet.shown import Shown

__all__ = [
    "ScoreVerdict",
    "SculptingResult",
    "judge_scores",
    "judged_as_hunted",
    "worst_outcome",
]

Columns = dict[str, npt.NDArray[Any]]

N_SHAPE_BINS = 40
EVENT_COLUMNS = ("run", "luminosityBlock", "event")


@dataclasses.dataclass(frozen=True)
class ScoreVerdict:
    """One score.

    Attributes:
        steps: What each cut does, first over all pt.
        shapes: The mass before and after.
        separation: How well it tells each signal from the background.
    """

    column: str
    verdict: Verdict
    steps: tuple[EfficiencyStep, ...]
    shapes: Shapes
    separation: Mapping[str, Separation] = dataclasses.field(default_factory=dict)

    @property
    def inclusive(self) -> list[EfficiencyStep]:
        """The cuts over all pt."""
        first = self.steps[0]
        pt_range = (first.pt_low, first.pt_high)
        return [step for step in self.steps if (step.pt_low, step.pt_high) == pt_range]

    def jsd(self, working_point: float) -> float:
        """Jensen–Shannon divergence over all pt at a working point; NaN without it."""
        for step in self.inclusive:
            if np.isclose(step.working_point, working_point):
                return step.jsd.value
        return float("nan")


@dataclasses.dataclass(frozen=True)
class SculptingResult(Shown):
    """Scores of one sample, simulation or data.

    In data a signal changes the mass of what passes as well: a FAIL there is sculpting or a signal.

    Attributes:
        kind: ``background`` or ``data``.
        signals: Signals that efficiencies were measured of.
        mass_range: Masses that were judged [GeV].
        window: Signal window [GeV].
        excluded: Windows whose jets were left out of everything [GeV].
        scores: One entry a column.
        beside: The same scores judged on the data, where these are of simulation and there are both.
        peaking: Datasets of known peaks, which are not judged on.
    """

    datasets: tuple[str, ...]
    kind: str
    signals: tuple[str, ...]
    mass: str
    mass_range: tuple[float, float]
    window: tuple[float, float]
    excluded: tuple[tuple[float, float], ...]
    scores: tuple[ScoreVerdict, ...]
    beside: SculptingResult | None = None
    peaking: tuple[str, ...] = ()

    @property
    def left_out(self) -> str:
        """The windows that were left out, in words; empty for none."""
        return " and ".join(f"{low:g}–{high:g} GeV" for low, high in self.excluded)

    @property
    def verdict(self) -> Verdict:
        """The verdict on the only score, or the worst of several."""
        verdicts = [score.verdict for score in self.scores]
        return next(verdict for verdict in verdicts if verdict.outcome is self.outcome)

    @property
    def outcome(self) -> Outcome:
        """The worst outcome, that on data beside simulation not counted."""
        return worst_outcome([score.verdict.outcome for score in self.scores])

    @property
    def samples(self) -> tuple[SculptingResult, ...]:
        """This one, and that on the data where there are both."""
        return (self,) if self.beside is None else (self, self.beside)

    def to_dict(self) -> dict[str, Any]:
        """Every number; arrays and NaN are left for `oddjet.datasets.disk.numbers.jsonable`."""
        head = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if field.name not in {"scores", "beside"}
        }
        scores = {
            score.column: {
                "verdict": score.verdict.to_dict(),
                "ladder": [dataclasses.asdict(step) for step in score.steps],
                "mass": dataclasses.asdict(score.shapes),
                "separation": {n: dataclasses.asdict(s) for n, s in score.separation.items()},
            }
            for score in self.scores
        }
        beside = None if self.beside is None else self.beside.to_dict()
        return {**head, "outcome": self.outcome.value, "scores": scores, "beside": beside}


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
    judging: JudgeSettings | None = None,
    verify: Verify = "first",
) -> SculptingResult:
    """Judge scores on the jets that a hunt would look at, in its bins and windows and at its working points.

    They are fresh: nothing was learned on them.

    Only jets inside the hunt's mass range and pt edges count, the leading ones of each event if
    the hunt takes those. Calibrated and decorrelated scores are cut as the hunt cuts them, raw ones at quantiles. Several simulated datasets are
    weighted by their cross sections. Without a choice of datasets simulated background is judged, and the
    data beside it; the data alone where there is no background.

    Args:
        folder: A scores table.
        columns: Scores to judge: raw, calibrated or decorrelated.
        datasets: Background datasets, or data.
        signals: Signal datasets; their merged jets count, or else the matched ones.
        settings: Mass column, range, bins, window, working points, pt edges and choice of jets; the
            defaults if None.
        exclude: A mass window that is left out [GeV]. In data the signal window is left out too, until
            `JudgeSettings.unblind`.
        judging: How to judge, and how many jets are hunted in; all else of the hunt is that of `settings`.
        verify: When the table's files are compared with their SHA-256, as of `open_skim`.

    Raises:
        SkimError: If the table cannot be read or has no such column, or its detectors held nothing out.
        InputError: If the jets cannot be judged; see `judge`.
        ConfigError: If a dataset is unknown, or data and simulation are mixed.
        TooFewJetsError: If there are too few jets.
    """
    settings, judging = settings or HuntConfig(), judging or JudgeSettings()
    table = open_scores(folder, verify=verify)
    _check(table, columns, signals)
    results = [
        _judge_sample(table, sample, columns, () if place else signals, settings, exclude, judging)
        for place, sample in enumerate(_samples(table, datasets))
    ]
    return dataclasses.replace(results[0], beside=results[1] if len(results) > 1 else None)


def _judge_sample(
    table: Scores,
    sample: tuple[Sequence[str], str],
    columns: Sequence[str],
    signals: Sequence[str],
    settings: HuntConfig,
    exclude: tuple[float, float] | None,
    judging: JudgeSettings,
) -> SculptingResult:
    chosen, kind = sample
    held_out = HeldOut.from_manifest(table.manifest, table.folder).only([*chosen, *signals])
    names = [settings.mass, "pt", "weight", "rank", *columns, *EVENT_COLUMNS]
    names = [*dict.fromkeys(names)]
    hidden = blinded_range(settings) if kind == "data" and not judging.unblind else None
    excluded = tuple(dict.fromkeys(window for window in (hidden, exclude) if window))
    part = judging.explored if kind == "data" else None
    background = _rows(table, chosen, names, settings, excluded, held_out, part)
    signal_rows = {
        name: _of_signal(_rows(table, [name], [*names, "label"], settings, excluded, held_out))
        for name in signals
    }
    window = None if excluded else settings.window
    known = ScoreName.find_all(table.names)
    decorrelated = {name.column for name in known if name.method}
    cut_on = {name.cut for name in known}
    scores = []
    for column in dict.fromkeys(columns):
        own = judged_as_hunted(
            dataclasses.replace(judging, survival=column in cut_on),
            settings,
            decorrelated=column in decorrelated,
            hidden=excluded,
        )
        scores.append(_judge_score(column, background, signal_rows, settings, window, own))
    return SculptingResult(
        datasets=tuple(chosen),
        kind=kind,
        signals=tuple(signals),
        mass=settings.mass,
        mass_range=settings.range,
        window=settings.window,
        excluded=excluded,
        scores=tuple(scores),
        peaking=tuple(n for n, d in table.manifest.datasets.items() if d.kind == "peaking"),
    )


def judged_as_hunted(
    judging: JudgeSettings,
    settings: HuntConfig,
    *,
    decorrelated: bool,
    hidden: Sequence[tuple[float, float]] = (),
) -> JudgeSettings:
    """Take bins, windows, working points and resolution of a hunt; how many jets it has stays as it is.

    Args:
        judging: How to judge, and the jets that are hunted in.
        settings: The hunt.
        decorrelated: Whether the score is: the hunt compares jets that pass with jets that fail then.
        hidden: Masses that are left out [GeV].
    """
    conditional = settings.method == "conditional" or (settings.method == "auto" and decorrelated)
    hunted = HuntedIn(
        edges=histogram_settings(settings).edges,
        widths=settings.widths,
        only=settings.windows,
        function=settings.function,
        conditional=conditional,
        jets=judging.hunted.jets,
        hidden=tuple(hidden),
    )
    return dataclasses.replace(
        judging,
        working_points=settings.working_points,
        pt_edges=settings.pt_edges,
        order=settings.orders[0],
        hunted=hunted,
    )


def _judge_score(
    column: str,
    background: Columns,
    signal_rows: Mapping[str, Columns],
    settings: HuntConfig,
    window: tuple[float, float] | None,
    judging: JudgeSettings,
) -> ScoreVerdict:
    jets = _sample(background, column, settings)
    signals = {name: _sample(rows, column, settings) for name, rows in signal_rows.items()}
    steps = scan_efficiencies(
        jets,
        signals,
        window=window,
        pt_edges=judging.pt_edges,
        seed=judging.seed,
    )
    low, high = settings.range
    n_bins = min(N_SHAPE_BINS, round((high - low) / settings.bin_width))
    edges = np.linspace(low, high, n_bins + 1)
    shapes = mass_shapes(jets, edges=edges)
    score = ScoreVerdict(column, judge(jets, judging), tuple(steps), shapes)
    separation = separations(jets, signals, score.inclusive, seed=judging.seed)
    return dataclasses.replace(score, separation=separation)


def _samples(table: Scores, wanted: Sequence[str]) -> list[tuple[list[str], str]]:
    """Names and kind of what is judged: the datasets that are wanted, or background and data."""
    known = table.manifest.datasets
    for name in wanted:
        look_up(known, name, "dataset of the scores table")
    if wanted:
        kinds = {known[name].kind for name in wanted}
        if len(kinds) > 1 or kinds & {"signal", "peaking"}:
            received = ", ".join(f"{name} ({known[name].kind})" for name in wanted)
            msg = f"sculpting is judged on background simulation or on data, not on both; received {received}"
            raise ConfigError(msg)
        return [(list(wanted), kinds.pop())]
    of_kind = {
        kind: [name for name, dataset in known.items() if dataset.kind == kind]
        for kind in ("background", "data")
    }
    samples = [(names, kind) for kind, names in of_kind.items() if names]
    if not samples:
        msg = f"no dataset of {', '.join(known) or 'the table'} is background or data: there is nothing to judge"
        raise ConfigError(msg)
    return samples


def _check(table: Scores, columns: Sequence[str], signals: Sequence[str]) -> None:
    if not columns:
        msg = "no score to judge: name columns of the scores table"
        raise ConfigError(msg)
    known = table.manifest.datasets
    for name in signals:
        if name not in known or known[name].kind != "signal":
            those = [signal for signal, summary in known.items() if summary.kind == "signal"]
            msg = f"{name!r} is no signal of the scores table; it has {', '.join(those) or 'none'}"
            raise ConfigError(msg)


def _rows(
    table: Scores,
    datasets: Sequence[str],
    names: Sequence[str],
    settings: HuntConfig,
    excluded: Sequence[tuple[float, float]],
    held_out: HeldOut,
    part: float | None = None,
) -> Columns:
    """Rows of datasets that a hunt would look at, with weights in proportion to cross sections.

    Of what something was learned on, the events that were held out; of these, those that explore, if a share does.
    """
    known: Mapping[str, Any] = table.manifest.datasets
    chosen = {name: known[name] for name in datasets}
    scales = dataset_scales(chosen, 1.0) if len(chosen) > 1 else dict.fromkeys(chosen, 1.0)
    parts = []
    for number, name in enumerate(datasets):
        rows = table.columns(names, datasets=name)
        scale = scales[name] / (held_out.share_of(name) or 1.0)
        rows["weight"] = np.asarray(rows["weight"], np.float64) * scale
        events = event_hash(*(rows[c] for c in EVENT_COLUMNS))
        rows["fresh"] = held_out.rows(events, name)
        if part is not None:
            rows["fresh"] &= explored(rows, part)
        # Simulated datasets may use the same event numbers.
        rows["event"] = events ^ mix64(number)
        parts.append(rows)
    joined = {name: np.concatenate([part[name] for part in parts]) for name in [*names, "fresh"]}
    mass = joined[settings.mass]
    used = hunted_rows(joined, settings) & joined["fresh"]
    for start, stop in excluded:
        used &= (mass < start) | (mass >= stop)
    return {name: values[used] for name, values in joined.items()}


def _of_signal(rows: Columns) -> Columns:
    """Jets of a signal sample that hold the signal: the merged ones, or else the matched."""
    chosen, _ = signal_jets(rows["label"])
    return {name: values[chosen] for name, values in rows.items()}


def _sample(rows: Columns, column: str, settings: HuntConfig) -> JetSample:
    names = (column, settings.mass, "pt", "weight", "event")
    return JetSample.from_arrays(*(rows[name] for name in names))
