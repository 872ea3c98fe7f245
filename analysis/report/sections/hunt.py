"""The sections of the sideband fit and of the bump hunt."""

from __future__ import annotations

from functools import partial

from oddjet.analysis.hunt.histogram import FileHunt
from oddjet.analysis.hunt.hunt import Hunt, WorkingPoint
from oddjet.analysis.report.figures.bumps import p_value_scan, toy_statistics
from oddjet.analysis.report.figures.fit import sideband_fit
from oddjet.analysis.report.page import Cell, Picture, Section, Table, p_text
from oddjet.analysis.report.sections.labels import mass_name, sample_label
from oddjet.analysis.report.sections.peaks import peaks_section
from oddjet.analysis.report.sections.scans import (
    SCANNED,
    beyond,
    cross_check_table,
    cross_check_text,
    events,
    scan_paragraphs,
    scan_table,
)
from oddjet.analysis.statistics.background.fit import BackgroundFit
from oddjet.analysis.statistics.background.methods import WORST_P
from oddjet.analysis.statistics.bumphunt.result import BumpHunt, ChannelScan

__all__ = ["bump_hunt_section", "fit_section", "histogram_section", "scores_section"]


def fit_section(hunt: Hunt) -> Section:
    """Show the sideband fit at every working point."""
    warnings, pictures, tried = [], [], []
    rows: list[tuple[Cell, ...]] = []
    if hunt.blinded and hunt.has_peaks:
        warnings.append(
            "What is expected in the blinded window is what is smooth alone: known peaks come on top of it there."
        )
    for point in hunt.working_points:
        fit = point.fit
        if fit is None:
            warnings.append(f"{point.name}: {point.problem}")
            continue
        if fit.p_value < WORST_P:
            warnings.append(
                f"{point.name}: the function {fit.name} does not describe the sidebands "
                f"(goodness of fit p = {p_text(fit.p_value)}): nothing found with it is credible."
            )
        rows.append(_fit_row(point, fit))
        pictures.append(_fit_picture(hunt, point, fit))
        tried.append(_tried_table(point, fit))
    headers = ("Cut", "Function", "χ²", "ndf", "p", "Expected in the window", "Seen", "Excess")
    caption = (
        "Fits of the sidebands and their prediction in the window. The uncertainty is that of "
        "the fit; the excess is in units of √(expected + uncertainty²)."
    )
    return Section(
        title="Background from the sidebands",
        anchor="fit",
        paragraphs=(
            (
                "A falling function of mass is fitted to the bins outside the signal window by "
                "maximum likelihood (extended, binned, Poisson) and read off inside it. Every bin that "
                "overlaps the window is left out. The function is the one that was asked for; where "
                "that is a family or ``auto``, it is the one of the smallest deviance, with a penalty of one "
                "for each parameter."
            ),
        ),
        warnings=tuple(warnings),
        tables=(Table(headers, tuple(rows), caption), *_methods(hunt)) if rows else (),
        pictures=tuple(pictures),
        folded=tuple(tried),
        folded_title="The functions that were tried",
        numbers=[
            {"cut": p.name, "problem": p.problem, **({} if p.fit is None else p.fit.to_dict())}
            for p in hunt.working_points
        ],
    )


def _methods(hunt: Hunt) -> tuple[Table, ...]:
    """What several methods expect in the window, and the bias of the first if another is the truth."""
    rows: list[tuple[Cell, ...]] = []
    for point in hunt.working_points:
        compared = point.methods
        if compared is None:
            continue
        others = "; ".join(
            f"{method.name} {method.predicted:.1f} ± {method.error:.1f}"
            for method in compared.used[1:]
        )
        left_out = ", ".join(method.name for method in compared.methods if not method.used)
        worst = compared.worst
        bias = (
            "–"
            if worst is None
            else f"{worst.bias:+.1f} ± {worst.bias_error:.1f} ({worst.name} true)"
        )
        rows.append(
            (
                point.name,
                f"{compared.used[0].name} {compared.central:.1f}",
                f"{compared.statistical:.1f}",
                bias,
                others or "–",
                left_out or "–",
            )
        )
    if not rows:
        return ()
    headers = ("Cut", "Expected in the window", "Stat.", "Bias", "Other methods", "Not used")
    caption = (
        "The window by several methods: other families of functions, and the spectrum of the jets that "
        "fail the cut times a smooth ratio. The bias is what the first method predicts too much, on average over "
        "pseudo-experiments of as many jets, if one of the functions is the truth: the largest is shown, and is the "
        "systematic uncertainty. Methods that do not describe the sidebands (p < 0.01) are not used."
    )
    return (Table(headers, tuple(rows), caption),)


def _fit_row(point: WorkingPoint, fit: BackgroundFit) -> tuple[Cell, ...]:
    seen, excess = "blinded", "blinded"
    if fit.observed is not None:
        spread = (fit.predicted + fit.predicted_error**2) ** 0.5
        seen = f"{fit.observed:.0f}"
        excess = f"{(fit.observed - fit.predicted) / spread:+.1f}"
    expected = f"{fit.predicted:.1f} ± {fit.predicted_error:.1f}"
    return (
        point.name,
        fit.name,
        round(fit.fitted.deviance, 1),
        fit.fitted.ndf,
        p_text(fit.p_value),
        expected,
        seen,
        excess,
    )


