from __future__ import annotations

import numpy as np
import pytest

from oddjet.analysis.config import HuntConfig
from oddjet.analysis.scores.sample import blinded_range, hunted_rows

SETTINGS = HuntConfig(range=(50, 250), bin_width=5, window=(66, 104))
TABLE = {
    "msoftdrop": np.array([49.9, 50.0, 64.9, 65.0, 66.0, 104.5, 105.0, 249.9, 250.0]),
    "rank": np.zeros(9, np.int16),
}


def test_hunted_jets_are_leading_and_in_range() -> None:
    rows = hunted_rows(TABLE, SETTINGS)
    assert rows.tolist() == [False, *[True] * 7, False]
    second = {**TABLE, "rank": np.arange(9) % 2}
    assert hunted_rows(second, SETTINGS).sum() == 4 - 1
    assert hunted_rows(second, SETTINGS.model_copy(update={"jets": "all"})).sum() == 7
    assert hunted_rows(TABLE, SETTINGS, in_range=False).all()


def test_all_of_a_bin_that_overlaps_the_window_is_blinded() -> None:
    assert blinded_range(SETTINGS) == (65.0, 105.0)
    rows = hunted_rows(TABLE, SETTINGS, blinded=True)
    assert TABLE["msoftdrop"][rows] == pytest.approx([50.0, 64.9, 105.0, 249.9])
