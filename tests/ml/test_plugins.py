from __future__ import annotations

import pytest

from oddjet.errors import DetectorError
from oddjet.ml.plugins import class_path, import_class


def test_round_trip() -> None:
    assert class_path(ValueError) == "builtins:ValueError"
    assert import_class("builtins:ValueError", Exception) is ValueError


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("builtins", "package.module:Class"),
        ("builtins:", "package.module:Class"),
        ("builtins:a.b", "package.module:Class"),
        ("no_such_module_at_all:A", "cannot import 'no_such_module_at_all'"),
        ("builtins:ValueErrr", "Did you mean 'ValueError'"),
        ("builtins:int", "subclass"),
        ("builtins:len", "subclass"),
    ],
)
def test_refusals(path: str, message: str) -> None:
    with pytest.raises(DetectorError, match=message):
        import_class(path, Exception)
