"""The numbers of the benchmark: what is compared is the same scan; how fast it is, a test cannot say."""

from __future__ import annotations

import numpy as np
import pytest

from oddjet.analysis.studies.benchmarks.bumphunt import compare_with_pybumphunter, refit_rate


def test_both_find_the_same_window_and_p_values() -> None:
    n = 1000
    numbers = compare_with_pybumphunter(n)
    assert numbers["n_windows"] == 285
    assert numbers["window"] == pytest.approx(numbers["pybumphunter_window"])
    assert numbers["local_p"] == pytest.approx(numbers["pybumphunter_local_p"], rel=1e-6)
    p = numbers["pybumphunter_global_p"]
    assert 0.05 < p < 0.95  # where the toys can decide
    assert numbers["global_p"] == pytest.approx(p, abs=4 * np.sqrt(2 * p * (1 - p) / n))
    assert numbers["ratio"] > 0


def test_the_rate_tells_what_was_scanned() -> None:
    numbers = refit_rate("exppoly2", 3)
    assert (numbers["n_bins"], numbers["n_windows"]) == (40, 238)
    assert numbers["toys_per_second"] == pytest.approx(3 / numbers["seconds"])
