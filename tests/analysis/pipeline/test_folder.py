from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from oddjet.analysis.config import AnalysisConfig
from oddjet.analysis.pipeline.folder import Run
from oddjet.datasets.skims.manifest import DatasetSummary, Manifest, write_manifest
from oddjet.errors import ConfigError, SkimError
from oddjet.ml import plugins


def a_run(folder: Path, **settings: Any) -> Run:
    return Run(
        AnalysisConfig.model_validate({"name": "a", "output": folder, "fileset": "f"} | settings)
    )


def summary(kind: Any, **more: Any) -> DatasetSummary:
    return DatasetSummary(kind=kind, sumw=50.0, sumw2=50.0, n_events=100, sumw_runs=50.0, **more)


def write_skim(run: Run, datasets: dict[str, DatasetSummary]) -> None:
    run.skim_folder.mkdir(parents=True)
    image = run.image.identity() if run.image else None
    write_manifest(run.skim_folder, Manifest(kind="skim", datasets=datasets, representation=image))


def test_places_follow_the_folder_and_nothing_is_read(tmp_path: Path) -> None:
    run = a_run(tmp_path / "run", detectors=[{"name": "kmeans"}, {"name": "khanal", "label": "k"}])
    assert run.models == {
        "kmeans": tmp_path / "run" / "models" / "kmeans",
        "k": tmp_path / "run" / "models" / "k",
    }
    assert run.command == f"oddjet run {tmp_path / 'run' / 'config.yaml'}"
    assert run.image is not None
    assert run.injection is None
    assert not run.folder.exists()
    with pytest.raises(SkimError):
        _ = run.skim


def test_classes_that_the_configuration_names_may_be_in_saved_detectors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plugins, "_ALLOWED", {})
    theirs = {
        "name": "theirs.flow:Flow",
        "hyper_parameters": {"representation": {"theirs.pt:Pt": {"power": 2}}},
    }
    run = a_run(tmp_path / "run", detectors=[theirs, {"name": "kmeans"}])
    assert run.named_classes == ("theirs.flow:Flow", "theirs.pt:Pt")
    assert set(plugins._ALLOWED) == set(run.named_classes)


def test_a_folder_that_was_moved_is_opened_where_it_is(tmp_path: Path) -> None:
    dataset = {"kind": "data", "files": {"a.root": "Events"}}
    run = a_run(tmp_path / "before", fileset={"datasets": {"jetht": dataset}})
    run.folder.mkdir()
    run.write_config()
    run.folder.rename(tmp_path / "after")
    moved = Run.open(tmp_path / "after", unblind=True)
    assert moved.folder == tmp_path / "after"
    assert moved.config.unblind
    assert moved.config.model_copy(update={"output": run.folder, "unblind": False}) == run.config
    with pytest.raises(ConfigError, match="is not the output of a run: it does not exist"):
        Run.open(tmp_path / "before")


def test_luminosity_and_scales_are_those_of_pseudo_data_or_of_data(tmp_path: Path) -> None:
    simulated = {"qcd": summary("background", cross_section_pb=2.0, k_factor=1.5, label="QCD")}
    run = a_run(tmp_path, lumi_ifb=3.0, image=None)
    write_skim(run, {**simulated, "jetht": summary("data")})
    assert run.lumi_ifb == 3.0
    assert run.labels == {"qcd": "QCD", "jetht": "jetht"}
    assert run.scales() == pytest.approx({"qcd": 2.0 * 1.5 * 3.0 * 1000 / 50, "jetht": 1.0})
    drawn = a_run(tmp_path, pseudo_data={"lumi_ifb": 0.5}, image=None)
    assert drawn.lumi_ifb == 0.5
    assert drawn.scales()["qcd"] == pytest.approx(2.0 * 1.5 * 0.5 * 1000 / 50)
    unknown = a_run(tmp_path, image=None)
    assert unknown.scales() == {"qcd": 1.0, "jetht": 1.0}
    assert unknown.scales(unknown_lumi_ifb=1.0)["qcd"] == pytest.approx(2.0 * 1.5 * 1000 / 50)


def test_simulation_without_a_cross_section_is_not_scaled(tmp_path: Path) -> None:
    run = a_run(tmp_path, pseudo_data={"lumi_ifb": 0.5})
    write_skim(run, {"qcd": summary("background"), "w": summary("signal", cross_section_pb=1.0)})
    assert run.scales(unknown_lumi_ifb=1.0) == {"qcd": 1.0, "w": 1.0}


def test_a_skim_with_other_images_is_refused(tmp_path: Path) -> None:
    run = a_run(tmp_path)
    write_skim(run, {"qcd": summary("background")})
    assert run.skim.datasets == ("qcd",)
    other = dataclasses.replace(
        run, config=a_run(tmp_path, image={"pixels": 40, "half_width": 0.8}).config
    )
    with pytest.raises(SkimError, match="pixels"):
        _ = other.skim
