"""Submit files, wrapper scripts and the package itself, for jobs that need no connection back."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import oddjet
from oddjet.condor.quoting import quoted
from oddjet.condor.site import Site
from oddjet.errors import ConfigError, ProcessingError
from oddjet.processes import START

__all__ = [
    "WORKER_ENVIRONMENT",
    "pack_package",
    "remove_jobs",
    "site_lines",
    "submission_lines",
    "submit_jobs",
    "write_submission",
]

# A worker is one core: libraries with thread pools of their own must not take the others.
WORKER_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    # Its working folder may hold what others wrote. From Python 3.11 on; see `processes.START` for jobs.
    "PYTHONSAFEPATH": "1",
    # What glibc arrives at after some large arrays. Dask sets 64 kB for the first, and every
    # chunk then returns its memory and faults it in again: a quarter of the time of a skim.
    "MALLOC_TRIM_THRESHOLD_": str(2**28),
    "MALLOC_MMAP_THRESHOLD_": str(2**25),
    # Dask works in a thread, whose heaps of 64 MB would go back and come again as well.
    "MALLOC_ARENA_MAX": "1",
    # A look at the stack a hundred times a second costs some per cent.
    "DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "False",
    # Its HTTP server, which asks nobody who he is, knows no pages.
    "DASK_DISTRIBUTED__WORKER__HTTP__ROUTES": "[]",
    # loky takes memory that one chunk needs for a leak, and starts workers again: libraries,
    # compiled code and detectors would be loaded again and again.
    "LOKY_MAX_MEMORY_LEAK_SIZE": "1e15",
    # Results are files: a Dask worker holds nothing that could be spilled, and one that is paused
    # for its memory would wait for ever. At 95 % of its limit it is ended, which is reported.
    "DASK_DISTRIBUTED__WORKER__MEMORY__TARGET": "False",
    "DASK_DISTRIBUTED__WORKER__MEMORY__SPILL": "False",
    "DASK_DISTRIBUTED__WORKER__MEMORY__PAUSE": "False",
}

_PACKAGE, _UNPACKED, _WRAPPER = "oddjet.tar.gz", "package", "run.sh"


def site_lines(site: Site) -> dict[str, str]:
    """Give the lines, name to value, of a submit file that a site needs beside the usual."""
    lines: dict[str, str] = {}
    if site.image:
        image = quoted(site.image, "setting", "image")
        lines |= {"universe": "container", "container_image": image}
    if site.wall_time:
        lines["MY.MaxRuntime"] = str(site.wall_time)
    if site.job_flavour:
        lines["MY.JobFlavour"] = f'"{site.job_flavour}"'
    if site.proxy:
        lines["x509userproxy"] = quoted(site.proxy.absolute(), "setting", "proxy")
    if site.account:
        lines["accounting_group"] = quoted(site.account, "setting", "account")
    own = site.submit_lines.items()
    return lines | {name: quoted(value, "line", f"submit_lines: {name}") for name, value in own}


def write_submission(
    folder: Path,
    site: Site,
    *,
    module: str,
    n_jobs: int,
    inputs: Sequence[str] = (),
) -> Path:
    """Write submit file and wrapper for jobs that each have a folder with their `job.json`.

    The job's results are in `parts` in its folder: written there, or transferred back.

    Args:
        folder: With the folders `jobs/0`, `jobs/1`, …
        site: Where they run.
        module: What runs, as `python -m` would, with the paths of `job.json` and `parts`.
        n_jobs: Number of jobs.
        inputs: Further files to transfer where none are shared, relative to each job's folder.

    Raises:
        ConfigError: If a setting of the site or the folder cannot be written there.
    """
    lines = submission_lines(folder, site, inputs)
    folder = folder.absolute()
    python = site.python or ("python3" if site.image else sys.executable)
    wrapper = folder / _WRAPPER
    wrapper.write_text(_wrapper(site, python, module), encoding="utf-8")
    wrapper.chmod(0o755)
    text = "".join(f"{name} = {value}\n" for name, value in lines.items())
    path = folder / "jobs.sub"
    path.write_text(f"{text}queue {n_jobs}\n", encoding="utf-8")
    return path


def submission_lines(folder: Path, site: Site, inputs: Sequence[str] = ()) -> dict[str, str]:
    """Give the lines, name to value, of the submit file of jobs in a folder; see `write_submission`.

    Raises:
        ConfigError: If a setting of the site or the folder cannot be written there.
    """
    folder = folder.absolute()
    place = quoted(folder, "setting", "folder of the jobs")
    job = quoted(folder, "argument", "folder of the jobs") + "/jobs/$(Process)"
    lines = {
        "universe": "vanilla",
        "executable": f"{place}/{_WRAPPER}",
        "arguments": (
            f"\"'{job}/job.json' '{job}/parts'\"" if site.shared_files else "job.json parts"
        ),
        "initialdir": f"{place}/jobs/$(Process)",
        "output": "stdout",
        "error": "stderr",
        "log": f"{place}/jobs.log",
        "request_cpus": "1",
        "request_memory": str(site.memory_mb),
        "request_disk": str(site.disk_kb),
    }
    if site.shared_files:
        lines |= {"should_transfer_files": "IF_NEEDED", "transfer_output_files": '""'}
    else:
        # Seen from the job's folder: a list of files has no way to write a comma inside a path.
        files = ["job.json", f"../../{_PACKAGE}", *inputs]
        lines |= {
            "should_transfer_files": "YES",
            "transfer_input_files": ", ".join(files),
            "transfer_output_files": "parts",
        }
    return lines | {"when_to_transfer_output": "ON_EXIT", **site_lines(site)}


def _wrapper(site: Site, python: str, module: str) -> str:
    lines = ["#!/bin/bash", "# Runs one job: $1 says what to do, results go into the folder $2."]
    lines += [f"export {name}={value}" for name, value in WORKER_ENVIRONMENT.items()]
    lines += ['mkdir -p "$2"', *site.prologue, "set -e"]
    if not site.shared_files:
        lines += [f"mkdir -p {_UNPACKED}", f"tar -xzf {_PACKAGE} -C {_UNPACKED}"]
        lines += [f'export PYTHONPATH="$PWD/{_UNPACKED}${{PYTHONPATH:+:$PYTHONPATH}}"']
    run = f'exec {quoted(python, "shell", "python")} -c "{START}" {module} "$1" "$2"'
    return "\n".join([*lines, run, ""])


def pack_package(folder: Path, package: Path | None = None) -> Path:
    """Pack oddjet for machines that do not see it; what it depends on has to be installed there.

    Args:
        folder: Where to write.
        package: A wheel; the installed package by default.

    Returns:
        The archive, with the folder `oddjet` at its top.

    Raises:
        ConfigError: If the wheel is none of oddjet.
    """
    target = folder / _PACKAGE
    source = Path(oddjet.__file__).parent
    if package is not None:
        unpacked = folder / "package"
        try:
            with zipfile.ZipFile(package) as wheel:
                wheel.extractall(unpacked)
        except (OSError, zipfile.BadZipFile) as error:
            msg = f"package: expected a wheel of oddjet, cannot read {package}: {error}"
            raise ConfigError(msg) from error
        source = unpacked / "oddjet"
    if not (source / "__init__.py").is_file():
        msg = f"package: {package} holds no oddjet"
        raise ConfigError(msg)
    with tarfile.open(target, "w:gz", dereference=True) as archive:
        archive.add(source, "oddjet", filter=lambda i: None if "__pycache__" in i.name else i)
    if package is not None:
        shutil.rmtree(folder / "package")
    return target


def submit_jobs(path: Path) -> int:
    """Submit a file to HTCondor; gives the number of the cluster of jobs.

    Raises:
        ConfigError: If there is no `condor_submit` here.
        ProcessingError: If HTCondor refuses.
    """
    # From its folder: the command takes a path with "=" for a setting.
    output = _call(["condor_submit", path.name], path.parent)
    match = re.search(r"submitted to cluster (\d+)", output)
    if match is None:
        msg = f"condor_submit {path}: expected the number of a cluster, received: {output}"
        raise ProcessingError(msg)
    return int(match[1])


def remove_jobs(jobs: Mapping[str, str] | Sequence[str]) -> None:
    """Remove jobs, `CLUSTER.PROCESS`, from the queue; jobs that have left it are no error."""
    if jobs and shutil.which("condor_rm"):
        subprocess.run(["condor_rm", *jobs], capture_output=True, check=False, timeout=120)


def _call(command: list[str], folder: Path) -> str:
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, check=False, timeout=300
        )
    except FileNotFoundError as error:
        msg = (
            f"{command[0]} is not installed: run this on a machine of the pool, or with --dry-run, and submit the"
            f" file {folder / command[-1]} there"
        )
        raise ConfigError(msg) from error
    if done.returncode:
        msg = f"{command[0]} {folder / command[-1]} failed: {(done.stderr or done.stdout).strip()}"
        raise ProcessingError(msg)
    return done.stdout + done.stderr
