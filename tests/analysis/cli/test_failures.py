"""Full disks, read-only folders, files in the way, interruptions: one message, the fix, an exit code."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib import import_module
from pathlib import Path

import pytest
import yaml
from toy_tables import SMALL_HUNT
from typer.testing import CliRunner, Result

from oddjet.analysis.cli.app import app
from oddjet.analysis.pipeline.folder import Run
from oddjet.analysis.report.page import Report
from oddjet.errors import ConfigError

ELSEWHERE = "write elsewhere (-o, or output: in the configuration)"


def oddjet(*words: str | Path) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def refused(*words: str | Path) -> str:
    """Call what fails; give its message."""
    result = oddjet(*words)
    assert result.exit_code == 1, result.output
    assert isinstance(result.exception, SystemExit)
    assert "Traceback" not in result.output
    assert "not foreseen" not in result.output
    return " ".join(result.output.split())


@pytest.fixture(scope="module", autouse=True)
def little_to_report() -> Iterator[None]:
    """A report of one line: what is tested is how it is written."""
    with pytest.MonkeyPatch.context() as patch:
        report = Report("small", "nothing", ())
        patch.setattr("oddjet.analysis.pipeline.run.build_report", lambda *_: report)
        patch.setattr(Run, "limits", ())
        yield


@pytest.fixture(scope="module")
def run(qcd: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of a small run."""
    folder = tmp_path_factory.mktemp("run")
    content = {
        "name": "small",
        "output": str(folder / "out"),
        "fileset": {
            "datasets": {"q": {"kind": "background", "cross_section_pb": 5.0, "files": [str(qcd)]}}
        },
        "selection": {"pt_min": 350},
        "image": None,
        "detectors": [{"name": "kmeans", "hyper_parameters": {"k": 2, "starts": 1}}],
        "hunt": SMALL_HUNT,
        "pseudo_data": {"lumi_ifb": 0.03, "seed": 1},
    }
    (folder / "a.yaml").write_text(yaml.safe_dump(content))
    result = oddjet("run", folder / "a.yaml")
    assert result.exit_code == 0, result.output
    return folder / "out"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 8 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(mounted, check=False).returncode:
        pytest.skip("only root can mount a small disk")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(disk: Path, left: int = 0) -> None:
    """Leave so many bytes of a disk."""
    with (disk / "fill").open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
    os.truncate(disk / "fill", (disk / "fill").stat().st_size - left)
    assert shutil.disk_usage(disk).free == left


def test_a_full_disk(run: Path, qcd: Path, disk: Path) -> None:
    out = disk / "out"
    shutil.copytree(run, out)
    (out / "report.key.json").unlink()
    before = {path: path.read_bytes() for path in out.glob("report.*")}
    fill(disk)
    for command in (
        ("report", out),
        ("skim", qcd, "-o", disk / "skim"),
        ("train", run / "skim", "-o", disk / "model", "--detector", "kmeans", "--set", "k=2"),
        ("score", run / "skim", "-m", run / "models" / "kmeans", "-o", disk / "scores"),
        ("simulate", "qcd", "-n", "5", "-o", disk / "a.root"),
        ("schema", "-o", disk / "schema.json"),
    ):
        said = refused(*command)
        assert "No space left" in said
        assert f"the disk is full: free some space, or {ELSEWHERE}" in said
        assert len(said) < 1500
    assert {path: path.read_bytes() for path in out.glob("report.*")} == before
    assert not [path for path in disk.rglob(".*") if path.is_file() and path.name != ".lock"]
    (disk / "fill").unlink()
    assert oddjet("report", out).exit_code == 0


def test_a_disk_that_fills_during_a_step(run: Path, qcd: Path, disk: Path) -> None:
    """What was begun goes on to the same end once there is space."""
    fill(disk, left=204_800)
    commands = (
        ("skim", qcd, "-o", disk / "skim", "--set", "selection.pt_min=350"),
        ("train", run / "skim", "-o", disk / "model", "--detector", "kmeans", "--set", "k=2"),
        ("score", run / "skim", "-m", run / "models" / "kmeans", "-o", disk / "scores"),
    )
    said = [oddjet(*command) for command in commands]
    assert any("No space left" in " ".join(result.output.split()) for result in said)
    assert all("Traceback" not in result.output for result in said)
    (disk / "fill").unlink()
    for command in commands:
        assert oddjet(*command).exit_code == 0


