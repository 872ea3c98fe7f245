"""Checksums of files: what a fileset or a record says against what is there."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from oddjet.datasets.disk.remote import TIMEOUT, is_remote, is_unreachable, open_options
from oddjet.errors import BadFileError, ConfigError, UnreachableError, did_you_mean, shortened

__all__ = ["Verify", "check_verify", "checksum_of", "file_sha256", "fits", "verify_checksum"]

Verify: TypeAlias = Literal["always", "first", "never"]
"""When a file is compared with its SHA-256: each time it is read, the first time a process reads it, never."""

_PIECE = 8 * 2**20
_BUFFER = 2**20
_KNOWN: dict[str, tuple[int | str, ...]] = {}
"""Files that this process has compared, and what they were then."""


class _Adler32:
    """zlib's adler32 with the interface of hashlib."""

    def __init__(self) -> None:
        self.value = 1

    def update(self, data: bytes) -> None:
        self.value = zlib.adler32(data, self.value)

    def hexdigest(self) -> str:
        return f"{self.value:08x}"


_ALGORITHMS: dict[str, Callable[[], Any]] = {"adler32": _Adler32, "sha256": hashlib.sha256}


def checksum_of(path: Path | str, algorithm: str = "adler32", *, timeout: float = TIMEOUT) -> str:
    """Compute the adler32 or sha256 of a file, reading all of it in pieces: as a fileset has it.

    Of a file behind XRootD the server is asked first; it answers if it keeps that kind of checksum.

    Raises:
        BadFileError: If the file cannot be read.
        UnreachableError: If its server does not answer.
    """
    path = str(path)
    try:
        if path.startswith(("root://", "roots://")) and (known := _ask(path, algorithm, timeout)):
            return f"{algorithm}:{known}"
        digest = _ALGORITHMS[algorithm]()
        for piece in _read_remote(path, timeout) if is_remote(path) else _read_local(path):
            digest.update(piece)
    except OSError as error:
        kind = UnreachableError if is_remote(path) and is_unreachable(error) else BadFileError
        msg = f"{path}: its checksum cannot be computed: {type(error).__name__}: {error}"
        raise kind(msg) from error
    return f"{algorithm}:{digest.hexdigest()}"


def verify_checksum(path: Path | str, expected: str, *, timeout: float = TIMEOUT) -> None:
    """Check that a file is what the fileset says.

    Raises:
        BadFileError: If it differs or the file cannot be read.
        UnreachableError: If its server does not answer.
    """
    actual = checksum_of(path, expected.partition(":")[0], timeout=timeout)
    if actual != expected:
        msg = (
            f"{path} has checksum {actual}, the fileset says {expected}: it was damaged or changed; fetch it again, or"
            " correct the fileset if the file is meant to be another"
        )
        raise BadFileError(msg)


def file_sha256(path: Path | str) -> str:
    """Hash a local file, in pieces that stay in the processor's cache; other threads go on meanwhile.

    Returns:
        64 hexadecimal digits.

    Raises:
        OSError: If it cannot be read.
    """
    digest = hashlib.sha256()
    buffer = memoryview(bytearray(_BUFFER))
    with Path(path).open("rb", buffering=0) as file:
        while n_read := file.readinto(buffer):
            digest.update(buffer[:n_read])
    return digest.hexdigest()


def check_verify(verify: Any) -> None:
    """Check that a value says when files are compared.

    Raises:
        ConfigError: If it is none of `Verify`.
    """
    known = get_args(Verify)
    if not isinstance(verify, str) or verify not in known:
        hint = did_you_mean(verify, known) if isinstance(verify, str) else ""
        msg = f"verify: expected {', '.join(known[:-1])} or {known[-1]}, received {shortened(repr(verify))}.{hint}"
        raise ConfigError(msg)


def fits(path: Path | str, expected: str | None, verify: Verify = "first") -> bool:
    """Whether a file is the one whose SHA-256 was written down.

    Args:
        path: A local file.
        expected: What `file_sha256` gave; None where nothing was written down, and anything fits.
        verify: When it is read for that; a file of another size or time is another file.

    Raises:
        ConfigError: If `verify` is none of its values.
    """
    check_verify(verify)
    if expected is None or verify == "never":
        return True
    try:
        about = Path(path).stat()
        seen = (about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns, expected)
        name = str(Path(path).absolute())
        if verify == "first" and _KNOWN.get(name) == seen:
            return True
        if file_sha256(path) != expected:
            return False
    except OSError:
        return False
    _KNOWN[name] = seen
    return True


def _read_local(path: str) -> Iterator[bytes]:
    with Path(path).open("rb") as file:
        while piece := file.read(_PIECE):
            yield piece


def _read_remote(url: str, timeout: float) -> Iterator[bytes]:
    options = open_options(url, timeout=timeout)
    if not options:
        fsspec: Any = import_module("fsspec")
        with fsspec.open(url, "rb") as file:
            while piece := file.read(_PIECE):
                yield piece
        return
    source = options["handler"](url, timeout=options["timeout"])
    with source:
        size = source.num_bytes
        for start in range(0, size, _PIECE):
            yield bytes(source.chunk(start, min(start + _PIECE, size)).raw_data)


def _ask(url: str, algorithm: str, timeout: float) -> str | None:
    """Ask an XRootD server for a checksum it keeps; None if it keeps none of that kind."""
    open_options(url, timeout=timeout)
    client: Any = import_module("XRootD.client")
    place = client.URL(url)
    server = client.FileSystem(f"{place.protocol}://{place.hostid}")
    status, answer = server.query(
        client.flags.QueryCode.CHECKSUM,
        f"{place.path}?cks.type={algorithm}",
        timeout=max(1, round(timeout)),
    )
    if not status.ok or not answer:
        return None
    kind, _, value = answer.decode().strip("\0 \n").partition(" ")
    return value.lower().zfill(8) if kind == algorithm else None
