"""Histograms in the UHI form, from files of anybody: checked before anything is allocated.

References:
    UHI serialisation, https://uhi.readthedocs.io/en/latest/serialization.html.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import hist
import numpy as np
import uhi.io

from oddjet.bounds import MOST_CELLS
from oddjet.datasets.disk.arrays import read_array
from oddjet.datasets.disk.documents import read_json
from oddjet.errors import BadFileError, InputError
from oddjet.parsing import parse_json

__all__ = ["LARGEST_ZIP", "histogram_of", "is_histogram", "read_uhi_json", "read_uhi_zip"]

LARGEST_ZIP = 512 * 2**20
"""Of what a zip file holds, unpacked [bytes]."""
_LARGEST_JSON = 256 * 2**20
_MOST_AXES = 32
_TOLD = {"name": str, "label": str, "metadata": dict, "_variance_known": bool}
"""Metadata that are kept, and their types: others would become attributes and hide methods."""


def is_histogram(content: Any) -> bool:
    """Whether it looks like a histogram in the UHI form."""
    return isinstance(content, dict) and {"axes", "storage"} <= set(content)


def read_uhi_json(path: Path) -> Any:
    """Read UHI JSON, a histogram or several by name, as it is written.

    Raises:
        BadFileError: The file cannot be read, is no JSON, or is longer than 256 MiB.
    """
    try:
        return read_json(path, error=BadFileError, largest=_LARGEST_JSON)
    except BadFileError as error:
        msg = f"{path} cannot be read as UHI JSON: {str(error).removeprefix(f'{path}: ')}"
        raise BadFileError(msg) from error


def read_uhi_zip(path: Path) -> dict[str, Any]:
    """Read the histograms of a zip file, by name.

    Raises:
        BadFileError: The file cannot be read, or holds more than 512 MiB.
    """
    try:
        with ZipFile(path) as file:
            size = sum(info.file_size for info in file.infolist())
            if size > LARGEST_ZIP:
                msg = f"{path} unpacks to {size / 2**20:.0f} MiB: expected at most {LARGEST_ZIP // 2**20}"
                raise BadFileError(msg)
            names = [n.removesuffix(".json") for n in file.namelist() if n.endswith(".json")]
            return {name: _read_member(file, name) for name in names}
    except BadFileError:
        raise
    # Damaged, encrypted, no JSON, no arrays: many kinds.
    except Exception as error:
        msg = f"{path} cannot be read as ZIP: {error}"
        raise BadFileError(msg) from error


def _read_member(file: ZipFile, name: str) -> Any:
    content = parse_json(file.read(f"{name}.json").decode())
    if is_histogram(content) and isinstance(content["axes"], list):
        for part in (content["storage"], *content["axes"]):
            for key in uhi.io.ARRAY_KEYS & set(part) if isinstance(part, dict) else ():
                if isinstance(part[key], str):
                    part[key] = read_array(file, part[key])
    return content


def histogram_of(content: Mapping[str, Any], where: str) -> hist.Hist[Any]:
    """Make a histogram of its UHI form.

    Args:
        content: As JSON holds it.
        where: File and name, for messages.

    Raises:
        InputError: It is no histogram, its axes do not fit its contents, or it has more than 10⁷ bins.
    """
    try:
        axes = [_checked_axis(axis) for axis in _list_of(content["axes"], _MOST_AXES)]
        storage = _checked_storage(content["storage"], [n for _, n in axes])
        checked = {
            "uhi_schema": 1,
            "axes": [axis for axis, _ in axes],
            "storage": storage,
            "metadata": _told(content.get("metadata")),
            "writer_info": _mapping(content.get("writer_info", {})),
        }
        return hist.Hist(uhi.io.from_sparse(checked))
    except InputError as error:
        msg = f"{where}: {error}"
        raise InputError(msg) from error
    # Whatever its library makes of values that nobody would write.
    except Exception as error:
        msg = f"{where} is no histogram in UHI JSON: {error!r}"
        raise InputError(msg) from error


def _checked_axis(content: Any) -> tuple[dict[str, Any], int]:
    """Check an axis; give it with numbers as arrays, and how many bins it has, those of the flow included."""
    axis = dict(_mapping(content))
    axis["metadata"] = _told(axis.get("metadata"))
    written = _mapping(_mapping(axis.get("writer_info", {})).get("boost-histogram", {}))
    kind = axis["type"]
    n = 2
    if kind == "regular":
        n = _whole(axis["bins"], "bins")
        if not all(math.isfinite(axis[end]) for end in ("lower", "upper")):
            msg = "ends of an axis that are not finite"
            raise InputError(msg)
    elif kind == "variable":
        axis["edges"] = _numbers(axis["edges"], "edges")
        n = axis["edges"].size - 1
    elif kind in ("category_str", "category_int"):
        n = len(_list_of(axis["categories"], MOST_CELLS))
    if written.get("transform") and _whole(written["bins"], "bins") != n:
        msg = "an axis of two numbers of bins"
        raise InputError(msg)
    flow = sum(axis.get(side) is True for side in ("underflow", "overflow", "flow"))
    return axis, n + flow * (kind != "boolean")


def _checked_storage(content: Any, shape: list[int]) -> dict[str, Any]:
    """Check that contents fit the axes, of `shape`; give them as arrays."""
    n_cells = math.prod(shape)
    if n_cells > MOST_CELLS:
        msg = f"{n_cells:,} bins: expected at most {MOST_CELLS:,}"
        raise InputError(msg)
    storage = dict(_mapping(content))
    keys = uhi.io.ARRAY_KEYS & storage.keys()
    for key in keys:
        storage[key] = _numbers(storage[key], key)
    if "index" not in keys:
        wrong = [key for key in keys if n_cells and storage[key].shape != tuple(shape)]
        wrong += [key for key in keys if storage[key].size != n_cells]
        if wrong:
            msg = f"{wrong[0]}: expected shape {tuple(shape)}, the flow included, received {storage[wrong[0]].shape}"
            raise InputError(msg)
        return storage
    index = storage["index"]
    is_place = index.ndim == 2 and len(index) == len(shape) and index.dtype.kind in "iu"
    if index.size and not (is_place and index.min() >= 0):
        msg = f"index: expected numbers of bins on {len(shape)} axes, received shape {index.shape}"
        raise InputError(msg)
    storage["index"] = index = index.reshape(len(shape), -1).astype(np.intp)
    if len(set(zip(*index.tolist(), strict=True))) != index.shape[1]:
        msg = "index: a bin is there twice"
        raise InputError(msg)
    if wrong := [key for key in keys - {"index"} if storage[key].shape != index.shape[1:]]:
        msg = f"{wrong[0]}: expected as many as in index, {index.shape[1]}"
        raise InputError(msg)
    return storage


def _numbers(values: Any, key: str) -> np.ndarray[Any, np.dtype[Any]]:
    array = np.asarray(values)
    if array.dtype.kind not in "biuf" or array.ndim > _MOST_AXES:
        msg = f"{key}: expected lists of numbers, all of one length"
        raise InputError(msg)
    return array


def _whole(value: Any, key: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not value >= 1:
        msg = f"{key}: expected a whole number, received {value!r}"
        raise InputError(msg)
    return value


def _list_of(value: Any, most: int) -> list[Any]:
    if not isinstance(value, list) or len(value) > most:
        msg = f"expected a list of at most {most:,}"
        raise InputError(msg)
    return value


def _mapping(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        msg = f"expected a mapping, received {type(value).__name__}"
        raise InputError(msg)
    return value


def _told(metadata: Any) -> dict[str, Any]:
    return dict(_told_items(metadata)) if isinstance(metadata, Mapping) else {}


def _told_items(metadata: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, kind in _TOLD.items():
        if isinstance(metadata.get(key), kind):
            yield key, metadata[key]
