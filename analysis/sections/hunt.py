"""The sections of the sideband fit and of the bump hunt."""

from __future__ import annotations

from oddjet.analysis.background import BackgroundFit
from oddjet.analysis.bumphunt import BumpHunt
from oddjet.analysis.hunt import Hunt, WorkingPoint
from oddjet.analysis.plots.bumps import p_value_scan, toy_statistics
from oddjet.analysis.plots.fit import sideband_fit
from oddjet.analysis.report import Cell, Picture, Section, Table, make_picture, p_text
from oddjet.analysis.sections.labels import mass_name, sample_label

__all__ = ["bump_hunt_section", "fit_section"]

POOR_FIT = 0.01


def fit_section(hunt: Hunt) -> Section:
    """Show the sideband fit at every working point.

    Args:
        hunt: The hunt.
    """
    warnings, pictures, tried = [], [], []
    rows: list[tuple[Cell, ...]] = []
    for point in hunt.working_points:
        fit = point.fit
        if fit is None:
            warnings.append(f"{point.name}: {point.problem}")
            continue
        if fit.p_value < POOR_FIT:
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
                "overlaps the window is left out. The number of parameters is chosen by F-test "
                "within a family, the family by Akaike's criterion, unless a function was asked for."
            ),
        ),
        warnings=tuple(warnings),
        tables=(Table(headers, tuple(rows), caption),) if rows else (),
        pictures=tuple(pictures),
        folded=tuple(tried),
        folded_title="The functions that were tried",
        numbers=[
            {"cut": p.name, "problem": p.problem, **({} if p.fit is None else p.fit.to_dict())}
            for p in hunt.working_points
        ],
    )


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
    return make_picture(
        sideband_fit(fit, axis_label=mass_name(hunt.mass), label=sample_label(hunt.sample)),
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
        f"{point.name}: the functions that were tried. A parameter more is taken while the "
        "F-test p is below 0.05; the arrow marks the choice."
    )
    return Table(headers, rows, caption)


def bump_hunt_section(hunt: Hunt) -> Section:
    """Show the scan of windows at every working point.

    Args:
        hunt: The hunt.
    """
    warnings, pictures = [], []
    rows: list[tuple[Cell, ...]] = []
    for point in hunt.working_points:
        found = point.scan
        if found is None:
            warnings.append(f"{point.name}: {point.problem}")
            continue
        rows.append(_scan_row(point, found))
        pictures.append(_scan_picture(hunt, point, found))
        if point is hunt.tightest:
            pictures.append(_toys_picture(hunt, point, found))
    headers = (
        "Cut",
        "Window [GeV]",
        "Seen",
        "Expected",
        "Local p",
        "Local σ",
        "Global p",
        "Global σ",
        "Windows",
        "Toys",
    )
    caption = (
        "The most improbable window at each cut. All p-values are with fixed background; the "
        "global one is over the windows of one cut. ≤ where no pseudo-experiment did as well."
    )
    return Section(
        title="Bump hunt",
        anchor="bump-hunt",
        paragraphs=(
            (
                "Every window of adjacent bins is tested for an excess over the fitted background. "
                "The local p is the Poisson probability of at least as many events as were seen. "
                "The global p is the fraction of background-only pseudo-experiments, (k + 1)/(n + 1), "
                "in which any window did as well."
            ),
            (
                "Fixed background: the fit is taken as exact, in the data and in the "
                "pseudo-experiments, so the p-values are too small where the fit's uncertainty is "
                "comparable with √expected. Cuts share jets, and the choice among them is not "
                "included in the global p."
            ),
        ),
        warnings=tuple(warnings),
        tables=(Table(headers, tuple(rows), caption),) if rows else (),
        pictures=tuple(pictures),
        numbers=[
            {"cut": p.name, "problem": p.problem, **({} if p.scan is None else p.scan.to_dict())}
            for p in hunt.working_points
        ],
    )


def _scan_row(point: WorkingPoint, found: BumpHunt) -> tuple[Cell, ...]:
    bound, at_least = ("≤\u00a0", "≥\u00a0") if found.global_p_is_bound else ("", "")
    return (
        point.name,
        f"{found.window[0]:g}–{found.window[1]:g}" if found.has_excess else "no excess",
        int(found.observed),
        round(found.expected, 1),
        p_text(found.local_p_fixed_background),
        f"{found.local_significance:.1f}",
        bound + p_text(found.global_p_fixed_background),
        f"{at_least}{found.global_significance:.1f}",
        found.table.n_windows,
        found.n_toys,
    )


def _scan_picture(hunt: Hunt, point: WorkingPoint, found: BumpHunt) -> Picture:
    figure = p_value_scan(found, axis_label=mass_name(hunt.mass), label=sample_label(hunt.sample))
    return make_picture(
        figure,
        f"{point.name}: local p of every window, a bar from its lower to its upper end. Red is "
        "the most improbable one.",
        hint="a real bump pulls many overlapping windows down together, like an icicle; "
        "a fluctuation is one narrow bar.",
        alt=f"Local p-values, {point.name}",
    )


def _toys_picture(hunt: Hunt, point: WorkingPoint, found: BumpHunt) -> Picture:
    return make_picture(
        toy_statistics(found, label=sample_label(hunt.sample)),
        f"{point.name}: the smallest local p of each background-only pseudo-experiment, as "
        "−ln p, and what was observed.",
        hint="the global p is the share of the histogram at and beyond the line.",
        alt=f"Pseudo-experiments, {point.name}",
    )