def _fit_picture(hunt: Hunt, point: WorkingPoint, fit: BackgroundFit) -> Picture:
    axis, label = mass_name(hunt.mass), sample_label(hunt.sample)
    return Picture(
        partial(sideband_fit, fit, axis_label=axis, label=label),
        f"{point.name}: the mass spectrum with the fitted function {fit.name}, "
        f"{fit.fitted.function.formula}, its uncertainty, and the pull of every bin.",
        hint="filled points were fitted, open ones were not. Pulls of fitted bins scatter around "
        "zero within ±2; a row of pulls with one sign says that the function is too stiff.",
        alt=f"Sideband fit, {point.name}",
    )


def _tried_table(point: WorkingPoint, fit: BackgroundFit) -> Table:
    def shown(value: float | None) -> str:
        return "–" if value is None else p_text(value)

    rows = tuple(
        (
            tried.name + (" ←" if tried.chosen else ""),
            tried.n_parameters,
            None if tried.deviance is None else round(tried.deviance, 1),
            tried.ndf,
            shown(tried.p_value),
            shown(tried.f_test_p),
            shown(tried.likelihood_ratio_p),
            "no valid fit" if tried.failure else "",
        )
        for tried in fit.tried
    )
    headers = ("Function", "Parameters", "χ²", "ndf", "p", "F-test p", "Likelihood-ratio p", "")
    caption = (
        f"{point.name}: the functions that were tried. The smallest χ², with one added for each "
        "parameter, is chosen; the arrow marks it."
    )
    return Table(headers, rows, caption)


def bump_hunt_section(hunt: Hunt) -> Section:
    """Show the scan of all spectra."""
    warnings = [*hunt.sample.caveats]
    warnings += [f"{point.name}: {point.problem}" for point in hunt.working_points if point.problem]
    if hunt.problem and hunt.problem not in {point.problem for point in hunt.working_points}:
        warnings.append(hunt.problem)
    pictures: list[Picture] = []
    tables: list[Table] = []
    scan = hunt.bump_hunt
    if scan is not None:
        tables = [scan_table(scan, SCANNED)]
        pictures = [
            _scan_picture(hunt, point.scan, scan)
            for point in hunt.working_points
            if point.scan is not None and _is_shown(hunt, point, scan)
        ]
        pictures += [_scan_picture(hunt, channel, scan) for channel in hunt.joint_scans]
        pictures.append(_toys_picture(hunt, scan))
        warnings += scan.flags
        if hunt.cross_check is not None:
            warnings += [f"cross-check: {flag}" for flag in hunt.cross_check.flags]
        if scan.n_toy_windows_without_fit:
            tested = scan.n_toys * scan.n_windows
            warnings.append(
                f"Beside {scan.n_toy_windows_without_fit} of {tested} windows of "
                "pseudo-experiments no function could be fitted; they have no p-value."
            )
    return Section(
        title="Bump hunt",
        anchor="bump-hunt",
        paragraphs=scan_paragraphs(scan),
        warnings=tuple(warnings),
        statements=(
            *hunt.stage_statements,
            *filter(None, (hunt.calibration_sentence,)),
            *(() if scan is None else scan.notes),
            *_left_over(hunt.cross_check),
        ),
        tables=(*tables, *cross_check_table(hunt.cross_check)),
        pictures=tuple(pictures),
        numbers={
            **({"problem": hunt.problem} if scan is None else scan.to_dict()),
            "cross_check": None if hunt.cross_check is None else hunt.cross_check.to_dict(),
        },
    )


def _left_over(check: BumpHunt | None) -> list[str]:
    """What the functions of the cross-check leave of simulated background."""
    return [] if check is None else [f"cross-check: {note}" for note in check.spurious]


def scores_section(hunt: Hunt) -> Section:
    """Show the whole hunt in a scores table at a glance, a line a spectrum."""
    scan = hunt.bump_hunt
    statements = list(hunt.stage_statements)
    if scan is not None:
        bound = "≤ " if scan.global_p_is_bound else ""
        statements.append(
            f"global p over {scan.n_windows} windows of {len(scan.channels)} spectra: "
            f"{bound}{scan.global_p:.3g} ({scan.global_significance:.1f}σ, {scan.n_toys} toys){beyond(scan)}"
        )
        statements += scan.notes
    if (check := hunt.cross_check) is not None:
        statements += [cross_check_text(check), *_left_over(check)]
    known = peaks_section(hunt)
    if hunt.has_peaks:
        statements += [f"known peaks: {text}" for text in known.statements]
    headers = ("cut", "jets", "fit", "χ² p", "window [GeV]", "local p", "p over its windows")
    return Section(
        title="Hunt",
        anchor="hunt",
        statements=tuple(statements),
        warnings=(
            *hunt.sample.caveats,
            *(() if scan is None else scan.flags),
            *(f"known peaks: {text}" for text in known.warnings),
        ),
        tables=(Table(headers, tuple(hunt.rows()), f"{hunt.mass}: {hunt.tests}"),),
        pictures=(*fit_section(hunt).pictures, *bump_hunt_section(hunt).pictures),
        numbers=hunt.to_dict(),
    )


