"""Every picture renders, is not empty, and shows what it must and hides what it must."""

from __future__ import annotations

import base64
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
import pytest
from drawn import assert_whole

from oddjet.analysis.report.figures.bumps import p_value_scan, toy_statistics
from oddjet.analysis.report.figures.encode import data_uri, figure_bytes
from oddjet.analysis.report.figures.fit import sideband_fit
from oddjet.analysis.report.figures.jets import average_images, jet_picture, reconstruction_pictures
from oddjet.analysis.report.figures.mass import mass_before_after
from oddjet.analysis.report.figures.roc import RocLine, auc_by_epoch, roc_by_epoch, roc_curves
from oddjet.analysis.report.figures.scores import ScoreSample, score_distributions
from oddjet.analysis.report.figures.spectra import cut_flow_bars, spectrum
from oddjet.analysis.report.figures.style import Histogram, PlotLabel, legend_text
from oddjet.analysis.report.figures.training import LossCurve, loss_curves
from oddjet.analysis.statistics.background.fit import BackgroundFit, fit_sidebands
from oddjet.analysis.statistics.bumphunt.result import BumpHunt
from oddjet.analysis.statistics.bumphunt.scan import scan
from oddjet.analysis.statistics.bumphunt.settings import ScanSettings
from oddjet.analysis.statistics.spectrum import Spectrum
from oddjet.ml.evaluation.bootstrap import Interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

EDGES = np.linspace(40, 240, 41)
WINDOW = (65.0, 100.0)
RNG = np.random.default_rng(1)
COUNTS = RNG.poisson(900 * np.exp(-np.arange(40) / 8.0) + 0.5).astype(float)
LABEL = PlotLabel("pseudo-data", "4 pb$^{-1}$ (13 TeV)")


def a_fit(*, blind: bool = False) -> BackgroundFit:
    return fit_sidebands(
        Spectrum(EDGES, COUNTS, blind_window=WINDOW if blind else None), window=WINDOW
    )


@cache
def a_scan(*, blind: bool = False) -> BumpHunt:
    background = a_fit().expected
    window = WINDOW if blind else None
    return scan(
        Spectrum(EDGES, COUNTS, blind_window=window),
        background,
        ScanSettings(n_toys=500, max_toys=0, seed=1),
    )


def drawn(result: BumpHunt) -> Figure:
    return p_value_scan(result.best, result, label=LABEL)


def shape(name: str, *, blind: bool = False) -> Histogram:
    counts = COUNTS.copy()
    if blind:
        counts[5:12] = np.nan
    return Histogram(name, EDGES, counts, counts)


def a_roc(name: str = "mse") -> RocLine:
    grid = np.linspace(0, 1, 100)
    return RocLine(name, grid**0.3, grid, Interval(0.77, 0.75, 0.79))


def a_sample(name: str, *, is_signal: bool = False) -> ScoreSample:
    return ScoreSample(name, RNG.lognormal(-8, 1, 500), RNG.uniform(0.5, 2, 500), is_signal)


def an_image() -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    image = np.zeros((32, 32, 1), np.float32)
    image[14:18, 15:17] = 0.125
    return image


def some_images(seed: int = 1) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    shares = np.random.default_rng(seed).dirichlet(np.full(64, 0.1), 30)
    return np.asarray(shares.reshape(30, 8, 8, 1), np.float32)


