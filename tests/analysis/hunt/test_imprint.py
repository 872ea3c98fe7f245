"""From the calibration of cuts to the imprint on the spectra that are hunted in."""

from __future__ import annotations

import dataclasses

import numpy as np

from oddjet.analysis.hunt.imprint import make_imprint
from oddjet.analysis.hunt.result import Hunt, WorkingPoint
from oddjet.ml.replicas import LEVELS, CutReplicas, Replicas
from oddjet.processors.sample import HuntSample

EDGES = np.linspace(40.0, 240.0, 5)
POINTS = [("", 1.0), ("d_s", 0.1), ("d_s", 0.01), ("d_s_theirs", 0.1)]
CUTS = {"d_s": "d_s_calibrated", "d_s_theirs": "d_s_theirs"}


def test_spectra_change_by_their_cut_and_mass() -> None:
    sizes = np.random.default_rng(1).normal(0, 0.05, 100)
    # Twice as much at 1 % as at 10 %, and rising with mass.
    by_level = np.interp(np.log(LEVELS[::-1]), np.log([0.01, 0.1]), [2.0, 1.0])[::-1]
    logs = sizes[:, None, None] * by_level[:, None] * np.array([0.0, 1.0])
    fold = Replicas.from_ratios(np.array([40.0, 240.0]), np.exp(logs))
    replicas = {
        "d_s_calibrated": CutReplicas.from_folds([900.0], [fold]),
        "d_s_theirs": CutReplicas(800.0, ()),
    }
    imprint = make_imprint(replicas, POINTS, CUTS, EDGES)
    assert imprint is not None
    assert imprint.labels[:2] == ("all jets", "d_s, 10 % background")
    assert imprint.unknown == ("d_s_theirs, 10 % background",)
    np.testing.assert_array_equal(imprint.n_calibration, [np.inf, 900, 900, 800])
    assert not imprint.changes[:, [0, 3]].any()
    at_ten, at_one = np.log1p(imprint.changes[:, 1]), np.log1p(imprint.changes[:, 2])
    spread = sizes.std()
    np.testing.assert_allclose(at_ten.std(axis=0), spread * np.array([1, 3, 5, 7]) / 8, rtol=0.2)
    np.testing.assert_allclose(at_one[:, 3], 2 * at_ten[:, 3], atol=0.01)


def test_nothing_known_is_no_imprint() -> None:
    assert make_imprint({}, POINTS, CUTS, EDGES) is None


def test_a_hunt_says_whether_its_p_values_know_of_the_calibration() -> None:
    everything = WorkingPoint("", 1.0, EDGES, np.full(4, 2500.0), None, None)
    sample = HuntSample("pseudo-data", None)
    made = Hunt(
        ("d_s",), "mass", sample, False, (everything,), None, n_calibration=1000.0, n_replicas=200
    )
    assert "10,000 jets are hunted in" in made.calibration_sentence
    assert "10 for each of these. Pseudo-experiments are drawn after 200 replicas" in (
        made.calibration_sentence
    )
    without = dataclasses.replace(made, n_replicas=0).calibration_sentence
    assert "is not known, and left out of all p-values" in without
    assert not dataclasses.replace(made, n_calibration=None).calibration_sentence
