from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from oddjet.datasets.disk.digest import content_key, dependency_digest, source_digest


@pytest.fixture
def package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[Path]:
    """A package `NAME` of modules a → b (inside a function), a → c.d, e by itself."""
    name = f"pkg_{request.node.name[:20].replace('[', '_').replace(']', '')}"
    folder = tmp_path / name
    (folder / "c").mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    (folder / "c" / "__init__.py").write_text("")
    (folder / "a.py").write_text(
        f"from {name}.c import d\n\ndef f():\n    import {name}.b\n    import os\n"
    )
    (folder / "b.py").write_text(f"from {name}.a import f\n")  # a circle
    (folder / "c" / "d.py").write_text("x = 1\n")
    (folder / "e.py").write_text("y = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield folder
    for module in [m for m in sys.modules if m.startswith(name)]:
        del sys.modules[module]


def digest_after(module: str) -> str:
    dependency_digest.cache_clear()
    return dependency_digest(module)


@pytest.mark.parametrize("changed", ["a.py", "b.py", "c/d.py"])
def test_a_change_in_what_is_imported_changes_the_digest(package: Path, changed: str) -> None:
    before = digest_after(f"{package.name}.a")
    path = package / changed
    path.write_text(path.read_text() + "z = 3\n")
    assert digest_after(f"{package.name}.a") != before


def test_words_and_layout_do_not_change_it(package: Path) -> None:
    before = digest_after(f"{package.name}.a")
    text = (package / "a.py").read_text()
    text = text.replace("def f():\n", 'def f():\n    """Do it."""\n\n    # why\n')
    (package / "a.py").write_text(f'"""Words."""\n\n{text}')
    assert digest_after(f"{package.name}.a") == before


def test_a_change_elsewhere_does_not(package: Path) -> None:
    before = digest_after(f"{package.name}.a")
    (package / "e.py").write_text("y = 2\n")
    (package / "__init__.py").write_text("# registry\n")
    assert digest_after(f"{package.name}.a") == before
    assert digest_after(f"{package.name}.e") != before


def test_a_package_counts_whole(package: Path) -> None:
    before = source_digest(package.name)
    source_digest.cache_clear()
    (package / "e.py").write_text("y = 2\n")
    assert source_digest(package.name) != before


def test_a_module_that_is_not_there_is_refused() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"no source for module 'oddjet\.nothing'"):
        dependency_digest("oddjet.nothing")


def test_keys_do_not_depend_on_order() -> None:
    assert content_key({"a": 1, "b": [2, None]}) == content_key({"b": [2, None], "a": 1})
    assert content_key([1, 2]) != content_key([2, 1])
