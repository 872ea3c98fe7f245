"""Buss et al.: k-means, Dirichlet autoencoders and an invertible network find dark jets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from oddjet.analysis.report.page import Cell, Table
from oddjet.analysis.studies.reproduce.document import Document, Published, Results, Scale, Trend
from oddjet.analysis.studies.reproduce.documents.buss_pictures import drawings
from oddjet.analysis.studies.reproduce.measure import area, compare_areas
from oddjet.analysis.studies.reproduce.settings import ceiling, make_trial
from oddjet.analysis.studies.reproduce.trial import Trial, TrialResult

__all__ = ["BUSS"]

POWERS = (1.0, 0.5, 0.25, 0.1)
KMEANS = "kmeans n={:g} σ={:g}"
DIRICHLET = "dirichlet n={:g} σ={:g}"
ON_TOP = "kmeans n=1 σ=3 (trained on top)"
IN_TOP = "kmeans n=1 σ=3, top"

CLUSTERINGS = {
    IN_TOP: ("high-pt QCD", 0.0031, 0.011, 0.026, 0.32, 5.2),
    ON_TOP: ("high-pt top", 0.0127, 0.015, 0.026, 0.27, 5.4),
    KMEANS.format(1, 3): ("low-pt QCD", 0.0040, 0.012, 0.022, 0.28, 5.8),
    KMEANS.format(0.25, 3): ("low-pt QCD, n = ¼", 0.0088, 0.012, 0.018, 0.25, 7.8),
}
"""Label → table 1 of the document: min ρ, median ρ, max ρ, max σ/ρ, median d."""


def _trials(scale: Scale) -> list[Trial]:
    trials = [make_trial(KMEANS.format(n, s), "dark", scale) for n in POWERS for s in (1, 3)]
    trials += [make_trial(DIRICHLET.format(n, 1), "dark", scale) for n in POWERS]
    # Without the filter, which the document finds to be needed.
    trials.append(make_trial(DIRICHLET.format(0.1, 0), "dark", scale))
    others = ("dirichlet EFP", "dirichlet R=3", "inn", "inn without PCA", "observables")
    trials += [make_trial(label, "dark", scale) for label in (*others, "gmm images")]
    trials += [
        make_trial("kmeans n=1 σ=3", "top", scale, label=IN_TOP),
        make_trial("kmeans n=1 σ=3", "top", scale, nominal="top", label=ON_TOP),
        make_trial("dirichlet n=1 σ=1", "top", scale, label="dirichlet n=1 σ=1, top"),
        make_trial("dirichlet n=0.25 σ=1", "top", scale, label="dirichlet n=0.25 σ=1, top"),
    ]
    return [*trials, *(ceiling("dark", signal, scale) for signal in ("aachen", "heidelberg"))]


def _trends(results: Results) -> Iterator[Trend]:
    yield from _power_trends(results)
    yield from _score_trends(results)
    yield from _network_trends(results)


def _power_trends(results: Results) -> Iterator[Trend]:
    """The power n: small ones for Aachen, larger ones for Heidelberg and top."""
    for name, label, score in (
        ("k-means, MLLN", "kmeans n={:g} σ=1", "mlln"),
        ("Dirichlet", "dirichlet n={:g} σ=1", "reconstruction"),
    ):
        yield results.compare(
            f"Aachen is found better at small n ({name})",
            (label.format(0.1), "aachen", score),
            (label.format(1), "aachen", score),
        )
        yield results.compare(
            f"Heidelberg is found better at n = ½ than at n = 0.1 ({name})",
            (label.format(0.5), "heidelberg", score),
            (label.format(0.1), "heidelberg", score),
        )
    yield results.compare(
        "Top is found better at large n (Dirichlet)",
        ("dirichlet n=1 σ=1, top", "top", "reconstruction"),
        ("dirichlet n=0.25 σ=1, top", "top", "reconstruction"),
    )


def _score_trends(results: Results) -> Iterator[Trend]:
    """The scores of k-means: MLLN for Aachen and for inverse tagging, MLL1D the most even."""
    quarter = KMEANS.format(0.25, 3)
    for other in ("min_d", "knc5", "mlled", "mll1d"):
        yield results.compare(
            f"MLLN is best at Aachen (against {other})",
            (quarter, "aachen", "mlln"),
            (quarter, "aachen", other),
        )
    yield results.compare(
        "MLLN is best at inverse top tagging (against MLLED)",
        (ON_TOP, "qcd_top", "mlln"),
        (ON_TOP, "qcd_top", "mlled"),
    )
    yield results.compare(
        "MLLN is low at top tagging (against MLLED)",
        (IN_TOP, "top", "mlled"),
        (IN_TOP, "top", "mlln"),
    )
    worst = {score: _worst(results, score) for score in results[quarter].score_names}
    rivals = {name: task for name, task in worst.items() if name != "mll1d"}
    rival = max(rivals, key=lambda name: rivals[name][0])
    mine, best = worst["mll1d"], rivals[rival]
    yield Trend(
        "MLL1D is the most even score over the five tasks",
        compare_areas(
            mine[1].scored(mine[2], "test", "mll1d"), best[1].scored(best[2], "test", rival)
        ),
        f"the least AUC over the tasks: MLL1D ({mine[2]}) minus the best other, {rival} ({best[2]})",
    )


def _tasks(results: Results) -> Sequence[tuple[TrialResult, str]]:
    """The five tasks of figures 8 and 9, but for the two powers: n = ¼ for the dark jets."""
    dark, raw = results[KMEANS.format(0.25, 3)], results[KMEANS.format(1, 3)]
    return (
        (results[IN_TOP], "top"),
        (results[ON_TOP], "qcd_top"),
        (dark, "aachen"),
        (dark, "heidelberg"),
        (raw, "heidelberg"),
    )


def _worst(results: Results, score: str) -> tuple[float, TrialResult, str]:
    """The task a score does worst at: its AUC, trial and signal."""
    areas = [
        (area(trial, signal, score, "test"), trial, signal) for trial, signal in _tasks(results)
    ]
    return min(areas, key=lambda task: task[0])


def _network_trends(results: Results) -> Iterator[Trend]:
    yield results.compare(
        "The Dirichlet autoencoder needs the Gaussian filter for Aachen",
        (DIRICHLET.format(0.1, 1), "aachen", "reconstruction"),
        (DIRICHLET.format(0.1, 0), "aachen", "reconstruction"),
    )
    for signal, best in (("aachen", "log_p_log"), ("heidelberg", "log_p_third")):
        for other in ("log_p", "log_p_log", "log_p_third"):
            if other != best:
                yield results.compare(
                    f"Invertible network: {best} is best for {signal.capitalize()} (against {other})",
                    ("inn", signal, best),
                    ("inn", signal, other),
                )
    for signal, score in (("aachen", "log_p_log"), ("heidelberg", "log_p_third")):
        yield results.compare(
            f"Energy flow polynomials without PCA fail ({signal.capitalize()})",
            ("inn", signal, score),
            ("inn without PCA", signal, score),
        )


def _tables(results: Results) -> Iterator[Table]:
    rows: list[tuple[Cell, ...]] = []
    for label, (name, *published) in CLUSTERINGS.items():
        clusters = results[label].load_detector().clusters_
        kept = clusters.is_measurable
        rho, sigma = clusters.radii[kept], clusters.widths[kept]
        ours = (rho.min(), np.median(rho), rho.max(), (sigma / rho).max(), clusters.dimension)
        cells = [f"{mine:.2g} ({print_:g})" for mine, print_ in zip(ours, published, strict=True)]
        rows.append((name, int(clusters.sizes.sum()), *cells))
    yield Table(
        ("training jets", "jets", "min ρ", "median ρ", "max ρ", "max σ/ρ", "median d"),
        tuple(rows),
        "Clusters of k-means, k = 100: ours, and in brackets the document's (table 1)",
    )


BUSS = Document(
    name="buss",
    title="What's Anomalous in LHC Jets?",
    reference="T. Buss et al., arXiv:2202.00686",
    trials=_trials,
    published=(
        Published(DIRICHLET.format(0.1, 1), "reconstruction", "aachen", 0.71, (0.2, 37.0)),
        Published(DIRICHLET.format(0.5, 1), "reconstruction", "heidelberg", 0.73, (0.2, 27.0)),
    ),
    drawings=drawings,
    tables=_tables,
    trends=_trends,
    remarks=(
        (
            "Equations (12) and (14), the effective dimension and EFP5 are misprinted in the document and "
            "corrected here; the number of Gaussians is not printed (100 on images)."
        ),
    ),
)
