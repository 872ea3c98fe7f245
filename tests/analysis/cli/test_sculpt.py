"""The command `oddjet sculpt` and its exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from oddjet.analysis.cli.app import app


def _sculpt(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["sculpt", *map(str, arguments)], env={"COLUMNS": "200"})
    return result.exit_code, result.output


def test_a_blind_score_passes_with_0_and_everything_is_written(
    scores_table: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    options = ["--signal", "w", "--hunted", 40, "--dataset", "qcd", "-o", output]
    code, text = _sculpt(scores_table, "--column", "blind", *options)
    assert code == 0
    assert "blind: PASS: p = " in text
    assert "of a hunt in 40 jets" in " ".join(text.split())
    content = json.loads((output / "sculpting.json").read_text())
    assert content["outcome"] == "PASS"
    assert content["scores"]["blind"]["verdict"]["power"] >= 0.9
    assert len(content["scores"]["blind"]["ladder"]) % 7 == 0
    pictures = {path.name for path in output.glob("*.png")}
    assert pictures == {
        *("mass_blind.png", "fakes_blind.png", "inverse_jsd.png", "relative_entropy.png"),
    }


@pytest.mark.parametrize(
    ("columns", "code", "word"),
    [(["sculpts"], 3, "FAIL"), (["blind"], 4, "INCONCLUSIVE"), (["blind", "sculpts"], 3, "FAIL")],
)
def test_the_exit_code_is_that_of_the_worst_verdict(
    small_table: Path, columns: list[str], code: int, word: str
) -> None:
    arguments = [part for column in columns for part in ("--column", column)]
    exit_code, text = _sculpt(small_table, *arguments)
    assert exit_code == code
    assert word in text


def test_an_error_is_1_and_wrong_usage_2(scores_table: Path, tmp_path: Path) -> None:
    assert _sculpt(scores_table, "--column", "nothing")[0] == 1
    assert _sculpt(tmp_path, "--column", "blind")[0] == 1
    assert _sculpt(scores_table)[0] == 2
    assert _sculpt(scores_table, "--column", "blind", "--permutations", "10")[0] == 2


def test_the_exit_codes_are_in_the_help() -> None:
    _, text = _sculpt("--help")
    assert "3 at least one FAIL" in " ".join(text.split())
    assert "4 at least one INCONCLUSIVE" in " ".join(text.split())


def test_a_window_is_left_out(scores_table: Path, tmp_path: Path) -> None:
    options = ["--exclude-window", 60, 110, "-o", tmp_path]
    # As many jets as are hunted in never exclude what the hunt could see.
    code, text = _sculpt(scores_table, "--column", "blind", *options)
    assert code == 4
    assert "blind on data: " in text
    content = json.loads((tmp_path / "sculpting.json").read_text())
    assert content["excluded"] == [[60, 110]]
    assert content["beside"]["excluded"] == [[65, 105], [60, 110]]
    pictures = {path.name for path in tmp_path.glob("*.png")}
    assert {"fakes_blind_data.png", "mass_blind_data.png"} < pictures
