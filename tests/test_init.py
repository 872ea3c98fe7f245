"""`import oddjet` is light, and what it offers is there."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version

import pytest

import oddjet


def test_the_import_alone_loads_nothing_heavy() -> None:
    code = "import sys, oddjet; print({'numpy', 'awkward', 'pydantic', 'rich'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


@pytest.mark.parametrize("name", oddjet.__all__)
def test_everything_that_is_offered_is_there(name: str) -> None:
    assert name in dir(oddjet)
    assert getattr(oddjet, name)


def test_the_version_is_that_of_the_package() -> None:
    assert oddjet.__version__ == version("oddjet")


def test_other_names_are_refused() -> None:
    with pytest.raises(AttributeError, match="no attribute 'hnt'"):
        oddjet.hnt  # noqa: B018
