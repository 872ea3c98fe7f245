"""Whole runs of detectors over files and skims."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
from coffea.processor.executor import ExecutorBase

from oddjet.datasets.disk.checksums import file_sha256
from oddjet.datasets.files.dataset import Dataset, Fileset
from oddjet.datasets.folds import fold_of
from oddjet.datasets.skims.skim import open_skim
from oddjet.errors import ConfigError, DetectorError, LinkError, NonFiniteError, SkimError
from oddjet.ml.folds import FoldedDetector
from oddjet.processors import anomaly
from oddjet.processors.engine.options import RunOptions
from oddjet.processors.histogram_files import load_histograms
from oddjet.processors.histograms import HistogramSettings
from oddjet.processors.replicas import REPLICAS, load_replicas
from oddjet.processors.run import run_anomaly, run_skim
from oddjet.processors.scores import open_scores

SETTINGS = HistogramSettings(
    mass="mass",
    mass_range=(0.0, 200.0),
    n_bins=20,
    pt_edges=(200.0, 400.0, 13000.0),
    working_points=(0.5, 0.1),
)
ORDER = ["dataset", "event", "jet_index"]


def ordered(columns: dict[str, Any]) -> dict[str, Any]:
    order = np.lexsort([columns[name] for name in reversed(ORDER)])
    return {name: values[order] for name, values in columns.items()}


def same(first: dict[str, Any], second: dict[str, Any]) -> None:
    assert first.keys() == second.keys()
    first, second = ordered(first), ordered(second)
    for name, values in first.items():
        np.testing.assert_array_equal(values, second[name], err_msg=name)


def test_the_table_holds_what_the_detector_says(
    skim_folder: Path, detector_folder: Path, iterative: ExecutorBase, tmp_path: Path
) -> None:
    skim = open_skim(skim_folder)
    seen: list[tuple[int, int, int]] = []
    result = run_anomaly(
        skim,
        detectors={"m": detector_folder},
        output=tmp_path,
        executor=iterative,
        options=RunOptions(progress=lambda *done: seen.append(done)),
        histograms=SETTINGS,
    )
    jets = skim.jets()
    table = open_scores(tmp_path).columns()
    assert set(table) == {
        "dataset", "run", "luminosityBlock", "event", "jet_index", "rank", "file_id", "entry",
        "fold", "pt", "eta", "phi", "mass", "msoftdrop", "weight", "label",
        "m_mass", "m_mass_calibrated", "m_light", "m_light_calibrated",
    }  # fmt: skip
    expected = FoldedDetector.load(detector_folder).scores(jets)
    for name, values in expected.items():
        np.testing.assert_array_equal(table[f"m_{name}"], values)
    np.testing.assert_array_equal(table["fold"], fold_of(jets, 3))
    np.testing.assert_array_equal(table["pt"], jets.pt)
    assert table["dataset"].tolist() == ak.to_list(jets.dataset)
    assert seen[0] == (0, 5, 0)
    assert seen[-1] == (5, 5, len(jets))
    assert result.manifest.kind == "scores"
    assert result.manifest.datasets == skim.manifest.datasets
    assert result.manifest.cutflow == skim.manifest.cutflow
    assert result.manifest.processed_entries == 600


def test_histograms_agree_with_the_table(
    skim_folder: Path, detector_folder: Path, iterative: ExecutorBase, tmp_path: Path
) -> None:
    scales = {"qcd": 0.5, "w": 3.0}
    result = run_anomaly(
        open_skim(skim_folder),
        detectors={"m": detector_folder},
        output=tmp_path,
        executor=iterative,
        scales=scales,
        histograms=SETTINGS,
    )
    table = open_scores(tmp_path).columns()
    saved = load_histograms(tmp_path / "histograms.json")
    assert saved == result.histograms
    assert set(saved) == {"m_mass", "m_light"}
    edges = (np.linspace(0, 200, 21), np.array(SETTINGS.pt_edges))
    compared = 0
    for name, histogram in saved.items():
        for dataset, scale in scales.items():
            for point in ("all", "0.5", "0.1"):
                cut = 0.0 if point == "all" else -np.log10(float(point))
                use = (table["dataset"] == dataset) & (table["rank"] == 0)
                use &= table[f"{name}_calibrated"] >= cut
                weight = table["weight"][use] * scale
                view = histogram[dataset, "nominal", point, :, :].view()
                for array, power in ((view.value, 1), (view.variance, 2)):
                    expected, *_ = np.histogram2d(
                        table["mass"][use], table["pt"][use], bins=edges, weights=weight**power
                    )
                    np.testing.assert_allclose(array, expected, rtol=1e-12)
                    compared += int(expected.sum() > 0)
                assert result.passed[name][dataset][point] == np.count_nonzero(use)
    assert compared >= 20
    # half of the background passes a working point of one half, up to fluctuations
    passed = result.passed["m_mass"]["qcd"]
    assert passed["0.5"] / passed["all"] == pytest.approx(0.5, abs=0.12)


def test_decorrelated_scores_are_in_the_table_and_the_histograms(
    skim_folder: Path, detector_folder: Path, iterative: ExecutorBase, tmp_path: Path
) -> None:
    skim = open_skim(skim_folder)
    jets = skim.jets()
    plain = FoldedDetector.load(detector_folder)
    # Each jet several times: a third of so few would not be enough.
    trained_on = skim.jets(kinds="background")
    many = trained_on[np.tile(np.arange(len(trained_on)), 6)]
    decorrelated = plain.decorrelated(many, methods={"ddt": {}}, mass="mass")
    decorrelated.save(tmp_path / "model")
    run = {"detectors": {"m": tmp_path / "model"}, "output": tmp_path / "scores"}
    result = run_anomaly(skim, executor=iterative, **run, histograms=SETTINGS)
    table = open_scores(tmp_path / "scores").columns()
    for name, values in decorrelated.scores(jets).items():
        np.testing.assert_array_equal(table[f"m_{name}"], values)
    assert set(result.histograms) == {"m_mass", "m_light", "m_mass_ddt", "m_light_ddt"}
    use = (table["dataset"] == "qcd") & (table["rank"] == 0)
    passing = use & (table["m_mass_ddt"] >= -np.log10(0.5))
    histogram = result.histograms["m_mass_ddt"]
    assert histogram["qcd", "nominal", "0.5", sum, sum].value == pytest.approx(
        table["weight"][passing & (table["pt"] >= 200)].sum()
    )
    assert result.passed["m_mass_ddt"]["qcd"]["0.5"] == np.count_nonzero(passing)
    (detector,) = result.manifest.config["detectors"]
    assert list(detector["methods"]) == ["ddt"]
    # What other calibrations would have given lies beside it, under its hash.
    replicas = load_replicas(tmp_path / "scores" / REPLICAS)
    assert set(replicas) == {"m_mass_calibrated", "m_light_calibrated", "m_mass_ddt", "m_light_ddt"}
    assert result.manifest.outputs[REPLICAS] == file_sha256(tmp_path / "scores" / REPLICAS)
    first = decorrelated.decorrelations[0]["ddt"]["mass"]
    np.testing.assert_array_equal(replicas["m_mass_ddt"].folds[0].logs, first.replicas.logs)
    # From the table alone, with nothing scored again, it is the same.
    again = run_anomaly(skim, executor=iterative, **run, histograms=SETTINGS)
    assert again.histograms == result.histograms
    assert again.passed == result.passed


@pytest.mark.slow
def test_files_and_their_skim_give_the_same(
    fileset: Fileset,
    skim_folder: Path,
    detector_folder: Path,
    executors: dict[str, ExecutorBase],
    tmp_path: Path,
) -> None:
    detectors = {"m": detector_folder}
    results = {}
    for kind, executor in executors.items():
        for name, source in {"files": fileset, "skim": open_skim(skim_folder)}.items():
            options = RunOptions(chunk_size=110) if name == "files" else RunOptions()
            folder = tmp_path / f"{kind}-{name}"
            result = run_anomaly(
                source,
                detectors=detectors,
                output=folder,
                executor=executor,
                histograms=SETTINGS,
                options=options,
            )
            results[kind, name] = (open_scores(folder).columns(), result)
    reference_table, reference = results["iterative", "skim"]
    assert len(reference_table["pt"]) > 500
    for table, result in results.values():
        same(table, reference_table)
        assert result.histograms == reference.histograms
        assert result.passed == reference.passed
        assert result.manifest.cutflow == reference.manifest.cutflow
        assert result.manifest.datasets == reference.manifest.datasets


def test_another_binning_scores_nothing_again(
    skim_folder: Path,
    detector_folder: Path,
    iterative: ExecutorBase,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    skim = open_skim(skim_folder)
    detectors = {"m": detector_folder}
    first = run_anomaly(
        skim, detectors=detectors, output=tmp_path, executor=iterative, histograms=SETTINGS
    )
    monkeypatch.setattr(anomaly, "score_jets", lambda *_: pytest.fail("scored again"))
    again = run_anomaly(
        skim, detectors=detectors, output=tmp_path, executor=iterative, histograms=SETTINGS
    )
    assert again.histograms == first.histograms
    assert again.passed == first.passed
    coarse = run_anomaly(
        skim,
        detectors=detectors,
        output=tmp_path,
        executor=iterative,
        histograms=SETTINGS.model_copy(update={"n_bins": 2}),
    )
    assert coarse.histograms["m_mass"].axes["mass"].size == 2


def test_another_detector_is_scored(
    skim_folder: Path,
    detector_folder: Path,
    mass_detector: str,
    iterative: ExecutorBase,
    tmp_path: Path,
) -> None:
    skim = open_skim(skim_folder)
    first = run_anomaly(
        skim, detectors={"m": detector_folder}, output=tmp_path / "s", executor=iterative
    )
    jets = skim.jets(kinds="background")
    other = tmp_path / "other"
    FoldedDetector.fit(jets, detector=(mass_detector, {"offset": 5.0}), k=3, seed=1).save(other)
    second = run_anomaly(
        skim,
        detectors={"m": detector_folder, "o": other},
        output=tmp_path / "s",
        executor=iterative,
    )
    assert {c.key for c in first.manifest.chunks}.isdisjoint(c.key for c in second.manifest.chunks)
    table = open_scores(tmp_path / "s").columns()
    np.testing.assert_allclose(table["o_mass"], table["m_mass"] + 5, rtol=1e-12)
    names = {p.stem for p in (tmp_path / "s").glob("*/*.json")}
    assert names == {c.key for c in second.manifest.chunks}


def test_folds_have_to_agree(
    skim_folder: Path,
    detector_folder: Path,
    mass_detector: str,
    iterative: ExecutorBase,
    tmp_path: Path,
) -> None:
    skim = open_skim(skim_folder)
    jets = skim.jets(kinds="background")
    FoldedDetector.fit(jets, detector=(mass_detector, {}), k=4, seed=1).save(tmp_path / "four")
    detectors = {"m": detector_folder, "four": tmp_path / "four"}
    with pytest.raises(ConfigError, match="m: 3, four: 4"):
        run_anomaly(skim, detectors=detectors, output=tmp_path / "s", executor=iterative)
    with pytest.raises(ConfigError, match="at least one"):
        run_anomaly(skim, detectors={}, output=tmp_path / "s", executor=iterative)
    with pytest.raises(DetectorError):
        run_anomaly(
            skim, detectors={"x": tmp_path / "no"}, output=tmp_path / "s", executor=iterative
        )
    assert not (tmp_path / "s").exists()


def test_scores_that_are_not_finite_fail(
    qcd: Path,
    rewrite: Callable[..., Path],
    detector_folder: Path,
    iterative: ExecutorBase,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    skim_folder: Path,
) -> None:
    monkeypatch.setattr(
        FoldedDetector,
        "scores",
        lambda self, jets: {name: np.full(len(jets), np.nan) for name in self.score_names},
    )
    with pytest.raises(NonFiniteError, match=r"score mass is NaN or infinite for \d+ of \d+ jets"):
        run_anomaly(
            open_skim(skim_folder),
            detectors={"m": detector_folder},
            output=tmp_path / "s",
            executor=iterative,
        )
    assert not (tmp_path / "s" / "manifest.json").exists()
    assert not (tmp_path / "s" / "histograms.json").exists()


def test_a_failing_file_leaves_no_manifest(
    qcd: Path,
    rewrite: Callable[..., Path],
    detector_folder: Path,
    iterative: ExecutorBase,
    tmp_path: Path,
) -> None:
    def change(data: dict[str, Any]) -> None:
        data["FatJetPFCand_jetIdx"] = data["FatJetPFCand_jetIdx"] + 100

    path = rewrite(qcd, "broken.root", entries=10, change=change, as_data=True)
    fileset = Fileset(datasets={"some": Dataset(files=[str(path)], kind="data")})
    with pytest.raises(LinkError, match=r"broken\.root"):
        run_anomaly(
            fileset, detectors={"m": detector_folder}, output=tmp_path / "s", executor=iterative
        )
    assert not (tmp_path / "s" / "manifest.json").exists()


def test_data_and_no_jets_at_all(
    qcd: Path,
    rewrite: Callable[..., Path],
    detector_folder: Path,
    iterative: ExecutorBase,
    tmp_path: Path,
) -> None:
    path = rewrite(qcd, "data.root", entries=50, as_data=True)
    empty = rewrite(qcd, "empty.root", entries=0, as_data=True)
    fileset = Fileset(
        datasets={
            "run": Dataset(files=[str(path)], kind="data"),
            "none": Dataset(files=[str(empty)], kind="data"),
        }
    )
    result = run_anomaly(
        fileset,
        detectors={"m": detector_folder},
        output=tmp_path / "s",
        executor=iterative,
        scales={},
        histograms=SETTINGS,
    )
    table = open_scores(tmp_path / "s").columns()
    assert set(table["label"]) == {-1}
    assert set(table["dataset"]) == {"run"}
    assert result.passed["m_mass"]["none"]["all"] == 0
    total = result.histograms["m_mass"]["run", "nominal", "all", sum, sum]
    assert total.value == total.variance > 10


def test_a_skim_is_no_table_and_a_table_no_skim(
    skim_folder: Path, detector_folder: Path, iterative: ExecutorBase, tmp_path: Path
) -> None:
    with pytest.raises(SkimError, match="expected a scores table"):
        open_scores(skim_folder)
    detectors = {"m": detector_folder}
    skim = open_skim(skim_folder)
    run_anomaly(skim, detectors=detectors, output=tmp_path / "s", executor=iterative)
    with pytest.raises(SkimError, match="expected a skim"):
        run_anomaly(
            open_skim(tmp_path / "s"),
            detectors=detectors,
            output=tmp_path / "t",
            executor=iterative,
        )
    with pytest.raises(ConfigError, match="scales"):
        run_anomaly(
            skim,
            detectors=detectors,
            output=tmp_path / "t",
            executor=iterative,
            scales={"qcd": 1.0},
        )


def test_columns_of_some_datasets(
    skim_folder: Path, detector_folder: Path, iterative: ExecutorBase, tmp_path: Path
) -> None:
    skim = open_skim(skim_folder)
    run_anomaly(skim, detectors={"m": detector_folder}, output=tmp_path, executor=iterative)
    table = open_scores(tmp_path)
    signal = table.columns(["pt", "dataset"], kinds="signal")
    assert list(signal) == ["pt", "dataset"]
    assert set(signal["dataset"]) == {"w"}
    assert len(signal["pt"]) == len(skim.jets("w"))
    config = json.loads((tmp_path / "manifest.json").read_text())["config"]
    assert config["detectors"][0]["label"] == "m"
    assert config["skim"] == str(skim_folder)


def test_a_skim_moved_after_its_run_can_be_scored(
    fileset: Fileset, detector_folder: Path, iterative: ExecutorBase, tmp_path: Path
) -> None:
    run_skim(fileset.only(["qcd"]), output=tmp_path / "here", executor=iterative)
    (tmp_path / "here").rename(tmp_path / "there")
    skim = open_skim(tmp_path / "there")
    run_anomaly(skim, detectors={"m": detector_folder}, output=tmp_path / "s", executor=iterative)
    assert open_scores(tmp_path / "s").n_jets == skim.n_jets
