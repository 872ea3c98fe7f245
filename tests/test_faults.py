from __future__ import annotations

import errno
from pathlib import Path

import pytest

import oddjet
from oddjet.analysis.config import make_config
from oddjet.errors import MachineError
from oddjet.faults import describe_fault, explained


def test_functions_say_what_the_machine_refuses(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    given = {"fileset": {"datasets": {"d": {"kind": "data", "files": ["/none.root"]}}}}
    config = make_config(given | {"name": "a", "output": tmp_path / "file" / "new"}, where="test")
    with pytest.raises(MachineError, match="a file is where a folder should be") as caught:
        oddjet.run(config)
    assert isinstance(caught.value.__cause__, OSError)


def test_other_errors_stay_what_they_are() -> None:
    def fail() -> None:
        raise KeyError

    with pytest.raises(KeyError):
        explained(fail)()


def test_the_cause_counts() -> None:
    error = RuntimeError("a library's own")
    error.__cause__ = OSError(errno.EDQUOT, "Disk quota exceeded", "/a")
    assert str(describe_fault(error)).startswith("/a: Disk quota exceeded\nyour quota is used up")
    assert describe_fault(RuntimeError("x")) is None


def test_a_link_that_leads_nowhere_is_told(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(FileExistsError) as caught:
        (tmp_path / "loop").mkdir(parents=True, exist_ok=True)
    assert "loop: this link leads nowhere, or in a circle\nremove it" in str(
        describe_fault(caught.value)
    )
