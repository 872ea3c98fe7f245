from __future__ import annotations

from typing import Any

import awkward as ak
import numpy as np
import pytest

from oddjet.analysis.config import DecorrelationConfig, HuntConfig, TrainingConfig
from oddjet.analysis.scores.learning import (
    check_maps,
    learning_datasets,
    learning_sample,
    learning_sentence,
)
from oddjet.errors import ConfigError, InputError

KINDS = {"q": "background", "d": "data", "w": "signal"}
HUNT = HuntConfig(range=(40, 240), window=(62, 98))  # blinded: 60–100 GeV, whole bins


def training(**settings: Any) -> TrainingConfig:
    return TrainingConfig.model_validate(settings)


def test_simulation_is_learned_on_or_else_data() -> None:
    assert learning_datasets(KINDS, None) == ("q",)
    assert learning_datasets({"d": "data", "w": "signal"}, None) == ("d",)
    assert learning_datasets(KINDS, "data") == ("d",)
    with pytest.raises(
        ConfigError, match=r"of kind data, and there is none among q \(background\)"
    ):
        learning_datasets({"q": "background"}, "data")
    with pytest.raises(
        ConfigError, match="maps are learned on datasets of kind background or data"
    ):
        learning_datasets({"w": "signal"}, None, role="maps")


def test_a_block_of_its_own_says_otherwise_for_one() -> None:
    settings = training(on="data", where={"pt": [500, 600]}, maps={"on": "simulation"})
    assert settings.of("detectors").on == settings.of("thresholds").on == "data"
    maps = settings.of("maps")
    assert (maps.on, maps.where) == ("simulation", {"pt": ((500.0, 600.0),)})
    assert settings.held_out == 0.5
    with pytest.raises(ValueError, match="the lower number first"):
        training(where={"pt": [600, 500]})
    for share in (0, 1):
        with pytest.raises(ValueError, match="held_out"):
            training(held_out=share)


def test_thresholds_and_maps_do_not_see_the_window_of_data() -> None:
    jets = ak.zip({"msoftdrop": [45.0, 60.0, 99.9, 100.0, 150.0], "pt": [5.0, 5, 5, 5, 9]})
    on = training(on="data", where={"pt": [0, 6]})
    kept = {
        role: learning_sample(role, KINDS, on, HUNT).rows(jets).tolist()
        for role in ("detectors", "thresholds", "maps")
    }
    assert kept["detectors"] == [True, True, True, True, False]
    assert kept["thresholds"] == kept["maps"] == [True, False, False, True, False]
    simulation = learning_sample("maps", KINDS, training(), HUNT)
    assert simulation.rows(jets).all()
    two = training(where={"msoftdrop": [[40, 50], [140, 160]]})
    rows = learning_sample("maps", KINDS, two, HUNT).rows(jets)
    assert rows.tolist() == [True, False, False, False, True]
    with pytest.raises(InputError, match="tau21"):
        learning_sample("maps", KINDS, training(where={"tau21": [0, 1]}), HUNT).rows(jets)


def test_maps_that_cannot_be_continued_through_the_window_are_refused() -> None:
    flexible = DecorrelationConfig(methods=["ddt"])
    on_data = learning_sample("maps", KINDS, training(on="data"), HUNT)
    with pytest.raises(ConfigError, match=r"ddt cannot be continued.*outside 60–100 GeV"):
        check_maps(flexible, on_data, "msoftdrop")
    sideband = learning_sample("maps", KINDS, training(where={"msoftdrop": [40, 60]}), HUNT)
    with pytest.raises(ConfigError, match="msoftdrop in 40–60"):
        check_maps(flexible, sideband, "msoftdrop")
    check_maps(None, on_data, "msoftdrop")
    check_maps(flexible, learning_sample("maps", KINDS, training(), HUNT), "msoftdrop")


def test_one_sentence_says_what_is_learned_on_what() -> None:
    both = training(held_out=0.3, maps={"on": "data"})
    sentence = learning_sentence(KINDS, both, HUNT, maps=True)
    assert sentence == (
        "Detectors and thresholds are learned on simulation (q); maps are learned on data (d) with msoftdrop outside "
        "60–100 GeV. 30 % of the events of d and q are held out from that: they alone are judged and hunted in."
    )
    sentence = learning_sentence(KINDS, both, HUNT, maps=False)
    assert sentence.endswith("they alone are judged; all events of the data (d) are hunted in.")
    sentence = learning_sentence({"q": "background"}, training(), HUNT, maps=True)
    assert "Detectors, thresholds and maps are learned on simulation (q). 50 %" in sentence
    assert sentence.endswith("hunted in as pseudo-data that stand for all.")


def test_no_cut_keeps_all() -> None:
    jets = ak.zip({"msoftdrop": np.arange(5.0)})
    assert learning_sample("maps", {"q": "background"}, training(), HUNT).rows(jets).all()
