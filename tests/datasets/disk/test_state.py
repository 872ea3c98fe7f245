"""State on disk: what is not what was written counts as absent, whatever happened to it."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict

from oddjet.datasets.disk.state import (
    DamagedStateError,
    read_state,
    require_state,
    unseal,
    write_state,
)
from oddjet.errors import ConfigError


@dataclass(frozen=True)
class Kept:
    key: str
    numbers: dict[str, float]


class Job(BaseModel):
    model_config = ConfigDict(extra="forbid")
    chunks: tuple[int, ...]
    place: Path


CONTENT = {"key": "über", "numbers": {"a": 0.1, "b": 1e300}}


def flip(path: Path, bit: int) -> bytes:
    """Turn one bit of a file over; gives what was there before."""
    before = path.read_bytes()
    changed = bytearray(before)
    changed[bit // 8] ^= 1 << bit % 8
    path.write_bytes(changed)
    return before


def test_round_trip(tmp_path: Path) -> None:
    write_state(tmp_path / "a.json", CONTENT)
    assert read_state(tmp_path / "a.json", Kept) == Kept("über", {"a": 0.1, "b": 1e300})
    assert unseal(tmp_path / "a.json") == CONTENT
    job = Job(chunks=(1, 2), place=tmp_path)
    write_state(tmp_path / "job.json", job)
    assert read_state(tmp_path / "job.json", Job) == job


def test_what_is_absent_is_no_reason_to_warn(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert read_state(tmp_path / "a.json", Kept) is None
    assert not caplog.records


def test_every_flipped_bit_is_seen_or_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_state(path, CONTENT)
    whole, silent = read_state(path, Kept), 0
    for bit in range(8 * path.stat().st_size):
        before = flip(path, bit)
        silent += read_state(path, Kept) not in (None, whole)
        path.write_bytes(before)
    assert silent == 0
    assert read_state(path, Kept) == whole


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not JSON"),
        (b"[]", "a JSON object, received list"),
        (b"null", "received NoneType"),
        (b"\xff\xfe{", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (json.dumps(CONTENT).encode(), "no SHA-256"),
        (json.dumps({**CONTENT, "sha256": "0" * 64}).encode(), "not what was written"),
        (json.dumps({**CONTENT, "sha256": ["x"]}).encode(), "not what was written"),
    ],
)
def test_what_cannot_be_used_counts_as_absent_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes, reason: str
) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with caplog.at_level(logging.WARNING):
        assert read_state(tmp_path / "a.json", Kept) is None
    (line,) = caplog.messages
    assert "a.json cannot be used and counts as absent" in line
    assert reason in line
    with pytest.raises(DamagedStateError, match=reason):
        unseal(tmp_path / "a.json")


def test_another_shape_counts_as_absent(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_state(tmp_path / "a.json", {"key": "k", "numbers": {"a": "many"}})
    assert read_state(tmp_path / "a.json", Kept) is None
    assert "numbers.a: " in caplog.text
    write_state(tmp_path / "a.json", {"key": "k"})
    assert read_state(tmp_path / "a.json", Kept) is None
    assert "numbers: " in caplog.text


def test_a_folder_in_its_place_counts_as_absent(tmp_path: Path) -> None:
    (tmp_path / "a.json").mkdir()
    assert read_state(tmp_path / "a.json", Kept) is None


def test_what_cannot_be_made_again_is_an_error_with_its_remedy(tmp_path: Path) -> None:
    path, job = tmp_path / "job.json", {"chunks": [1], "place": "here"}
    with pytest.raises(ConfigError, match=r"cannot read .*job\.json .*: submit again"):
        require_state(path, remedy="submit again")
    path.write_text(json.dumps(job))  # of older code
    assert require_state(path, remedy="submit again") == job
    write_state(path, job)
    assert require_state(path, remedy="submit again") == job
    path.write_text(path.read_text().replace("1", "2", 1))
    with pytest.raises(ConfigError, match=r"not what was written.*: submit again"):
        require_state(path, remedy="submit again")
    path.write_text("[]")
    with pytest.raises(ConfigError, match="expected a JSON object"):
        require_state(path, remedy="submit again")
