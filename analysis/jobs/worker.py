"""What a job of a batch pool runs: `python -m oddjet.analysis.jobs.worker job.json parts`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from oddjet.condor.cluster import open_executor
from oddjet.errors import OddjetError
from oddjet.processors.jobs import run_job

__all__ = ["main"]


def main(arguments: Sequence[str]) -> int:
    """Run a job in this process.

    Args:
        arguments: Paths of the job's file and of the folder for its parts.

    Returns:
        Exit code; 1 where chunks failed, with what failed on the standard error.
    """
    path, parts = map(Path, arguments)
    try:
        with open_executor() as executor:
            run_job(path, parts, executor=executor)
    except OddjetError as error:
        sys.stderr.write(f"error: {type(error).__name__}\n{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
