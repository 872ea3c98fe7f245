"""Without a place for compiled code there is one: a read-only installation without a home runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

CODE = """
import os, sys
real = os.access
if "read-only" in sys.argv:
    os.access = lambda path, mode, **other: not (mode & os.W_OK) and real(path, mode, **other)
{before}
import oddjet
os.access = real
from numba.core import caching
# What Numba finds where neither the source's folder nor the home can be written.
name = "UserProvidedCacheLocator"
locator = getattr(caching, name, None) or getattr(caching, f"_{{name}}")
caching.CacheImpl._locator_classes = [locator]
from oddjet.datasets.kinematics.compiled import {function}
print(os.environ.get("NUMBA_CACHE_DIR", "none"))
"""
FUNCTION = "wrap_azimuth"


def import_compiled(*words: str, before: str = "") -> subprocess.CompletedProcess[str]:
    code = CODE.format(before=before, function=FUNCTION)
    clean = {k: v for k, v in os.environ.items() if k not in ("NUMBA_CACHE_DIR", "MPLCONFIGDIR")}
    command = [sys.executable, "-c", code, *words]
    return subprocess.run(command, capture_output=True, text=True, env=clean, check=False)


def test_compiled_code_has_a_place_that_goes_with_the_process() -> None:
    for before in ("", "import numba"):
        done = import_compiled("read-only", before=before)
        assert done.returncode == 0, done.stderr
        place = done.stdout.strip()
        assert "oddjet-cache-" in place
        assert not Path(place).exists()


def test_this_is_what_would_fail_without() -> None:
    done = import_compiled()
    assert done.returncode != 0
    assert "cannot cache function" in done.stderr
