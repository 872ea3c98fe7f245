"""XRootD's client beside TensorFlow: whichever comes first, no process dies."""

from __future__ import annotations

import subprocess
import sys

import pytest

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
