"""The histogram of ratios against the ratios themselves."""

from __future__ import annotations

import awkward as ak
import numpy as np
import pytest

from oddjet.datasets.balance import Balance


def jets_of(ratios: np.ndarray) -> tuple[ak.Array, np.ndarray]:
    """Two constituents at a right angle for each jet of pt 200, whose sum has that ratio to it."""
    share = np.outer(200 * ratios, [0.6, 0.8])
    phi = np.broadcast_to([0.3, 0.3 + np.pi / 2], share.shape)
    particles = ak.zip({"pt": share, "eta": share * 0, "phi": phi, "mass": share * 0})
    return ak.from_regular(particles), np.full(len(ratios), 200.0)


def test_quantiles_are_those_of_the_ratios() -> None:
    ratios = np.random.default_rng(1).lognormal(0.01, 0.2, 3001)
    balance = Balance.measure(*jets_of(ratios))
    assert balance.n_jets == 3001
    for share in (0.01, 0.25, 0.5, 0.99):
        expected = np.quantile(ratios, share, method="inverted_cdf")
        assert balance.quantile(share) == pytest.approx(expected, rel=1.1e-4)
    assert balance.median == balance.quantile(0.5)
    assert balance.tails == (balance.quantile(0.01), balance.quantile(0.99))


def test_equal_jets_have_a_ratio_of_exactly_one() -> None:
    balance = Balance.measure(*jets_of(np.ones(7)))
    assert (balance.median, *balance.tails) == (1.0, 1.0, 1.0)
    assert "median 1.000, 1 % below 1.000, 1 % above 1.000 (7 jets)" in balance.describe()


def test_chunks_add_up_to_the_whole() -> None:
    ratios = np.random.default_rng(2).lognormal(0, 0.1, 500)
    whole = Balance.measure(*jets_of(ratios))
    parts = [Balance.measure(*jets_of(part)) for part in np.array_split(ratios, 7)]
    parts = [Balance.model_validate_json(part.model_dump_json()) for part in parts]
    assert Balance.add_up([*parts, None, Balance()]) == whole
    assert Balance.add_up([None, Balance()]) is None


def test_corrections_that_are_not_known_are_told() -> None:
    raw = Balance.measure(*jets_of(np.ones(2)))
    unknown = Balance.measure(*jets_of(np.ones(2)), is_raw=False)
    total = Balance.add_up([raw, unknown])
    assert total is not None
    assert not total.is_raw
    assert "no rawFactor in the file" in total.describe()
    assert "raw pt" in raw.describe()


def test_jets_without_constituents_or_pt() -> None:
    particles = ak.Array([[], [{"pt": 1.0, "phi": 0.0}], [{"pt": 1.0, "phi": 0.0}]])
    balance = Balance.measure(particles, np.array([200.0, 1.0, 0.0]))
    assert balance.n_jets == 2  # an empty jet is none, one of no pt is infinitely far away
    assert balance.tails[1] > 1e4
    assert np.isnan(Balance().median)
