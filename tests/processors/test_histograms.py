from __future__ import annotations

from typing import Any

import awkward as ak
import numpy as np
import pytest
from pydantic import ValidationError

from oddjet.errors import ConfigError, InputError, NonFiniteError
from oddjet.ml.score_names import ScoreName
from oddjet.processors.histograms import (
    Filler,
    HistogramSettings,
    check_scales,
    scale_histogram,
)

SETTINGS = HistogramSettings(
    mass="mass", n_bins=3, mass_range=(0, 3), pt_edges=(200, 300, 500), working_points=(0.1, 0.01)
)


def table(**changes: Any) -> ak.Array:
    columns = {
        "mass": [0.5, 1.5, 1.5, 5.0, 2.5],
        "pt": [250.0, 250.0, 400.0, 250.0, 250.0],
        "weight": [2.0, -1.0, 3.0, 5.0, 7.0],
        "rank": [0, 0, 0, 0, 1],
        "d_s": [0.0, 0.0, 0.0, 0.0, 0.0],
        "d_s_calibrated": [0.5, 1.0, 2.5, 1.5, 9.0],
    }
    return ak.Array({**columns, **changes})


def fill(scores: ak.Array, settings: HistogramSettings = SETTINGS) -> Any:
    return filler(settings).fill(scores, "a").histograms["d_s"]


def filler(settings: HistogramSettings = SETTINGS, *more: str) -> Filler:
    cuts = {
        name.column: name.cut for name in (ScoreName("d_s"), *(ScoreName("d_s", m) for m in more))
    }
    return Filler(settings, cuts, ("a", "b"))


def test_bins_hold_sums_of_weights_of_leading_jets() -> None:
    view = fill(table()).view(flow=True)
    # dataset a, nominal; axes: working point, mass with flow, pt with flow
    values, variances = view.value[0, 0], view.variance[0, 0]
    everything = np.zeros((5, 4))
    everything[1, 1], everything[2, 1], everything[2, 2], everything[4, 1] = 2, -1, 3, 5
    np.testing.assert_array_equal(values[0], everything)
    np.testing.assert_array_equal(variances[0], everything**2)
    tenth = everything.copy()
    tenth[1, 1] = 0
    np.testing.assert_array_equal(values[1], tenth)  # a calibrated score of 1 passes 0.1
    hundredth = np.zeros((5, 4))
    hundredth[2, 2] = 3
    np.testing.assert_array_equal(values[2], hundredth)
    assert view.value[1].sum() == 0


def test_all_jets_are_filled_on_demand() -> None:
    settings = SETTINGS.model_copy(update={"leading_only": False})
    value = fill(table(), settings)["a", "nominal", "all", sum, sum].value
    assert value == 2 - 1 + 3 + 5 + 7  # sums reach over the overflow


def test_counts_are_of_jets() -> None:
    counts = filler().fill(table(), "a").passed
    assert counts == {"d_s": {"a": {"all": 4, "0.1": 3, "0.01": 1}}}


@pytest.mark.parametrize("column", ["mass", "pt", "weight", "d_s_calibrated"])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_is_refused(column: str, bad: float) -> None:
    values = ak.to_list(table()[column])
    values[2] = bad
    with pytest.raises(NonFiniteError, match=f"1 of 4 values of {column}"):
        fill(table(**{column: values}))


def test_a_missing_column_is_named() -> None:
    with pytest.raises(InputError, match="no column msoftdrop"):
        fill(table(), HistogramSettings())


def test_scales_act_on_datasets() -> None:
    histogram = fill(table()) + filler().fill(table(), "b").histograms["d_s"]
    scaled = scale_histogram(histogram, {"b": 3.0})
    view, before = scaled.view(flow=True), histogram.view(flow=True)
    np.testing.assert_array_equal(view.value[0], before.value[0])
    np.testing.assert_array_equal(view.value[1], 3 * before.value[1])
    np.testing.assert_array_equal(view.variance[1], 9 * before.variance[1])
    assert before.value[1].sum() != 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"working_points": (0.0,)},
        {"working_points": (1.0,)},
        {"working_points": (0.1, 0.1)},
        {"mass_range": (3, 1)},
        {"pt_edges": (200,)},
        {"pt_edges": (200, 100)},
        {"n_bins": 0},
    ],
)
def test_wrong_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        HistogramSettings(**wrong)


def test_scales_have_to_fit_the_datasets() -> None:
    kinds = {"qcd": "background", "run": "data"}
    check_scales({"qcd": 2.0}, kinds)
    for wrong in ({}, {"qcd": np.inf}, {"qcd": 1.0, "other": 1.0}):
        with pytest.raises(ConfigError, match="scales"):
            check_scales(wrong, kinds)


def test_decorrelated_scores_are_cut_on_as_they_are() -> None:
    scores = table(d_s_ddt=[3.0, 0.0, 1.0, 0.0, 0.0])
    totals = filler(SETTINGS, "ddt").fill(scores, "a")
    assert set(totals.histograms) == {"d_s", "d_s_ddt"}
    values = totals.histograms["d_s_ddt"]["a", "nominal", :, sum, sum].view().value  # type: ignore[union-attr]
    np.testing.assert_array_equal(values, [2 - 1 + 3 + 5, 2 + 3, 2])
    assert totals.passed["d_s_ddt"]["a"] == {"all": 4, "0.1": 2, "0.01": 1}
    assert totals.passed["d_s"]["a"] == {"all": 4, "0.1": 3, "0.01": 1}
    with pytest.raises(InputError, match="d_s_ddt"):
        filler(SETTINGS, "ddt").fill(table(), "a")
