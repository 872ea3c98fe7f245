"""Recorded luminosity against sums by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import uproot

from oddjet.datasets.luminosity.mask import LumiMask
from oddjet.datasets.luminosity.recorded import LumiTable, data_luminosity, lumi_blocks, to_ranges
from oddjet.datasets.skims.manifest import DatasetSummary
from oddjet.errors import BadFileError, ConfigError, MissingDataError

HEAD = "#run:fill,ls,time,beamstatus,E(GeV),delivered(/ub),recorded(/ub),avgpu,source"


def write(path: Path, rows: list[str], head: str = HEAD) -> Path:
    path.write_text("\n".join(["#Data tag : 23v1 , Norm tag: none", head, *rows]) + "\n")
    return path


def row(run: int, block: int, recorded: object) -> str:
    return f"{run}:8000,{block}:{block},08/01/22 00:00:00,STABLE BEAMS,6800,{recorded}9,{recorded},30.1,HFOC"


def test_sum_in_every_unit(tmp_path: Path) -> None:
    rows = [row(355374, 1, 1500.5), row(355374, 2, 499.5), row(355380, 7, 1000.0)]
    blocks = np.array([[355374, 1], [355380, 7]], np.uint64)
    for unit, factor in {"/ub": 1e-9, "/nb": 1e-6, "/pb": 1e-3, "/fb": 1.0}.items():
        path = write(tmp_path / "l.csv", rows, HEAD.replace("/ub", unit))
        table = LumiTable.from_csv(path)
        assert table.lumi_ifb(blocks) == pytest.approx(2500.5 * factor, rel=1e-12)
    assert table.lumi_ifb(blocks[:0]) == 0
    with pytest.raises(ConfigError, match=r"lacks 1 of 1 .* run 355374, block 3"):
        table.lumi_ifb(np.array([[355374, 3]], np.uint64))


@pytest.mark.parametrize(
    ("rows", "head", "match"),
    [
        ([row(1, 1, 2.0)], "#run,ls,recorded", "names the columns"),
        ([row(1, 1, 2.0)], HEAD.replace("(/ub)", ""), "names the columns"),
        (
            [row(1, 1, 2.0), row(1, 1, 3.0)],
            HEAD,
            "line 4: run 1, luminosity block 1 is there twice",
        ),
        (["1:2,x:1,t,S,1,2,3,4,H"], HEAD, "line 3: expected run:fill"),
        (["1:2,1:1"], HEAD, "line 3: expected run:fill"),
        ([row(1, 1, "nan")], HEAD, "at least 0; received nan"),
        ([row(1, 1, -1)], HEAD, "at least 0; received -1"),
    ],
)
def test_what_is_no_table(tmp_path: Path, rows: list[str], head: str, match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        LumiTable.from_csv(write(tmp_path / "l.csv", rows, head))


def test_no_table_at_all(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read"):
        LumiTable.from_csv(tmp_path / "none.csv")


def test_blocks_of_a_file(tmp_path: Path) -> None:
    events = {"run": np.array([5, 5, 5], "u4"), "luminosityBlock": np.array([3, 1, 3], "u4")}
    with uproot.recreate(tmp_path / "events.root") as file:
        file["Events"] = events
    assert lumi_blocks(str(tmp_path / "events.root"))[0].tolist() == [[5, 1], [5, 3]]
    blocks = {"run": np.array([5, 5, 5], "u4"), "luminosityBlock": np.array([1, 2, 3], "u4")}
    with uproot.recreate(tmp_path / "nano.root") as file:
        file["Events"] = events
        file["LuminosityBlocks"] = blocks
    # The block without events was recorded too.
    path = str(tmp_path / "nano.root")
    assert lumi_blocks(path)[0].tolist() == [[5, 1], [5, 2], [5, 3]]
    mask = LumiMask.from_dict({"5": [[2, 9]]})
    assert lumi_blocks(path, mask=mask)[0].tolist() == [[5, 2], [5, 3]]
    assert lumi_blocks(path)[1] == 0
    # One whose tree lost a block of its events says so.
    with uproot.recreate(tmp_path / "lost.root") as file:
        file["Events"] = events
        file["LuminosityBlocks"] = {name: column[1:] for name, column in blocks.items()}
    lost, n_unlisted = lumi_blocks(str(tmp_path / "lost.root"))
    assert (lost.tolist(), n_unlisted) == ([[5, 1], [5, 2], [5, 3]], 1)
    with pytest.raises(BadFileError, match="cannot be read"):
        lumi_blocks(str(tmp_path / "none.root"))


def test_ranges_are_those_of_a_certification_file() -> None:
    rng = np.random.default_rng(1)
    blocks = np.unique(rng.integers([1, 1], [4, 60], (100, 2)).astype(np.uint64), axis=0)
    mask = LumiMask.from_dict({r: [list(x) for x in v] for r, v in to_ranges(blocks).items()})
    every = np.array([[run, block] for run in range(1, 5) for block in range(1, 61)], np.uint64)
    assert every[mask.mask(every[:, 0], every[:, 1])].tolist() == blocks.tolist()


def summary(kind: str = "data", **more: Any) -> DatasetSummary:
    return DatasetSummary(kind=kind, sumw=1.0, sumw2=1.0, n_events=1, **more)  # type: ignore[arg-type]


def test_luminosity_of_data() -> None:
    c = summary(lumisections={"1": [(1, 9)]}, lumi_ifb=5.0)
    d = summary(lumisections={"2": [(1, 9)]}, lumi_ifb=3.0)
    assert data_luminosity({"c": c, "d": d, "q": summary("background")}, None) == 8.0
    assert data_luminosity({"c": c, "c2": c}, 5.01) == 5.0  # two triggers' data of the same blocks
    with pytest.raises(ConfigError, match="lumi_ifb says 6/fb"):
        data_luminosity({"c": c}, 6.0)
    with pytest.raises(MissingDataError, match="share some runs"):
        data_luminosity({"c": c, "d": summary(lumisections={"1": [(1, 5)]}, lumi_ifb=3.0)}, None)
    assert data_luminosity({"d": summary()}, 7.0) == 7.0
    assert data_luminosity({"q": summary("background", is_whole=False)}, 7.0) == 7.0
    broken = summary(is_whole=False)
    with pytest.raises(MissingDataError, match=r"missing \(d\).*not the 7/fb"):
        data_luminosity({"d": broken}, 7.0)
    assert data_luminosity({"d": broken}, None) is None
    known = summary(is_whole=False, lumisections={"1": [(1, 2)]}, lumi_ifb=2.0)
    assert data_luminosity({"d": known}, 7.0) == 2.0
