from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from oddjet.errors import InputError
from oddjet.ml.evaluation.bootstrap import (
    fraction_interval,
    percentile_interval,
    resampled_weights,
    statistic_interval,
)


def test_replicas_draw_each_kind_among_itself() -> None:
    is_signal = np.arange(50) < 20
    weights = np.arange(50) + 1.0
    drawn = list(resampled_weights(weights, is_signal, replicas=30, seed=1))
    assert len(drawn) == 30
    times = np.array(drawn) / weights
    np.testing.assert_array_equal(times[:, is_signal].sum(axis=1), 20)
    np.testing.assert_array_equal(times[:, ~is_signal].sum(axis=1), 30)
    assert times.std() == pytest.approx(1, abs=0.1)  # of a Poisson number of mean 1
    again = list(resampled_weights(weights, is_signal, replicas=30, seed=1))
    np.testing.assert_array_equal(drawn, again)


def test_jets_of_an_event_are_drawn_together() -> None:
    is_signal = np.arange(60) < 20
    events = np.arange(60) // 2 % 25  # signal and background share numbers, and are drawn apart
    weights = np.arange(60) + 1.0
    times = np.array(
        list(resampled_weights(weights, is_signal, replicas=30, seed=1, events=events))
    )
    times /= weights
    for kind, n_events in ((is_signal, 10), (~is_signal, 20)):
        of_kind = times[:, kind]
        np.testing.assert_array_equal(of_kind[:, ::2], of_kind[:, 1::2])
        np.testing.assert_array_equal(of_kind[:, ::2].sum(axis=1), n_events)
    with pytest.raises(InputError, match="events of 60 jets"):
        list(resampled_weights(weights, is_signal, replicas=1, seed=1, events=events[1:]))


def test_one_kind_alone_can_be_resampled() -> None:
    (drawn,) = resampled_weights(np.ones(9), np.zeros(9, bool), replicas=1, seed=1)
    assert drawn.sum() == 9


def test_replicas_of_jets_without_weight_keep_those_with() -> None:
    weights = np.array([1.0, *[0.0] * 99])
    for drawn in resampled_weights(weights, np.zeros(100, bool), replicas=20, seed=1):
        assert drawn.sum() > 0
    with pytest.raises(InputError, match="replicas"):
        list(resampled_weights(weights, np.zeros(100, bool), replicas=0, seed=1))


def test_percentiles_leave_out_what_is_not_defined() -> None:
    samples = np.append(np.arange(201.0), [np.nan] * 50)
    interval = percentile_interval(100.0, samples)
    assert (interval.low, interval.high) == (5.0, 195.0)
    assert str(interval) == "100 [5, 195]"
    assert np.isnan(percentile_interval(np.nan, [np.nan]).low)
    assert percentile_interval(3.0, [2.0, np.inf]).high == np.inf


@pytest.mark.parametrize("passed", [0, 1, 7, 20])
def test_fractions_have_wilsons_interval(passed: int) -> None:
    expected = binomtest(passed, 20).proportion_ci(0.95, method="wilson")
    interval = fraction_interval(np.arange(20) < passed, np.full(20, 0.3))
    assert interval.value == pytest.approx(passed / 20)
    assert interval.low == pytest.approx(expected.low, abs=1e-12)
    assert interval.high == pytest.approx(expected.high)


def test_a_mean_has_the_interval_of_its_standard_error() -> None:
    values = np.random.default_rng(1).normal(5, 2, 1000)
    interval = statistic_interval(
        lambda x, w: float(np.average(x, weights=w)), values, np.ones(1000), replicas=500
    )
    error = values.std() / np.sqrt(1000)
    assert interval.value == pytest.approx(values.mean())
    assert interval.low == pytest.approx(values.mean() - 1.96 * error, abs=0.3 * error)
    assert interval.high == pytest.approx(values.mean() + 1.96 * error, abs=0.3 * error)


def test_unequal_weights_widen_the_interval() -> None:
    passed = np.arange(20) % 2 == 0
    even = fraction_interval(passed, np.ones(20))
    uneven = fraction_interval(passed, np.repeat([1.0, 10.0], 10))
    assert uneven.high - uneven.low > even.high - even.low


def test_an_event_of_two_jets_counts_as_its_jets_agree() -> None:
    """Two jets that pass or fail together are one; two of which one passes always scatter less than chance."""
    passed = np.random.default_rng(1).random(400) < 0.3
    alone = fraction_interval(passed, np.ones(400))
    twins = fraction_interval(np.repeat(passed, 2), np.ones(800), np.arange(800) // 2)
    assert (twins.low, twins.high) == (pytest.approx(alone.low), pytest.approx(alone.high))
    independent = fraction_interval(passed, np.ones(400), np.arange(400) // 2)
    assert independent.high - independent.low == pytest.approx(alone.high - alone.low, rel=0.15)
    none = fraction_interval(np.zeros(40, bool), np.ones(40), np.arange(40) // 2)
    assert none.high == pytest.approx(fraction_interval(np.zeros(20, bool), np.ones(20)).high)
