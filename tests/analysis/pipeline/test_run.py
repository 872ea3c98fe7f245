"""The whole chain on a few hundred simulated events, as a user runs it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml
from offline import no_network
from toy_tables import SMALL_HUNT
from typer.testing import CliRunner

from oddjet.analysis.cli.app import app
from oddjet.analysis.config import AnalysisConfig, load_config
from oddjet.analysis.pipeline.folder import Run
from oddjet.analysis.pipeline.run import _report_key as report_key
from oddjet.analysis.pipeline.run import report_again, run_chain
from oddjet.analysis.pipeline.steps import score_jets, skim_files
from oddjet.analysis.report import page
from oddjet.datasets.skims.manifest import read_manifest, write_manifest
from oddjet.datasets.skims.skim import open_skim
from oddjet.errors import ConfigError, InputError, SkimError
from oddjet.processors.scores import open_scores

pytestmark = pytest.mark.slow

THEIR_DETECTOR = '''
import numpy as np

from oddjet.ml.detectors.base import Detector
from oddjet.ml.representations.substructure import Substructure


class Width(Detector):
    """How far the girth is from that of ordinary jets."""

    score_names = ("distance",)
    min_jets = 10

    def __init__(self, *, power=1.0, representation=None):
        self.power = power
        self.representation = representation or Substructure()

    def _girth(self, jets):
        return self.representation(jets)[:, Substructure.names.index("girth")]

    def _fit(self, jets, *, validation, seed, progress):
        self.mean_ = self._girth(jets).mean()

    def _scores(self, jets):
        return {"distance": np.abs(self._girth(jets) - self.mean_) ** self.power}

    def _save(self, folder):
        np.savez(folder / "mean.npz", mean=self.mean_)

    def _load(self, folder):
        with np.load(folder / "mean.npz") as data:
            self.mean_ = float(data["mean"])
'''


@pytest.fixture(scope="module")
def their_package(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A package that is not ours, on the path; gives the detector's name in a configuration."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "their_package").mkdir()
    (folder / "their_package" / "__init__.py").write_text("")
    (folder / "their_package" / "module.py").write_text(THEIR_DETECTOR)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        yield "their_package.module:Width"


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory, their_package: str) -> AnalysisConfig:
    folder = tmp_path_factory.mktemp("chain")
    content = {
        "name": "a <small> run",
        "output": str(folder / "run"),
        "samples": str(folder / "samples"),
        "fileset": {
            "datasets": {
                "qcd": {
                    "kind": "background",
                    "simulate": {"process": "qcd", "n_events": 1000, "seed": 1, "pt_hat_min": 350},
                },
                "w": {
                    "kind": "signal",
                    "k_factor": 10,
                    "simulate": {"process": "w", "n_events": 300, "seed": 1, "pt_hat_min": 350},
                },
            }
        },
        "selection": {"pt_min": 350},
        "detectors": [
            {
                "name": "khanal",
                "hyper_parameters": {"epochs": 2, "checkpoint_every": 1},
                "cut": "kl",
            },
            {"name": their_package, "label": "theirs", "hyper_parameters": {"power": 2.0}},
        ],
        "decorrelation": {"methods": ["ddt"]},
        "hunt": SMALL_HUNT,
        "pseudo_data": {"lumi_ifb": 0.00012, "seed": 1},
        "folds": 2,
        "chunk_size": 400,
    }
    path = folder / "analysis.yaml"
    path.write_text(yaml.safe_dump(content))
    return load_config(path)


@pytest.fixture(scope="module")
def result(config: AnalysisConfig) -> Run:
    with no_network() as asked:
        run = run_chain(config)
    assert asked == []
    return run


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports whose pictures are one pixel: drawing them takes most of the time of a small one."""
    pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGP4DwABAQEAG7buVgAAAABJRU5ErkJggg=="
    monkeypatch.setattr(page, "data_uri", lambda _: f"data:image/png;base64,{pixel}")


def times(folder: Path, pattern: str) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in sorted(folder.glob(pattern))}


def test_every_output_is_there(config: AnalysisConfig, result: Run) -> None:
    for name in (
        "config.yaml",
        "oddjet.log",
        "skim/manifest.json",
        "models/khanal/folds.json",
        "scores/manifest.json",
        "report.html",
        "report.json",
    ):
        assert (config.output / name).exists(), name
    assert result.report == config.output / "report.html"


def test_a_detector_of_another_package_is_checked_trained_and_scored(
    config: AnalysisConfig, result: Run, their_package: str
) -> None:
    checked = CliRunner().invoke(app, ["check", str(config.output / "config.yaml")])
    assert checked.exit_code == 0, checked.output
    assert "detector 'theirs' gives distance" in checked.output
    fold = json.loads((config.output / "models" / "theirs" / "fold0" / "detector.json").read_text())
    assert fold["detector"] == their_package
    assert fold["hyper_parameters"] == {"power": 2.0}
    scores = open_scores(config.output / "scores").columns()
    assert np.ptp(scores["theirs_distance"]) > 0
    kept = scores["theirs_distance_calibrated"][scores["dataset"] == "qcd"] >= -np.log10(0.5)
    assert np.mean(kept) == pytest.approx(0.5, abs=0.15)
    assert "theirs" in result.report.read_text()


