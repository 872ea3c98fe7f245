from __future__ import annotations

import dataclasses
from collections.abc import Callable

import awkward as ak
import numpy as np
import pytest

from oddjet.analysis.report.page import Table
from oddjet.analysis.studies.jets import StudyJets
from oddjet.analysis.studies.mass import ReconstructedMass, reconstructed_mass_study
from oddjet.analysis.studies.study import Setting
from oddjet.errors import DetectorError, TooFewJetsError

MakeSetting = Callable[..., Setting]


@pytest.fixture(scope="module")
def result(study_jets: StudyJets, setting: MakeSetting) -> ReconstructedMass:
    """Of the toy that weighs its reconstructions."""
    return reconstructed_mass_study(study_jets, setting("Epochs"))


def test_response_and_resolution_are_those_put_in(
    study_jets: StudyJets, result: ReconstructedMass
) -> None:
    assert [response.sample for response in result.responses] == ["qcd", "w", "top"]
    for response in result.responses:  # output = N(0.8, 0.08) × input, input = 0.9 × jet mass
        assert response.response.low < 0.8 < response.response.high
        assert response.response.value == pytest.approx(0.8, abs=0.02)
        assert response.resolution.value == pytest.approx(0.1, abs=0.02)
        assert response.input_response.value == pytest.approx(0.9)
        assert response.full_response.value == pytest.approx(0.72, abs=0.02)
        assert response.n_jets == study_jets.n_test()[response.sample]
        assert response.n_massless == 0
    assert "pair" not in result.to_dict()["responses"][0]


def test_jets_without_mass_are_left_out_and_counted(
    study_jets: StudyJets, setting: MakeSetting
) -> None:
    background = study_jets.background
    mass = np.where(np.arange(len(background)) % 2, background.mass, 0.0)
    half = dataclasses.replace(study_jets, background=ak.with_field(background, mass, "mass"))
    response = reconstructed_mass_study(half, setting("Epochs")).responses[0]
    assert response.n_massless == pytest.approx(response.n_jets / 2, rel=0.2)
    assert len(response.pair.before) == response.n_jets - response.n_massless
    none = dataclasses.replace(study_jets, background=ak.with_field(background, 0 * mass, "mass"))
    with pytest.raises(TooFewJetsError, match="has a mass"):
        reconstructed_mass_study(none, setting("Epochs"))


def test_table_and_figures(result: ReconstructedMass) -> None:
    assert Table.from_records(result.records()).rows
    assert set(result.figures()) == {"mass_Epochs", "mass_response_Epochs"}


def test_a_detector_that_weighs_nothing_is_refused(
    study_jets: StudyJets, setting: MakeSetting
) -> None:
    with pytest.raises(DetectorError, match="reconstruct_masses"):
        reconstructed_mass_study(study_jets, setting("Epochs", "observables"))
