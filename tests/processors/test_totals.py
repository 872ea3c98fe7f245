"""Groups of parts: their shape, their sums, and what goes missing or bad on the way."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
from coffea.processor.executor import ExecutorBase, IterativeExecutor

from oddjet.datasets.skims.manifest import ChunkRecord, DatasetSummary, Manifest
from oddjet.datasets.skims.parts import write_part
from oddjet.datasets.skims.skim import Skim
from oddjet.errors import NonFiniteError, ProcessingError
from oddjet.processors.histograms import Filler, HistogramSettings
from oddjet.processors.totals import add_group, add_up, group_parts

N_ROWS = 50


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Skim:
    return make_table(tmp_path_factory.mktemp("table"), 11)


def make_table(folder: Path, n_parts: int, spoil: int = -1) -> Skim:
    """Parts of two datasets with weights of very different sizes, so that the order of sums matters."""
    rng = np.random.default_rng(1)
    records = []
    for number in range(n_parts):
        dataset = "ab"[number % 2]
        columns = {
            "msoftdrop": rng.uniform(0, 300, N_ROWS),
            "pt": rng.uniform(200, 900, N_ROWS),
            "weight": 10.0 ** rng.uniform(-12, 3, N_ROWS),
            "rank": rng.integers(0, 2, N_ROWS),
            "m_s": rng.normal(size=N_ROWS),
            "m_s_calibrated": rng.exponential(1, N_ROWS),
        }
        if number == spoil:
            columns["m_s_calibrated"][:] = np.nan
        record = ChunkRecord(
            key=f"{number:064x}",
            dataset=dataset,
            file="f.root",
            file_uuid="u",
            tree="Events",
            entry_start=number * N_ROWS,
            entry_stop=(number + 1) * N_ROWS,
            n_events=N_ROWS,
            n_jets=N_ROWS,
            cutflow=(),
            sumw=1.0,
            sumw2=1.0,
            counts={},
            seconds=0.0,
        )
        rows = ak.zip(columns, depth_limit=1)
        write_part(folder, dataset, record.key, rows, images=None, record=record)
        records.append(record)
    datasets = {
        name: DatasetSummary(kind="background", sumw=1.0, sumw2=1.0, n_events=1) for name in "ab"
    }
    return Skim(folder, Manifest(kind="scores", datasets=datasets, chunks=tuple(records)))


FILLER = Filler(HistogramSettings(), {"m_s": "m_s_calibrated"}, ("a", "b"))


@pytest.mark.parametrize("n_parts", [0, 1, 2, 4, 5, 9, 10, 11])
def test_groups_are_the_square_root_of_the_parts(table: Skim, n_parts: int) -> None:
    chunks = table.manifest.chunks[:n_parts]
    part = Skim(table.folder, table.manifest.model_copy(update={"chunks": chunks}))
    groups = group_parts(part)
    assert [chunk for group in groups for chunk in group.table.manifest.chunks] == list(chunks)
    assert [group.index for group in groups] == list(range(len(groups)))
    assert len(groups) <= math.ceil(math.sqrt(n_parts))
    assert all(
        len(group.table.manifest.chunks) <= math.ceil(math.sqrt(n_parts)) for group in groups
    )


def test_sums_are_those_of_all_rows(table: Skim) -> None:
    totals = add_up(FILLER, table, IterativeExecutor(status=False))
    for dataset in "ab":
        rows = table.jets(dataset)
        use = np.asarray(rows["rank"]) == 0
        for point, cut in (("all", -1.0), ("0.1", 1.0), ("0.01", 2.0)):
            mask = use & (np.asarray(rows["m_s_calibrated"]) >= cut)
            assert totals.passed["m_s"][dataset][point] == np.count_nonzero(mask)
            weight = np.asarray(rows["weight"])[mask]
            sums: Any = totals.histograms["m_s"][dataset, "nominal", point, sum, sum]
            assert sums.value == pytest.approx(weight.sum(), rel=1e-12)
            assert sums.variance == pytest.approx((weight**2).sum(), rel=1e-12)


def test_who_adds_and_when_does_not_change_a_bit(
    table: Skim, executors: dict[str, ExecutorBase]
) -> None:
    class Backwards(IterativeExecutor):  # type: ignore[misc]
        def __call__(self, items: Sequence[Any], function: Any, accumulator: Any) -> Any:
            return super().__call__(items[::-1], function, accumulator)

    expected = add_up(FILLER, table, IterativeExecutor(status=False))
    for executor in (Backwards(status=False), executors["futures"], executors["dask"]):
        assert add_up(FILLER, table, executor) == expected


def test_what_goes_back_does_not_grow_with_the_parts(table: Skim) -> None:
    """One histogram a group and score, however many parts: the caller's memory stays small."""
    for group in group_parts(table):
        result = add_group(group, filler=FILLER)
        assert list(result) == ["groups"]
        assert list(result["groups"][group.index].histograms) == ["m_s"]


def test_a_lost_group_is_told(table: Skim) -> None:
    class Losing(IterativeExecutor):  # type: ignore[misc]
        def __call__(self, items: Sequence[Any], function: Any, accumulator: Any) -> Any:
            return super().__call__(items[1:], function, accumulator)

    with pytest.raises(ProcessingError, match=r"groups \[0\] of 3 were not added up"):
        add_up(FILLER, table, Losing(status=False))


def test_the_part_with_bad_numbers_is_named(tmp_path: Path) -> None:
    table = make_table(tmp_path, 3, spoil=1)
    work: Callable[..., Any] = functools.partial(add_group, filler=FILLER)
    with pytest.raises(
        NonFiniteError, match=rf"b/{1:064x}: histograms: \d+ of \d+ values of m_s_cal"
    ):
        work(group_parts(table)[0])
