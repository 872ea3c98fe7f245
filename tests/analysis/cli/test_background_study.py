"""The command `oddjet study background`: built-in spectra, files, scores tables, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import hist
import numpy as np
import pytest
import uhi.io.json
from typer.testing import CliRunner, Result

from oddjet.analysis.cli.app import app
from oddjet.analysis.studies.background import sources
from oddjet.datasets.skims.manifest import DatasetSummary, Manifest

QUICK = ("--jets", "4000", "--experiments", "12", "--share", "0.02")
KNOWN = ("--estimate", "known, template", "--estimate", "exppoly4, template")


def study(*words: str | Path) -> Result:
    return CliRunner().invoke(app, ["study", "background", *(str(word) for word in words)])


def test_the_table_is_printed_and_written(tmp_path: Path) -> None:
    result = study("gamma", "qcd", "-o", tmp_path, *QUICK, *KNOWN)
    assert result.exit_code == 0, result.output
    assert "gamma, 4,000 jets: " in result.output
    assert "qcd, 4,000 jets: " in result.output
    numbers = json.loads((tmp_path / "background.json").read_text())
    assert [m["estimator"] for m in numbers["measured"]] == [*KNOWN[1::2]] * 2
    assert numbers["options"]["cut"] == {"efficiency": 0.1, "kept": 0.55}
    assert numbers["measured"][0]["medians"]["0.02"] > 3
    assert set(numbers["measured"][0]["spurious"]) == {"linear", "quadratic", "rho"}


def falling(blinding: object = None) -> hist.Hist[hist.storage.Double]:
    mass = 40 + np.random.default_rng(1).exponential(60, 30_000)
    histogram = hist.Hist.new.Reg(48, 40, 280, name="mass").Double().fill(mass)
    histogram.metadata = None if blinding is None else {"blinded": blinding}
    return histogram


def write(histogram: hist.Hist[hist.storage.Double], path: Path) -> Path:
    path.write_text(json.dumps(histogram, default=uhi.io.json.default), encoding="utf-8")
    return path


def test_a_histogram_of_ones_own_is_studied(tmp_path: Path) -> None:
    own = write(falling(), tmp_path / "own.json")
    words = ("-o", tmp_path, "--signal", "120", "10", "--range", "40", "240", *QUICK, *KNOWN)
    result = study(own, *words)
    assert result.exit_code == 0, result.output
    (spectrum,) = json.loads((tmp_path / "background.json").read_text())["spectra"]
    assert spectrum["window"] == [100, 140]
    assert (len(spectrum["edges"]), spectrum["edges"][-1]) == (41, 240)
    slope = np.polyfit(np.array(spectrum["edges"])[:30], np.log(spectrum["background"][:30]), 1)[0]
    assert slope == pytest.approx(-1 / 60, rel=0.05)


def test_simulated_background_of_a_scores_table_is_studied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    histogram = hist.Hist(
        hist.axis.StrCategory(["qcd", "data", "qcd2"], name="dataset"),
        hist.axis.StrCategory(["nominal"], name="variation"),
        hist.axis.StrCategory(["all", "0.1"], name="working_point"),
        hist.axis.Regular(48, 40, 280, name="mass"),
        hist.axis.Variable([200, 300, 1000], name="pt"),
        storage=hist.storage.Weight(),
    )
    for name, n in (("qcd", 20_000), ("data", 90_000), ("qcd2", 10_000)):
        mass = 40 + np.random.default_rng(n).exponential(60, n)
        pt = np.random.default_rng(2).uniform(150, 1200, n)
        histogram.fill(name, "nominal", "all", mass, pt, weight=0.5)
    scores = tmp_path / "mine" / "scores"
    scores.mkdir(parents=True)
    text = json.dumps({"kmeans_min_d": histogram}, default=uhi.io.json.default)
    (scores / "histograms.json").write_text(text, encoding="utf-8")
    datasets = {
        name: DatasetSummary(kind=kind, sumw=1, sumw2=1, n_events=1)  # type: ignore[arg-type]
        for name, kind in (("qcd", "background"), ("data", "data"), ("qcd2", "background"))
    }
    manifest = Manifest(kind="scores", datasets=datasets)
    monkeypatch.setattr(sources, "read_manifest", lambda _folder: manifest)
    truth = sources.read_truth(str(scores), mass=120, width=10)
    assert truth.name == "mine"
    inside = 15_000 * (1 - np.exp(-4))
    assert float(truth.note.split()[0].replace(",", "")) == pytest.approx(inside, rel=0.02)
    none = Manifest(kind="scores", datasets={"data": datasets["data"]})
    monkeypatch.setattr(sources, "read_manifest", lambda _folder: none)
    result = study(scores, "-o", tmp_path, *QUICK)
    assert result.exit_code == 1
    assert "has no simulated background" in " ".join(result.output.split())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("nowhere.json",), "there is no file"),
        (("gamma", "--estimate", "exppoly9, window"), "unknown estimator"),
        (("gamma", "gamma"), "a name of its own"),
        (("gamma", "--jets", "-5"), "expected jets between 100"),
        (("gamma", "--cut", "0.1", "1.5"), "expected efficiencies between 0 and 1"),
    ],
)
def test_what_cannot_be_studied_is_refused(
    words: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    result = study(*words, "-o", tmp_path)
    assert result.exit_code == 1
    assert said in " ".join(result.output.split())


def test_blinded_data_are_refused(tmp_path: Path) -> None:
    hidden = {"datasets": ["data"], "window": [100.0, 140.0]}
    own = write(falling(hidden), tmp_path / "own.json")
    result = study(own, "-o", tmp_path, *QUICK)
    assert result.exit_code == 1
    assert "masses of the data are blinded" in " ".join(result.output.split())


def test_the_list_of_studies_names_it() -> None:
    result = CliRunner().invoke(app, ["study", "--list"])
    assert "background --help" in " ".join(result.output.split())
    assert study("--help").exit_code == 0


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("gamma", "--cut", "0.49", "0.9"), "efficiencies of the background between 0 and 0.45"),
        (("gamma", "--jets", "20"), "expected jets between 100"),
        (("gamma", "--range", "60", "200"), "leave --range out"),
        (("gamma", "--signal", "100", "10"), "--signal is of spectra of your own"),
    ],
)
def test_options_that_are_not_looked_at_or_out_of_range_are_refused(
    words: tuple[str, ...], what: str
) -> None:
    result = study(*words)
    assert result.exit_code != 0
    assert what in " ".join(result.output.split())
