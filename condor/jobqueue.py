"""Dask workers: on this machine, as jobs of HTCondor or Slurm, or of a scheduler that runs already.

Whoever reaches a scheduler or worker runs code as its owner, and loopback is open to every user of a
machine. So all of them speak TLS and want a certificate, of this run alone unless others are given.
"""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import math
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import dask
from dask.utils import tmpfile
from distributed import Client, LocalCluster, Security, performance_report

from oddjet.condor.events import read_events, tail
from oddjet.condor.executors import WorkersExecutor
from oddjet.condor.quoting import quoted
from oddjet.condor.site import Cluster
from oddjet.condor.submit import WORKER_ENVIRONMENT, site_lines
from oddjet.errors import ConfigError, ProcessingError
from oddjet.extras import install_command
from oddjet.processes import deaf_children

__all__ = ["open_address", "open_jobs", "open_local", "write_report"]

logger = logging.getLogger(__name__)

_POLL = 1.0


@contextmanager
def open_local(cluster: Cluster) -> Iterator[WorkersExecutor]:
    """Start a scheduler and workers on this machine, on loopback, for owners of our certificate only.

    The certificate is made here and never written where another user could read it; workers keep
    their files in a folder of ours alone, since they import from it.

    Yields:
        The executor.
    """
    with TemporaryDirectory(prefix="oddjet-dask-", ignore_cleanup_errors=True) as scratch:
        with deaf_children(), _quiet_servers(cluster):
            workers = LocalCluster(
                n_workers=cluster.workers,
                threads_per_worker=1,
                processes=True,
                host="127.0.0.1",
                protocol="tls://",
                security=Security.temporary(),
                dashboard_address="127.0.0.1:0",
                scheduler_kwargs={"dashboard": cluster.dashboard},
                local_directory=scratch,
                env=WORKER_ENVIRONMENT,
            )
        with (
            workers,
            Client(workers, set_as_default=False) as client,
            _killed_when_interrupted(workers),
        ):
            _tell_dashboard(cluster, client)
            yield WorkersExecutor(client=client, retries=cluster.retries)


@contextmanager
def _killed_when_interrupted(workers: LocalCluster) -> Iterator[None]:
    """Kill workers after a Ctrl-C or another signal: Dask would wait for what they do, and complain."""
    try:
        yield
    except Exception:
        raise
    except BaseException:
        logging.getLogger("distributed").setLevel(logging.CRITICAL)
        for nanny in workers.workers.values():
            nanny.close_gracefully()  # does not start another one
            with contextlib.suppress(OSError, TypeError):  # it may have just ended, or have none
                os.kill(nanny.pid, signal.SIGKILL)
        raise


_RARELY = {
    "distributed.admin.tick.interval": "500ms",
    "distributed.admin.system-monitor.interval": "2s",
    "distributed.worker.profile.interval": "100ms",
    "distributed.worker.profile.cycle": "10s",
}
"""How often servers look at themselves. Dask's defaults, up to a hundred times a second, take a worker that has nothing
to do twice the processor time."""


@contextmanager
def _quiet_servers(cluster: Cluster) -> Iterator[None]:
    """Let servers that Dask starts in the block know no pages, unless a dashboard is wanted, and rest while idle.

    Their HTTP servers ask nobody who he is, and would show every user what runs.

    Raises:
        ConfigError: If a dashboard is wanted and cannot be drawn.
    """
    settings: dict[str, Any] = {"distributed.worker.http.routes": [], **_RARELY}
    if not cluster.dashboard:
        settings["distributed.scheduler.http.routes"] = []
    elif importlib.util.find_spec("bokeh") is None:
        msg = f"dashboard: Bokeh draws it: {install_command('batch')}"
        raise ConfigError(msg)
    with dask.config.set(settings):
        yield


def _tell_dashboard(cluster: Cluster, client: Client) -> None:
    if cluster.dashboard:
        link = f"http://127.0.0.1:{client.scheduler_info()['services']['dashboard']}/status"
        logger.warning("Dask's dashboard, which all users of this machine can open: %s", link)


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
    with deaf_children(), _quiet_servers(cluster):
        started = _jobqueue(cluster, logs)
    with started as jobs:
        if cluster.adaptive:
            jobs.adapt(minimum_jobs=n_jobs, maximum_jobs=n_jobs)
        else:
            jobs.scale(jobs=n_jobs)
        with Client(jobs, set_as_default=False) as client:
            _tell_dashboard(cluster, client)
            _wait_for_worker(client, logs, cluster)
            yield WorkersExecutor(client=client, retries=cluster.retries)


