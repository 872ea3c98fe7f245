from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from oddjet.datasets.disk.numbers import jsonable, write_json


def test_jsonable_knows_results() -> None:
    value = {"a": np.int16(3), "b": (np.nan, True), "c": Path("x"), "d": {1}}
    assert jsonable(value) == {"a": 3, "b": [None, True], "c": "x", "d": [1]}
    arrays = {1: np.array([[0.1, -np.inf]]), "n": np.float32(0.5), "t": np.True_}
    assert jsonable(arrays) == {"1": [[0.1, None]], "n": 0.5, "t": True}


def test_floats_are_kept_to_the_last_digit(tmp_path: Path) -> None:
    values = [0.1 + 0.2, 1e-300, 1e22, -0.0, 5e-324]
    path = write_json(tmp_path / "new" / "x.json", {"values": np.array(values)})
    assert json.loads(path.read_text(encoding="utf-8"))["values"] == values