FIGURES: dict[str, Callable[[], Figure]] = {
    "loss": lambda: loss_curves([LossCurve("fold 0", [3e-4, 2e-4], [3e-4, 1e-4], 2)]),
    "loss without validation": lambda: loss_curves([LossCurve("f", [900.0, 3.0, 1.0])]),
    "no losses": lambda: loss_curves([]),
    "scores": lambda: score_distributions(
        [a_sample("QCD"), a_sample("W", is_signal=True)], name="m"
    ),
    "scores, both": lambda: score_distributions(
        [a_sample("QCD")], [a_sample("QCD")], name="mse", working_points={"10 %": 1.0}
    ),
    "one value": lambda: score_distributions([ScoreSample("QCD", np.zeros(3))], name="mse"),
    "no jets": lambda: score_distributions([ScoreSample("QCD", np.zeros(0))], name="mse"),
    "roc": lambda: roc_curves([a_roc(), a_roc("kl")]),
    "roc by epoch": lambda: roc_by_epoch(list(range(10, 210, 10)), [a_roc() for _ in range(20)]),
    "one epoch": lambda: roc_by_epoch([10], [a_roc()]),
    "auc by epoch": lambda: auc_by_epoch(
        [10, 20],
        {"mse": [Interval(0.6, 0.5, 0.7), Interval(0.7, 0.6, 0.8)]},
        best_epoch=20,
    ),
    "mass": lambda: mass_before_after(shape("all"), [shape("10 %")], window=WINDOW),
    "mass, blinded": lambda: mass_before_after(
        shape("all", blind=True), [shape("10 %", blind=True)], window=WINDOW, blind=True
    ),
    "mass, nothing passes": lambda: mass_before_after(
        shape("all"), [Histogram("0.1 %", EDGES, np.zeros(40), np.zeros(40))]
    ),
    "fit": lambda: sideband_fit(a_fit(), label=LABEL),
    "fit, blinded": lambda: sideband_fit(a_fit(blind=True), label=LABEL),
    "scan": lambda: drawn(a_scan()),
    "scan, blinded": lambda: drawn(a_scan(blind=True)),
    "scan, no excess": lambda: drawn(
        scan((np.zeros(40), EDGES), np.full(40, 5.0), ScanSettings(n_toys=5, max_toys=0, seed=1))
    ),
    "scan, impossible excess": lambda: drawn(
        scan(
            (COUNTS + 1e6 * (np.arange(40) == 9), EDGES),
            COUNTS + 1.0,
            ScanSettings(n_toys=5, max_toys=0, seed=1),
        )
    ),
    "toys": lambda: toy_statistics(a_scan(), label=LABEL),
    "images": lambda: average_images({"QCD": an_image(), "W": an_image()}, half_width=0.8),
    "empty image": lambda: average_images({"QCD": np.zeros((32, 32))}, half_width=0.8),
    "jet": lambda: jet_picture(
        an_image(),
        half_width=0.8,
        constituents=(np.zeros(3), np.zeros(3), np.array([1.0, 2.0, 3.0])),
    ),
    "jet without constituents": lambda: jet_picture(
        np.zeros((32, 32)), half_width=0.8, constituents=(np.zeros(0), np.zeros(0), np.zeros(0))
    ),
    "reconstructions": lambda: reconstruction_pictures(
        {name: (some_images(), some_images(2)[..., 0]) for name in ("QCD", "top")},
        half_width=0.8,
        label=LABEL,
    ),
    "one reconstruction": lambda: reconstruction_pictures(
        {"QCD": (some_images(), -some_images())}, half_width=0.4
    ),
    "nothing to reconstruct": lambda: reconstruction_pictures(
        {"QCD": (some_images()[:0], some_images()[:0])}, half_width=0.8
    ),
    "pt": lambda: spectrum([shape("QCD"), shape("W")]),
    "empty spectrum": lambda: spectrum([Histogram("QCD", EDGES, np.zeros(40), np.zeros(40))]),
    "cut flow": lambda: cut_flow_bars(
        {"QCD": [("all", 10), ("pt", 4)], "W": [("all", 0), ("pt", 0)]}
    ),
}


@pytest.mark.parametrize("name", FIGURES)
def test_picture_renders_with_ink_and_margins(name: str) -> None:
    assert_whole(FIGURES[name]())


def test_same_figure_gives_the_same_bytes() -> None:
    first, second = (figure_bytes(FIGURES["fit"](), dpi=50) for _ in range(2))
    assert first == second


def test_data_uri_holds_the_picture() -> None:
    uri = data_uri(FIGURES["jet"](), dpi=50)
    kind, text = uri.split(",", 1)
    assert kind == "data:image/png;base64"
    assert base64.b64decode(text) == figure_bytes(FIGURES["jet"](), dpi=50)


def test_users_settings_neither_matter_nor_change() -> None:
    plain = figure_bytes(FIGURES["pt"](), dpi=50)
    with mpl.rc_context({"font.size": 31, "axes.facecolor": "red"}):
        assert figure_bytes(FIGURES["pt"](), dpi=50) == plain
        assert mpl.rcParams["font.size"] == 31


def test_blinded_pictures_do_not_depend_on_the_window() -> None:
    altered = COUNTS.copy()
    altered[5:12] = 12345
    pictures = [
        figure_bytes(
            sideband_fit(
                fit_sidebands(Spectrum(EDGES, counts, blind_window=WINDOW), window=WINDOW)
            ),
            dpi=60,
        )
        for counts in (COUNTS, altered)
    ]
    assert pictures[0] == pictures[1]


def test_mass_ratio_is_that_of_the_shapes() -> None:
    after = Histogram("10 %", EDGES, COUNTS[::-1].copy(), COUNTS[::-1].copy())
    figure = mass_before_after(shape("all"), [after])
    drawn = figure.axes[1].patches[0].get_data().values  # type: ignore[attr-defined]
    assert drawn == pytest.approx(COUNTS[::-1] / COUNTS)


def test_pulls_drawn_are_those_of_the_fit() -> None:
    fit = a_fit()
    figure = sideband_fit(fit)
    heights = sorted(bar.get_height() for bar in figure.axes[1].patches[:40])  # type: ignore[attr-defined]
    assert heights == pytest.approx(sorted(fit.pulls))


def test_reconstructions_are_averages_over_the_jets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "oddjet.analysis.report.figures.jets.BATCH_JETS", 7
    )  # which does not go into 30
    images, outputs = some_images(), some_images(2)
    figure = reconstruction_pictures({"QCD": (images, outputs)}, half_width=0.8)
    drawn = [axes.images[0].get_array() for axes in figure.axes[:3]]
    expected = [images.mean(axis=0), outputs.mean(axis=0), ((images - outputs) ** 2).mean(axis=0)]
    for array, average in zip(drawn, expected, strict=True):
        np.testing.assert_allclose(array, average[..., 0].T, rtol=1e-4)  # Δη to the right
    scales = [axes.images[0].get_clim() for axes in figure.axes[:3]]
    assert scales[0] == scales[1]
    assert scales[0][1] == pytest.approx(images.mean(axis=0).max())


def test_names_that_look_like_formulas_are_plain() -> None:
    flow = {legend_text("_a$x_1$"): [("all", 10.0)], legend_text("$\\broken"): [("all", 5.0)]}
    png = figure_bytes(cut_flow_bars(flow), dpi=50)
    assert len(png) > 2000
