from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from oddjet.analysis.cli.app import app
from oddjet.analysis.config import read_settings
from oddjet.analysis.pipeline.folder import Run
from oddjet.analysis.pipeline.steps import hunt_scores, open_of_run, verdict_settings
from oddjet.analysis.scores.blinding import blinding_of
from oddjet.analysis.scores.sample import histogram_settings
from oddjet.analysis.sculpting.scores import judge_scores
from oddjet.datasets.files.dataset import Fileset
from oddjet.datasets.skims.manifest import DatasetSummary, Manifest, read_manifest, write_manifest
from oddjet.errors import ConfigError, OddjetError


@pytest.mark.slow
def test_dask_reports_on_a_skim(qcd: Path, tmp_path: Path) -> None:
    report = tmp_path / "new" / "report.html"
    command = ["skim", str(qcd), "-o", str(tmp_path / "skim"), "--executor", "dask"]
    done = CliRunner().invoke(app, [*command, "--performance-report", str(report)])
    assert done.exit_code == 0, done.output
    assert "Dask Performance Report" in report.read_text()


def test_a_hunt_hides_what_the_run_of_its_scores_hides(tmp_path: Path) -> None:
    fileset = Fileset.model_validate({"datasets": {"d": {"kind": "data", "files": ["a.root"]}}})
    run = read_settings(None, {"fileset": fileset, "hunt.window": [123, 158]}, output=tmp_path)
    Run(run).write_config()
    scores = tmp_path / "scores"
    data = DatasetSummary(kind="data", n_events=1, sumw=1.0, sumw2=1.0)
    write_manifest(scores, Manifest(kind="scores", datasets={"d": data}))
    settings = verdict_settings(scores, None, {}, ["d"]).hunt  # without a configuration, the run's
    assert settings.window == (123, 158)
    words = r"hides msoftdrop in 123–158 GeV .*config\.yaml \(config= in Python\)$"
    with pytest.raises(ConfigError, match=words):
        verdict_settings(scores, None, {"hunt.window": [65, 105]}, ["d"])
    with pytest.raises(ConfigError, match=words):  # data are judged where nothing else is named
        verdict_settings(scores, None, {"hunt.window": [65, 105]})
    changed = verdict_settings(scores, None, {"hunt.window": [65, 105]}, ["simulation"])
    assert changed.hunt.window == (65, 105)
    assert not settings_of_shown(tmp_path, scores, unblind=False)
    assert settings_of_shown(tmp_path, scores, unblind=True)
    Run(run).write_config()  # blinded again
    other = read_settings(None, {}, output=scores)
    with pytest.raises(
        ConfigError,
        match=r"hides msoftdrop in 123–158 GeV .* 65–105 GeV would be hidden .*--unblind",
    ):
        hunt_scores(other, scores, ["kmeans_min_d"])
    masses = read_settings(None, {"hunt.window": [123, 158], "hunt.mass": "mass"}, output=scores)
    with pytest.raises(ConfigError, match=r"hides msoftdrop in 123.* mass in 123–158 GeV would"):
        hunt_scores(masses, scores, ["kmeans_min_d"])
    # A table without a run says itself what it hides.
    alone = tmp_path / "alone" / "scores"
    filled = histogram_settings(run.hunt, blinding=blinding_of(run, {"d": data}))
    config = {"histograms": filled.model_dump(mode="json")}
    write_manifest(alone, Manifest(kind="scores", config=config, datasets={"d": data}))
    with pytest.raises(ConfigError, match=r"data blinded: jets with msoftdrop in 120–160 GeV"):
        hunt_scores(other, alone, ["kmeans_min_d"])


def settings_of_shown(folder: Path, scores: Path, *, unblind: bool) -> bool:
    """Whether data are judged in the window, by the settings of their run."""
    path = folder / "config.yaml"
    kept = [line for line in path.read_text().splitlines() if not line.startswith("unblind:")]
    path.write_text("\n".join([*kept, f"unblind: {str(unblind).lower()}"]))
    return verdict_settings(scores, None, {}).unblind


def test_tables_are_compared_as_the_run_says_that_they_belong_to(
    small_table: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "scores"
    shutil.copytree(small_table, folder)
    manifest = read_manifest(folder)
    wrong = {".parquet": "0" * 64}
    parts = tuple(part.model_copy(update={"hashes": wrong}) for part in manifest.chunks)
    write_manifest(folder, manifest.model_copy(update={"chunks": parts}))

    def judge() -> str:
        with pytest.raises(OddjetError) as caught:
            judge_scores(folder, ["nothing"], verify=verdict_settings(folder, None, {}).verify)
        return str(caught.value)

    assert open_of_run(folder).verify == "first"
    assert "is not the file that was written" in judge()
    Run(read_settings(None, {"verify": "never"}, output=tmp_path)).write_config()
    assert open_of_run(folder).verify == "never"
    assert len(open_of_run(folder).jets()) == open_of_run(folder).n_jets
    assert "has no column nothing" in judge()
