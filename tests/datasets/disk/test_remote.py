"""XRootD's client beside TensorFlow: whichever comes first, no process dies."""

from __future__ import annotations

import functools
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
import uproot

from oddjet.datasets.disk.remote import open_root
from oddjet.datasets.files.rootfiles import inspect_root
from oddjet.errors import BadFileError

ASK = """
from oddjet.datasets.disk.remote import is_unreachable, open_root
try:
    open_root("root://127.0.0.1:1//a.root", timeout=1)
except OSError as error:
    assert is_unreachable(error), error
else:
    raise AssertionError("nobody listens on port 1")
"""


@pytest.mark.parametrize("code", [f"import tensorflow{ASK}", f"{ASK}import tensorflow"])
def test_the_client_works_beside_tensorflow(code: str) -> None:
    """In a process of its own, for a crash takes the whole process."""
    pytest.importorskip("XRootD", reason="XRootD's client not found: install oddjet[xrootd]")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


def test_the_flags_of_loading_stay_as_they_were() -> None:
    from oddjet.datasets.disk.remote import open_options  # noqa: PLC0415

    pytest.importorskip("XRootD", reason="XRootD's client not found: install oddjet[xrootd]")
    flags = sys.getdlopenflags()
    assert open_options("root://127.0.0.1:1//a.root")["timeout"] == 60
    assert sys.getdlopenflags() == flags


class _Files(SimpleHTTPRequestHandler):
    """Serves a folder, to those with the token alone, and whole files or one range of them."""

    def do_GET(self) -> None:
        if parse_qs(urlsplit(self.path).query).get("token") != ["a:b"]:
            self.send_error(403)
            return
        path = Path(self.translate_path(self.path))
        content = path.read_bytes()
        first, last = 0, len(content) - 1
        if match := re.match(r"bytes=(\d+)-(\d*)$", self.headers.get("Range", "")):
            first, last = int(match[1]), min(int(match[2] or last), last)
        self.send_response(206 if match else 200)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(last + 1 - first))
        self.send_header("Content-Range", f"bytes {first}-{last}/{len(content)}")
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content[first : last + 1])

    do_HEAD = do_GET

    def log_message(self, *args: object) -> None:
        """Stay silent."""


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """An HTTP server of a folder."""
    handler = functools.partial(_Files, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_a_query_reaches_the_server(tmp_path: Path, address: str) -> None:
    with uproot.recreate(tmp_path / "a.root") as file:
        file.mktree("Events", {"x": "int64"})
        file["Events"].extend({"x": np.arange(5)})
    with open_root(f"{address}/a.root?token=a:b") as file:
        assert file["Events"]["x"].array().to_list() == [0, 1, 2, 3, 4]
    with pytest.raises(BadFileError, match="403"):
        inspect_root(f"{address}/a.root?token=wrong")


def test_a_colon_in_a_name_is_no_object(tmp_path: Path) -> None:
    path = tmp_path / "plain.root"
    with uproot.recreate(path) as file:
        file.mktree("Events", {"x": "int64"})
        file["Events"].extend({"x": np.arange(3)})
    path.rename(tmp_path / "a:Events")
    with open_root(str(tmp_path / "a:Events")) as file:
        assert file["Events"].num_entries == 3
