"""What is read of the histograms of other libraries, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import hist
import numpy as np
import pytest
import uproot

from oddjet.analysis.statistics.spectrum import Spectrum
from oddjet.errors import FitError, InputError


def test_places_of_categories_are_no_masses() -> None:
    histogram = hist.Hist(hist.axis.IntCategory(list(range(40, 240, 5)), name="mass"))
    with pytest.raises(InputError, match="is of categories"):
        Spectrum.from_histogram(histogram.fill([45, 50]))


def test_errors_that_a_storage_does_not_keep_are_not_invented() -> None:
    histogram = hist.Hist(hist.axis.Regular(4, 0, 4, name="mass"))
    Spectrum.from_histogram(histogram.fill([1, 2, 2]))
    with pytest.raises(InputError, match=r"keeps no Σw².*Weight\(\)"):
        Spectrum.from_histogram(histogram.fill([1, 2], weight=3.0))


def test_errors_are_not_taken_from_contents_that_are_no_numbers_of_events(tmp_path: Path) -> None:
    edges = np.linspace(0, 4, 5)
    plain, weighted = (
        hist.Hist(hist.axis.Variable(edges, name="mass"), storage=storage)
        for storage in (hist.storage.Double(), hist.storage.Weight())
    )
    plain.view()[:] = [7.5, 3.0, 2.5, 1.0]
    weighted.fill([0.5, 1.5, 1.5], weight=[7.5, 1.0, 2.0])
    with uproot.recreate(tmp_path / "h.root") as file:
        file["plain"], file["weighted"] = (plain.values(), edges), weighted
        file["events"] = (np.array([7.0, 3.0, 2.0, 1.0]), edges)
    with uproot.open(tmp_path / "h.root") as file:
        for histogram in (plain, file["plain"]):
            spectrum = Spectrum.from_histogram(histogram)
            assert spectrum.variances is None
            with pytest.raises(FitError, match=r"needs variances.*Sumw2\(\)"):
                spectrum.checked(is_data=False)
        for histogram in (weighted, file["weighted"]):
            squares = Spectrum.from_histogram(histogram).variances
            assert squares is not None
            assert squares.tolist() == [56.25, 5.0, 0.0, 0.0]
        assert Spectrum.from_histogram(file["events"]).checked(is_data=False).sumw2[0] == 7


@pytest.mark.parametrize("histogram", [[[1, 2], [0, 1, 2]], np.ones(3), None, {}, (["a"], ["b"])])
def test_what_is_no_histogram_is_refused(histogram: Any) -> None:
    with pytest.raises(InputError, match=r"expected .*\(contents, edges\)"):
        Spectrum.from_histogram(histogram)
