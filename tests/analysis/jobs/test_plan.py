from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from oddjet.analysis.cli.app import app
from oddjet.analysis.config import AnalysisConfig, load_config
from oddjet.analysis.jobs import cost as calibration
from oddjet.analysis.jobs.plan import RunPlan, finish_time, plan_analysis
from oddjet.analysis.pipeline.train import train_detector
from oddjet.condor import open_executor
from oddjet.datasets.skims.skim import open_skim
from oddjet.errors import ConfigError
from oddjet.ml.representations.jet_image import JetImage
from oddjet.processors.engine.options import RunOptions
from oddjet.processors.run import run_anomaly, run_skim

N_EVENTS = 400


@pytest.fixture
def config_file(qcd: Path, tmp_path: Path) -> Path:
    content = {
        "name": "planned",
        "output": str(tmp_path / "run"),
        "samples": str(tmp_path / "samples"),
        "fileset": {"datasets": {"qcd": {"kind": "background", "files": [str(qcd)]}}},
        "image": {"pixels": 16},
        "detectors": [{"name": "kmeans"}],
        "cluster": {"executor": "futures", "workers": 4},
        "chunk_size": 100,
    }
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(content))
    return tmp_path / "a.yaml"


def skim_it(config: AnalysisConfig) -> None:
    with open_executor() as executor:
        run_skim(
            config.resolve_fileset(),
            selection=config.selection,
            output=config.output / "skim",
            representation=JetImage(pixels=16),
            executor=executor,
            options=RunOptions(chunk_size=config.chunk_size),
        )


def size_of(folder: Path, *suffixes: str) -> int:
    return sum(path.stat().st_size for s in suffixes for path in folder.glob(f"*/*{s}"))


def test_the_plan_is_what_the_run_takes(config_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration, "CALIBRATION_EVENTS", 300)
    config = load_config(config_file)
    plan = plan_analysis(config)
    (dataset,) = plan.datasets
    assert (dataset.n_files, dataset.n_events, dataset.n_chunks) == (1, N_EVENTS, 4)
    assert (plan.executor, plan.workers) == ("futures", 4)
    assert plan.score_wall_seconds is None
    skim_it(config)
    skim = open_skim(config.output / "skim")
    assert dataset.n_jets == pytest.approx(skim.n_jets, rel=0.1)
    assert dataset.skim_bytes == pytest.approx(size_of(skim.folder, ".parquet", ".npy"), rel=0.25)
    # No more than the file, and a good part of it: constituents are most of what there is.
    file = Path(next(iter(config.resolve_fileset().datasets["qcd"].files)))
    assert 0.2 * file.stat().st_size < dataset.read_bytes < file.stat().st_size
    assert 0 < plan.skim_wall_seconds < dataset.skim_seconds + plan.calibration.start_seconds
    train_detector(skim, config.detectors[0], config.output / "models" / "kmeans")
    scored = plan_analysis(config)
    assert not scored.calibration.reused
    with open_executor() as executor:
        run_anomaly(
            skim,
            detectors={"kmeans": config.output / "models" / "kmeans"},
            output=config.output / "scores",
            executor=executor,
        )
    written = size_of(config.output / "scores", ".parquet")
    # Small files are mostly headers: of 100 events here, of 300 in the calibration.
    assert 0.2 * written < (scored.total("score_bytes") or 0) < 1.2 * written
    assert (scored.score_wall_seconds or 0) > 0


def test_what_was_measured_is_used_again(config_file: Path) -> None:
    config = load_config(config_file)

    def plan(*, measure: bool = False, **changes: object) -> RunPlan:
        return plan_analysis(config.model_copy(update=changes), measure=measure)

    first = plan()
    assert not first.calibration.reused
    again = plan(chunk_size=200)
    assert again.calibration.reused
    assert again.calibration.costs == first.calibration.costs
    assert again.datasets[0].n_chunks == 2
    assert not plan(measure=True).calibration.reused
    changed = config.selection.model_copy(update={"pt_min": 600.0})
    assert not plan(selection=changed).calibration.reused
    (config.output / "calibration.json").write_text("{")
    assert not plan().calibration.reused


def test_the_command_tells_it(config_file: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["plan", str(config_file), "-o", str(tmp_path / "p" / "a.json")])
    assert done.exit_code == 0, done.output
    assert "train the detectors first" in done.output
    numbers = json.loads((tmp_path / "p" / "a.json").read_text())
    assert numbers["total"]["n_events"] == N_EVENTS
    assert numbers["total"]["score_seconds"] is None
    assert numbers["datasets"][0]["skim_seconds"] > 0


def test_samples_come_first(config_file: Path) -> None:
    content = yaml.safe_load(config_file.read_text())
    request = {"process": "qcd", "n_events": 1000, "seed": 1}
    content["fileset"]["datasets"]["qcd"] = {"kind": "background", "simulate": request}
    config_file.write_text(yaml.safe_dump(content))
    with pytest.raises(ConfigError, match=r"not simulated yet: qcd \(qcd, 1,000 events\)"):
        plan_analysis(load_config(config_file))


@pytest.mark.parametrize(
    ("seconds", "workers", "expected"),
    [([1.0] * 10, 1, 10), ([1.0] * 10, 3, 4), ([5.0, 1, 1], 2, 5), ([], 2, 0), ([1, 1, 5.0], 2, 6)],
)
def test_free_workers_take_the_next_chunk(
    seconds: list[float], workers: int, expected: float
) -> None:
    assert finish_time(seconds, workers) == expected
