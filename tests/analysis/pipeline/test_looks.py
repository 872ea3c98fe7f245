"""A hunt in data in two stages, from a scores table on disk: what is seen when, and what is written down."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import awkward as ak
import hist
import numpy as np
import pytest
from toy_tables import write_table
from typer.testing import CliRunner

from oddjet.analysis.cli.app import app
from oddjet.analysis.config import AnalysisConfig
from oddjet.analysis.hunt.ledger import LEDGER, read_ledger
from oddjet.analysis.hunt.result import Hunt
from oddjet.analysis.hunt.stages import FROZEN
from oddjet.analysis.pipeline.folder import Run
from oddjet.analysis.pipeline.looks import hunt_in_file
from oddjet.analysis.pipeline.steps import hunt_scores
from oddjet.analysis.statistics.bumphunt.settings import ScanSettings
from oddjet.errors import ConfigError
from oddjet.processors.blinding import explored
from oddjet.processors.histogram_files import save_histograms

N = 12_000
BUMP = (100.0, 110.0)


def jets(bump: int, seed: int = 4) -> dict[str, Any]:
    """Data whose score knows nothing of the mass, and a bump at 105 GeV that scores high."""
    rng = np.random.default_rng(seed)
    n = N + bump
    survival = np.concatenate([rng.uniform(size=N), rng.uniform(0, 0.1, bump)])
    return {
        "run": np.ones(n, np.uint32),
        "luminosityBlock": np.ones(n, np.uint32),
        "event": np.arange(n, dtype=np.uint64),
        "rank": np.zeros(n, np.int16),
        "pt": np.full(n, 600.0),
        "weight": np.ones(n),
        "msoftdrop": np.concatenate([50 + rng.exponential(45, N), rng.normal(105, 3, bump)]),
        "k_s": -survival,
        "k_s_calibrated": -np.log10(survival),
    }


def settings(folder: Path, **more: Any) -> AnalysisConfig:
    hunt = {
        "function": "exppoly3", "range": [50, 250], "bin_width": 5, "window": [70, 95],
        "working_points": [0.1], "n_toys": 100, "widths": [2, 4],
    }  # fmt: skip
    stages = {"explore": 0.3, "z_cut": 2.5}
    content = {"name": "a", "output": folder, "fileset": "", "hunt": hunt, "unblinding": stages}
    return AnalysisConfig.model_validate(content | more)


def look(folder: Path, **more: Any) -> Hunt:
    return hunt_scores(settings(folder, **more), folder, ["k_s"])


def inside(columns: dict[str, Any]) -> Any:
    mass = columns["msoftdrop"]
    return (mass >= 50) & (mass < 250)


def test_a_share_explores_and_the_rest_tests_what_was_written_down(tmp_path: Path) -> None:
    columns = jets(bump=400)
    write_table(tmp_path, {"run": ak.Array(columns)}, {"run": "data"}, kind="scores")
    explores = explored(columns, 0.3)
    first = look(tmp_path)
    assert first.sample.part is not None
    assert first.working_points[0].counts.sum() == (inside(columns) & explores).sum()
    assert first.bump_hunt is not None
    assert first.frozen is not None
    assert first.tested_p is None
    assert any(low < 105 < high for low, high in first.frozen.windows)
    assert (tmp_path / FROZEN).is_file()
    assert "--unblind tests the rest" in str(first.stage_statements)
    # Only the others are looked at, in these windows and after these cuts alone.
    second = look(tmp_path, unblind=True)
    assert second.frozen == first.frozen
    assert second.working_points[0].counts.sum() == (inside(columns) & ~explores).sum()
    assert second.bump_hunt is not None
    assert {c.label for c in second.bump_hunt.channels} == set(first.frozen.labels)
    tested = second.bump_hunt.best.table
    assert tuple(zip(tested.low, tested.high, strict=True)) == first.frozen.windows
    assert second.tested_p == second.bump_hunt.global_p < 0.05
    both = second.to_dict()["stages"]["p_of_both"]
    assert both == pytest.approx(first.frozen.p_chosen * second.tested_p)
    ledger = read_ledger(tmp_path / LEDGER)
    assert [entry.event for entry in ledger.entries] == ["explore", "unblinding", "test"]
    assert ledger.looks is not None
    assert ledger.looks.smallest == second.tested_p
    # Once the rest is seen, exploring writes nothing down any more, and other settings test nothing.
    again = look(tmp_path)
    assert again.frozen == first.frozen
    with pytest.raises(ConfigError, match=r"exploring with other settings \(hunt, stages differ\)"):
        look(
            tmp_path, unblind=True, unblinding={"explore": 0.3, "z_cut": 1.0}, hunt={"n_toys": 100}
        )
    # So it is with another jet more or less: all but it were seen.
    fewer = {name: values[:-1] for name, values in columns.items()}
    write_table(tmp_path, {"run": ak.Array(fewer)}, {"run": "data"}, kind="scores")
    written = (tmp_path / FROZEN).read_bytes()
    with pytest.raises(ConfigError, match="jets differ"):
        look(tmp_path)
    assert (tmp_path / FROZEN).read_bytes() == written


def test_unblinding_at_once_explores_first_and_nothing_chosen_tests_nothing(tmp_path: Path) -> None:
    columns = jets(bump=0)
    write_table(tmp_path, {"run": ak.Array(columns)}, {"run": "data"}, kind="scores")
    result = look(tmp_path, unblind=True, unblinding={"explore": 0.3, "z_cut": 5.0})
    assert result.frozen is not None
    assert result.frozen.chosen == ()
    assert result.bump_hunt is None
    assert "exploring wrote nothing down to test" in result.problem
    assert result.to_dict()["stages"]["p_of_both"] >= result.frozen.p_chosen
    events = [entry.event for entry in read_ledger(tmp_path / LEDGER).entries]
    assert events == ["explore", "unblinding", "test"]


def test_data_that_were_seen_as_a_whole_have_no_rest_to_test(tmp_path: Path) -> None:
    write_table(tmp_path, {"run": ak.Array(jets(bump=0))}, {"run": "data"}, kind="scores")
    look(tmp_path, unblind=True, unblinding=None)
    with pytest.raises(ConfigError, match="the rest of the data has been seen"):
        look(tmp_path)


def test_another_window_unblinds_the_one_before(tmp_path: Path) -> None:
    write_table(tmp_path, {"run": ak.Array(jets(bump=0))}, {"run": "data"}, kind="scores")
    windows = ([70, 95], [75, 90], [60, 100], [150, 190], [150, 190])
    for window in windows:
        hunt = settings(tmp_path).hunt.model_copy(update={"window": tuple(window)})
        result = look(tmp_path, unblinding=None, hunt=hunt.model_dump())
        assert result.blinded
    ledger = read_ledger(tmp_path / LEDGER)
    # What is hidden now as well was not shown; the narrower one showed what the first had hidden.
    events = [(entry.event, entry.look.get("window")) for entry in ledger.entries]
    shown = [window for event, window in events if event == "unblinding"]
    assert shown == [[70.0, 95.0], [75.0, 90.0], [60.0, 100.0]]
    assert [event for event, _ in events][:4] == ["blinded", "unblinding", "blinded", "blinded"]
    assert [event for event, _ in events][-2:] == ["blinded", "blinded"]
    said = CliRunner().invoke(app, ["ledger", str(tmp_path)]).output
    assert "the data were first unblinded at" in said


def test_masses_are_shown_of_the_events_that_would_have_tested(tmp_path: Path) -> None:
    write_table(tmp_path, {"run": ak.Array(jets(bump=0))}, {"run": "data"}, kind="scores")
    look(tmp_path)
    look(tmp_path, unblinding=None)
    events = [entry.event for entry in read_ledger(tmp_path / LEDGER).entries]
    assert events == ["explore", "unblinding", "blinded"]


def filled_run(folder: Path, **more: Any) -> Path:
    """A run whose histograms hold all of its data, as those of older versions do: their file."""
    scores = folder / "scores"
    tables = {"run": ak.Array(jets(bump=0)), "qcd": ak.Array(jets(bump=0, seed=5))}
    write_table(scores, tables, {"run": "data", "qcd": "background"}, kind="scores")
    axis = hist.axis.Regular(40, 50, 250, name="msoftdrop")
    histogram = hist.Hist(hist.axis.StrCategory(list(tables), name="dataset"), axis)
    for name, table in tables.items():
        histogram.fill(dataset=name, msoftdrop=np.asarray(table["msoftdrop"]))
    save_histograms(scores / "histograms.json", {"d": histogram})
    Run(settings(folder, unblinding=None, **more)).write_config()
    return scores / "histograms.json"


def test_a_file_that_holds_what_its_run_hides_is_refused(tmp_path: Path) -> None:
    file = filled_run(tmp_path)
    scan = ScanSettings(function="exppoly3", n_toys=20)
    with pytest.raises(ConfigError, match=r"hides of the data: jets with msoftdrop in 70–95 GeV"):
        hunt_in_file(f"{file}:d?dataset=run", scan)
    done = CliRunner().invoke(app, limit(f"{file}:d?dataset=run", tmp_path))
    assert done.exit_code == 1
    assert "oddjet run" in done.output
    assert hunt_in_file(f"{file}:d?dataset=qcd", scan).bump_hunt is not None
    assert not (tmp_path / LEDGER).exists()


def limit(source: str, folder: Path) -> list[str]:
    rest = ["--mass", "150", "--width", "8", "--function", "exppoly3", "--toys", "0", "--unblind"]
    return ["limit", source, *rest, "-o", str(folder / "limit")]


def test_a_histogram_named_in_two_ways_is_one_look_and_a_limit_is_recorded(tmp_path: Path) -> None:
    file = filled_run(tmp_path, unblind=True)
    scan = ScanSettings(function="exppoly3", n_toys=20)
    other = file.parent / ".." / "scores" / file.name
    for source in (file, other):
        assert hunt_in_file(f"{source}:d?dataset=run", scan).bump_hunt is not None
    ledger = read_ledger(tmp_path / LEDGER)
    assert ledger.looks is not None
    assert (len(ledger.entries), ledger.looks.n_looks) == (2, 1)
    assert ledger.entries[0].look["source"] == "histograms.json:d?dataset=run"
    done = CliRunner().invoke(app, limit(f"{file}:d?dataset=run", tmp_path))
    assert done.exit_code == 0, done.output
    ledger = read_ledger(tmp_path / LEDGER)
    assert (ledger.entries[-1].event, ledger.n_limits) == ("limit", 1)
    said = CliRunner().invoke(app, ["ledger", str(tmp_path)]).output
    assert "1 limit under a signal recorded" in said
