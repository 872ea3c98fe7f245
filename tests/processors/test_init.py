from __future__ import annotations

import importlib
import inspect
import pkgutil

import pytest

import oddjet.processors


@pytest.mark.parametrize("name", oddjet.processors.__all__)
def test_public_names_are_no_modules_whatever_was_imported_before(name: str) -> None:
    for module in pkgutil.iter_modules(oddjet.processors.__path__):
        importlib.import_module(f"oddjet.processors.{module.name}")
    assert callable(getattr(oddjet.processors, name))
    assert not inspect.ismodule(getattr(oddjet.processors, name))
