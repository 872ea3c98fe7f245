"""Events that are there twice: every kind of it, in real runs; and passes of few hashes."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
import uproot
from coffea.processor.executor import ExecutorBase

from oddjet.datasets.disk.state import unseal
from oddjet.datasets.files.dataset import Dataset, Fileset
from oddjet.datasets.skims.manifest import ChunkRecord
from oddjet.datasets.skims.skim import open_skim
from oddjet.errors import DuplicateEventError, DuplicateFileError
from oddjet.processors.engine import duplicates
from oddjet.processors.engine.duplicates import check_unique
from oddjet.processors.engine.options import RunOptions
from oddjet.processors.run import run_skim

Rewrite = Callable[..., Path]


def fileset_of(
    kind: str, *, accept: tuple[str, ...] | None = None, **datasets: list[Path]
) -> Fileset:
    """Datasets of one kind; simulated files are taken for data."""
    if accept is None:
        accept = ("simulation_as_data",) if kind == "data" else ()
    return Fileset(
        datasets={
            name: Dataset(files=[str(f) for f in files], kind=kind, accept=accept)
            for name, files in datasets.items()
        }
    )


def numbered(first: int, n: int) -> Callable[[dict[str, Any]], None]:
    def change(data: dict[str, Any]) -> None:
        data["event"] = ak.Array(np.arange(first, first + n, dtype=np.uint64))

    return change


@pytest.mark.parametrize("kind", ["data", "background", "signal"])
def test_the_same_file_twice_renamed_and_in_two_datasets(
    qcd: Path, iterative: ExecutorBase, tmp_path: Path, kind: str
) -> None:
    copy = tmp_path / "renamed.root"
    shutil.copy(qcd, copy)
    for fileset in (fileset_of(kind, a=[qcd, copy]), fileset_of(kind, a=[qcd], b=[copy])):
        with pytest.raises(DuplicateFileError, match="renamed"):
            run_skim(fileset, output=tmp_path / "skim", executor=iterative)
    with pytest.raises(DuplicateFileError):
        run_skim(fileset_of(kind, a=[qcd], b=[qcd]), output=tmp_path / "s", executor=iterative)


def test_events_written_again_to_another_file(
    qcd: Path, rewrite: Rewrite, iterative: ExecutorBase, tmp_path: Path
) -> None:
    """The uuid is another, and the events overlap in part."""
    first = rewrite(qcd, "first.root", entries=100, change=numbered(0, 100))
    second = rewrite(qcd, "second.root", entries=100, change=numbered(70, 100))
    within = fileset_of("background", a=[first, second])
    with pytest.raises(
        DuplicateEventError, match=r"first\.root.*entry 7.*second\.root.*entry 0"
    ) as e:
        run_skim(
            within, output=tmp_path / "skim", executor=iterative, options=RunOptions(chunk_size=50)
        )
    assert not (tmp_path / "skim" / "manifest.json").exists()
    assert "accept: [repeated_events]" in str(e.value)

    # Two simulated samples number their events alike; two datasets of data must not.
    across: dict[str, Any] = {"a": [first], "b": [second]}
    run_skim(fileset_of("background", **across), output=tmp_path / "across", executor=iterative)
    with pytest.raises(DuplicateEventError, match=r"dataset a.*dataset b"):
        run_skim(fileset_of("data", **across), output=tmp_path / "data", executor=iterative)


def test_an_event_twice_in_one_file(
    qcd: Path, rewrite: Rewrite, iterative: ExecutorBase, tmp_path: Path
) -> None:
    def repeat(data: dict[str, Any]) -> None:
        for name in data:
            data[name] = ak.concatenate([data[name][:50], data[name][:50]])

    path = rewrite(qcd, "twice.root", entries=50, change=repeat)
    with uproot.open(path) as file:
        assert file["Events"].num_entries == 100
    with pytest.raises(DuplicateEventError, match="events are there twice"):
        run_skim(fileset_of("signal", a=[path]), output=tmp_path / "s", executor=iterative)


def test_few_hashes_a_pass_find_the_same(
    qcd: Path, rewrite: Rewrite, iterative: ExecutorBase, tmp_path: Path
) -> None:
    files = [
        rewrite(qcd, "first.root", entries=100, change=numbered(0, 100)),
        rewrite(qcd, "second.root", entries=100, change=numbered(60, 100)),
    ]
    with pytest.raises(DuplicateEventError):
        run_skim(fileset_of("background", a=files), output=tmp_path / "skim", executor=iterative)
    records = [
        ChunkRecord.model_validate(unseal(path))
        for path in sorted((tmp_path / "skim" / "a").glob("*.json"))
    ]
    kinds = {"a": "background"}
    for jets_a_pass in (10**8, 7):
        with pytest.raises(DuplicateEventError):
            check_unique(tmp_path / "skim", records, kinds=kinds, jets_a_pass=jets_a_pass)  # type: ignore[arg-type]
    check_unique(tmp_path / "skim", records[:1], kinds=kinds, jets_a_pass=7)  # type: ignore[arg-type]


def test_different_events_of_equal_numbers_are_counted_and_kept_apart(
    qcd: Path, rewrite: Rewrite, iterative: ExecutorBase, tmp_path: Path
) -> None:
    """Within a file as well as between files; each event is once in folds and drawings."""

    def repeat(data: dict[str, Any]) -> None:
        data["event"] = ak.Array(np.arange(100, dtype=np.uint64) // 2)

    files = [
        rewrite(qcd, "first.root", entries=100, change=numbered(1000, 100)),
        rewrite(qcd, "second.root", entries=100, change=numbered(1060, 100)),
        rewrite(qcd, "third.root", entries=100, change=repeat),
    ]
    manifest = run_skim(
        fileset_of("background", accept=("repeated_events",), a=files),
        output=tmp_path / "skim", executor=iterative, options=RunOptions(chunk_size=50),
    )  # fmt: skip
    jets = open_skim(tmp_path / "skim").jets()
    numbers = np.stack([np.asarray(jets[n]) for n in ("run", "luminosityBlock", "event")], 1)
    places = list(zip(ak.to_list(jets.file_id), ak.to_list(jets.entry), strict=True))
    assert len(np.unique(numbers, axis=0)) == len(set(places))
    seen = Counter(
        (b, e)
        for (_, b, e), _ in {
            (tuple(n), p): 0 for n, p in zip(numbers.tolist(), places, strict=True)
        }
    )
    repeated = sum(count for count in seen.values() if count > 1)
    assert repeated > 20
    (note,) = manifest.datasets["a"].caveats
    assert note.startswith(f"{repeated} selected events have the numbers of others")
    with uproot.open(files[2]) as file:
        original = file["Events"]["event"].array(library="np")
    third = np.array(ak.to_list(jets.file_id)) == str(uproot.open(files[2]).file.uuid)
    assert (np.asarray(jets.event)[third] == original[np.asarray(jets.entry)[third]]).all()
    few = check_unique(
        tmp_path / "skim",
        manifest.chunks,
        kinds={"a": "background"},
        repeating=["a"],
        jets_a_pass=7,
    )
    assert few == {"a": repeated}
    again = run_skim(
        fileset_of("background", accept=("repeated_events",), a=files),
        output=tmp_path / "skim", executor=iterative, options=RunOptions(chunk_size=50),
    )  # fmt: skip
    assert again.datasets == manifest.datasets


def test_equal_hashes_of_different_events_are_not_duplicates(
    qcd: Path, iterative: ExecutorBase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duplicates, "event_hash", lambda _r, _b, event: np.asarray(event) % 3)
    manifest = run_skim(fileset_of("data", a=[qcd]), output=tmp_path, executor=iterative)
    assert manifest.processed_entries == 400


def test_a_rerun_reads_no_part_again(
    qcd: Path, iterative: ExecutorBase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fileset = fileset_of("background", a=[qcd])
    run_skim(fileset, output=tmp_path, executor=iterative)
    monkeypatch.setattr(duplicates, "_events", lambda *_a, **_k: pytest.fail("read again"))
    run_skim(fileset, output=tmp_path, executor=iterative)
