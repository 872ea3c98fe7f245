"""Noting and refusing whatever Python asks a network or a program for; run by tests and by a process of its own."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

_EVENTS = {
    *("socket.connect", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname"),
    *("urllib.Request", "http.client.connect", "ftplib.connect", "subprocess.Popen", "os.system"),
}
_LOCAL = ("'uname'",)  # platform.processor() asks it
_asked: list[list[str]] | None = None
_hooked = False


def _refuse(event: str, arguments: tuple[object, ...]) -> None:
    if _asked is None or event not in _EVENTS:
        return
    what = [repr(argument)[:200] for argument in arguments]
    if event == "subprocess.Popen" and what[0] in _LOCAL:
        return
    if event == "urllib.Request" and str(arguments[0]).startswith("file:///"):
        return  # pyhf reads the parts of its schema so: no network
    _asked.append([event, *what])
    msg = f"refused by the test: {event} {what}"
    raise OSError(msg)


@contextmanager
def no_network() -> Iterator[list[list[str]]]:
    """Refuse every attempt to reach a network or to start a program, and give the list of them."""
    global _asked, _hooked  # noqa: PLW0603 (hooks of Python cannot be removed)
    if not _hooked:
        sys.addaudithook(_refuse)
        _hooked = True
    _asked = asked = []
    try:
        yield asked
    finally:
        _asked = None
