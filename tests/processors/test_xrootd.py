"""Skims over XRootD from a real server, which is stopped and killed in the middle of a run."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import awkward as ak
import psutil
import pytest
from coffea.processor.executor import ExecutorBase

from oddjet.condor import open_executor
from oddjet.datasets.disk.checksums import checksum_of, verify_checksum
from oddjet.datasets.files.dataset import Dataset, Fileset
from oddjet.datasets.files.rootfiles import inspect_root
from oddjet.datasets.skims.skim import open_skim
from oddjet.errors import BadFileError, UnreachableError
from oddjet.processors.engine.options import RunOptions
from oddjet.processors.run import run_skim

pytestmark = pytest.mark.xrootd

SERVE = Path(__file__).resolve().parents[3] / "shared" / "tools" / "xrootd-serve"
PORT = 19194
TIMEOUT = 2.0
KINDS = ["iterative", *(pytest.param(k, marks=pytest.mark.long) for k in ("futures", "dask"))]


class Server:
    """A server for one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def up(self) -> None:
        command = ["bash", str(SERVE), "up", str(self.folder), str(PORT)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=300)

    def down(self) -> None:
        self.send(signal.SIGCONT)
        self.send(signal.SIGKILL)

    def send(self, number: int) -> None:
        """Send a signal to the server; if it stops, it has stopped when this returns."""
        listening = (c for c in psutil.net_connections("tcp") if c.status == psutil.CONN_LISTEN)
        for pid in {c.pid for c in listening if c.laddr.port == PORT and c.pid}:
            os.kill(pid, number)
            deadline = time.monotonic() + 5
            while number == signal.SIGSTOP and time.monotonic() < deadline:
                if psutil.Process(pid).status() == psutil.STATUS_STOPPED:
                    break
                time.sleep(0.01)

    def url(self, name: str) -> str:
        return f"root://127.0.0.1:{PORT}/{self.folder}/{name}"


@pytest.fixture(scope="module")
def server(qcd: Path) -> Iterator[Server]:
    """A real server of the simulated file; tests are skipped with the reason where it is missing."""
    pytest.importorskip("XRootD", reason="XRootD's client not found: install oddjet[xrootd]")
    if not SERVE.exists():
        pytest.skip(f"no XRootD server to be had: {SERVE} not found")
    folder = Path(tempfile.mkdtemp(prefix="oddjet-xrootd-"))
    folder.chmod(0o755)
    shutil.copy(qcd, folder / "qcd.root")
    (folder / "qcd.root").chmod(0o644)
    server = Server(folder)
    try:
        server.up()
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        pytest.skip(f"no XRootD server to be had: {SERVE} up failed: {error}")
    yield server
    server.down()
    shutil.rmtree(folder)


def fileset_of(url: str, **more: Any) -> Fileset:
    options = {"kind": "background", "timeout": TIMEOUT, **more}
    return Fileset(datasets={"some": Dataset(files=[url], **options)})


def rows_of(folder: Path) -> list[dict[str, Any]]:
    return ak.to_list(open_skim(folder).jets())


@pytest.fixture(scope="module")
def expected(qcd: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    folder = tmp_path_factory.mktemp("clean")
    fileset = Fileset(datasets={"some": Dataset(files=[str(qcd)], kind="background")})
    with open_executor() as executor:
        run_skim(fileset, output=folder, executor=executor, options=RunOptions(chunk_size=40))
    return rows_of(folder)


@pytest.mark.parametrize("kind", KINDS)
def test_a_skim_over_the_network_is_that_of_the_local_file(
    server: Server, expected: Any, executors: dict[str, ExecutorBase], tmp_path: Path, kind: str
) -> None:
    fileset = fileset_of(server.url("qcd.root"))
    run_skim(fileset, output=tmp_path, executor=executors[kind], options=RunOptions(chunk_size=40))
    assert rows_of(tmp_path) == expected


@pytest.mark.parametrize("number", [signal.SIGSTOP, signal.SIGKILL], ids=["stopped", "killed"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_server_that_goes_away_in_the_middle_of_a_run(
    server: Server,
    expected: Any,
    executors: dict[str, ExecutorBase],
    tmp_path: Path,
    kind: str,
    number: int,
) -> None:
    gone: list[float] = []

    def harm() -> None:
        while len(list(tmp_path.glob("some/[!.]*.json"))) < 3:
            time.sleep(0.002)
        server.send(number)
        gone.append(time.monotonic())

    thread = threading.Thread(target=harm, daemon=True)
    thread.start()
    options: dict[str, Any] = {
        "output": tmp_path, "executor": executors[kind], "options": RunOptions(chunk_size=40)
    }  # fmt: skip
    try:
        with pytest.raises(UnreachableError, match=r"qcd\.root"):
            run_skim(fileset_of(server.url("qcd.root")), **options)
        seconds = time.monotonic() - gone[0]
        assert seconds < 4 * TIMEOUT
        assert not (tmp_path / "manifest.json").exists()
    finally:
        thread.join(10)
        if number == signal.SIGSTOP:
            server.send(signal.SIGCONT)
        else:
            server.up()
    before = {p: p.stat().st_mtime_ns for p in tmp_path.glob("some/[!.]*.json")}
    assert 3 <= len(before) < 10
    run_skim(fileset_of(server.url("qcd.root")), **options)
    assert {p: p.stat().st_mtime_ns for p in before} == before
    assert rows_of(tmp_path) == expected


def test_the_next_server_is_asked_when_the_first_is_not_there(
    server: Server, expected: Any, iterative: ExecutorBase, tmp_path: Path
) -> None:
    servers = ("root://127.0.0.1:1/", f"root://127.0.0.1:{PORT}/")
    fileset = fileset_of(f"{server.folder}/qcd.root", redirectors=servers)
    manifest = run_skim(
        fileset, output=tmp_path, executor=iterative, options=RunOptions(chunk_size=40)
    )
    assert manifest.chunks[0].file == server.url("qcd.root").replace("//oddjet", "/oddjet")
    assert rows_of(tmp_path) == expected
    with pytest.raises(UnreachableError, match="none of 2 places"):
        inspect_root("x", places=("root://127.0.0.1:1//x", "root://127.0.0.1:2//x"), timeout=1)


def test_a_file_the_server_lacks_is_told_from_a_server_that_is_silent(server: Server) -> None:
    with pytest.raises(BadFileError, match=r"none\.root cannot be read as ROOT: FileNotFound"):
        inspect_root(server.url("none.root"), timeout=TIMEOUT)
    server.send(signal.SIGSTOP)
    try:
        started = time.monotonic()
        with pytest.raises(UnreachableError, match=r"does not answer .*timeout 2 s"):
            inspect_root(server.url("qcd.root"), timeout=TIMEOUT)
        assert time.monotonic() - started < 4 * TIMEOUT
    finally:
        server.send(signal.SIGCONT)


def test_checksums_of_remote_files(server: Server, qcd: Path) -> None:
    for algorithm in ("adler32", "sha256"):
        expected = checksum_of(qcd, algorithm)
        verify_checksum(server.url("qcd.root"), expected, timeout=TIMEOUT)
        with pytest.raises(BadFileError, match="the fileset says"):
            verify_checksum(server.url("qcd.root"), expected[:-1] + "x", timeout=TIMEOUT)
