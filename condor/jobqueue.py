"""Dask workers: on this machine, as jobs of HTCondor or Slurm, or of a scheduler that runs already.

All but those on this machine are reached with TLS.
"""

from __future__ import annotations

import math
import os
import re
import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from distributed import Client, LocalCluster, Security, performance_report

from oddjet.condor.events import read_events, tail
from oddjet.condor.executors import WorkersExecutor
from oddjet.condor.site import Cluster, Site
from oddjet.condor.submit import WORKER_ENVIRONMENT, literal, site_lines
from oddjet.errors import ConfigError, ProcessingError
from oddjet.extras import install_command

__all__ = ["open_address", "open_jobs", "open_local", "write_report"]

_POLL = 1.0
_LOOPBACK = re.compile(r"(127(\.\d+){3}|localhost|\[::1\])(:\d+)?/?")


@contextmanager
def open_local(cluster: Cluster) -> Iterator[WorkersExecutor]:
    """Start a scheduler, which runs the code of all that reach it, and workers on loopback only.

    Yields:
        The executor.
    """
    with (
        LocalCluster(
            n_workers=cluster.workers,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            env=WORKER_ENVIRONMENT,
        ) as workers,
        Client(workers, set_as_default=False) as client,
    ):
        yield WorkersExecutor(client=client, retries=cluster.retries)


@contextmanager
def open_jobs(cluster: Cluster) -> Iterator[WorkersExecutor]:
    """Submit jobs that are workers, wait for the first one, and remove them at the end.

    With `adaptive` as many jobs as asked for are kept: dask-jobqueue replaces lost ones only then.

    Args:
        cluster: Where to run; `htcondor` or `slurm`.

    Yields:
        The executor.

    Raises:
        ConfigError: If dask-jobqueue is missing or workers do not see our files.
        ProcessingError: If no worker came in time, with the end of the jobs' logs.
    """
    if not cluster.shared_files:
        msg = (
            "cluster: Dask's workers write parts themselves, so they have to see our folders; with"
            " shared_files: false use `oddjet submit` and `oddjet collect`, which transfer files"
        )
        raise ConfigError(msg)
    logs = (cluster.log_folder / f"dask-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}").absolute()
    logs.mkdir(parents=True, exist_ok=True)
    n_jobs = math.ceil(cluster.workers / cluster.cores)
    with _jobqueue(cluster, logs) as jobs:
        if cluster.adaptive:
            jobs.adapt(minimum_jobs=n_jobs, maximum_jobs=n_jobs)
        else:
            jobs.scale(jobs=n_jobs)
        with Client(jobs, set_as_default=False) as client:
            _wait_for_worker(client, logs, cluster)
            yield WorkersExecutor(client=client, retries=cluster.retries)


@contextmanager
def open_address(cluster: Cluster) -> Iterator[WorkersExecutor]:
    """Connect to a scheduler that was started elsewhere, and leave it running.

    Args:
        cluster: With `address`, and `tls_…` files where the scheduler wants them.

    Yields:
        The executor.

    Raises:
        ConfigError: If the address has no TLS and is not on this machine.
        ProcessingError: If none answers there, or it has no workers in time.
    """
    address = str(cluster.address)
    scheme, _, host = address.rpartition("://")
    if scheme != "tls" and not _LOOPBACK.fullmatch(host):
        msg = (
            f"cluster: address {address} is not on this machine and has no TLS, so that others on the network could"
            " run code there: expected tls://HOST:PORT"
        )
        raise ConfigError(msg)
    try:
        client = Client(
            address,
            security=_given_security(cluster),
            set_as_default=False,
            timeout=min(30.0, cluster.start_timeout),
        )
    except (OSError, ValueError, TypeError) as error:
        msg = f"cluster: no Dask scheduler answers at {address}: {error}"
        raise ProcessingError(msg) from error
    with client:
        _wait_for_worker(client, None, cluster)
        yield WorkersExecutor(client=client, retries=cluster.retries)


@contextmanager
def write_report(executor: WorkersExecutor, path: Path | None) -> Iterator[None]:
    """Write Dask's own report of what runs in the block: what every worker did when.

    Args:
        executor: Where it runs.
        path: The HTML file; None for no report.

    Yields:
        Nothing; the run is the block.
    """
    if path is None:
        yield
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with executor.client.as_current(), performance_report(filename=str(path)):
        yield


