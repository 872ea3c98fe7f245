"""What a job of a batch pool runs, as `python -m oddjet.analysis.jobs.worker job.json parts`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from oddjet.condor.cluster import open_executor
from oddjet.errors import OddjetError, without_queries
from oddjet.faults import describe_fault
from oddjet.processors.jobs import run_job

__all__ = ["main"]


def main(arguments: Sequence[str]) -> int:
    """Run a job, given its file and the folder for its parts; the exit code is 1 if chunks failed."""
    path, parts = map(Path, arguments)
    try:
        with open_executor() as executor:
            run_job(path, parts, executor=executor)
    except Exception as error:
        text = str(error) if isinstance(error, OddjetError) else describe_fault(error)
        if text is None:
            raise
        sys.stderr.write(without_queries(f"error: {type(error).__name__}\n{text}\n"))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
