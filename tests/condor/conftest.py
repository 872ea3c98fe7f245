"""Real batch pools, where they can be had, and a folder that their jobs see."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT.parent / "shared" / "tools"

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def start(tool: str) -> Path:
    """Start a pool; name what is missing where it cannot be had."""
    path = TOOLS / tool
    if not path.is_file() or os.geteuid() != 0:
        pytest.skip(f"needs {path} and to be root, to build a real pool")
    said = subprocess.run([path, "up"], cwd=ROOT, capture_output=True, text=True, check=False)
    if said.returncode:
        pytest.skip(f"{path} up failed: {said.stderr[-500:] or said.stdout[-500:]}")
    return path


@pytest.fixture(scope="session")
def condor() -> Iterator[Run]:
    """Run a command in a real HTCondor pool, as a user without rights."""
    path = start("condor-pool")

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [path, "run", *command], cwd=ROOT, capture_output=True, text=True, check=False
        )

    yield run
    subprocess.run([path, "down"], cwd=ROOT, check=False, capture_output=True)


@pytest.fixture(scope="session")
def slurm() -> Iterator[Run]:
    """Run a command where Slurm is at hand."""
    path = start("slurm-pool")
    environment = {**os.environ, "SLURM_CONF": "/var/tmp/slurm-pool/slurm.conf"}

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )

    yield run
    subprocess.run([path, "down"], cwd=ROOT, check=False, capture_output=True)


@pytest.fixture(scope="session")
def shared() -> Iterator[Path]:
    """A folder that the pool's jobs may read and write."""
    folder = Path(tempfile.mkdtemp(prefix="oddjet-pool-", dir="/tmp"))
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def python() -> str:
    return sys.executable
