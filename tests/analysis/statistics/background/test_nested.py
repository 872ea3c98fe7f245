"""The F-test and the likelihood-ratio test against their definitions."""

from __future__ import annotations

import dataclasses

import pytest
from scipy import stats

from oddjet.analysis.statistics.background.nested import (
    add_parameters,
    f_test,
    likelihood_ratio_test,
)
from oddjet.errors import FitError


@dataclasses.dataclass
class Fit:
    deviance: float
    ndf: int


def test_f_test_equals_its_definition() -> None:
    small, large = Fit(52.3, 37), Fit(41.9, 36)
    statistic = (small.deviance - large.deviance) / (large.deviance / 36)
    assert f_test(small, large) == pytest.approx(1 - stats.f.cdf(statistic, 1, 36))
    gain = small.deviance - large.deviance
    assert likelihood_ratio_test(small, large) == pytest.approx(1 - stats.chi2.cdf(gain, 1))
    assert f_test(Fit(3.0, 1), Fit(1.0, 0)) == 1.0


def test_parameters_are_added_while_they_pay() -> None:
    deviances = {2: 90.0, 3: 40.0, 4: 39.9, 5: 10.0}
    best, tried = add_parameters(
        lambda n: Fit(deviances[n], 40 - n), range(2, 6), name="f{}".format
    )
    assert best == Fit(40.0, 37)
    assert [attempt.name for attempt in tried] == ["f2", "f3", "f4"]


def test_a_fit_that_fails_ends_the_search_and_is_recorded() -> None:
    def fit(n: int) -> Fit:
        if n == 3:
            msg = "no minimum"
            raise FitError(msg)
        return Fit(90.0, 40 - n)

    best, tried = add_parameters(fit, range(2, 6))
    assert best == Fit(90.0, 38)
    assert [(attempt.failure, attempt.deviance) for attempt in tried] == [
        ("", 90.0), ("no minimum", None),
    ]  # fmt: skip
