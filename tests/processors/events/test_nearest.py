from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from oddjet.processors.events.gen_matching import match_generated
from oddjet.processors.events.nearest import find_nearest
from oddjet.processors.events.objects import Objects, concatenate_objects
from oddjet.processors.events.overlap import has_no_lepton

DeltaR = Callable[[float, float, float, float], float]


def draw(rng: np.random.Generator, n_events: int, most: int) -> Objects:
    counts = rng.integers(0, most + 1, n_events)
    n = int(counts.sum())
    columns = {
        "pt": rng.exponential(30, n).astype(np.float32),
        "eta": rng.uniform(-2.5, 2.5, n).astype(np.float32),
        "phi": rng.uniform(-np.pi, np.pi, n).astype(np.float32),
    }
    return Objects(np.concatenate([[0], np.cumsum(counts)]), columns)


def events_of(objects: Objects) -> list[list[tuple[int, float, float, float]]]:
    return [
        [
            (i, objects["pt"][i], objects["eta"][i], objects["phi"][i])
            for i in range(objects.offsets[e], objects.offsets[e + 1])
        ]
        for e in range(objects.n_events)
    ]


def test_nearest_agrees_with_a_loop(delta_r: DeltaR) -> None:
    rng = np.random.default_rng(1)
    objects, targets = draw(rng, 200, 4), draw(rng, 200, 5)
    index, distance = find_nearest(objects, targets)
    checked = 0
    for event, others in zip(events_of(objects), events_of(targets), strict=True):
        for i, _, eta, phi in event:
            ranked = sorted((delta_r(eta, phi, e, p), j) for j, _, e, p in others)
            if ranked:
                assert index[i] == ranked[0][1]
                assert distance[i] == pytest.approx(ranked[0][0], abs=1e-9)
                checked += 1
            else:
                assert index[i] == -1
                assert np.isinf(distance[i])
    assert checked > 200


def test_phi_is_wrapped() -> None:
    one = Objects(np.array([0, 1]), {"eta": np.array([0.0]), "phi": np.array([3.1])})
    other = Objects(np.array([0, 1]), {"eta": np.array([0.0]), "phi": np.array([-3.1])})
    assert find_nearest(one, other)[1][0] == pytest.approx(2 * np.pi - 6.2)


def test_overlap_agrees_with_a_loop(delta_r: DeltaR) -> None:
    rng = np.random.default_rng(2)
    jets, electrons, muons = draw(rng, 300, 3), draw(rng, 300, 3), draw(rng, 300, 3)
    leptons = concatenate_objects(electrons, muons)
    assert len(leptons) == len(electrons) + len(muons)
    mask = has_no_lepton(jets, leptons, lepton_pt_min=20, delta_r=0.8)
    expected = []
    for event in zip(*map(events_of, (jets, electrons, muons)), strict=True):
        hard = [lepton for lepton in event[1] + event[2] if lepton[1] > 20]
        expected += [
            all(delta_r(eta, phi, e, p) >= 0.8 for _, _, e, p in hard)
            for _, _, eta, phi in event[0]
        ]
    assert mask.tolist() == expected
    assert 0.1 < np.mean(expected) < 0.95


def test_generated_match_agrees_with_a_loop(delta_r: DeltaR) -> None:
    rng = np.random.default_rng(3)
    jets, generated = draw(rng, 300, 3), draw(rng, 300, 4)
    match = match_generated(jets, generated, delta_r=0.9)
    n_matched = 0
    for event, others in zip(events_of(jets), events_of(generated), strict=True):
        for i, _, eta, phi in event:
            near = sorted((delta_r(eta, phi, e, p), j) for j, _, e, p in others)
            expected = near[0][1] if near and near[0][0] < 0.9 else -1
            assert match[i] == expected
            n_matched += expected >= 0
    assert 50 < n_matched < len(jets)


def test_positions_and_events_of_objects() -> None:
    objects = Objects(np.array([0, 2, 2, 5]), {"pt": np.arange(5.0)})
    assert objects.event.tolist() == [0, 0, 2, 2, 2]
    assert objects.position.tolist() == [0, 1, 0, 1, 2]
    kept = objects.where(np.array([False, True, True, False, True]))
    assert kept.offsets.tolist() == [0, 1, 1, 3]
    assert kept["pt"].tolist() == [1, 2, 4]
