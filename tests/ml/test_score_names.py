from __future__ import annotations

import pytest

from oddjet.errors import InputError
from oddjet.ml.score_names import ScoreName

COLUMNS = ["pt", "d_s", "d_s_calibrated", "d_s_ddt", "d_s_x", "d_s_x_calibrated", "d_s_x_ddt"]


def test_the_column_that_is_cut_on() -> None:
    assert ScoreName.find("d_s", COLUMNS).cut == "d_s_calibrated"
    assert ScoreName.find("d_s_ddt", COLUMNS).cut == "d_s_ddt"
    # A calibrated column may be named too: it is cut on as it is.
    assert ScoreName.find("d_s_calibrated", COLUMNS).cut == "d_s_calibrated"
    for wrong in ("pt", "d_s_dtd", "d_s_quantile_map", "e_s"):
        with pytest.raises(InputError, match=r"raw score \(d_s, d_s_x\)"):
            ScoreName.find(wrong, COLUMNS)


def test_a_decorrelated_score_belongs_to_the_longest_raw_score_that_fits() -> None:
    assert ScoreName.find("d_s_x_ddt", COLUMNS) == ScoreName("d_s_x", "ddt")
    assert ScoreName.find_all(COLUMNS) == (
        ScoreName("d_s"),
        ScoreName("d_s_x"),
        ScoreName("d_s", "ddt"),
        ScoreName("d_s_x", "ddt"),
    )


def test_names_of_a_detector_come_raw_ones_first() -> None:
    names = ScoreName.from_label("d", ["s", "t"], ["ddt"])
    assert [name.column for name in names] == ["d_s", "d_t", "d_s_ddt", "d_t_ddt"]
    columns = [n.column for n in names] + [n.calibrated for n in names if not n.method]
    assert set(ScoreName.find_all(columns)) == set(names)
