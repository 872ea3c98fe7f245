"""The runner of keyed work: once each, the rest after an interruption, failures named."""

from __future__ import annotations

import dataclasses
import functools
import os
from pathlib import Path
from typing import Any

import pytest

from oddjet.analysis.trials import (
    Task,
    keep_json,
    local_cluster,
    read_json,
    resumable,
    run_tasks,
)
from oddjet.datasets.disk.state import write_state
from oddjet.errors import ProcessingError
from oddjet.processors.engine.progress import SilentReporter


class Lines(SilentReporter):
    """Keeps what is logged."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def log(self, message: str) -> None:
        self.lines.append(message)


def square(number: int) -> dict[str, Any]:
    return {"square": number**2}


def task(number: int, folder: Path, **changes: Any) -> Task[dict[str, Any]]:
    file = folder / f"{number}.json"
    plain = Task(
        f"square of {number}",
        file,
        read=functools.partial(read_json, file),
        run=functools.partial(keep_json, square, number, file),
    )
    return dataclasses.replace(plain, **changes)


def run(tasks: list[Task[dict[str, Any]]], workers: int = 1, **others: Any) -> list[dict[str, Any]]:
    return run_tasks(tasks, cluster=local_cluster(workers), step="test", unit="tasks", **others)


def test_results_come_in_order_and_work_of_one_file_is_done_once(tmp_path: Path) -> None:
    reporter = Lines()
    tasks = [task(number, tmp_path, cost=float(number)) for number in (2, 3, 2, 1)]
    assert [result["square"] for result in run(tasks, reporter=reporter)] == [4, 9, 4, 1]
    assert reporter.lines[0] == "3 tasks, 0 of them done before"
    assert sorted(reporter.lines[1:]) == ["square of 1", "square of 2", "square of 3"]


def test_the_most_costly_work_begins_first(tmp_path: Path) -> None:
    order: list[int] = []
    tasks = []
    for number in (1, 3, 2):
        file = tmp_path / f"{number}.json"

        def work(number: int = number, file: Path = file) -> None:
            order.append(number)
            keep_json(square, number, file)

        tasks.append(task(number, tmp_path, run=work, cost=float(number)))
    run(tasks)
    assert order == [3, 2, 1]


def test_what_is_kept_is_used_and_a_torn_file_is_made_again(tmp_path: Path) -> None:
    run([task(number, tmp_path) for number in (1, 2, 3, 4)])
    write_state(tmp_path / "1.json", {"square": 100})
    (tmp_path / "2.json").write_text('{"squ')
    (tmp_path / "3.json").write_text((tmp_path / "3.json").read_text().replace("9", "8", 1))
    (tmp_path / "4.json").write_text("[]")
    kept, *mended = run([task(number, tmp_path) for number in (1, 2, 3, 4)])
    assert kept["square"] == 100
    assert [result["square"] for result in mended] == [4, 9, 16]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_failure_stops_no_other_and_is_named(tmp_path: Path, workers: int) -> None:
    reporter = Lines()
    # Workers cannot import this file, so what they run is Python's own.
    makers = {
        number: functools.partial(keep_json, dict, pairs, tmp_path / f"{number}.json")
        for number, pairs in enumerate([5, [("square", 4)], [("square", 9)]], start=1)
    }
    tasks = [task(number, tmp_path, run=maker) for number, maker in makers.items()]
    message = r"1 of 3 tasks failed(.|\n)*square of 1: TypeError: 'int' object is not iterable"
    with pytest.raises(ProcessingError, match=message):
        run(tasks, workers, reporter=reporter)
    assert "square of 1 failed: TypeError: 'int' object is not iterable" in reporter.lines
    assert [result["square"] for result in run(tasks[1:], workers)] == [4, 9]


def test_a_worker_that_dies_is_reported(tmp_path: Path) -> None:
    deadly = task(1, tmp_path, run=functools.partial(os._exit, 1))
    with pytest.raises(ProcessingError, match="a worker died"):
        run([deadly], 2)


def test_work_without_a_result_is_named(tmp_path: Path) -> None:
    with pytest.raises(ProcessingError, match="1 of 1 tasks left no result: square of 1"):
        run([task(1, tmp_path, run=functools.partial(square, 1))])


def test_state_stays_after_an_interruption_and_not_after_the_end(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    with pytest.raises(KeyboardInterrupt), resumable(state):
        raise KeyboardInterrupt
    assert state.exists()
    with resumable(state) as folder:
        assert folder == state
    assert not state.exists()
    with resumable(None) as folder:
        assert folder is None
