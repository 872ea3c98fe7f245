"""What the command line says and returns when files are broken."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from toy_tables import SMALL_HUNT
from typer.testing import CliRunner, Result

from oddjet.analysis.cli.app import app
from oddjet.datasets.simulation import simulate
from oddjet.datasets.skims.manifest import read_manifest


def oddjet(*words: str | Path) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture(scope="module")
def files(qcd: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("files")
    other, broken = folder / "two.root", folder / "broken.root"
    simulate("qcd", 10, seed=2, output=other, pt_hat_min=350)
    broken.write_bytes(other.read_bytes()[:-100])
    return [qcd, other, broken]


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
    assert manifest.planned_entries == manifest.processed_entries == 410
    assert [Path(part.file).name for part in manifest.missing] == ["broken.root"]


def test_nothing_left_is_an_error(files: list[Path], tmp_path: Path) -> None:
    result = oddjet("skim", files[2], "-o", tmp_path / "skim", "--allow-missing")
    assert result.exit_code == 1
    assert "broken.root" in result.stderr


@pytest.mark.parametrize("command", ["run", "skim", "score"])
def test_the_option_is_there(command: str) -> None:
    assert "--allow-missing" in oddjet(command, "--help").output


@pytest.mark.long
def test_a_whole_run_with_missing_parts_says_so_in_its_report(tmp_path: Path) -> None:
    """Two of three files: the numbers are those of a run that never knew of the third."""
    paths = [tmp_path / f"{name}.root" for name in ("one", "two", "broken")]
    for seed, path in enumerate(paths, start=1):
        simulate("qcd", 400, seed=seed, output=path, pt_hat_min=350)
    paths[2].write_bytes(paths[2].read_bytes()[:-100])
    summaries = []
    for name, files in (("all", paths), ("whole", paths[:2])):
        content = {
            "name": name,
            "output": str(tmp_path / name),
            "fileset": {
                "datasets": {
                    "qcd": {
                        "kind": "background",
                        "cross_section_pb": 5.0,
                        "files": [str(path) for path in files],
                    }
                }
            },
            "selection": {"pt_min": 350},
            "image": None,
            "detectors": [{"name": "kmeans", "hyper_parameters": {"k": 2, "starts": 1}}],
            "hunt": SMALL_HUNT,
            "pseudo_data": {"lumi_ifb": 0.07, "seed": 1},
            "chunk_size": 400,
        }
        config = tmp_path / f"{name}.yaml"
        config.write_text(yaml.safe_dump(content))
        if name == "all":
            refused = oddjet("run", config)
            assert refused.exit_code == 1
            assert "broken.rootistruncated" in "".join(refused.stderr.split())
        result = oddjet("run", config, *(["--allow-missing"] if name == "all" else []))
        assert result.exit_code == 0, result.output
        summaries.append(json.loads((tmp_path / name / "report.json").read_text())["summary"])
    assert "broken.root" in (tmp_path / "all" / "report.html").read_text()
    assert "broken.root" not in (tmp_path / "whole" / "report.html").read_text()
    for key in ("n_jets", "local_p", "global_p", "window"):
        assert summaries[0][key] == summaries[1][key], key
