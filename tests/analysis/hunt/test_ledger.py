from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from oddjet.analysis.cli.app import app
from oddjet.analysis.config import AnalysisConfig
from oddjet.analysis.hunt.ledger import (
    LEDGER,
    Entry,
    jets_key,
    ledger_of,
    look_of,
    read_ledger,
    record,
    record_damage,
    record_unblinding,
    together,
)
from oddjet.datasets.disk.chain import add_line
from oddjet.datasets.skims.manifest import ChunkRecord, DatasetSummary, Manifest
from oddjet.errors import ConfigError

CONFIG = AnalysisConfig.model_validate({"name": "a", "output": "o", "fileset": "f"})
CHUNK = ChunkRecord(
    key="0" * 20, dataset="run", file="a.root", file_uuid="u", tree="Events", entry_start=0,
    entry_stop=9, n_events=9, n_jets=8, sumw=9, sumw2=9,
)  # fmt: skip
MANIFEST = Manifest(
    kind="scores",
    config={"detectors": [{"label": "km", "fingerprint": "1"}, {"label": "k", "fingerprint": "2"}]},
    datasets={"run": DatasetSummary(kind="data", sumw=9, sumw2=9, n_events=9)},
    chunks=(CHUNK,),
)


def changed(**settings: Any) -> AnalysisConfig:
    hunt = CONFIG.hunt.model_copy(update=settings)
    return CONFIG.model_copy(update={"hunt": hunt})


def test_a_look_is_jets_scores_detectors_and_what_is_scanned() -> None:
    look = look_of(CONFIG, MANIFEST, ("km_d",))
    assert look["detectors"] == {"km": "1"}
    same = look_of(changed(n_toys=200, seed=7), MANIFEST, ("km_d",))
    assert same == look
    others = [
        look_of(changed(**{name: value}), MANIFEST, ("km_d",))
        for name, value in {
            "widths": (3, 8),
            "window": (70.0, 100.0),
            "range": (50.0, 300.0),
            "working_points": (0.1,),
            "function": "dijet4",
            "signal_width": 8.0,
            "mass": "mass",
            "jets": "all",
        }.items()
    ]
    others.append(look_of(CONFIG, MANIFEST, ("k_mse",)))
    more = CHUNK.model_copy(update={"entry_start": 9, "entry_stop": 20})
    others.append(look_of(CONFIG, MANIFEST.model_copy(update={"chunks": (CHUNK, more)}), ("km_d",)))
    keys = {Entry("hunt", "", each_look).key for each_look in (look, *others)}
    assert len(keys) == len(others) + 1
    # How often the table was made, and how many jets it has, changes no jet.
    again = CHUNK.model_copy(update={"key": "1" * 20, "n_jets": 7})
    assert jets_key(MANIFEST.model_copy(update={"chunks": (again,)})) == look["jets"]


def test_six_dropped_tries_cost_what_they_are_worth() -> None:
    rng = np.random.default_rng(3)
    tries = rng.uniform(size=(4000, 6))
    worst = np.array(
        [
            together(tuple(Entry("hunt", "", {"n": n}, p) for n, p in enumerate(row)), ("hunt",)).p
            for row in tries
        ]  # type: ignore[union-attr]
    )
    assert np.mean(tries.min(axis=1) <= 0.05) == pytest.approx(0.265, abs=0.03)
    for level in (0.05, 0.2, 0.5, 0.8):  # uniform for looks that are independent
        assert np.mean(worst <= level) == pytest.approx(level, abs=4 * 0.5 / np.sqrt(4000))
    alike = tuple(Entry("hunt", "", {"n": 0}, p) for p in (0.04, 0.03, 0.05))
    one = together(alike, ("hunt",))
    assert one is not None
    assert (one.n_looks, one.p) == (1, pytest.approx(0.03))
    assert together((Entry("blinded", "", {}),), ("hunt",)) is None


def test_an_unblinding_is_recorded_once_for_the_same_jets_and_window(tmp_path: Path) -> None:
    path = tmp_path / LEDGER
    look = look_of(CONFIG, MANIFEST, ("km_d",))
    record_unblinding(path, look)
    record_unblinding(path, look_of(changed(n_toys=500), MANIFEST, ("k_mse",)))
    assert len(read_ledger(path).unblindings) == 1
    record_unblinding(path, look_of(changed(window=(120.0, 160.0)), MANIFEST, ("km_d",)))
    assert len(read_ledger(path).unblindings) == 2


def test_the_command_counts_looks_and_names_a_broken_chain(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").touch()
    path = ledger_of(tmp_path / "scores")
    assert path == tmp_path / LEDGER
    runner = CliRunner()
    assert (
        "no look at data under the signal" in runner.invoke(app, ["ledger", str(tmp_path)]).output
    )
    for window, p in ((60.0, 0.04), (70.0, 0.5), (60.0, 0.041)):
        look = look_of(changed(window=(window, 110.0)), MANIFEST, ("km_d",))
        record_unblinding(path, look)
        record(path, "hunt", look, p=p)
    done = runner.invoke(app, ["ledger", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert "2 looks recorded, smallest p 0.04; all together p = 0.078" in done.output
    whole = path.read_text()
    (tmp_path / "report.json").write_text(
        json.dumps({"sections": {"ledger": read_ledger(path).to_dict()}})
    )
    assert read_ledger(path).problems == ()
    path.write_text("".join(whole.splitlines(keepends=True)[:-1]))
    cut = runner.invoke(app, ["ledger", str(tmp_path)])
    assert cut.exit_code == 1
    assert "the last line that report.json names is not there" in cut.output
    path.write_text(whole.replace("0.5", "0.6"))
    changed_line = runner.invoke(app, ["ledger", str(tmp_path)])
    assert changed_line.exit_code == 1
    assert "line 4 was changed after it was written" in changed_line.output


@pytest.mark.parametrize("wrong", [{"p": 2.0}, {"p": "x"}, {"look": 3}])
def test_lines_that_no_oddjet_wrote_are_named_and_not_counted(tmp_path: Path, wrong: Any) -> None:
    path = tmp_path / LEDGER
    record(path, "hunt", {"n": 1}, p=0.5)
    add_line(path, {"event": "hunt", "time": "", "look": {"n": 2}, "p": 0.1} | wrong)
    ledger = read_ledger(path)
    assert len(ledger.entries) == 1
    assert ledger.problems == ("line 2 is of another version of oddjet, and not counted",)


def test_a_look_that_cannot_be_recorded_is_refused(tmp_path: Path) -> None:
    (tmp_path / LEDGER).mkdir()
    with pytest.raises(ConfigError, match="the look at the data cannot be recorded"):
        record(tmp_path / LEDGER, "hunt", {}, p=0.5)
    done = CliRunner().invoke(app, ["ledger", str(tmp_path / "none")])
    assert done.exit_code == 1
    assert "expected the output folder" in done.output


def test_a_ledger_that_was_cut_stays_named(tmp_path: Path) -> None:
    path = tmp_path / LEDGER
    for n in range(3):
        record(path, "hunt", {"n": n}, p=0.5)
    report = tmp_path / "report.json"

    def write_report() -> None:
        record_damage(path)
        report.write_text(json.dumps({"sections": {"ledger": {"head": read_ledger(path).head}}}))

    write_report()
    assert read_ledger(path).problems == ()
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:1]))
    assert any("cut off" in text for text in read_ledger(path).problems)
    for _ in range(2):
        write_report()
        (problem,) = read_ledger(path).problems
        assert problem.startswith("found on")
        assert "cut off" in problem
    path.unlink()
    write_report()
    assert any("cut off" in text for text in read_ledger(path).problems)
