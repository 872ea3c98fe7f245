"""A look at the first events decides what a file does not say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from toy_files import write_pfnano

from oddjet.datasets.files.rootfiles import inspect_root
from oddjet.datasets.readers import READERS
from oddjet.datasets.readers.formats import find_readers
from oddjet.datasets.readers.peek import PEEKED, nearest_reader, peek

CHS, PUPPI = READERS["pfnano_ak4"], READERS["pfnano_ak4_puppi"]


@pytest.mark.parametrize(("weighted", "reader"), [(False, CHS), (True, PUPPI)])
def test_what_adds_up_is_chosen(tmp_path: Path, weighted: bool, reader: Any) -> None:
    file = inspect_root(write_pfnano(tmp_path / "a.root", weighted=weighted))
    readers = find_readers(file.branches, jet="AK4", titles=file.titles)
    assert readers == (CHS, PUPPI)
    assert nearest_reader(readers, file, timeout=10) is reader
    assert peek(file, reader, timeout=10).median == pytest.approx(1, abs=1e-3)
    other = PUPPI if reader is CHS else CHS
    expected = 65 / 100 if other is PUPPI else 100 / 65
    assert peek(file, other, timeout=10).median == pytest.approx(expected, rel=1e-3)


def test_a_few_events_are_enough(tmp_path: Path) -> None:
    file = inspect_root(write_pfnano(tmp_path / "a.root", weighted=True, n_events=3 * PEEKED))
    assert peek(file, PUPPI, timeout=10).n_jets == PEEKED


def test_a_file_that_tells_nothing_is_read_as_one_of_run_2(tmp_path: Path) -> None:
    file = inspect_root(write_pfnano(tmp_path / "a.root", weighted=True, jets=False))
    assert nearest_reader((CHS, PUPPI), file, timeout=10) is CHS
    damaged = replace(file, place=str(tmp_path / "gone.root"))
    assert nearest_reader((CHS, PUPPI), damaged, timeout=10) is CHS


def test_ak4_jets_of_run_3(cases: Path) -> None:
    file = inspect_root(cases / "pfnano_run3_ak4_puppi.root")
    readers = find_readers(file.branches, jet="AK4", titles=file.titles)
    assert nearest_reader(readers, file, timeout=10) is PUPPI
    assert peek(file, PUPPI, timeout=10).median == pytest.approx(1, abs=2e-3)
    assert peek(file, CHS, timeout=10).median == pytest.approx(1.92, abs=0.01)


@pytest.mark.samples
@pytest.mark.parametrize(
    ("name", "jet", "reader"),
    [
        ("nano_tt_v15.root", "AK8", "nanoaod_v15"),
        ("pfnano.root", "AK8", "pfnano_ak8"),
        ("pfnano.root", "AK4", "pfnano_ak4"),
    ],
)
def test_real_files(samples: Path, name: str, jet: str, reader: str) -> None:
    file = inspect_root(samples / name)
    readers = find_readers(file.branches, jet=jet, titles=file.titles)
    assert [r.name for r in readers] == [reader]  # the title of nJet says CHS
    balance = peek(file, readers[0], timeout=10)
    assert balance.is_raw
    assert (balance.median, *balance.tails) == pytest.approx((1, 1, 1), abs=4e-3)