def test_the_report_holds_its_pictures_and_escapes_text(result: Run) -> None:
    html = result.report.read_text()
    assert html.count("data:image/png;base64,") > 12
    assert "a &lt;small&gt; run" in html
    assert "http" not in html.replace("http://www.w3.org", "")
    for heading in ("Cut flow", "Training", "Jet mass", "Bump", "Provenance"):
        assert heading.lower() in html.lower()


def test_the_numbers_are_beside_the_report(config: AnalysisConfig, result: Run) -> None:
    numbers = json.loads((config.output / "report.json").read_text())
    assert numbers["summary"]["n_jets"] == open_skim(config.output / "skim").n_jets
    assert numbers["summary"]["sample"] == "pseudo-data"
    assert 0.4 < numbers["summary"]["auc"][0]["auc"]["value"] < 1


def test_a_second_call_redoes_nothing(config: AnalysisConfig, result: Run) -> None:
    patterns = (
        "skim/*/*", "models/**/*", "scores/*/*.parquet", "scores/histograms.root", "report.*", "seconds.json",
    )  # fmt: skip
    before = [times(config.output, pattern) for pattern in patterns]
    samples = times(config.samples, "*")
    assert all(before)
    assert samples
    again = run_chain(config)
    assert (again.report, again.summary) == (result.report, result.summary)
    assert [times(config.output, pattern) for pattern in patterns] == before
    assert times(config.samples, "*") == samples


def test_a_part_that_was_made_again_in_another_time_changes_no_report(result: Run) -> None:
    before = report_key(result)
    run = Run(result.config)
    run.detectors = result.detectors
    for folder in (run.skim_folder, run.scores_folder):
        manifest = read_manifest(folder)
        slower = tuple(c.model_copy(update={"seconds": c.seconds + 1}) for c in manifest.chunks)
        try:
            write_manifest(folder, manifest.model_copy(update={"chunks": slower}))
            assert report_key(run) == before
            write_manifest(folder, manifest.model_copy(update={"chunks": slower[1:]}))
            assert report_key(run) != before
        finally:
            write_manifest(folder, manifest)


