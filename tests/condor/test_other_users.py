"""Another user of this machine tries to run code as us, with what he can know: the open ports."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import psutil
import pytest
from distributed import Client, LocalCluster

from oddjet.condor import Cluster, open_executor

NOBODY = 65534
ATTACK = """
import asyncio, json, os, sys, urllib.error, urllib.request
from distributed import Security
from distributed.core import rpc
from distributed.protocol.pickle import dumps

os.setgroups([])
os.setresgid(*[{nobody}] * 3)
os.setresuid(*[{nobody}] * 3)
ours = Security.temporary().get_connection_args("client")
code = {{"function": dumps(os.geteuid), "args": dumps(()), "kwargs": dumps({{}})}}

async def run(port, scheme, operation):
    # `run` is what workers and nannies are told, `run_function` schedulers.
    arguments = ours if scheme == "tls" else {{}}
    try:
        async with rpc(f"{{scheme}}://127.0.0.1:{{port}}", connection_args=arguments, timeout=3) as other:
            answer = await asyncio.wait_for(getattr(other, operation)(**code), 5)
        return answer["result"] if isinstance(answer, dict) else answer
    except Exception:
        return None

def read(port, page):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{{port}}{{page}}", timeout=3) as answer:
            return bool(answer.read())
    except Exception:
        return False

async def attack(ports):
    ways = [(p, s, o) for p in ports for s in ("tcp", "tls") for o in ("run", "run_function")]
    got = await asyncio.gather(*(run(*way) for way in ways))
    return {{
        "ran as": sorted({{uid for uid in got if uid is not None}}),
        "places": len({{way[0] for way, uid in zip(ways, got) if uid is not None}}),
        "pages": [f for p in ports for f in {pages} if read(p, f)],
    }}

print(json.dumps(asyncio.run(attack(json.loads(sys.argv[1])))))
"""
PAGES = ("/", "/health", "/metrics", "/info/main/workers.html", "/json/counts.json", "/status")


def listening(client: Client) -> list[int]:
    """Every port on which this process and the client's workers listen."""
    pids = [os.getpid(), *client.run(os.getpid).values()]
    return [
        connection.laddr.port
        for pid in pids
        for connection in psutil.Process(pid).net_connections()
        if connection.status == psutil.CONN_LISTEN
    ]


def attacked(ports: list[int]) -> dict[str, Any]:
    """What another user gets: as whom his code ran, in how many places, and what pages he read."""
    if os.geteuid() != 0:
        pytest.skip("needs to be root, to become another user")
    script = ATTACK.format(nobody=NOBODY, pages=PAGES)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script, json.dumps(ports)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


@pytest.fixture(scope="module")
def client() -> Any:
    with open_executor(Cluster(executor="dask", workers=1)) as executor:
        yield executor.client


def test_another_user_runs_nothing_and_reads_nothing(client: Client) -> None:
    ports = listening(client)
    assert len(ports) >= 3  # scheduler, worker and nanny
    assert attacked(ports) == {"ran as": [], "places": 0, "pages": []}


def test_without_tls_he_runs_code_as_us() -> None:
    """The attack is one: Dask's defaults fall to it."""
    with (
        LocalCluster(
            n_workers=1, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0"
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        got = attacked(listening(client))
    assert got["ran as"] == [os.geteuid()]
    assert got["places"] == 3
    assert "/info/main/workers.html" in got["pages"]


def test_everything_speaks_tls(client: Client) -> None:
    workers = client.scheduler_info(n_workers=-1)["workers"]
    addresses = [client.scheduler.address, *workers, *(w["nanny"] for w in workers.values())]
    assert len(addresses) == 3
    assert all(address.startswith("tls://127.0.0.1:") for address in addresses)


def test_nobody_else_can_put_modules_where_workers_import_from(client: Client) -> None:
    """Dask puts a worker's folder in front of `sys.path`."""

    def folder(dask_worker: Any) -> tuple[str, bool]:
        return dask_worker.local_directory, dask_worker.local_directory in sys.path

    ((place, is_imported_from),) = client.run(folder).values()
    assert is_imported_from
    above = list(Path(place).parents)
    private = [path for path in above if stat.S_IMODE(path.stat().st_mode) == 0o700]
    assert private
    assert private[-1].name.startswith("oddjet-dask-")
    assert private[-1].stat().st_uid == os.geteuid()


def status_of(link: str) -> int:
    try:
        with urllib.request.urlopen(link, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_a_dashboard_is_shown_where_it_is_asked_for(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    assert status_of(client.dashboard_link) == 404
    with open_executor(Cluster(executor="dask", workers=1, dashboard=True)) as executor:
        link = executor.client.dashboard_link
        assert link.startswith("http://127.0.0.1:")
        assert status_of(link) == 200
    assert f"which all users of this machine can open: {link}" in caplog.text


START = """
import sys
from oddjet.condor import Cluster, open_executor

if __name__ == "__main__":
    if sys.argv[1] == "simulate":
        from oddjet.analysis.cli.app import main
        from oddjet.datasets.simulation import blocks

        blocks.BLOCK_EVENTS = 2
        main()
    else:
        with open_executor(Cluster(executor=sys.argv[1], workers=1)) as executor:
            print(executor([1, 2], abs, 0)[0])
"""


@pytest.mark.parametrize(
    "arguments",
    [["futures"], ["dask"], ["simulate", "qcd", "-n", "3", "-j", "2", "-o", "../qcd.root"]],
    ids=lambda arguments: arguments[0],
)
def test_nothing_in_the_working_folder_is_imported(tmp_path: Path, arguments: list[str]) -> None:
    """Workers, and trackers of what they share, look for modules there by default."""
    shared, own = tmp_path / "shared", tmp_path / "own"
    shared.mkdir(mode=0o777)
    own.mkdir()
    (own / "start.py").write_text(START, encoding="utf-8")
    ran = tmp_path / "ran"
    for module in ("threading", "signal", "runpy", "loky", "pickle"):
        harm = f"open({str(ran)!r}, 'a').write(__name__)\nraise SystemExit(1)\n"
        (shared / f"{module}.py").write_text(harm, encoding="utf-8")
        if os.geteuid() == 0:
            os.chown(shared / f"{module}.py", NOBODY, NOBODY)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(own / "start.py"), *arguments],
        cwd=shared,
        env={k: v for k, v in os.environ.items() if k != "PYTHONSAFEPATH"},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert not ran.exists(), ran.read_text(encoding="utf-8")
    assert done.returncode == 0, done.stderr
    assert "3" in done.stdout
