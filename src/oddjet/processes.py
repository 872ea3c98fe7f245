"""Processes: they import nothing from the working folder, and end with their owner or at a signal."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import resource_tracker, util
from types import FrameType
from typing import Any

import psutil

__all__ = [
    "START",
    "deaf_children",
    "end_children",
    "end_with_owner",
    "safe_children",
    "safe_command",
    "stop_on_signals",
    "stopped_by",
]

_SAFE = "import sys; sys.path = [p for p in sys.path if p]; "
START = f"{_SAFE}import runpy; runpy.run_module(sys.argv.pop(1), None, '__main__', True)"
"""Code for `python -c` that runs a module as `python -m` does, but imports nothing from the working folder."""

_LOOK = 1.0
_GRACE = 30.0
_SAME = 0.5
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_received: list[tuple[int, float]] = []
_starting: list[set[int]] = []
"""Signals that came in each block of `deaf_children` that is open."""
_lock = threading.RLock()
_before: list[str | None] = []
"""PYTHONSAFEPATH before each block of `safe_children` that is open."""


def end_with_owner(owner: int) -> None:
    """End this process soon after its parent, however that ended: orphans get another one.

    Args:
        owner: Process number of the parent.
    """

    def look() -> None:
        while os.getppid() == owner:
            time.sleep(_LOOK)
        os._exit(1)

    threading.Thread(target=look, name="oddjet-owner", daemon=True).start()


@contextmanager
def safe_children() -> Iterator[None]:
    """Let Python processes that start in the block import nothing from the working folder.

    There others may have put files. Workers and trackers of multiprocessing and loky are `python -c` and
    `python -m`, which look there first, even for modules of Python itself.
    """
    with _lock:
        _before.append(os.environ.get("PYTHONSAFEPATH"))
        os.environ["PYTHONSAFEPATH"] = "1"
        if sys.version_info < (3, 11) or sys.flags.ignore_environment:
            _start_safely()
    try:
        yield
    finally:
        with _lock:  # blocks of several threads may end in any order
            before = _before.pop()
            if before is None:
                os.environ.pop("PYTHONSAFEPATH", None)
            else:
                os.environ["PYTHONSAFEPATH"] = before


def _start_safely() -> None:
    """Change how multiprocessing and loky start Python where it does not know PYTHONSAFEPATH."""
    from loky.backend import fork_exec  # noqa: PLC0415 (needed here alone)

    def changed(start: Callable[..., Any], place: int) -> Callable[..., Any]:
        def start_safely(*arguments: Any, **options: Any) -> Any:
            command = safe_command(arguments[place])
            return start(*arguments[:place], command, *arguments[place + 1 :], **options)

        start_safely.is_safe = True  # type: ignore[attr-defined]
        return start_safely

    places: tuple[tuple[Any, str, int], ...] = (
        (util, "spawnv_passfds", 1),
        (fork_exec, "fork_exec", 0),
    )
    for module, name, place in places:
        start = getattr(module, name)
        if not hasattr(start, "is_safe"):
            setattr(module, name, changed(start, place))


def safe_command(command: Sequence[str]) -> list[str]:
    """Give a command of Python that looks for no module in the working folder.

    >>> safe_command(["python", "-B", "-c", "import x", "y"])
    ['python', '-B', '-c', 'import sys; sys.path = [p for p in sys.path if p]; import x', 'y']
    """
    command = list(command)
    for place, part in enumerate(command[:-1]):
        if part == "-c":
            command[place + 1] = _SAFE + command[place + 1]
            break
        if part == "-m":
            command[place : place + 1] = ["-c", START]
            break
    return command


@contextmanager
def deaf_children() -> Iterator[None]:
    """Let what is started in the block not hear Ctrl-C, which a terminal sends to workers as well.

    Their owner ends them; else each would print where it was. Threads that are started here, and what
    they start, are deaf too. A signal of `stop_on_signals` is answered after the block, whichever thread
    it came to: a worker that is half started would complain as well.
    """
    # Starting the tracker would let the thread hear again.
    with safe_children():
        resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    _starting.append(set())
    try:
        with safe_children():
            yield
    finally:
        came = _starting.pop()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        for number in came:
            signal.raise_signal(number)


def stop_on_signals() -> None:
    """Turn the first signal that asks this process to end into an exception, so that all is closed.

    SIGINT is a `KeyboardInterrupt`, SIGTERM and SIGHUP are a `SystemExit` with 128 + their number. A
    second one, half a second later or more, ends this process and all that it started at once; so does
    half a minute without an end, since an exception may be lost in a library. Signals that are ignored,
    as after ``nohup``, stay so.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    arguments = (reader, threading.get_ident())
    threading.Thread(target=_see_to_it, args=arguments, name="oddjet-end", daemon=True).start()
    for number in _SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _stop)


def stopped_by() -> int | None:
    """Give the number of the signal that asked this process to end, if one did."""
    return _received[0][0] if _received else None


def _stop(number: int, frame: FrameType | None) -> None:
    del frame
    if _starting:
        _starting[-1].add(number)
        return
    now = time.monotonic()
    if _received:
        if now - _received[0][1] > _SAME:  # else sent to the process and to its group
            _end(number)
        return
    _received.append((number, now))
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    raise SystemExit(128 + number)


def _see_to_it(reader: int, main: int) -> None:
    """Wait for the first signal, and see to it that the process ends.

    Python answers a signal between two steps of its main thread. One that comes just before a call that
    waits would be answered after it, so it is sent again: it then interrupts the call.
    """
    number = 0
    while number not in _SIGNALS:
        number = os.read(reader, 1)[0]
    until = time.monotonic() + _GRACE
    while not _received and time.monotonic() < until:
        time.sleep(_SAME / 10)
        signal.pthread_kill(main, number)
    time.sleep(max(0.0, until - time.monotonic()))
    _end(number)


def _end(number: int) -> None:
    end_children()
    os._exit(128 + number)


def end_children() -> None:
    """Kill all processes that this one started, and what they started.

    The trackers of shared memory are left: they clean up and end by themselves.
    """
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if "resource_tracker" not in " ".join(child.cmdline()):
                child.kill()
