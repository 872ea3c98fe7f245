"""Histogram files that nobody should write: read, or refused at once by an error of oddjet."""

from __future__ import annotations

import json
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import hist
import numpy as np
import pytest
import uhi.io
import uhi.io.json
import uproot
from hostile import LONGEST, SLOWEST, fuzz, mutated, texts
from hypothesis import given
from hypothesis import strategies as st

from oddjet.analysis.statistics.exchange import histogram_files
from oddjet.analysis.statistics.exchange.histogram_files import histogram_names, read_histogram
from oddjet.datasets.disk import histograms as histograms_on_disk
from oddjet.errors import InputError, OddjetError


def histograms() -> dict[str, Any]:
    """Histograms of each storage and kind of axis, in UHI JSON."""
    mass = hist.axis.Regular(20, 50, 250, name="mass")
    storages = (hist.storage.Int64(), hist.storage.Double(), hist.storage.Weight())
    made: dict[str, Any] = {type(s).__name__: hist.Hist(mass, storage=s) for s in storages}
    made["mean"] = hist.Hist(mass, storage=hist.storage.Mean())
    for histogram in made.values():
        sample = {"sample": np.ones(300)} if histogram is made["mean"] else {}
        histogram.fill(np.linspace(51, 249, 300) ** 0.98, **sample)
    made["axes"] = hist.Hist(
        hist.axis.StrCategory(["a"], growth=True, name="kind"),
        hist.axis.Variable([50, 100, 250], name="mass"),
        hist.axis.Integer(0, 3, name="n"),
    ).fill(["a"], [70.0], [1])
    made["log"] = hist.Hist(hist.axis.Regular(5, 1, 100, transform=hist.axis.transform.log))
    plain = {
        name: json.loads(json.dumps(h, default=uhi.io.json.default)) for name, h in made.items()
    }
    sparse = uhi.io.to_sparse(made["Weight"]._to_uhi_())
    plain["sparse"] = json.loads(json.dumps(sparse, default=uhi.io.json.default))
    return plain


HISTOGRAMS = histograms()


def read_or_refuse(path: Path, selector: str) -> bool:
    """Whether it was read; if not, it was refused in one message, and in any case at once."""
    begin, said = time.perf_counter(), ""
    try:
        histogram_names(path)
        read_histogram(f"{path}:{selector}")
    except OddjetError as error:
        said = str(error)
    assert max(map(len, said.splitlines()), default=0) < LONGEST
    assert time.perf_counter() - begin < SLOWEST
    return not said


def dense(bins: int, n_values: int = 22) -> dict[str, Any]:
    axis = {
        "type": "regular",
        "lower": 0,
        "upper": 1,
        "bins": bins,
        "underflow": True,
        "overflow": True,
        "circular": False,
    }
    return {
        "uhi_schema": 1,
        "axes": [axis],
        "storage": {"type": "double", "values": [0.0] * n_values},
    }


def changed(**storage: Any) -> dict[str, Any]:
    """The sparse histogram with another storage."""
    return {**HISTOGRAMS["sparse"], "storage": {"type": "double", **storage}}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (dense(10**9), "1,000,000,002 bins: expected at most 10,000,000"),
        (dense(5_000_000), r"expected shape \(5000002,\), the flow included, received \(22,\)"),
        ({**dense(10), "axes": dense(10)["axes"] * 20}, "bins: expected at most"),
        ({**dense(10**9), "storage": {"type": "double", "index": [[1]], "values": [1.0]}}, "at most"),
        ({**dense(10**9), "storage": {"type": "double"}}, "at most"),
        (changed(index=[[1, 1]], values=[1.0, 2.0]), "a bin is there twice"),
        (changed(index=[[1, 2]], values=[1.0]), "expected as many as in index, 2"),
        (changed(index=[[-1]], values=[1.0]), "numbers of bins"),
        (changed(index=[[1.5]], values=[1.0]), "numbers of bins"),
        (changed(index=[[99]], values=[1.0]), "IndexError"),
        ({**dense(20), "metadata": {"values": 3, "axes": 1}}, ""),
        ({**dense(20), "storage": {"type": "double", "values": [[1], [1, 2]]}}, "."),
    ],
)  # fmt: skip
def test_sizes_are_checked_before_anything_is_allocated(
    tmp_path: Path, content: Any, said: str
) -> None:
    path = tmp_path / "h.json"
    path.write_text(json.dumps({"h": content}))
    begin = time.perf_counter()
    with pytest.raises(InputError, match=said) if said else nullcontext():
        read_histogram(path)
    assert time.perf_counter() - begin < 1
    with ZipFile(tmp_path / "h.zip", "w") as file:
        file.writestr("h.json", json.dumps(content))
    with pytest.raises(InputError, match=said) if said else nullcontext():
        read_histogram(tmp_path / "h.zip")


def test_files_that_unpack_to_very_much_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(histograms_on_disk, "LARGEST_ZIP", 2**20)
    monkeypatch.setattr(histogram_files, "LARGEST", 2**20)
    with ZipFile(tmp_path / "h.zip", "w", ZIP_DEFLATED) as file:
        file.writestr("h.json", " " * 2**21)
    with uproot.recreate(tmp_path / "h.root", compression=uproot.ZLIB(9)) as file:
        file["h"] = (np.zeros(200_000), np.arange(200_001.0))
    for name in ("h.zip", "h.root"):
        assert (tmp_path / name).stat().st_size < 2**20
        with pytest.raises(InputError, match=r"unpacks to . MiB: expected at most 1"):
            read_histogram(tmp_path / name)


@fuzz
def test_uhi_json(tmp_path: Path, run: Any) -> None:
    path = tmp_path / "h.json"
    outcomes = set()

    @run
    @given(
        mutated(HISTOGRAMS, most=2).map(json.dumps) | texts(json.dumps(HISTOGRAMS)),
        st.sampled_from(list(HISTOGRAMS)),
    )
    def check(text: str, name: str) -> None:
        path.write_text(text, encoding="utf-8", errors="replace")
        outcomes.add(read_or_refuse(path, name + "?kind=a&n=sum" * (name == "axes")))

    check()
    assert outcomes == {True, False}


@fuzz
def test_root(tmp_path: Path, run: Any) -> None:
    path = tmp_path / "h.root"
    with uproot.recreate(path) as file:
        for name in ("weighted", "cr/counts"):
            file[name] = (np.arange(20.0), np.linspace(50, 250, 21))
    whole = path.read_bytes()
    outcomes = set()

    @run
    @given(
        st.lists(
            st.tuples(st.integers(0, len(whole) - 1), st.integers(0, 255)), min_size=1, max_size=8
        ),
        st.integers(0, len(whole)) | st.just(len(whole)),
    )
    def check(changes: list[tuple[int, int]], end: int) -> None:
        content = bytearray(whole)
        for place, value in changes:
            content[place] = value
        path.write_bytes(content[:end])
        outcomes.add(read_or_refuse(path, "cr/counts"))

    check()
    assert outcomes == {True, False}
