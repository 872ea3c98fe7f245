"""Histogram files that nobody should write: read, or refused at once by an error of oddjet."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import hist
import numpy as np
import uhi.io
import uhi.io.json
import uproot
from hostile import LONGEST, SLOWEST, fuzz, mutated, texts
from hypothesis import given
from hypothesis import strategies as st

from oddjet.analysis.statistics.exchange.histogram_files import histogram_names, read_histogram
from oddjet.errors import OddjetError


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
