"""What the command line says and returns when files are broken."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from oddjet.analysis.cli import app
from oddjet.datasets.manifest import read_manifest
from oddjet.datasets.simulation import simulate


def oddjet(*words: str | Path) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("files")
    paths = [folder / f"{name}.root" for name in ("one", "two", "broken")]
    for seed, path in enumerate(paths, start=1):
        simulate("qcd", 40, seed=seed, output=path, pt_hat_min=350)
    paths[2].write_bytes(paths[2].read_bytes()[:-100])
    return paths


def test_a_broken_file_is_named_and_ends_the_skim(files: list[Path], tmp_path: Path) -> None:
    result = oddjet("skim", *files, "-o", tmp_path / "skim", "--no-images")
    assert result.exit_code == 1
    assert "BadFileError" in result.stderr
    assert "broken.root is truncated" in result.stderr
    assert not (tmp_path / "skim").exists()


def test_missing_parts_are_allowed_and_told(files: list[Path], tmp_path: Path) -> None:
    output = tmp_path / "skim"
    result = oddjet("skim", *files, "-o", output, "--no-images", "--allow-missing")
    assert result.exit_code == 0, result.output
    assert "missing: 1 file that could not be opened" in result.stderr
    assert "broken.root is truncated" in result.stderr.replace("\n", "")
    manifest = read_manifest(output)
    assert manifest.planned_entries == manifest.processed_entries == 80
    assert [Path(part.file).name for part in manifest.missing] == ["broken.root"]


def test_nothing_left_is_an_error(files: list[Path], tmp_path: Path) -> None:
    result = oddjet("skim", files[2], "-o", tmp_path / "skim", "--allow-missing")
    assert result.exit_code == 1
    assert "broken.root" in result.stderr


@pytest.mark.parametrize("command", ["run", "skim", "score"])
def test_the_option_is_there(command: str) -> None:
    assert "--allow-missing" in oddjet(command, "--help").output
