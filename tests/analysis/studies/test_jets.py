from __future__ import annotations

from pathlib import Path

import awkward as ak
import numpy as np
import pytest
from toy_tables import write_table

from oddjet.analysis.config import AnalysisConfig
from oddjet.analysis.pipeline.folder import Run
from oddjet.analysis.scores.sample import blinded_range
from oddjet.analysis.studies.jets import StudyJets, joined, read_jets, shuffled
from oddjet.datasets.folds import event_hash
from oddjet.datasets.jets import Truth
from oddjet.errors import ConfigError, SkimError, TooFewJetsError


def events(jets: ak.Array) -> set[int]:
    columns = [ak.to_numpy(jets[name]) for name in ("run", "luminosityBlock", "event")]
    return {int(value) for value in event_hash(*columns)}


def test_training_and_test_share_no_event_and_lose_none(study_jets: StudyJets) -> None:
    for name in study_jets.names:
        training, test = study_jets.training(name), study_jets.test(name)
        assert not events(training) & events(test)
        assert len(training) + len(test) == len(study_jets.jets(name))
        assert len(test) == study_jets.n_test()[name]
        assert len(test) == pytest.approx(len(study_jets.jets(name)) / 3, rel=0.2)


def test_jets_of_one_event_stay_together(study_jets: StudyJets) -> None:
    jets = study_jets.background
    pairs = ak.with_field(jets, np.arange(len(jets)) // 2, "event")
    split = StudyJets(pairs, {"s": jets}, "b")
    assert not events(split.training("b")) & events(split.test("b"))


def test_halves_of_the_test_jets_share_no_event(study_jets: StudyJets) -> None:
    test = study_jets.test("qcd")
    first, second = study_jets.halves("qcd")
    assert (first ^ second).all()
    assert not events(test[first]) & events(test[second])
    assert first.mean() == pytest.approx(0.5, abs=0.1)


def test_pairs_are_aligned(study_jets: StudyJets) -> None:
    widths = {name: study_jets.column(name, "width") for name in study_jets.names}
    values, is_signal, weights = study_jets.pair(widths, "top")
    np.testing.assert_array_equal(values[is_signal], widths["top"])
    np.testing.assert_array_equal(values[~is_signal], widths["qcd"])
    assert (weights == 1).all()
    values, is_signal, _ = study_jets.pair(widths, "qcd", "w")
    np.testing.assert_array_equal(values[~is_signal], widths["w"])


def test_a_shuffle_begins_alike_for_any_number(study_jets: StudyJets) -> None:
    jets = study_jets.background
    few, many = shuffled(jets, 10, seed=1), shuffled(jets, seed=1)
    assert few.event.to_list() == many.event[:10].to_list()
    assert sorted(many.event.to_list()) == sorted(jets.event.to_list())
    assert shuffled(jets, 10, seed=2).event.to_list() != few.event.to_list()


def test_joined_jets_get_the_labels_of_their_role(study_jets: StudyJets) -> None:
    top = ak.with_field(study_jets.jets("top")[:4], np.ones(4), "only_here")
    jets = joined([top], [study_jets.background[:3]])
    assert jets.label.to_list() == [Truth.BACKGROUND] * 4 + [Truth.MERGED] * 3
    assert "only_here" not in jets.fields
    assert "width" in jets.fields


def test_what_cannot_be_studied_is_refused(study_jets: StudyJets) -> None:
    jets = study_jets.background
    with pytest.raises(ConfigError, match="background and a signal"):
        StudyJets(jets, {"qcd": jets}, "qcd")
    with pytest.raises(ConfigError, match="at least one signal"):
        StudyJets(jets, {})
    with pytest.raises(TooFewJetsError, match="test jets of 'few'"):
        StudyJets(jets, {"few": jets[:20]})


def test_a_skim_gives_the_jets_that_count(study_jets: StudyJets, tmp_path: Path) -> None:
    w = study_jets.jets("w")
    half = np.where(np.arange(len(w)) % 2, Truth.MERGED, Truth.UNMATCHED).astype(np.int8)
    w = ak.with_field(w, half, "label")
    jets = {"qcd": study_jets.background, "w": w, "top": study_jets.jets("top")}
    kinds = {"qcd": "background", "w": "signal", "top": "signal"}
    skim = write_table(tmp_path, jets, kinds)
    read = read_jets(skim, background="qcd", signals=["w", "top"])
    assert len(read.jets("w")) == len(w) // 2
    assert (read.jets("w").label == Truth.MERGED).to_numpy().all()
    assert len(read.jets("qcd")) == len(study_jets.background)
    few = read_jets(skim, background="top", signals=["qcd"], max_jets=200)
    assert few.names == ("top", "qcd")
    assert len(few.jets("qcd")) == 200
    with pytest.raises(SkimError, match="no dataset 'z'"):
        read_jets(skim, background="qcd", signals=["z"])
    with pytest.raises(ConfigError, match="twice"):
        read_jets(skim, background="qcd", signals=["w", "w"])


def test_what_a_run_hides_of_its_data_is_left_out(study_jets: StudyJets, tmp_path: Path) -> None:
    background = study_jets.background
    mass = np.linspace(50, 150, len(background))
    tables = {
        "run": ak.with_field(background, mass, "msoftdrop"),
        "qcd": ak.with_field(background, mass, "msoftdrop"),
        "top": study_jets.jets("top"),
    }
    kinds = {"run": "data", "qcd": "background", "top": "signal"}
    skim = write_table(tmp_path / "skim", tables, kinds)
    content = {"name": "a", "output": tmp_path, "fileset": "", "hunt": {"window": [80, 100]}}
    config = AnalysisConfig.model_validate(content)
    assert len(read_jets(skim, background="run", signals=["top"]).background) == len(mass)
    Run(config).write_config()
    read = read_jets(skim, background="run", signals=["top"])
    low, high = blinded_range(config.hunt)
    seen = np.asarray(read.background.msoftdrop)
    assert seen.tolist() == mass[(mass < low) | (mass >= high)].tolist()
    assert read.caveats == (
        f"run: blinded, left out are jets with msoftdrop in {low:g}–{high:g} GeV",
    )
    simulation = read_jets(skim, background="qcd", signals=["top"])
    assert (len(simulation.background), simulation.caveats) == (len(mass), ())
    Run(config.model_copy(update={"unblind": True})).write_config()
    assert len(read_jets(skim, background="run", signals=["top"]).background) == len(mass)
