"""Numbers as JSON knows them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from pydantic_core import to_jsonable_python

from oddjet.datasets.disk.atomic import write_text

__all__ = ["jsonable", "write_json"]


def jsonable(value: Any) -> Any:
    """Turn results into what JSON knows: NaN and infinity become null, arrays lists.

    >>> jsonable({"p": float("nan"), 3: (np.float32(0.5), None)})
    {'p': None, '3': [0.5, None]}
    """
    return to_jsonable_python(value, inf_nan_mode="null", fallback=_plain)


def write_json(path: Path | str, value: Any) -> Path:
    """Write results as JSON, atomically."""
    text = json.dumps(jsonable(value), indent=1, allow_nan=False, ensure_ascii=False)
    write_text(path, text + "\n")
    return Path(path)


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else str(value)
