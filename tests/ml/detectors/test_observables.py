from __future__ import annotations

import awkward as ak
import numpy as np
import pytest

from oddjet.datasets.jets import Jets, make_jets
from oddjet.errors import ConfigError
from oddjet.ml import create
from oddjet.ml.detectors.observables import ObservableDetector
from oddjet.ml.representations.energy_flow import EnergyFlow
from oddjet.ml.representations.substructure import Substructure


@pytest.fixture(scope="module")
def fitted(background: Jets) -> ObservableDetector:
    return ObservableDetector().fit(background, seed=1)


def with_taus(jets: Jets, **taus: float) -> Jets:
    for name, value in taus.items():
        jets = ak.with_field(jets, np.full(len(jets), value), name)
    return jets


def test_directions_are_fixed(fitted: ObservableDetector, other_background: Jets) -> None:
    few = other_background[:4]
    scores = fitted.scores(with_taus(few, tau1=0.4, tau2=0.1, tau3=0.05, tau4=0.01))
    np.testing.assert_allclose(scores["tau21"], -0.25)
    np.testing.assert_allclose(scores["tau32"], -0.5)
    columns = Substructure()(few)
    np.testing.assert_allclose(scores["mass"], columns[:, Substructure.names.index("mass")])


def test_neither_more_nor_fewer_constituents_are_anomalous_by_themselves(
    fitted: ObservableDetector, background: Jets
) -> None:
    counts = ak.to_numpy(ak.num(background.constituents.pt))
    lower, median, upper = np.percentile(counts, [25, 50, 75])
    assert (fitted.median_, fitted.range_) == (median, upper - lower)
    n = np.array([0, 1, int(median) - 5, int(median), int(median) + 5, 3 * int(median)])
    particles = ak.Array([[{"pt": 1.0, "eta": 0.1, "phi": 0.1 * i} for i in range(c)] for c in n])
    jets = make_jets(
        particles, run=n * 0 + 1, luminosityBlock=n * 0 + 1, event=np.arange(len(n)) + 10
    )
    expected = np.abs(n - median) / (upper - lower)
    np.testing.assert_allclose(fitted.scores(jets)["n_pf"], expected)


def test_heavier_and_two_pronged_jets_score_higher(
    fitted: ObservableDetector, other_background: Jets, signal: Jets
) -> None:
    ordinary, unlike = fitted.scores(other_background), fitted.scores(signal)
    for name in ("mass", "tau21"):
        assert np.mean(unlike[name][:, None] > ordinary[name]) > 0.9


def test_jets_of_few_particles_are_not_many_pronged(
    fitted: ObservableDetector, other_background: Jets
) -> None:
    few = other_background[:3]
    for left, name in ((0, "tau21"), (1, "tau21"), (2, "tau32")):
        jets = ak.with_field(few, few.constituents[:, :left], "constituents")
        assert fitted.scores(jets)[name].tolist() == [-1.0] * 3
    none = with_taus(few, tau1=0.0, tau2=0.0, tau3=0.0, tau4=0.0)
    assert fitted.scores(none)["tau21"].tolist() == [-1.0] * 3


def test_jets_of_one_multiplicity_have_a_range(background: Jets) -> None:
    same = ak.with_field(background, background.constituents[:, :15], "constituents")
    assert ObservableDetector().fit(same, seed=1).range_ == 1.0


def test_batches_of_jets_change_nothing(
    fitted: ObservableDetector, other_background: Jets, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = fitted.scores(other_background)
    monkeypatch.setattr(ObservableDetector, "scoring_batch", 37)
    for name, values in fitted.scores(other_background).items():
        np.testing.assert_allclose(values, expected[name])


def test_a_representation_without_the_columns_is_refused() -> None:
    with pytest.raises(ConfigError, match="EnergyFlow lacks mass"):
        create("observables", representation=EnergyFlow())
