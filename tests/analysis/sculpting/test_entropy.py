from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from oddjet.analysis.sculpting.entropy import mass_sculpting, relative_entropy
from oddjet.errors import ConfigError, TooFewJetsError


def test_relative_entropy_is_scipy_s() -> None:
    rng = np.random.default_rng(1)
    before = rng.integers(50, 100, 12)
    after = rng.integers(0, 50, 12)
    assert relative_entropy(after, before) == pytest.approx(stats.entropy(after, before), rel=1e-12)
    assert relative_entropy(3 * before, before) == pytest.approx(0.0, abs=1e-12)
    assert relative_entropy(np.zeros(12), before) == 0.0


def test_what_was_not_there_before_is_refused() -> None:
    with pytest.raises(ConfigError, match="empty before"):
        relative_entropy([1, 1], [1, 0])


def test_a_cut_on_the_mass_has_its_closed_form_and_a_blind_one_next_to_nothing() -> None:
    rng = np.random.default_rng(1)
    mass = rng.exponential(50, 40_000)
    efficiencies = (0.5, 0.2)
    hard = mass_sculpting((mass, mass), {}, efficiencies=efficiencies, bins=20)
    # The upper half of equally full bins: ln 2 each jet; a fifth: ln 5.
    assert [cut.entropy.value for cut in hard] == pytest.approx(np.log([2, 5]), rel=1e-3)
    blind = mass_sculpting((rng.random(40_000), mass), {}, efficiencies=efficiencies)
    for cut in blind:
        n_pass = cut.working_point * 40_000
        assert cut.efficiency == pytest.approx(cut.working_point)
        assert cut.entropy_by_chance == pytest.approx(24 / 2 * (1 / n_pass - 1 / 40_000))
        assert cut.entropy.value < 3 * cut.entropy_by_chance
        assert cut.entropy.low <= cut.entropy.value


def test_signal_efficiency_is_counted_at_the_threshold() -> None:
    scores = np.arange(1000.0)
    (cut,) = mass_sculpting((scores, scores), {"s": np.array([0.0, 950.0])}, efficiencies=(0.1,))
    assert cut.threshold == pytest.approx(899.1)
    assert cut.signal_efficiencies == {"s": 0.5}


def test_too_few_jets_are_refused() -> None:
    with pytest.raises(TooFewJetsError, match="3 background and 0 signal"):
        mass_sculpting((np.arange(3.0),) * 2, {"s": np.zeros(0)}, efficiencies=(0.1,))
