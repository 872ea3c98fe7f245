"""The section of the expected reach: what blinded data would show of a signal."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from matplotlib.figure import Figure

from oddjet.analysis.hunt.reach import Reach, ReachPoint
from oddjet.analysis.report.figures.curves import curves
from oddjet.analysis.report.figures.style import PlotLabel
from oddjet.analysis.report.page import Picture, Section, Table
from oddjet.ml.evaluation.bootstrap import Interval

__all__ = ["reach_section"]

HEADERS = (
    "Signal",
    "Injected",
    "Jets",
    "That pass",
    "Local σ",
    "Global σ",
    "Limit if so much is there",
)
NO_SIGNALS = (
    "The fileset has no signal whose reach could be given: add simulation of kind: signal, or see `oddjet inject` for "
    "signals that are put into the jets before training."
)


def reach_section(
    reaches: Sequence[Reach], problems: Sequence[str] = (), *, label: PlotLabel | None = None
) -> Section:
    """Show what significance and limit are expected against the fraction of signal.

    Args:
        reaches: One a signal; none where the fileset has none.
        problems: Why others are missing.
        label: For the picture.
    """
    rows = tuple(_row(reach, point) for reach in reaches for point in reach.points)
    caption = (
        "Injected are signal jets over all others in the range of the hunt. Local: of a fit of the signal's own shape. "
        "Global: median of the scan in experiments, and 16 to 84 % of them; ≥ where half of them or more did better than all "
        "experiments without a signal. Limits are on the fraction, at the confidence level of the section on limits."
    )
    pictures = (
        Picture(
            partial(_draw, reaches, label=label),
            "Expected global significance over the injected fraction.",
            hint="where a curve crosses 3 is what this hunt would find; what is far below needs another score or more data.",
            alt="Expected global significance",
            name="reach",
        ),
    )
    first = reaches[0] if reaches else None
    about = (
        ""
        if first is None
        else f" {first.n_experiments} experiments a fraction are compared with {first.n_toys} without a signal."
    )
    return Section(
        title="Expected reach",
        anchor="reach",
        paragraphs=(
            (
                "What the hunt would find, from data outside the blinded window alone: all jets are interpolated through it, "
                "and the ratio of those that pass to those that fail is continued. Signals of the fileset are added, and "
                f"the scan of the main score is made in each experiment; other scores would be scanned beside it.{about}"
            ),
        ),
        warnings=tuple(problems) or (() if reaches else (NO_SIGNALS,)),
        statements=tuple(
            f"{reach.name}: without a signal fractions above {100 * reach.limit[2]:.3g} % are expected to be excluded (68 %: "
            f"{100 * reach.limit[1]:.3g} to {100 * reach.limit[3]:.3g} %)"
            for reach in reaches
        ),
        tables=(Table(HEADERS, rows, caption),) if rows else (),
        pictures=pictures if rows else (),
        numbers=[reach.to_dict() for reach in reaches],
    )


def _row(reach: Reach, point: ReachPoint) -> tuple[str, ...]:
    return (
        reach.name,
        f"{100 * point.fraction:g} %",
        f"{point.jets:.4g}",
        f"{point.passing:.3g}",
        f"{point.local:.2f}",
        _global(point.scan, point.n_bounds),
        f"{100 * point.limit:.3g} %",
    )


def _global(scan: tuple[float, float, float], n_bounds: int) -> str:
    low, middle, high = scan
    bound = "≥ " if n_bounds and middle >= high - 1e-9 else ""
    return f"{bound}{middle:.2f} [{low:.2f}, {high:.2f}]"


def _draw(reaches: Sequence[Reach], *, label: PlotLabel | None) -> Figure:
    fractions = [100.0 * point.fraction for point in reaches[0].points]
    lines = {
        reach.name: [Interval(p.scan[1], p.scan[0], p.scan[2]) for p in reach.points]
        for reach in reaches
    }
    return curves(
        fractions,
        lines,
        axis_label="Signal jets over other jets [%]",
        value_label="Expected global significance [σ]",
        log=True,
        label=label,
    )