@contextmanager
def open_address(cluster: Cluster) -> Iterator[WorkersExecutor]:
    """Connect to a scheduler that was started elsewhere, and leave it running.

    Args:
        cluster: With `address`, and `tls_…` files unless Dask's own settings name them.

    Yields:
        The executor.

    Raises:
        ConfigError: If there are no certificates, or others can read our key.
        ProcessingError: If none answers there, or it has no workers in time.
    """
    address = str(cluster.address)
    security: Any = _given_security(cluster) or Security(require_encryption=True)
    if not (security.tls_ca_file and security.tls_client_cert):
        msg = f"cluster: expected tls_ca, tls_cert and tls_key, or those of Dask's own settings, for {address}"
        raise ConfigError(msg)
    try:
        client = Client(
            address,
            security=security,
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
    """Start the scheduler; it and its workers speak TLS."""
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
    scheduler: dict[str, Any] = {
        "dashboard": cluster.dashboard,
        "dashboard_address": "127.0.0.1:0",
    }
    if cluster.scheduler_host:
        scheduler["host"] = cluster.scheduler_host
    options: dict[str, Any] = {
        "cores": cluster.cores,
        "processes": cluster.cores,
        "memory": cluster.memory,
        "python": quoted(_python(cluster), "shell", "python"),
        "job_script_prologue": [
            *cluster.prologue,
            *(f"export {name}={value}" for name, value in WORKER_ENVIRONMENT.items()),
            # Workers import from their folder, and /tmp/dask-scratch-space may be anybody's.
            "export DASK_TEMPORARY_DIRECTORY=$(mktemp -d)",
            "trap 'rm -rf \"$DASK_TEMPORARY_DIRECTORY\"' EXIT",
        ],
        "log_directory": str(logs),
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
            job_cls=_quoting(htcondor.HTCondorJob, keys),
            disk=cluster.disk,
            job_extra_directives={
                "LogDirectory": quoted(logs, "setting", "log_folder"),
                **lines,
                **site_lines(cluster),
            },
            **options,
        )
    if cluster.proxy:
        proxy = quoted(cluster.proxy.absolute(), "shell", "proxy")
        options["job_script_prologue"].append(f"export X509_USER_PROXY={proxy}")
    options |= _slurm_options(cluster, logs)
    return slurm.SLURMCluster(job_cls=_quoting(slurm.SLURMJob, keys), **options)


def _quoting(job_class: Any, folder: Path) -> Any:
    """Give a class of dask-jobqueue's jobs whose command has the paths of certificates in quotes.

    Its scripts are written into a folder of ours alone: in /tmp others could exchange them.
    """

    class QuotingJob(job_class):  # type: ignore[misc]
        _command_template: str

        def __init__(self, *args: Any, security: Any, **options: Any) -> None:
            super().__init__(*args, security=security, **options)
            command = self._command_template
            for name, path in security.get_tls_config_for_role("worker").items():
                option = f"--tls-{name.replace('_', '-')} "
                command = command.replace(
                    f"{option}{path}", f"{option}{quoted(path, 'shell', 'tls')}"
                )
            if self.config_name == "htcondor":  # to which signs of a shell are macros of its own
                command = quoted(command, "command", "prologue")
            self._command_template = command

        @contextmanager
        def job_file(self) -> Iterator[str]:
            with tmpfile(extension="sh", dir=folder) as path:
                Path(path).write_text(self.job_script(), encoding="utf-8")
                yield path

    return QuotingJob


def _python(cluster: Cluster) -> str:
    """The interpreter in a job."""
    return cluster.python or ("python3" if cluster.image else sys.executable)


def _slurm_options(cluster: Cluster, logs: Path) -> dict[str, Any]:
    """What Slurm's jobs need beside; dask-jobqueue itself writes values without quotes."""
    seconds = cluster.wall_time or 8 * 3600
    given = {"partition": cluster.queue, "account": cluster.account}
    lines = {name: value for name, value in given.items() if value} | cluster.submit_lines
    shorter = {"partition": "-p", "account": "-A"}
    replaced = ["-e", "-o", *(short for name, short in shorter.items() if name in lines)]
    place = quoted(logs, "pattern", "log_folder").removesuffix('"')
    options: dict[str, Any] = {
        "walltime": f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}",
        "job_directives_skip": [f"#SBATCH {option} " for option in replaced],
        "job_extra_directives": [
            f'--error={place}/dask-worker-%J.err"',
            f'--output={place}/dask-worker-%J.out"',
            *(f"--{name}={quoted(lines[name], 'sbatch', name)}" for name in lines),
        ],
    }
    if cluster.image:
        image = quoted(cluster.image, "shell", "image")
        python = quoted(_python(cluster), "shell", "python")
        options["python"] = f"apptainer exec {image} {python}"
    return options


def _given_security(cluster: Cluster) -> Any:
    if cluster.tls_ca is None:
        return None
    _check_key(Path(str(cluster.tls_key)))
    files = {name: str(getattr(cluster, f"tls_{name}").absolute()) for name in ("cert", "key")}
    sides = {
        f"tls_{side}_{name}": path
        for side in ("client", "scheduler", "worker")
        for name, path in files.items()
    }
    return Security(tls_ca_file=str(cluster.tls_ca.absolute()), require_encryption=True, **sides)


def _check_key(path: Path) -> None:
    """Refuse a key that is not there or that is not its owner's alone, as ssh does."""
    try:
        mode = path.stat().st_mode & 0o777
    except OSError as error:
        msg = f"tls_key: cannot read {path}: {error.strerror}"
        raise ConfigError(msg) from error
    if mode & 0o077:
        msg = (
            f"tls_key: others may read {path} (mode {mode:o}), and run code as you with it: expected a file that"
            f" only you can read. If nobody else has had it: chmod 600 {quoted(path, 'shell', 'tls_key')}"
        )
        raise ConfigError(msg)


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
