"""What may enter a fit or a scan."""

from __future__ import annotations

import numpy as np
import pytest

from oddjet.analysis.statistics.background.binned import check_counts, check_window, overlaps
from oddjet.errors import FitError

EDGES = np.array([0.0, 1.0, 2.0, 3.0, 4.0])
COUNTS = np.array([4.0, 3.0, 2.0, 1.0])


def test_bins_that_touch_a_window_only_at_an_edge_are_outside() -> None:
    assert overlaps(EDGES, (1.0, 3.0)).tolist() == [False, True, True, False]
    assert overlaps(EDGES, (1.5, 3.1)).tolist() == [False, True, True, True]


def test_window_edges_may_carry_rounding() -> None:
    edges = np.arange(0, 11) * 0.1
    assert overlaps(edges, (0.3, 0.6)).sum() == 3


def test_blinded_contents_are_gone() -> None:
    data = check_counts(COUNTS, EDGES, blind_window=(1.0, 3.0))
    assert data.hidden.tolist() == [False, True, True, False]
    assert np.isnan(data.counts).tolist() == [False, True, True, False]
    assert np.isnan(data.variances).tolist() == [False, True, True, False]


def test_what_is_blinded_is_not_even_checked() -> None:
    counts = np.array([4.0, np.nan, -7.5, 1.0])
    assert check_counts(counts, EDGES, blind_window=(1.0, 3.0)).n_bins == 4


def test_input_is_not_changed() -> None:
    counts = COUNTS.copy()
    check_counts(counts, EDGES, blind_window=(1.0, 3.0))
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
        check_counts(counts, EDGES, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("edges", [[0, 1, 1, 3, 4], [0, 2, 1, 3, 4], [0, 1, 2, 3, np.nan]])
def test_edges_must_increase(edges: list[float]) -> None:
    with pytest.raises(FitError, match="finite and increasing"):
        check_counts(COUNTS, edges)


@pytest.mark.parametrize("window", [(2.0, 2.0), (3.0, 1.0), (np.nan, 2.0)])
def test_empty_windows_are_refused(window: tuple[float, float]) -> None:
    with pytest.raises(FitError, match="low < high"):
        check_window(EDGES, window)


def test_weight_scale_of_empty_bins_is_the_typical_one() -> None:
    data = check_counts([8.0, 0.0, 4.0, 2.0], EDGES, variances=[16.0, 0.0, 8.0, 4.0], is_data=False)
    assert data.weight_scale == pytest.approx([2.0, 2.0, 2.0, 2.0])
    assert check_counts(COUNTS, EDGES).weight_scale == pytest.approx(np.ones(4))
