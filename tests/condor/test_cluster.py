from __future__ import annotations

import concurrent.futures
import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest
from coffea.processor import DaskExecutor, FuturesExecutor, IterativeExecutor
from coffea.processor.executor import ExecutorBase
from pydantic import ValidationError

from oddjet.condor import Cluster, open_executor
from oddjet.condor.executors import PoolExecutor
from oddjet.condor.submit import WORKER_ENVIRONMENT
from oddjet.errors import ConfigError

KINDS = {"iterative": IterativeExecutor, "futures": FuturesExecutor, "dask": DaskExecutor}


@pytest.fixture(scope="module")
def executors() -> Iterator[dict[str, ExecutorBase]]:
    """One open executor of each kind, with one worker."""
    with pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
        # Workers inherit the path; they have to import this module.
        patch.syspath_prepend(str(Path(__file__).resolve().parents[2]))
        yield {
            kind: stack.enter_context(open_executor(Cluster(executor=kind, workers=1)))
            for kind in KINDS
        }


def square(x: int) -> dict[str, int]:
    return {"sum": x * x, "n": 1}


def fail_on_three(x: int) -> dict[str, int]:
    if x == 3:
        msg = "three"
        raise ConfigError(msg)
    time.sleep(0.01)
    return {"n": 1}


def mark(path: str) -> dict[str, int]:
    """Leave a file behind, except for the one that fails."""
    if path.endswith("bad"):
        msg = "bad"
        raise ConfigError(msg)
    time.sleep(0.2)
    Path(path).touch()
    return {"n": 1}


def environment(name: str) -> dict[str, set[str]]:
    return {name: {os.environ.get(name, ""), str(os.getpid())}}


@pytest.mark.parametrize("kind", list(KINDS))
def test_executors_add_up_what_a_loop_adds_up(
    executors: dict[str, ExecutorBase], kind: str, capfd: pytest.CaptureFixture[str]
) -> None:
    numbers = list(range(40))
    executor = executors[kind]
    assert isinstance(executor, KINDS[kind])
    result, exception = executor(numbers, square, None)
    # Runner works with copies
    again, _ = executor.copy(unit="chunk", function_name="square")(numbers, square, None)
    assert exception == 0
    assert result == again == {"sum": sum(n * n for n in numbers), "n": 40}
    assert executor([], square, None) == (None, 0)
    assert capfd.readouterr().out == ""  # no bars


@pytest.mark.parametrize("kind", list(KINDS))
def test_the_original_error_arrives(executors: dict[str, ExecutorBase], kind: str) -> None:
    with pytest.raises(ConfigError, match="three"):
        executors[kind](list(range(10)), fail_on_three, None)
    # and the executor can still be used
    assert executors[kind]([1], square, None) == ({"sum": 1, "n": 1}, 0)


@pytest.mark.parametrize("kind", ["futures", "dask"])
def test_nothing_runs_on_after_an_error(
    executors: dict[str, ExecutorBase], kind: str, tmp_path: Path
) -> None:
    paths = [str(tmp_path / "bad"), *(str(tmp_path / f"{i}") for i in range(50))]
    with pytest.raises(ConfigError, match="bad"):
        executors[kind](paths, mark, None)
    left = len(list(tmp_path.iterdir()))
    time.sleep(0.6)
    assert len(list(tmp_path.iterdir())) == left < 20


@pytest.mark.parametrize("kind", ["futures", "dask"])
def test_a_worker_is_another_process_with_one_thread(
    executors: dict[str, ExecutorBase], kind: str
) -> None:
    result, _ = executors[kind](["TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS"], environment, None)
    for name in ("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS"):
        assert WORKER_ENVIRONMENT[name] in result[name]
        assert str(os.getpid()) not in result[name]


def die(signal_number: int) -> dict[str, int]:
    os.kill(os.getpid(), signal_number)
    return {}


def test_a_pool_that_lost_a_worker_goes_on(executors: dict[str, ExecutorBase]) -> None:
    with pytest.raises(concurrent.futures.BrokenExecutor):
        executors["futures"]([signal.SIGKILL], die, None)
    assert executors["futures"]([1, 2], square, None) == ({"sum": 5, "n": 2}, 0)


KEPT: list[bytes] = []


def grow(_: int) -> dict[str, set[int]]:
    """Keep 400 MB more, as a chunk or a detector may."""
    KEPT.append(b"x" * 400_000_000)
    time.sleep(1.2)
    return {"pids": {os.getpid()}}


@pytest.mark.slow
def test_a_worker_that_needs_memory_is_kept(executors: dict[str, ExecutorBase]) -> None:
    result, _ = executors["futures"]([1, 2, 3], grow, None)
    assert len(result["pids"]) == 1
    assert executors["futures"]([0], drop, None)[0] == {"n": 3}


def drop(_: int) -> dict[str, int]:
    n = len(KEPT)
    KEPT.clear()
    return {"n": n}


OWNER = """
import os, time
from oddjet.condor import Cluster, open_executor

def work(_):
    print(os.getpid(), flush=True)
    time.sleep(60)

if __name__ == "__main__":
    with open_executor(Cluster(executor="futures", workers=1)) as executor:
        executor([1, 2, 3], work, None)
"""


def test_workers_end_with_their_killed_owner(tmp_path: Path) -> None:
    """Else they would go on with what is queued, and then wait for ever."""
    script = tmp_path / "owner.py"
    script.write_text(OWNER)
    with subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout is not None
        worker = psutil.Process(int(owner.stdout.readline()))
        owner.kill()
    worker.wait(timeout=10)
    assert not worker.is_running()


def test_dask_listens_on_loopback_only(executors: dict[str, ExecutorBase]) -> None:
    worker_pids = executors["dask"].client.run(os.getpid).values()
    addresses = [
        connection.laddr.ip
        for pid in (os.getpid(), *worker_pids)
        for connection in psutil.Process(pid).net_connections()
        if connection.status == psutil.CONN_LISTEN
    ]
    assert len(addresses) >= 2
    assert set(addresses) == {"127.0.0.1"}


def test_a_pool_has_to_be_open() -> None:
    with pytest.raises(ConfigError, match="open_executor"):
        PoolExecutor()([1], square, None)


@pytest.mark.parametrize(
    "wrong",
    [
        {"executor": "slrum"},
        {"executor": "address"},
        {"site": "cren"},
        {"workers": 0},
        {"wrkers": 2},
    ],
)
def test_wrong_settings_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Cluster(**wrong)


def test_only_dask_reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = tmp_path / "a.html"
    with (
        pytest.raises(ConfigError, match="expected a Dask executor"),
        open_executor(Cluster(), report=report),
    ):
        pass
    with open_executor(Cluster(), report=None):
        pass
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with (
        pytest.raises(ConfigError, match="pip install"),
        open_executor(Cluster(executor="dask"), report=report),
    ):
        pass
    assert not list(tmp_path.iterdir())
