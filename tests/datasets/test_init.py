from __future__ import annotations

import subprocess
import sys

import pytest

import oddjet.datasets


def test_every_public_name_is_there() -> None:
    for name in oddjet.datasets.__all__:
        assert getattr(oddjet.datasets, name) is not None


def test_unknown_name() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = oddjet.datasets.nonsense


def test_importing_jets_does_not_import_numba() -> None:
    code = "import sys, oddjet.datasets.jets; print([m for m in ('numba', 'tensorflow', 'coffea') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
