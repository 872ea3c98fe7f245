"""What injections show: significance against fraction, before and after cuts, and biases of yields."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from oddjet.analysis.scores.learning import learned_text
from oddjet.analysis.statistics.bumphunt.result import POOR_FIT
from oddjet.datasets.disk.state import read_state
from oddjet.shown import Shown

_log = logging.getLogger(__name__)

__all__ = ["FILE", "InjectionResult", "PointSummary", "read_injection"]

FILE = "injection.json"

HEADERS = (
    "signal", "cut", "significance [σ]", "by functions [σ]", "with its shape [σ]", "global p", "signal kept", "background kept", "SIC",
    "net excess kept", "yield − true", "pull", "flagged",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class PointSummary:
    """One score, fraction and cut, over the seeds.

    Attributes:
        fraction: Signal jets over background jets, before the cut.
        background_efficiency: Of the cut; 1 before any.
        significance: In the signal window, fixed beforehand, one entry a seed: from jets that fail where the
            hunt goes so, else from a function.
        by_functions: The same from a function beside the window, where the hunt goes by jets that fail.
        with_shape: Of a fit with the signal's own shape.
        global_p: Over all windows and cuts of the score, one entry a seed.
        signal_efficiency: Share of the injected signal in the window that passes, one a seed.
        window_efficiency: The same of the background.
        net_excess_kept: Of the excess in the window, what thresholds and maps left that may have seen the
            signal; see `oddjet.analysis.injection.trial.net_excess_kept`. One a seed with signal.
        bias: Fitted yield less injected jets, one entry a seed.
        pull: The same over the uncertainty of the fit.
        flags: What speaks against the p-values of each experiment: a poor fit, or a local p that its
            pseudo-experiments contradict; one entry a seed, empty where nothing does.
    """

    detector: str
    score: str
    fraction: float
    background_efficiency: float
    significance: tuple[float, ...]
    by_functions: tuple[float, ...]
    with_shape: tuple[float, ...]
    global_p: tuple[float, ...]
    signal_efficiency: tuple[float, ...]
    window_efficiency: tuple[float, ...]
    net_excess_kept: tuple[float, ...]
    bias: tuple[float, ...]
    pull: tuple[float, ...]
    flags: tuple[tuple[str, ...], ...] = ()

    @property
    def sic(self) -> float | None:
        """Mean signal efficiency over √ of that of the background, in the window; None without signal."""
        if not self.signal_efficiency or not self.window_efficiency:
            return None
        root = float(np.sqrt(np.mean(self.window_efficiency)))
        return float(np.mean(self.signal_efficiency)) / root if root > 0 else None


@dataclasses.dataclass(frozen=True)
class InjectionResult(Shown):
    """All experiments and their summary.

    Attributes:
        trials: What each experiment found.
        points: One entry a score, fraction and cut, in this order.
    """

    trials: tuple[dict[str, Any], ...]
    points: tuple[PointSummary, ...]

    @classmethod
    def from_trials(cls, trials: Sequence[dict[str, Any]]) -> InjectionResult:
        """Add experiments up."""
        groups: dict[tuple[str, str, float, float], list[tuple[Any, Any]]] = {}
        for trial in trials:
            for score in trial["scores"]:
                for cut in score["cuts"]:
                    key = (
                        trial["detector"],
                        score["score"],
                        trial["fraction"],
                        -cut["background_efficiency"],
                    )
                    groups.setdefault(key, []).append((score, cut))
        points = [_point(key, cuts) for key, cuts in sorted(groups.items())]
        return cls(tuple(trials), tuple(points))

    def by_score(self) -> dict[str, list[PointSummary]]:
        """Points of each score, in their order."""
        scores: dict[str, list[PointSummary]] = {}
        for point in self.points:
            scores.setdefault(point.score, []).append(point)
        return scores

    @property
    def learned(self) -> str:
        """What was learned on what, and how many jets were hunted in for each that cuts were learned on."""
        on = self.trials[0].get("learned_on") if self.trials else None
        if not on:
            return ""
        own = any(text.startswith("data") for text in on.values())
        rest = (
            "what is called data is a share of the experiment itself, and the rest of it is hunted in"
            if own
            else "none of these events are in the experiment, all of which is hunted in"
        )
        ratios = [
            (t["n_background"] + t["n_signal"]) / max(t["n_calibration"], 1) for t in self.trials
        ]
        return (
            f"{learned_text(on)}: {rest}. {min(ratios):.2g} to {max(ratios):.2g} jets are hunted in for each that cuts "
            f"were learned on."
        )

    @property
    def flags(self) -> tuple[str, ...]:
        """How many spectra of each score are flagged, and for what, a sentence each; none where none is."""
        sentences = []
        for score, points in self.by_score().items():
            spectra = [flags for point in points for flags in point.flags]
            poor = [any(flag.startswith(POOR_FIT) for flag in flags) for flags in spectra]
            flagged = [flags for flags in spectra if flags]
            if flagged:
                sentences.append(
                    f"{score}: {len(flagged)} of {len(spectra)} spectra are flagged, {sum(poor)} of them for a "
                    "poor fit, others for a local p that pseudo-experiments contradict: their significances are not "
                    f"credible. The first: {flagged[0][0]}"
                )
        return tuple(sentences)

    def rows(self) -> dict[str, list[tuple[str, ...]]]:
        """For each score one line a point, as `headers` says."""
        return {
            score: [_row(point) for point in points] for score, points in self.by_score().items()
        }

    @property
    def headers(self) -> tuple[str, ...]:
        """Names of the columns of `rows`."""
        return HEADERS

    def to_dict(self) -> dict[str, Any]:
        """Every number, ready for JSON."""
        points = [dataclasses.asdict(point) | {"sic": point.sic} for point in self.points]
        return {
            "learned": self.learned,
            "flags": list(self.flags),
            "points": points,
            "trials": list(self.trials),
        }


def read_injection(folder: Path) -> InjectionResult | None:
    """Read what was written of injections; None where nothing was injected."""
    content = read_state(folder / FILE, dict[str, Any], is_old=lambda _: True)
    if content is None:
        return None
    try:
        return InjectionResult.from_trials(content["trials"])
    except (KeyError, TypeError) as error:
        _log.warning(
            "%s is of another version of oddjet (%r) and counts as absent: repeat `oddjet inject`",
            folder / FILE,
            error,
        )
        return None


def _point(
    key: tuple[str, str, float, float], cuts: Sequence[tuple[dict[str, Any], dict[str, Any]]]
) -> PointSummary:
    def values(name: str) -> tuple[float, ...]:
        return tuple(float(cut[name]) for _, cut in cuts if cut.get(name) is not None)

    fitted = [cut for _, cut in cuts if cut.get("yield") is not None]
    bias = tuple(float(cut["yield"] - cut["n_signal"]) for cut in fitted)
    return PointSummary(
        detector=key[0],
        score=key[1],
        fraction=key[2],
        background_efficiency=-key[3],
        significance=values("window_significance"),
        by_functions=tuple(
            float(cut["by_functions"]["window_significance"])
            for _, cut in cuts
            if cut.get("by_functions", {}).get("window_significance") is not None
        ),
        with_shape=values("fit_significance"),
        global_p=tuple(float(s["global_p"]) for s, _ in cuts if s["global_p"] is not None),
        signal_efficiency=values("signal_efficiency_in_window"),
        window_efficiency=values("background_efficiency_in_window"),
        net_excess_kept=values("net_excess_kept"),
        bias=bias,
        pull=tuple(b / float(cut["yield_error"]) for b, cut in zip(bias, fitted, strict=True)),
        flags=tuple(tuple(cut["flags"]) for _, cut in cuts if "flags" in cut),
    )


def _row(point: PointSummary) -> tuple[str, ...]:
    cut = point.background_efficiency
    return (
        f"{100 * point.fraction:g} %",
        "none" if cut == 1 else f"{100 * cut:g} %",
        _spread(point.significance, 1),
        _spread(point.by_functions, 1),
        _spread(point.with_shape, 1),
        "–" if not point.global_p else f"{np.median(point.global_p):.2g}",
        "–" if not point.signal_efficiency else f"{100 * np.mean(point.signal_efficiency):.0f} %",
        "–" if not point.window_efficiency else f"{100 * np.mean(point.window_efficiency):.1f} %",
        "–" if point.sic is None else f"{point.sic:.2f}",
        _spread(point.net_excess_kept, 2),
        _spread(point.bias, 0),
        _spread(point.pull, 1),
        f"{sum(map(bool, point.flags))} of {len(point.flags)}" if point.flags else "–",
    )


def _spread(values: Sequence[float], digits: int) -> str:
    """Mean, and smallest and largest."""
    if not values:
        return "–"
    return (
        f"{np.mean(values):.{digits}f} [{np.min(values):.{digits}f}, {np.max(values):.{digits}f}]"
    )
