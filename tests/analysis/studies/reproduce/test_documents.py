from __future__ import annotations

import pytest

from oddjet.analysis.studies.reproduce.document import SCALES, Document, Published, Scale, Trend
from oddjet.analysis.studies.reproduce.documents import DOCUMENTS, get_document
from oddjet.analysis.studies.reproduce.reproduction import refuse_equal_labels
from oddjet.analysis.studies.reproduce.settings import labels, make_trial, settings
from oddjet.analysis.studies.reproduce.trial import CEILING
from oddjet.analysis.studies.reproduce.windows import WINDOWS
from oddjet.errors import ConfigError
from oddjet.ml import create, detector_class, detector_names
from oddjet.ml.evaluation.bootstrap import Interval


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("document", DOCUMENTS.values(), ids=list(DOCUMENTS))
def test_the_trials_of_a_document_can_be_run(document: Document, scale: Scale) -> None:
    trials = document.trials(scale)
    refuse_equal_labels({document.name: list(trials)})
    for trial in trials:
        window = WINDOWS[trial.window]
        assert trial.background in (window.background, *window.signals)
        assert trial.others
        assert detector_class(trial.detector).supervised == (trial.signal is not None)
        create(trial.detector, **trial.hyper_parameters)


@pytest.mark.parametrize("document", DOCUMENTS.values(), ids=list(DOCUMENTS))
def test_published_figures_belong_to_a_trial_its_scores_and_signals(document: Document) -> None:
    trials = {trial.label: trial for trial in document.trials("quick")}
    for figure in document.published:
        trial = trials[figure.label]
        assert figure.score in detector_class(trial.detector).score_names
        assert figure.signal in trial.others
        assert figure.text


def test_every_detector_is_reproduced_at_the_published_settings() -> None:
    published = {settings(label, "full").detector for label in labels()}
    assert published == set(detector_names())
    for name in ("khanal", "ene", "golling", "inn", "nae"):
        assert not settings(name, "full").hyper_parameters


def test_every_task_has_a_supervised_ceiling() -> None:
    trials = DOCUMENTS["comparison"].trials("quick")
    ceilings = {(t.window, t.background, t.signal) for t in trials if t.settings == CEILING}
    assert ceilings == {
        ("w", "qcd_w", "w"),
        ("top", "qcd_top", "top"),
        ("dark", "qcd_dark", "aachen"),
        ("dark", "qcd_dark", "heidelberg"),
        ("top", "top", "qcd_top"),
    }


def test_the_same_training_has_one_identity_whatever_it_is_called() -> None:
    here = make_trial("khanal", "w", "quick", label="khanal [w]", nominal="qcd_w")
    assert here.identity() == make_trial("khanal", "w", "quick").identity()
    assert here.identity() != make_trial("khanal", "w", "full").identity()


def test_different_trainings_of_one_name_are_refused() -> None:
    one, other = (make_trial("observables", "w", "quick", seed=seed) for seed in (1, 2))
    refuse_equal_labels({"me": [one, one]})
    with pytest.raises(ConfigError, match="'me' has two different trials called 'observables'"):
        refuse_equal_labels({"me": [one, other]})


def test_what_is_not_known_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"unknown document 'bus'.*Did you mean 'buss'"):
        get_document("bus")
    with pytest.raises(ConfigError, match=r"unknown settings 'khanel'.*Did you mean 'khanal'"):
        settings("khanel", "quick")


def test_texts() -> None:
    assert Published("a", "b", "c", 0.71, (0.2, 37.0), "so").text == "AUC 0.71; 1/ε_b(0.2) 37; so"
    verdicts = [
        Trend("s", Interval(value, value - 1, value + 1), "m").verdict for value in (2, 0, -2)
    ]
    assert verdicts == ["holds", "undecided", "does not hold"]