def test_a_folder_that_can_only_be_read(run: Path, qcd: Path, disk: Path) -> None:
    shutil.copytree(run, disk / "out")
    (disk / "out" / "report.key.json").unlink()
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    for command in (
        ("report", disk / "out"),
        ("skim", qcd, "-o", disk / "skim"),
        ("train", run / "skim", "-o", disk / "model", "--detector", "kmeans"),
        ("score", run / "skim", "-m", run / "models" / "kmeans", "-o", disk / "scores"),
        ("simulate", "qcd", "-n", "5", "-o", disk / "a.root"),
    ):
        assert f"this file system can only be read: {ELSEWHERE}" in refused(*command)


@pytest.mark.parametrize("below", ["", "new"])
def test_a_file_where_a_folder_should_be(run: Path, qcd: Path, tmp_path: Path, below: str) -> None:
    place = tmp_path / "file"
    place.write_text("mine")
    for command in (
        ("skim", qcd, "-o", place / below),
        ("train", run / "skim", "-o", place / below, "--detector", "kmeans", "--set", "k=2"),
        ("score", run / "skim", "-m", run / "models" / "kmeans", "-o", place / below),
        ("simulate", "qcd", "-n", "5", "-o", place / "a.root"),
        ("schema", "-o", place / "schema.json"),
        ("report", place),
        ("status", place),
        ("compact", place),
    ):
        said = refused(*command)
        assert "file" in said
    assert place.read_text() == "mine"


def test_names_that_are_too_long(run: Path, qcd: Path, tmp_path: Path) -> None:
    long = tmp_path / ("x" * 300)
    for command in (
        ("skim", qcd, "-o", long),
        ("train", run / "skim", "-o", long, "--detector", "kmeans"),
        ("simulate", "qcd", "-n", "5", "-o", long),
        ("check", long),
        ("run", f"{long}.yaml"),
        ("hunt", f"{long}.json"),
        ("status", long),
    ):
        said = refused(*command)
        assert len(said) < 1500


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (KeyboardInterrupt(), 130, "interrupted: SIGINT repeat the command: what it had finished and stored is not done again"),
        (MemoryError("9 GiB"), 1, "9 GiB not enough memory: use smaller chunks (chunk_size)"),
        (RecursionError("deep"), 1, "nested too deeply"),
        (UnicodeEncodeError("utf-8", "\udc80", 0, 1, "bad"), 1, "use letters that UTF-8 has"),
        (BrokenPipeError(), 1, "what read the output has ended"),
        (PermissionError(errno.EACCES, "Permission denied", "/a"), 1, "/a: Permission denied you may not"),
        (OSError("1024 requested and 0 written"), 1, "the disk is full"),
        (OSError("odd"), 1, "a file or connection failed: odd"),
        (ConfigError("x" * 10_000), 1, "ConfigError xxx"),
        (KeyError("x"), 1, "KeyError, which was not foreseen 'x' please report it"),
    ],
)  # fmt: skip
def test_every_error_is_one_message(
    error: BaseException, code: int, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(import_module("oddjet.analysis.cli.check"), "check_config", fail)
    result = oddjet("check", "a.yaml")
    assert result.exit_code == code
    assert words in " ".join(result.output.split())
    assert len(result.output) < 1000
    assert "Traceback" not in result.output
    told = oddjet("--debug", "check", "a.yaml")
    assert told.exit_code == code
    assert "Traceback" in told.output
    assert "in fail" in told.output


def test_values_that_a_detector_cannot_have(run: Path, tmp_path: Path) -> None:
    for value in ("-1", "0", "1.5", ".nan", "1000000000000", "[1]", "x"):
        words = (
            "train",
            run / "skim",
            "-o",
            tmp_path / "m",
            "--detector",
            "kmeans",
            "--set",
            f"k={value}",
        )
        assert "k must be" in refused(*words)
    assert "name a folder below it" in refused("train", run / "skim", "-o", "/")
    assert not (tmp_path / "m").exists()


Call = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def call(tmp_path: Path) -> Call:
    """Call the command in a shell of its own."""

    def shell(line: str, **env: str) -> subprocess.CompletedProcess[str]:
        main = f"{sys.executable} -c 'from oddjet.analysis.cli.app import main; main()'"
        return subprocess.run(
            ["bash", "-o", "pipefail", "-c", line.replace("oddjet", main)],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=os.environ | env,
            check=False,
        )

    return shell


def test_output_that_nobody_reads_or_that_cannot_be_shown(call: Call, tmp_path: Path) -> None:
    closed = call("oddjet schema | exec true")
    assert closed.returncode in (1, 141)
    assert "Traceback" not in closed.stderr
    (tmp_path / "é.yaml").write_text("name: π\n")
    shown = call("oddjet check é.yaml", PYTHONIOENCODING="ascii")
    assert shown.returncode == 1
    assert "\\xe9.yaml" in shown.stderr
    assert "Traceback" not in shown.stderr
