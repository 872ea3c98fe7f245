from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest
from changed_detectors import bomb

from oddjet.errors import DetectorError, NonFiniteError
from oddjet.ml.evaluation.checks import checked_columns
from oddjet.ml.folder import (
    SCHEMA_VERSION,
    applying,
    move_unusable,
    read_info,
    reading,
    replace_folder,
    write_info,
)


def save(folder: Path, text: str = "one") -> str:
    with replace_folder(folder, marker="info.json") as new:
        (new / "a.txt").write_text(text)
        (new / "sub").mkdir()
        (new / "sub" / "b.txt").write_text("two")
        return write_info(new, "info.json", {"what": "test"})


def test_info_holds_the_hashes_of_all_files(tmp_path: Path) -> None:
    fingerprint = save(tmp_path / "deep" / "x")
    info = read_info(tmp_path / "deep" / "x", "info.json")
    assert info["what"] == "test"
    assert info["fingerprint"] == fingerprint
    assert info["files"] == {
        "a.txt": hashlib.sha256(b"one").hexdigest(),
        "sub/b.txt": hashlib.sha256(b"two").hexdigest(),
    }


def test_fingerprint_follows_the_content(tmp_path: Path) -> None:
    assert save(tmp_path / "x") == save(tmp_path / "y")
    assert save(tmp_path / "x", "other") != save(tmp_path / "y")


def test_saving_again_replaces_and_leaves_nothing_behind(tmp_path: Path) -> None:
    save(tmp_path / "x")
    save(tmp_path / "x", "new")
    assert (tmp_path / "x" / "a.txt").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_failing_halfway_keeps_the_old(tmp_path: Path) -> None:
    save(tmp_path / "x")

    def fail() -> None:
        with replace_folder(tmp_path / "x", marker="info.json") as new:
            (new / "a.txt").write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert (tmp_path / "x" / "a.txt").read_text() == "one"
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_something_else_in_the_place_is_left_alone(tmp_path: Path, kind: str) -> None:
    place = tmp_path / "x"
    if kind == "file":
        place.write_text("precious")
    else:
        place.mkdir()
        (place / "precious.txt").write_text("precious")
    with pytest.raises(DetectorError, match="left alone"):
        save(place)
    assert "precious" in (place if kind == "file" else place / "precious.txt").read_text()


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda x: (x / "a.txt").write_text("0ne"), r"a\.txt is not the file that was saved"),
        (lambda x: (x / "sub" / "b.txt").unlink(), r"b\.txt is missing"),
        (lambda x: (x / "info.json").unlink(), r"holds no info\.json"),
        (lambda x: (x / "info.json").write_text("{"), "cannot be read"),
        (lambda x: (x / "info.json").write_text("[]"), "schema_version"),
        (
            lambda x: (x / "info.json").write_text(
                (x / "info.json").read_text().replace("test", "toast")
            ),
            r"info\.json is not the file that was saved",
        ),
    ],
)
def test_harm_is_noticed(tmp_path: Path, harm, message: str) -> None:
    save(tmp_path / "x")
    harm(tmp_path / "x")
    with pytest.raises(DetectorError, match=message):
        read_info(tmp_path / "x", "info.json")


def test_newer_layout_is_refused(tmp_path: Path) -> None:
    save(tmp_path / "x")
    path = tmp_path / "x" / "info.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema_version": 99}))
    with pytest.raises(DetectorError, match=f"99, newer than the {SCHEMA_VERSION}"):
        read_info(tmp_path / "x", "info.json")


