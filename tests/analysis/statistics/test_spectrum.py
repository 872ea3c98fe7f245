"""What may enter a fit or a scan, from any histogram."""

from __future__ import annotations

from pathlib import Path

import boost_histogram
import hist
import numpy as np
import pytest
import uproot

from oddjet.analysis.statistics.spectrum import (
    Spectrum,
    check_counts,
    check_window,
    overlaps,
    whole_bins,
)
from oddjet.errors import FitError, InputError

EDGES = np.array([0.0, 1.0, 2.0, 3.0, 4.0])
COUNTS = np.array([4.0, 3.0, 2.0, 1.0])


def test_bins_that_touch_a_window_only_at_an_edge_are_outside() -> None:
    assert overlaps(EDGES, (1.0, 3.0)).tolist() == [False, True, True, False]
    assert overlaps(EDGES, (1.5, 3.1)).tolist() == [False, True, True, True]


def test_window_edges_may_carry_rounding() -> None:
    edges = np.arange(0, 11) * 0.1
    assert overlaps(edges, (0.3, 0.6)).sum() == 3


def test_blinded_contents_are_gone() -> None:
    data = Spectrum(EDGES, COUNTS, blind_window=(1.0, 3.0)).checked()
    assert data.hidden.tolist() == [False, True, True, False]
    assert np.isnan(data.counts).tolist() == [False, True, True, False]
    assert np.isnan(data.variances).tolist() == [False, True, True, False]


def test_what_is_blinded_is_not_even_checked() -> None:
    counts = np.array([4.0, np.nan, -7.5, 1.0])
    assert Spectrum(EDGES, counts, blind_window=(1.0, 3.0)).checked().n_bins == 4


def test_input_is_not_changed() -> None:
    counts = COUNTS.copy()
    Spectrum(EDGES, counts, blind_window=(1.0, 3.0)).checked()
    assert counts.tolist() == COUNTS.tolist()


@pytest.mark.parametrize(
    ("counts", "more", "message"),
    [
        ([4, -1, 2, 1], {}, "1 of 4 bins have negative contents.*\\[1, 2\\)"),
        ([4, np.nan, 2, 1], {}, "NaN or infinite contents"),
        ([4, np.inf, 2, 1], {}, "NaN or infinite contents"),
        ([4, 2.5, 2, 1], {}, "fractional contents in what is called data"),
        ([4, 3, 2, 1], {"variances": [4, 3, 2, 9]}, "Σw² ≠ Σw in what is called data"),
        ([4, 3, 2, 1], {"variances": [4, 3, 2, np.nan]}, "variances that are negative, NaN"),
        ([4, 3, 2, 1], {"variances": [4, 3]}, "expected variances of shape"),
        ([4, 3, 2, 1], {"is_data": False}, "needs variances"),
        ([4, 3, 2, 1], {"is_data": False, "variances": [4, 0, 2, 1]}, "content but no variance"),
        ([4, 3, 2], {}, "expected 4 bin edges"),
        ([[4, 3], [2, 1]], {}, "expected counts of shape"),
        ([4, 3, 2, 1], {"blind_window": (0, 4)}, "nothing is left"),
        ([4, 3, 2, 1], {"blind_window": (3, 9)}, "outside the histogram's range"),
    ],
)
def test_bad_histograms_are_refused(
    counts: list[float], more: dict[str, object], message: str
) -> None:
    with pytest.raises(FitError, match=message):
        Spectrum(EDGES, counts, **more).checked()  # type: ignore[arg-type]


@pytest.mark.parametrize("edges", [[0, 1, 1, 3, 4], [0, 2, 1, 3, 4], [0, 1, 2, 3, np.nan]])
def test_edges_must_increase(edges: list[float]) -> None:
    with pytest.raises(FitError, match="finite and increasing"):
        check_counts((COUNTS, edges))


@pytest.mark.parametrize("window", [(2.0, 2.0), (3.0, 1.0), (np.nan, 2.0)])
def test_empty_windows_are_refused(window: tuple[float, float]) -> None:
    with pytest.raises(FitError, match="low < high"):
        check_window(EDGES, window)


