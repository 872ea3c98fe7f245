"""Whether chunks fit into the memory of a worker, checked before anything runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import psutil
from coffea.processor.executor import ExecutorBase

from oddjet.errors import ChunkTooLargeError
from oddjet.processors.events.source import ChunkSource

__all__ = ["check_memory", "expected_memory", "memory_limit"]

# Measured with `oddjet bench memory` on simulated QCD and top jets, with images: resident memory
# is 0.4 GB for Python and its libraries, and 2.4 to 3 times the uncompressed bytes that are read.
_BASE_BYTES = 400e6
_FACTOR = 3.0
# Dask ends a worker at this part of its limit.
_USABLE = 0.95
_CGROUP = Path("/sys/fs/cgroup/memory.max")


def expected_memory(n_entries: int, entry_bytes: float) -> float:
    """Estimate the peak of a worker's resident memory.

    Returns:
        Bytes. A detector comes on top, about 1 GB where it uses TensorFlow.
    """
    return _BASE_BYTES + _FACTOR * n_entries * entry_bytes


def memory_limit(executor: ExecutorBase) -> float | None:
    """Give the memory of a worker.

    The least limit of a Dask cluster's workers [bytes], otherwise this machine's memory (or that of
    the container) over the number of processes. None if unknown, as of a cluster without workers
    yet.
    """
    client = getattr(executor, "client", None)
    if client is not None:
        workers = client.scheduler_info(n_workers=-1).get("workers", {}).values()
        limits: list[float] = [
            w["memory_limit"] / w["nthreads"] for w in workers if w["memory_limit"]
        ]
        return min(limits, default=None)
    total = float(psutil.virtual_memory().total)
    if _CGROUP.is_file() and (text := _CGROUP.read_text().strip()).isdigit():
        total = min(total, float(text))
    return total / max(1, int(getattr(executor, "workers", 1)))


def check_memory(
    chunks: Iterable[ChunkSource], entry_bytes: Mapping[str, float], limit: float | None
) -> None:
    """Refuse chunks that would not fit.

    Raises:
        ChunkTooLargeError: If one would need more; the message gives a chunk size that fits.
    """
    if limit is None:
        return
    for chunk in chunks:
        size = entry_bytes.get(chunk.file, 0.0)
        expected = expected_memory(len(chunk), size)
        if expected <= _USABLE * limit:
            continue
        left = _USABLE * limit - _BASE_BYTES
        fits = int(left / (_FACTOR * size)) if left > 0 else 0
        advice = (
            f"give a chunk_size of at most {fits}"
            if fits >= 100
            else "workers need more memory, whatever the chunk_size"
        )
        msg = (
            f"{chunk.where}: its {len(chunk)} entries of {size:.0f} bytes need about {expected / 1e6:.0f} MB, a"
            f" worker has {limit / 1e6:.0f} MB: {advice}"
        )
        raise ChunkTooLargeError(msg)