def _jobqueue(cluster: Cluster, logs: Path) -> Any:
    """Start the scheduler; its dashboard is on loopback, everything else speaks TLS."""
    try:
        from dask_jobqueue import htcondor, slurm  # noqa: PLC0415 (optional)

        security = _given_security(cluster) or Security.temporary()
    except ImportError as error:
        needed = install_command("batch")
        msg = f"cluster: {cluster.executor} needs more packages: {needed} ({error})"
        raise ConfigError(msg) from error
    keys = logs / "tls"  # dask-jobqueue writes temporary keys where jobs can read them
    keys.mkdir(mode=0o700)
    ports = ["--worker-port", cluster.worker_ports] if cluster.worker_ports else []
    scheduler: dict[str, Any] = {"dashboard_address": "127.0.0.1:0"}
    if cluster.scheduler_host:
        scheduler["host"] = cluster.scheduler_host
    options: dict[str, Any] = {
        "cores": cluster.cores,
        "processes": cluster.cores,
        "memory": cluster.memory,
        "python": cluster.python or ("python3" if cluster.image else shlex.quote(sys.executable)),
        "job_script_prologue": [
            *cluster.prologue,
            *(f"export {name}={value}" for name, value in WORKER_ENVIRONMENT.items()),
        ],
        "log_directory": str(logs),
        # without a dashboard there still is an HTTP server with numbers of the worker
        "worker_extra_args": ["--no-dashboard", "--dashboard-address", "127.0.0.1:0", *ports],
        "scheduler_options": scheduler,
        "protocol": "tls://",
        "security": security,
        "shared_temp_directory": str(keys),
    }
    if cluster.executor == "htcondor":
        # The shell that starts a worker is that of the container.
        lines = {"transfer_executable": "False"} if cluster.image else {}
        return htcondor.HTCondorCluster(
            job_cls=_quoting(htcondor.HTCondorJob),
            disk=cluster.disk,
            job_extra_directives={
                "LogDirectory": literal(logs),
                **lines,
                **site_lines(cluster),
            },
            **options,
        )
    if cluster.proxy:
        options["job_script_prologue"].append(
            f"export X509_USER_PROXY={shlex.quote(str(cluster.proxy.absolute()))}"
        )
    return slurm.SLURMCluster(
        job_cls=_quoting(slurm.SLURMJob), **options, **_slurm_options(cluster, logs)
    )


def _quoting(job_class: Any) -> Any:
    """Give a class of dask-jobqueue's jobs whose command has the paths of certificates in quotes."""

    class QuotingJob(job_class):  # type: ignore[misc]
        _command_template: str

        def __init__(self, *args: Any, security: Any, **options: Any) -> None:
            super().__init__(*args, security=security, **options)
            command = self._command_template
            for name, path in security.get_tls_config_for_role("worker").items():
                option = f"--tls-{name.replace('_', '-')} "
                command = command.replace(f"{option}{path}", f"{option}{shlex.quote(str(path))}")
            if self.config_name == "htcondor":  # to which $(…) of a shell is one of its own macros
                command = command.replace("$(", "$(DOLLAR)(")
            self._command_template = command

    return QuotingJob


def _slurm_options(site: Site, logs: Path) -> dict[str, Any]:
    seconds = site.wall_time or 8 * 3600
    place = str(logs).replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    options: dict[str, Any] = {
        "queue": site.queue,
        "account": site.account,
        "walltime": f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}",
        # dask-jobqueue writes the folder of the logs without quotes.
        "job_directives_skip": ["#SBATCH -e ", "#SBATCH -o "],
        "job_extra_directives": [
            f'--error="{place}/dask-worker-%J.err"',
            f'--output="{place}/dask-worker-%J.out"',
            *(f"--{name}={value}" for name, value in site.submit_lines.items()),
        ],
    }
    if site.image:
        inner = site.python or "python3"
        options["python"] = f"apptainer exec {shlex.quote(site.image)} {inner}"
    return options


def _given_security(cluster: Cluster) -> Any:
    if cluster.tls_ca is None:
        return None
    files = {name: str(getattr(cluster, f"tls_{name}").absolute()) for name in ("cert", "key")}
    sides = {
        f"tls_{side}_{name}": path
        for side in ("client", "scheduler", "worker")
        for name, path in files.items()
    }
    return Security(tls_ca_file=str(cluster.tls_ca.absolute()), require_encryption=True, **sides)


def _wait_for_worker(client: Any, logs: Path | None, cluster: Cluster) -> None:
    """Wait for one worker; jobs that die before they connect are never submitted again."""
    until = time.monotonic() + cluster.start_timeout
    while not client.scheduler_info(n_workers=-1).get("workers"):
        states = {
            k: s
            for log in (logs.glob("*.log") if logs else ())
            for k, s in read_events(log).items()
        }
        all_ended = bool(states) and not any(state.is_active for state in states.values())
        if time.monotonic() > until or all_ended:
            raise ProcessingError(_no_worker(cluster, logs, [s.reason for s in states.values()]))
        time.sleep(_POLL)


def _no_worker(cluster: Cluster, logs: Path | None, reasons: list[str]) -> str:
    where = f"the {cluster.executor} jobs" if logs else f"the scheduler at {cluster.address}"
    lines = [f"cluster: no worker of {where} connected within {cluster.start_timeout:g} s"]
    if reasons and all(reasons):
        lines = [f"cluster: all jobs ended before their workers connected: a job {reasons[-1]}"]
    if logs:
        newest = sorted(
            [*logs.glob("*.err"), *logs.glob("*.out")], key=lambda path: path.stat().st_mtime
        )
        output = tail(reversed(newest))
        lines += (
            [f"its log ends ({logs}):", output] if output else [f"jobs wrote no log yet in {logs}"]
        )
        if not output and not reasons:
            lines.append("the pool may be full: look at its queue, or give a longer start_timeout")
    return "\n".join(lines)
