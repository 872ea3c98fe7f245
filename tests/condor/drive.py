"""Skim and score on a cluster; in between, do harm to its jobs. Run by the tests of real pools."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
from distributed import Client, Security

from oddjet.condor import Cluster, open_executor
from oddjet.condor.executors import WorkersExecutor
from oddjet.datasets.files.fileset import load_fileset
from oddjet.datasets.skims.skim import open_skim
from oddjet.processors.engine.options import RunOptions
from oddjet.processors.run import run_anomaly, run_skim


class Slow(WorkersExecutor):
    """Every chunk takes long enough for something to happen to it."""

    def __call__(self, items: Any, function: Callable[..., Any], accumulator: Any) -> Any:
        return super().__call__(items, functools.partial(slow, function), accumulator)


def slow(function: Callable[..., Any], *args: Any, **options: Any) -> Any:
    time.sleep(1.0)
    return function(*args, **options)


def listening(parent: bool = False) -> list[str]:
    process = psutil.Process()
    chosen = process.parent() if parent else process
    return [c.laddr.ip for c in chosen.net_connections() if c.status == psutil.CONN_LISTEN]


def refused(address: str, security: Any) -> str:
    try:
        Client(address, security=security, timeout=5, set_as_default=False)
    except Exception as error:  # noqa: BLE001
        return type(error).__name__
    return ""


def shows(client: Any, page: str) -> bool:
    """Whether the scheduler's HTTP server, which asks nobody who he is, has a page."""
    port = client.scheduler_info()["services"]["dashboard"]
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{page}", timeout=10):
            return True
    except urllib.error.HTTPError:
        return False


def look(client: Any) -> dict[str, Any]:
    """Who listens where, and whether strangers can connect."""
    address = client.scheduler.address
    workers = client.scheduler_info(n_workers=-1)["workers"]
    return {
        "addresses": [address, *workers, *(w["nanny"] for w in workers.values() if w["nanny"])],
        "n_listening": len(listening()),
        "off_loopback": [
            sum(not ip.startswith("127.") for ip in set(ips))
            for ips in (listening(), *client.run(listening).values())
        ],
        "http": [sum(ip == "127.0.0.1" for ip in listening())],
        "pages": [
            page for page in ("/", "/metrics", "/info/main/workers.html") if shows(client, page)
        ],
        "plain": refused(address.replace("tls://", "tcp://"), None),
        "stranger": refused(address, Security.temporary()),
    }


def main(settings: dict[str, Any]) -> None:
    facts: dict[str, Any] = {"n_harmed": 0}
    output = Path(settings["output"])

    def progress(done: int, *_: Any) -> None:
        """Remove one job and hold the other, once something is done."""
        if done and settings["harm"] and not facts["n_harmed"]:
            ids = subprocess.run(
                ["condor_q", "-af:j", "JobStatus"], capture_output=True, text=True, check=True
            ).stdout.split()[::2]
            subprocess.run(["condor_rm", ids[0]], check=True, capture_output=True)
            subprocess.run(["condor_hold", ids[1]], check=True, capture_output=True)
            facts["n_harmed"] = len(ids)
            facts["done_then"] = done

    cluster = Cluster(**settings["cluster"])
    fileset = load_fileset(settings["fileset"])
    with open_executor(cluster) as executor:
        executor.client.wait_for_workers(cluster.workers, timeout=120)
        facts |= look(executor.client)
        kind = Slow if settings["harm"] else WorkersExecutor
        run_skim(
            fileset,
            output=output / "skim",
            executor=kind(client=executor.client),
            options=RunOptions(chunk_size=settings["chunk_size"], progress=progress),
        )
        run_anomaly(
            open_skim(output / "skim"),
            detectors={"kmeans": settings["model"]},
            output=output / "scores",
            executor=executor,
        )
    (output / "facts.json").write_text(json.dumps(facts))


if __name__ == "__main__":
    os.umask(0)
    main(json.loads(Path(sys.argv[1]).read_text()))