def test_files_outside_are_refused(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    folder = tmp_path / "x"
    folder.mkdir()
    (folder / "link").symlink_to(tmp_path / "secret.txt")
    write_info(folder, "info.json", {})
    with pytest.raises(DetectorError, match="outside itself"):
        read_info(folder, "info.json")


def rehashed(folder: Path, files: dict[str, str]) -> None:
    """Write down other files, and the fingerprint that fits, as an attacker would."""
    path = folder / "info.json"
    content = {**json.loads(path.read_text()), "files": files}
    del content["fingerprint"]
    text = json.dumps(content, sort_keys=True, ensure_ascii=False)
    content["fingerprint"] = hashlib.sha256(text.encode()).hexdigest()
    path.write_text(json.dumps(content))


def with_more(x: Path) -> None:
    (x / "helper.py").write_text("raise SystemExit")


def with_a_pipe(x: Path) -> None:
    os.mkfifo(x / "pipe")


def with_a_loop(x: Path) -> None:
    (x / "loop").symlink_to(x)


def with_a_link_inside(x: Path) -> None:
    (x / "a.txt").unlink()
    (x / "a.txt").symlink_to(x / "sub" / "b.txt")


def without_files(x: Path) -> None:
    for path in (x / "a.txt", x / "sub" / "b.txt"):
        path.unlink()
    rehashed(x, {})


def with_a_way_out(x: Path) -> None:
    (x.parent / "secret").write_text("secret")
    rehashed(x, {"../secret": hashlib.sha256(b"secret").hexdigest()})


def with_an_absolute_way(x: Path) -> None:
    with_a_way_out(x)
    rehashed(x, {str(x.parent / "secret"): hashlib.sha256(b"secret").hexdigest()})


def with_a_bomb(x: Path) -> None:
    """Each file within its limit, all of them together not."""
    files = {}
    for number in range(5):
        bomb(x / f"{number}.npz", 240)
        files[f"{number}.npz"] = hashlib.sha256((x / f"{number}.npz").read_bytes()).hexdigest()
    rehashed(x, {**json.loads((x / "info.json").read_text())["files"], **files})


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (with_more, r"1 files that were not saved with it, 'helper\.py'"),
        (with_a_pipe, "'pipe' is neither a file nor a folder"),
        (with_a_loop, "'loop' is a link"),
        (with_a_link_inside, r"'a\.txt' is a link"),
        (without_files, "files: .*at least 1 entr"),
        (with_a_way_out, r"names a file outside itself, '\.\./secret'"),
        (with_an_absolute_way, "names a file outside itself"),
        (lambda x: rehashed(x, {"a.txt": "beef"}), r"files\.a\.txt: "),
        (lambda x: rehashed(x, {"a.txt": "0" * 64}), r"not saved with it, 'sub/b\.txt'"),
        (lambda x: (x / "info.json").write_text("[" * 100_000), "cannot be read"),
        (with_a_bomb, "would unpack to 1,200 MiB"),
    ],
)
def test_a_folder_holds_its_files_and_nothing_else(tmp_path: Path, harm, message: str) -> None:
    save(tmp_path / "x")
    harm(tmp_path / "x")
    with pytest.raises(DetectorError, match=message):
        read_info(tmp_path / "x", "info.json")


def test_what_libraries_raise_becomes_one_line() -> None:
    for block in (reading(Path("x")), applying("Kmeans")):
        with pytest.raises(DetectorError) as caught, block:
            np.zeros((2, 3)) @ np.zeros(2)
        assert "ValueError" in str(caught.value)
        assert "\n" not in str(caught.value)
    with pytest.raises(NonFiniteError, match="kept"), applying("Kmeans"):
        checked_columns({"kept": [np.nan]}, where="test")


def test_links_that_lead_nowhere_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "x").symlink_to("x")
    with pytest.raises(DetectorError, match="left alone"):
        save(tmp_path / "x")
    assert (tmp_path / "x").is_symlink()


@pytest.mark.parametrize("kind", ["file", "loop", "no names"])
def test_what_cannot_be_used_is_moved_aside(
    tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    place, aside = tmp_path / "x", tmp_path / "x.unusable-2"
    (tmp_path / "x.unusable-1").touch()
    if kind == "file":
        place.write_text("one")
    elif kind == "loop":
        place.symlink_to("x")
    else:
        save(place)
        (place / "info.json").unlink()
    move_unusable(place, marker="info.json")
    assert f"{place} holds no info.json: moved to {aside}" in caplog.text
    assert os.path.lexists(aside)
    assert not os.path.lexists(place)
    save(place)


def test_strays_are_moved_out_of_a_saved_folder(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    place, aside = tmp_path / "x", tmp_path / "x.unusable-1"
    save(place)
    move_unusable(place, marker="info.json")
    assert not aside.exists()
    strays = {".DS_Store", "sub/.nfs001", "sub/x.py", "new/deep"}
    (place / "new").mkdir()
    for name in strays:
        (place / name).write_text("stray")
    (place / "link").symlink_to("a.txt")
    move_unusable(place, marker="info.json")
    read_info(place, "info.json")
    moved = {path.relative_to(aside).as_posix() for path in aside.rglob("*") if path.is_file()}
    assert moved >= strays
    assert (aside / "link").is_symlink()
    assert f"was not saved there, nor were 4 others: moved to {aside}" in caplog.text


def test_other_damage_is_not_moved(tmp_path: Path) -> None:
    save(tmp_path / "x")
    (tmp_path / "x" / "info.json").write_text("{")
    move_unusable(tmp_path / "x", marker="info.json")
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
