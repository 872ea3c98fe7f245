"""What is read of the histograms of other libraries, and what is refused."""

from __future__ import annotations

from typing import Any

import hist
import numpy as np
import pytest

from oddjet.analysis.statistics.spectrum import Spectrum
from oddjet.errors import InputError


def test_places_of_categories_are_no_masses() -> None:
    histogram = hist.Hist(hist.axis.IntCategory(list(range(40, 240, 5)), name="mass"))
    with pytest.raises(InputError, match="is of categories"):
        Spectrum.from_histogram(histogram.fill([45, 50]))


def test_errors_that_a_storage_does_not_keep_are_not_invented() -> None:
    histogram = hist.Hist(hist.axis.Regular(4, 0, 4, name="mass"))
    Spectrum.from_histogram(histogram.fill([1, 2, 2]))
    with pytest.raises(InputError, match=r"keeps no Σw².*Weight\(\)"):
        Spectrum.from_histogram(histogram.fill([1, 2], weight=3.0))


@pytest.mark.parametrize("histogram", [[[1, 2], [0, 1, 2]], np.ones(3), None, {}, (["a"], ["b"])])
def test_what_is_no_histogram_is_refused(histogram: Any) -> None:
    with pytest.raises(InputError, match=r"expected .*\(contents, edges\)"):
        Spectrum.from_histogram(histogram)
