"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def samples() -> Path:
    """The folder of real CMS files; tests that need it say so when they skip."""
    folder = Path(os.environ.get("ODDJET_SAMPLES", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"real CMS files not found in {folder}: set ODDJET_SAMPLES")
    return folder