def test_whole_numbers_need_no_sumw2() -> None:
    for squares in ([0, 0, 0, 0], [0, 3, 2, 1]):
        data = Spectrum(EDGES, COUNTS, squares, name="d")
        assert data.checked().sumw2.tolist() == COUNTS.tolist()
        assert "Σw² is zero in" in data.errors_note
    assert Spectrum(EDGES, COUNTS, COUNTS).errors_note == ""
    # Weights of two make whole numbers too, and so does a Σw² that is above or below the contents.
    for factor in (2.0, 0.5):
        with pytest.raises(FitError, match=r"Σw² ≠ Σw.*write the histogram without Σw²"):
            Spectrum(EDGES, COUNTS, factor * COUNTS).checked()


def test_a_shape_needs_no_errors_and_is_checked_all_the_same() -> None:
    shape = Spectrum(EDGES, 0.3 * COUNTS, is_data=False).checked(errors=False)
    assert shape.variances is None
    known = Spectrum(EDGES, 0.3 * COUNTS, 0.09 * COUNTS, is_data=False).checked(errors=False)
    assert known.sumw2.tolist() == (0.09 * COUNTS).tolist()
    with pytest.raises(FitError, match="negative contents"):
        Spectrum(EDGES, -COUNTS, is_data=False).checked(errors=False)


def test_weight_scale_of_empty_bins_is_the_typical_one() -> None:
    data = Spectrum(EDGES, [8.0, 0.0, 4.0, 2.0], [16.0, 0.0, 8.0, 4.0], is_data=False).checked()
    assert data.weight_scale == pytest.approx([2.0, 2.0, 2.0, 2.0])
    assert check_counts((COUNTS, EDGES)).weight_scale == pytest.approx(np.ones(4))


def filled(storage: object) -> hist.Hist:
    made = hist.Hist(hist.axis.Variable(EDGES, name="mass"), storage=storage)
    made.fill([0.5, 0.5, 1.5, 3.5, -2.0, 9.0, 9.0], weight=[1.0, 1.0, 2.0, 1.0, 3.0, 1.0, 1.0])
    return made


def test_every_histogram_of_uhi_gives_the_same_spectrum(tmp_path: Path) -> None:
    weighted = filled(hist.storage.Weight())
    with uproot.recreate(tmp_path / "h.root") as file:
        file["mass"] = weighted
    with uproot.open(tmp_path / "h.root") as file:
        histograms = [weighted, boost_histogram.Histogram(weighted), file["mass"]]
        for histogram in histograms:
            spectrum = Spectrum.from_histogram(histogram, is_data=False)
            assert spectrum.edges.tolist() == EDGES.tolist()
            assert spectrum.counts.tolist() == [2.0, 2.0, 0.0, 1.0]
            assert spectrum.sumw2.tolist() == [2.0, 4.0, 0.0, 1.0]
            assert (spectrum.underflow, spectrum.overflow) == (3.0, 2.0)


def test_a_protocol_without_flow_or_edges_is_enough() -> None:
    class Traits:
        circular, discrete = False, False

    class Axis(list[tuple[float, float]]):
        traits = Traits()

    class Bare:
        kind = "COUNT"
        axes = (Axis([(0.0, 1.0), (1.0, 3.0)]),)

        def values(self) -> np.ndarray:
            return np.array([2.0, 1.0])

        def variances(self) -> None:
            return None

        counts = values

    spectrum = Spectrum.from_histogram(Bare(), name="bare")
    assert spectrum.edges.tolist() == [0.0, 1.0, 3.0]
    assert spectrum.widths.tolist() == [1.0, 2.0]
    assert spectrum.centres.tolist() == [0.5, 2.0]
    assert spectrum.checked().sumw2.tolist() == [2.0, 1.0]
    assert (spectrum.name, spectrum.flow_note) == ("bare", "")


def test_profiles_and_histograms_of_several_axes_are_refused() -> None:
    with pytest.raises(InputError, match="profile"):
        Spectrum.from_histogram(hist.Hist.new.Variable(EDGES).Mean())
    with pytest.raises(InputError, match="2 axes"):
        Spectrum.from_histogram(hist.Hist.new.Variable(EDGES).Regular(2, 0, 1).Double())
    with pytest.raises(InputError, match="categories"):
        Spectrum.from_histogram(hist.Hist.new.StrCat(["a", "b"]).Double())


def test_blinding_covers_whole_bins() -> None:
    spectrum = Spectrum.from_histogram((COUNTS, EDGES), blind_window=(1.2, 1.5))
    assert np.isnan(spectrum.counts).tolist() == [False, True, False, False]
    assert whole_bins(EDGES, (1.2, 2.1)) == (1.0, 3.0)
    assert Spectrum.from_histogram(spectrum) is spectrum