def _is_shown(hunt: Hunt, point: WorkingPoint, scan: BumpHunt) -> bool:
    """The spectra of the main score, and whichever holds the most improbable window."""
    return point in hunt.main_points or point.name == scan.best.label


def _scan_picture(hunt: Hunt, channel: ChannelScan, scan: BumpHunt) -> Picture:
    axis, label = mass_name(hunt.mass), sample_label(hunt.sample)
    return Picture(
        partial(p_value_scan, channel, scan, axis_label=axis, label=label),
        f"{channel.label}: local p of every window, a bar from its lower to its upper end; on the right "
        "the global p it is worth after everything that was scanned. Red is the most improbable one.",
        hint="a real bump pulls many overlapping windows down together, like an icicle; "
        "a fluctuation is one narrow bar.",
        alt=f"Local p-values, {channel.label}",
    )


def _toys_picture(hunt: Hunt, scan: BumpHunt) -> Picture:
    return Picture(
        partial(toy_statistics, scan, label=sample_label(hunt.sample)),
        "The smallest local p of each background-only pseudo-experiment, over all windows of "
        f"{scan.best.label or 'the spectrum'}, as −ln p, and what was observed.",
        hint="the p over the windows of this spectrum is the share of the histogram at and beyond the line; "
        "the global p also counts what was as rare in other spectra.",
        alt="Pseudo-experiments",
    )


def histogram_section(hunt: FileHunt) -> Section:
    """Show the scan of one histogram; of one that is blinded, the fit beside what is hidden."""
    scan, fit = hunt.bump_hunt, hunt.fit
    if scan is None:
        return Section(
            title="Bump hunt",
            anchor="hunt",
            warnings=(*hunt.caveats, hunt.problem),
            statements=hunt.notes,
            tables=(Table(("", "fit"), _window_rows(fit), hunt.spectrum.name),),
            pictures=() if fit is None else (_sidebands_picture(fit),),
            numbers=hunt.to_dict(),
        )
    best = scan.best
    bound = "≤ " if scan.global_p_is_bound else ""
    background = f"{scan.background}, {scan.function}" if scan.function else scan.background
    rows = (
        (
            "most improbable window",
            f"{best.window[0]:g}–{best.window[1]:g} GeV" if best.has_excess else "no excess",
        ),
        ("seen", f"{best.observed:.0f}"),
        ("expected", f"{events(best.expected)} ± {events(best.expected_error)} ({background})"),
        ("local p", f"{best.local_p:.3g} ({best.local_significance:.1f}σ)"),
        ("local p, fixed background", f"{best.local_p_fixed_background:.3g}"),
        ("local p of toys in this window", f"{best.local_p_toys:.3g}"),
        ("goodness of fit p beside it", best.fit_text),
        *_window_rows(hunt.fit),
        (
            f"global p over {scan.n_windows} windows",
            f"{bound}{scan.global_p:.3g} ({scan.global_significance:.1f}σ, {scan.n_toys} toys)",
        ),
        *(
            [("global p, extrapolated", f"{scan.beyond.p:.2g} ± {scan.beyond.error:.1g}")]
            if scan.beyond
            else []
        ),
    )
    pictures = (
        *([] if fit is None else [_sidebands_picture(fit)]),
        Picture(
            partial(p_value_scan, best, scan, axis_label="Mass [GeV]"),
            "Local p of every window, a bar from its lower to its upper end.",
            name="p_values",
        ),
        Picture(
            partial(toy_statistics, scan),
            "The smallest local p of each pseudo-experiment, as −ln p.",
            name="toys",
        ),
    )
    return Section(
        title="Bump hunt",
        anchor="hunt",
        warnings=(*hunt.caveats, *hunt.flags),
        statements=hunt.notes,
        tables=(Table(("", "scan"), rows, hunt.spectrum.name),),
        pictures=pictures,
        numbers=hunt.to_dict(),
    )


def _window_rows(fit: BackgroundFit | None) -> tuple[tuple[str, str], ...]:
    if fit is None:
        return ()
    expected = f"{fit.predicted:.1f} ± {fit.predicted_error:.1f} expected from {fit.name}"
    seen = "blinded" if fit.observed is None else f"{fit.observed:.0f} seen"
    return ((f"in {fit.window[0]:g}–{fit.window[1]:g} GeV", f"{seen}, {expected}"),)


def _sidebands_picture(fit: BackgroundFit) -> Picture:
    return Picture(
        partial(sideband_fit, fit, axis_label="Mass [GeV]"),
        "The spectrum with the function that was fitted beside the window, and the pull of every bin.",
        name="fit",
    )
