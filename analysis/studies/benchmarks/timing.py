"""One way to time: a clock around a call, and calls in turns."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["race", "timed"]

T = TypeVar("T")


def timed(work: Callable[[], T], clock: Callable[[], float] = time.process_time) -> tuple[float, T]:
    """Call a function and give its seconds and its result.

    By default these are seconds of the processor, all threads together: other work on the machine
    does not count, and neither does waiting for the disk.
    """
    start = clock()
    result = work()
    return clock() - start, result


def race(
    *runners: Callable[[], Any],
    repeats: int = 5,
    clock: Callable[[], float] = time.perf_counter,
) -> list[tuple[float, Any]]:
    """Time functions in turns, so that other load on the machine hits all of them alike.

    Gives for each its best time [s] and its last result; `clock` is as in `timed`.
    """
    for runner in runners:
        runner()
    rounds = [[timed(runner, clock) for runner in runners] for _ in range(repeats)]
    return [
        (min(seconds for seconds, _ in runs), runs[-1][1]) for runs in zip(*rounds, strict=True)
    ]