@pytest.mark.usefixtures("undrawn")
def test_a_report_is_kept_only_while_nothing_changed(
    config: AnalysisConfig, result: Run, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(config.output, folder)
    moved = config.model_copy(update={"output": folder})
    elsewhere = Run(moved)
    elsewhere.detectors = result.detectors
    assert report_key(elsewhere) != report_key(result)  # the report names its folder
    before = times(folder, "report.html")
    change = {"hunt": config.hunt.model_copy(update={"n_toys": 101})}
    (folder / "limits" / "old").mkdir(parents=True)
    (folder / "limits" / "old" / "workspace.json").write_text("{}")
    again = run_chain(moved.model_copy(update=change))
    # Models are those of the report's limits, and no others.
    assert len(list((folder / "limits").rglob("workspace.json"))) == len(again.limits)
    assert times(folder, "report.html") != before
    # A rerun heals: a bit, half a report, and state that is none.
    part, histograms = (
        min((folder / "skim" / "qcd").glob("*.parquet")),
        folder / "scores" / "histograms.json",
    )
    whole = {path: path.read_bytes() for path in (part, histograms)}
    for path, content in whole.items():
        path.write_bytes(content[:-20] + bytes([content[-20] ^ 1]) + content[-19:])
    html = (folder / "report.html").read_text()
    (folder / "report.html").write_text(html[: len(html) // 2])
    (folder / "report.json").unlink()
    for state in ("seconds.json", "skim/unique.json"):
        (folder / state).write_text("[]")
    run_chain(moved.model_copy(update=change))
    assert {path: path.read_bytes() for path in whole} == whole
    assert len((folder / "report.html").read_text()) > 0.9 * len(html)
    assert (folder / "report.json").exists()
    assert CliRunner().invoke(app, ["status", str(folder), "--verify"]).exit_code == 0


def test_damage_to_any_output_is_named(config: AnalysisConfig, result: Run, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(config.output, folder)
    run = Run(config.model_copy(update={"output": folder}))
    patterns = (
        "skim/qcd/*.npy", "models/khanal/fold0/*.keras", "models/khanal.training.json",
        "scores/w/*.parquet", "scores/histograms.root", "report.json", "report.key.json",
    )  # fmt: skip
    damaged = [min(folder.glob(pattern)) for pattern in patterns]
    for path in damaged:
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2] + b"?" + content[len(content) // 2 + 1 :])
    told = CliRunner().invoke(app, ["status", str(folder), "--verify", "--no-plan"])
    assert told.exit_code == 1
    text = told.output.replace("\n", "")
    # Without its key, the report has no hashes: it is named itself.
    expected = [path for path in damaged if path.name != "report.json"] + [folder / "report.html"]
    assert [path for path in expected if str(path) not in text] == []
    with pytest.raises(InputError, match="repeat `oddjet report"):
        run.to_dict()
    with pytest.raises(InputError, match="repeat `oddjet report"):
        _ = run.summary


@pytest.mark.usefixtures("undrawn")
def test_the_report_can_be_written_again(config: AnalysisConfig, result: Run) -> None:
    before = json.loads((config.output / "report.json").read_text())
    (config.output / "report.json").unlink()
    again = CliRunner().invoke(app, ["report", str(config.output)])
    assert again.exit_code == 0, again.output
    assert json.loads((config.output / "report.json").read_text())["summary"] == before["summary"]


def test_scores_of_another_skim_or_training_are_not_reported(
    config: AnalysisConfig, result: Run, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(config.output, folder)
    shutil.rmtree(folder / "scores")
    run = Run.open(folder)
    harder = run.config.selection.model_copy(update={"pt_min": 450.0})
    skim_files(run.config.model_copy(update={"selection": harder}), tmp_path / "skim")
    score_jets(run.config, tmp_path / "skim", list(run.models.values()), run.scores_folder)
    for read in (lambda: report_again(folder), lambda: run.scores, lambda: run.histograms):
        with pytest.raises(SkimError, match=r"jets of another skim. Repeat `oddjet run"):
            read()
    told = CliRunner().invoke(app, ["status", str(folder), "--verify"])
    assert "jets of another skim" in told.output.replace("\n", " ")
    shutil.rmtree(run.scores_folder)
    score_jets(run.config, run.skim_folder, list(run.models.values()), run.scores_folder)
    run.check_scores()
    shutil.rmtree(folder / "models" / "theirs")
    shutil.copytree(folder / "models" / "khanal", folder / "models" / "theirs")
    with pytest.raises(SkimError, match="another training of theirs"):
        report_again(folder)


def test_steps_on_the_command_line_agree(
    config: AnalysisConfig, result: Run, tmp_path: Path
) -> None:
    run = config.output
    command = ["score", str(run / "skim")]
    for model in ("khanal", "theirs"):
        command += ["-m", str(run / "models" / model)]
    scored = CliRunner().invoke(app, [*command, "-o", str(tmp_path / "scores")])
    assert scored.exit_code == 0, scored.output
    command = ["hunt", str(tmp_path / "scores")]
    command += ["--column", "khanal_kl_ddt", "--column", "theirs_distance_ddt"]
    command += ["--config", str(run / "config.yaml"), "-o", str(tmp_path / "hunt.json")]
    hunted = CliRunner().invoke(app, command)
    assert hunted.exit_code == 0, hunted.output
    numbers = json.loads((tmp_path / "hunt.json").read_text())
    summary = json.loads((run / "report.json").read_text())["summary"]
    assert numbers["scores"] == ["khanal_kl_ddt", "theirs_distance_ddt"]
    for key in ("window", "local_p", "global_p"):
        assert numbers[key] == summary[key]
    assert set(summary["sculpting"]) == {
        "khanal_kl_ddt", "khanal_kl_calibrated", "theirs_distance_ddt", "theirs_distance_calibrated",
    }  # fmt: skip


def test_nothing_is_made_where_there_is_nothing_to_hunt_in(
    config: AnalysisConfig, tmp_path: Path
) -> None:
    place = {"output": tmp_path / "run", "samples": tmp_path / "samples", "pseudo_data": None}
    with pytest.raises(ConfigError, match="no pseudo_data: there is nothing to hunt in"):
        run_chain(config.model_copy(update=place))
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"config\.yaml"):
        report_again(tmp_path)


def test_files_can_be_scored_without_a_skim(
    config: AnalysisConfig, result: Run, tmp_path: Path
) -> None:
    """The same scores come out of the second processor, whether it reads events or a skim."""
    run = config.output
    sample = next(config.samples.glob("w-*.root"))
    command = ["score", str(sample), "-m", str(run / "models" / "khanal")]
    command += ["--config", str(run / "config.yaml"), "-o", str(tmp_path / "direct")]
    scored = CliRunner().invoke(app, command)
    assert scored.exit_code == 0, scored.output
    direct = open_scores(tmp_path / "direct").columns()
    through_skim = open_scores(run / "scores").columns(datasets="w")
    for column in ("event", "jet_index", "pt", "msoftdrop"):
        np.testing.assert_array_equal(direct[column], through_skim[column])
    for column in ("khanal_mse", "khanal_kl"):
        np.testing.assert_allclose(direct[column], through_skim[column], rtol=1e-5)


def test_a_skim_with_other_images_is_refused(
    config: AnalysisConfig, result: Run, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(config.output, folder)
    text = (folder / "config.yaml").read_text()
    (folder / "config.yaml").write_text(text.replace("pixels: 32", "pixels: 40"))
    refused = CliRunner().invoke(app, ["report", str(folder)])
    assert refused.exit_code == 1
    assert "another representation" in refused.output
    assert "pixels" in refused.output
