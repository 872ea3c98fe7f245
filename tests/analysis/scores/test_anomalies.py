"""The list of the most anomalous jets."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from oddjet.analysis.scores.anomalies import most_anomalous
from oddjet.errors import ConfigError, InputError, NonFiniteError

Columns = dict[str, npt.NDArray[Any]]


def table(n: int = 50) -> Columns:
    """A scores table whose score is a permutation of 0 … n − 1."""
    rng = np.random.default_rng(1)
    return {
        "dataset": np.where(np.arange(n) % 2, "qcd", "w"),
        "run": np.ones(n, np.uint32),
        "luminosityBlock": np.arange(n) // 10,
        "event": np.arange(n) + 10**12,
        "file_id": np.full(n, "uuid-1"),
        "entry": np.arange(n),
        "jet_index": np.zeros(n, np.int16),
        "pt": rng.uniform(200, 900, n),
        "mass": rng.uniform(10, 200, n),
        "msoftdrop": rng.uniform(0, 200, n),
        "label": np.zeros(n, np.int8),
        "khanal_mse": rng.permutation(n).astype(float),
    }


def test_highest_scores_first() -> None:
    columns = table()
    jets = most_anomalous(columns, "khanal_mse", files={"uuid-1": "a.root"})
    assert [jet.score for jet in jets] == [float(49 - i) for i in range(10)]
    assert [jet.place for jet in jets] == list(range(1, 11))
    for jet in jets:
        assert columns["khanal_mse"][jet.row] == jet.score
        assert jet.pt == columns["pt"][jet.row]
        assert jet.event_id == f"1:{jet.row // 10}:{10**12 + jet.row}"
        assert jet.key == (columns["dataset"][jet.row], "uuid-1", jet.row, 0)
        assert jet.file == "a.root"
        assert jet.eta is None


def test_ties_do_not_depend_on_the_order_of_rows() -> None:
    columns = table()
    columns["khanal_mse"] = np.zeros(50)
    order = np.random.default_rng(2).permutation(50)
    mixed = {name: values[order] for name, values in columns.items()}
    first, second = (most_anomalous(rows, "khanal_mse", n=7) for rows in (columns, mixed))
    assert [jet.key for jet in first] == [jet.key for jet in second]


def test_jets_that_are_not_allowed_are_left_out() -> None:
    columns = table()
    allowed = columns["msoftdrop"] < 65
    jets = most_anomalous(columns, "khanal_mse", n=100, allowed=allowed)
    assert len(jets) == allowed.sum()
    assert all(jet.msoftdrop is not None and jet.msoftdrop < 65 for jet in jets)


def test_scores_that_are_not_allowed_are_not_looked_at() -> None:
    columns = table()
    columns["khanal_mse"][0] = np.nan
    allowed = np.arange(50) > 0
    assert len(most_anomalous(columns, "khanal_mse", n=100, allowed=allowed)) == 49
    with pytest.raises(NonFiniteError, match="1 values"):
        most_anomalous(columns, "khanal_mse")


def test_empty_table_gives_an_empty_list() -> None:
    columns = {name: values[:0] for name, values in table().items()}
    assert most_anomalous(columns, "khanal_mse") == []


def test_bad_requests_are_refused() -> None:
    columns = table()
    with pytest.raises(ConfigError, match="Did you mean 'khanal_mse'"):
        most_anomalous(columns, "khanal_mes")
    with pytest.raises(ConfigError, match="n=0"):
        most_anomalous(columns, "khanal_mse", n=0)
    with pytest.raises(InputError, match="mask of shape"):
        most_anomalous(columns, "khanal_mse", allowed=[True])
    del columns["entry"]
    with pytest.raises(InputError, match="lacks entry"):
        most_anomalous(columns, "khanal_mse")
