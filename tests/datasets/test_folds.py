from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oddjet.datasets.folds import EventRoles, event_hash, fold_of, held_out, jets_hash, mix64
from oddjet.datasets.jets import make_jets
from oddjet.errors import ConfigError, InputError

MASK = 2**64 - 1


def splitmix64(x: int) -> int:
    """The published algorithm with Python's integers."""
    z = (x + 0x9E3779B97F4A7C15) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def test_first_outputs_of_seed_1234567() -> None:
    # The known sequence of splitmix64 with that seed: the state grows by the golden gamma.
    seeds = [(1234567 + i * 0x9E3779B97F4A7C15) & MASK for i in range(5)]
    expected = [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]
    assert mix64(np.array(seeds, np.uint64)).tolist() == expected


@settings(deadline=None)
@given(st.lists(st.integers(0, MASK), max_size=20))
def test_mix_is_splitmix(numbers: list[int]) -> None:
    assert mix64(np.array(numbers, np.uint64)).tolist() == [splitmix64(x) for x in numbers]


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.integers(0, MASK))
def test_event_hash_is_the_documented_chain(run: int, lumi: int, event: int) -> None:
    expected = splitmix64(splitmix64(splitmix64(run) ^ lumi) ^ event)
    hashes = event_hash(
        np.array([run], np.uint32), np.array([lumi], np.uint32), np.array([event], np.uint64)
    )
    assert hashes.tolist() == [expected]


def test_known_answers_for_ever() -> None:
    # Other answers would mix training and search samples of saved detectors.
    assert event_hash([1, 355374], [1, 42], [1, 2**40]).tolist() == [
        8112600223918159332,
        8787068010624854703,
    ]
    hashes = event_hash(np.ones(12, int), np.ones(12, int), np.arange(12))
    assert fold_of(hashes, 5).tolist() == [2, 2, 2, 2, 2, 0, 4, 1, 4, 4, 3, 4]


def test_folds_are_even_for_consecutive_events() -> None:
    n, k = 50_000, 5
    folds = fold_of(event_hash(np.ones(n, int), np.arange(n) // 1000, np.arange(n)), k)
    counts = np.bincount(folds, minlength=k)
    # χ² with 4 degrees of freedom: 99.9 % are below 18.5.
    assert ((counts - n / k) ** 2 / (n / k)).sum() < 18.5


def test_jets_of_an_event_share_a_fold() -> None:
    constituents = [[{"pt": 1.0, "eta": 0.0, "phi": 0.0}]] * 4
    jets = make_jets(constituents, run=[1] * 4, luminosityBlock=[2] * 4, event=[7, 7, 8, 7])
    assert len(set(jets_hash(jets).tolist())) == 2
    assert len(set(fold_of(jets, 3)[[0, 1, 3]].tolist())) == 1
    assert fold_of(jets, 3).tolist() == fold_of(jets_hash(jets), 3).tolist()


def test_what_is_held_out_is_known_for_ever_nested_and_independent_of_the_folds() -> None:
    n = 60_000
    hashes = event_hash(np.ones(n, int), np.ones(n, int), np.arange(n))
    uniform = [
        splitmix64(int(x) ^ int.from_bytes(b"held-out", "big")) / 2**64 for x in hashes[:200]
    ]
    for share in (0.0, 0.2, 0.5, 1.0):
        assert held_out(hashes, share)[:200].tolist() == [u < share for u in uniform]
    less, more = held_out(hashes, 0.2), held_out(hashes, 0.5)
    assert not (less & ~more).any()
    folds = fold_of(hashes, 3)
    counts = np.array([np.bincount(folds[mask], minlength=3) for mask in (more, ~more)])
    # χ² of independence with equal expectations, 5 degrees of freedom: 99.9 % are below 20.5.
    assert ((counts - n / 6) ** 2 / (n / 6)).sum() < 20.5


def test_no_jet_has_two_roles() -> None:
    hashes = event_hash(np.ones(999, int), np.arange(999), np.arange(999))
    roles = EventRoles.from_jets(hashes, k=3, held_out_share=0.4)
    for fold in range(3):
        hunted = held_out(hashes, 0.4) & (fold_of(hashes, 3) == fold)
        parts = np.stack([roles.training(fold), roles.calibrating(fold), hunted])
        assert parts.sum(axis=0).max() == 1
        assert parts.sum(axis=1).min() > 100


def test_misuse_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"held_out: .* between 0 and 1, received 2"):
        held_out(np.zeros(1, np.uint64), 2)
    with pytest.raises(ConfigError, match="at least 2"):
        fold_of(np.zeros(1, np.uint64), 1)
    with pytest.raises(InputError, match="no column run"):
        fold_of(make_jets([[{"pt": 1.0, "eta": 0.0, "phi": 0.0}]]), 3)
    with pytest.raises(InputError, match="negative"):
        event_hash([-1], [1], [1])
    with pytest.raises(InputError, match="integers"):
        mix64([0.5])
    assert len(fold_of(np.empty(0, np.uint64), 3)) == 0
