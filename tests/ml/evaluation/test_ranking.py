"""Rates and areas against counting every pair."""

from __future__ import annotations

import numpy as np

from oddjet.ml.evaluation.ranking import Ranking


def test_rates_and_areas_count_pairs() -> None:
    rng = np.random.default_rng(8)
    scores, signal = np.round(rng.normal(size=80), 1), rng.random(80) < 0.4
    place, weights = rng.integers(0, 3, 80), rng.random(80)
    areas, shares = Ranking.from_scores(scores, signal, place, 4).areas(weights)
    assert np.isnan(areas[3])
    for i in range(3):
        s, b = (place == i) & signal, (place == i) & ~signal
        wins = np.sign(scores[s][:, None] - scores[b]) / 2 + 0.5
        pairs = np.outer(weights[s], weights[b])
        np.testing.assert_allclose(areas[i], (wins * pairs).sum() / pairs.sum())
        np.testing.assert_allclose(shares[i], weights[s].sum())
    ranking = Ranking.from_scores(scores, signal)
    fpr, tpr = ranking.rates(weights)
    for rate, kind in ((fpr, ~signal), (tpr, signal)):
        above = [weights[kind & (scores >= cut)].sum() for cut in ranking.scores]
        np.testing.assert_allclose(rate, np.append(0, above) / weights[kind].sum())
