from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from oddjet.datasets import fold_of, read_lhc_olympics
from oddjet.datasets.jets import Truth
from oddjet.datasets.public import tables
from oddjet.errors import BadFileError, ConfigError, InputError, NonFiniteError
from oddjet.typing import Floats


def make_events(n: int, seed: int = 1) -> Floats:
    """Events of three sprays of particles and some between, zeros behind, a label at the end."""
    rng = np.random.default_rng(seed)
    events = np.zeros((n, 2101))
    for event in events:
        size = rng.integers(20, 60)
        spray = rng.integers(0, 3, size)
        axis_eta, axis_phi = rng.uniform(-1.5, 1.5, 3), rng.uniform(-np.pi, np.pi, 3)
        pt = rng.exponential(np.array([40.0, 25.0, 10.0])[spray]) + 0.5
        eta = axis_eta[spray] + rng.normal(0, 0.3, size)
        phi = np.remainder(axis_phi[spray] + rng.normal(0, 0.3, size) + np.pi, 2 * np.pi) - np.pi
        event[: 3 * size] = np.stack([pt, eta, phi], axis=1).ravel()
    events[:, -1] = rng.integers(0, 2, n)
    return events


def write(path: Path, events: Floats) -> Path:
    """As pandas writes `to_hdf(…, key="df")` of one type of column."""
    with h5py.File(path, "w") as file:
        group = file.create_group("df")
        group.create_dataset("axis0", data=np.arange(events.shape[1]))
        group.create_dataset("axis1", data=np.arange(len(events)))
        group.create_dataset("block0_items", data=np.arange(events.shape[1]))
        group.create_dataset(
            "block0_values", data=events, chunks=(3, events.shape[1]), compression="gzip"
        )
    return path


@pytest.fixture(scope="module")
def events() -> Floats:
    return make_events(24)


@pytest.fixture(scope="module")
def path(events: Floats, tmp_path_factory) -> Path:
    return write(tmp_path_factory.mktemp("lhco") / "rnd.h5", events)


def plain_anti_kt(event: Floats, radius: float) -> list[tuple[Floats, list[int]]]:
    """(px, py, pz, E) and particles of anti-kt jets, hardest first, by looking at all pairs."""
    particles = [row for row in event[:2100].reshape(700, 3) if row[0] > 0]
    left: list[tuple[Any, list[int]]] = [
        (np.array([pt * math.cos(p), pt * math.sin(p), pt * math.sinh(e), pt * math.cosh(e)]), [i])
        for i, (pt, e, p) in enumerate(particles)
    ]
    jets = []
    while left:
        places = [(math.atanh(p[2] / p[3]), math.atan2(p[1], p[0])) for p, _ in left]
        inverse = [1 / (p[0] ** 2 + p[1] ** 2) for p, _ in left]
        nearest, a, b = min((value, i, -1) for i, value in enumerate(inverse))
        for i, j in itertools.combinations(range(len(left)), 2):
            delta_phi = math.remainder(places[i][1] - places[j][1], 2 * math.pi)
            squared = (places[i][0] - places[j][0]) ** 2 + delta_phi**2
            value = min(inverse[i], inverse[j]) * squared / radius**2
            if value < nearest:
                nearest, a, b = value, i, j
        if b < 0:
            jets.append(left.pop(a))
        else:
            (p, mine), (q, others) = left[a], left[b]
            left = [x for k, x in enumerate(left) if k not in (a, b)]
            left.append((p + q, mine + others))
    return sorted(jets, key=lambda jet: -math.hypot(*jet[0][:2]))


@pytest.mark.parametrize(("radius", "n_jets"), [(1.0, 2), (0.5, 3)])
def test_is_a_plain_anti_kt_clustering(
    events: Floats, path: Path, radius: float, n_jets: int
) -> None:
    jets = read_lhc_olympics(path, radius=radius, n_jets=n_jets)
    position = 0
    for number, event in enumerate(events):
        expected = [
            jet for jet in plain_anti_kt(event, radius)[:n_jets] if math.hypot(*jet[0][:2]) > 20
        ]
        for rank, (momentum, particles) in enumerate(expected):
            jet = jets[position]
            position += 1
            px, py, pz, energy = momentum
            assert jet.pt == pytest.approx(math.hypot(px, py), rel=1e-9)
            assert jet.eta == pytest.approx(math.asinh(pz / math.hypot(px, py)), rel=1e-9)
            assert jet.phi == pytest.approx(math.atan2(py, px), rel=1e-9)
            squared = energy**2 - px**2 - py**2 - pz**2
            assert jet.mass == pytest.approx(math.sqrt(max(squared, 0.0)), rel=1e-6, abs=1e-4)
            own = event[:2100].reshape(700, 3)[particles]
            own = own[np.argsort(-own[:, 0])]
            for column, name in enumerate(("pt", "eta", "phi")):
                np.testing.assert_allclose(jet.constituents[name], own[:, column], rtol=1e-6)
            assert (jet.event, jet.rank, jet.jet_index) == (number, rank, rank)
            signal = Truth.MATCHED if rank < 2 else Truth.UNMATCHED
            assert jet.label == (signal if event[-1] else Truth.BACKGROUND)
    assert position == len(jets)
    assert set(jets.dataset.to_list()) == {"rnd"}
    assert set(fold_of(jets, 3)) == {0, 1, 2}


def test_parts_chunks_and_arrays_give_the_same_jets(
    events: Floats, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = read_lhc_olympics(path)
    monkeypatch.setattr(tables, "ROWS", 5)
    np.save(tmp_path / "rnd.npy", events)
    for jets in (
        read_lhc_olympics(path),
        read_lhc_olympics(tmp_path / "rnd.npy"),
        read_lhc_olympics(events, dataset="rnd"),
    ):
        assert jets.to_list() == whole.to_list()
    part = read_lhc_olympics(path, start=6, stop=13)
    expected = whole[(whole.event >= 6) & (whole.event < 13)]
    assert part.to_list() == expected.to_list()
    for empty in (read_lhc_olympics(path, start=24), read_lhc_olympics(0 * events[:2])):
        assert len(empty) == 0
        assert empty.fields == whole.fields


def test_black_boxes_have_no_labels(events: Floats) -> None:
    jets = read_lhc_olympics(events[:, :-1])
    assert set(jets.label.to_list()) == {Truth.DATA}
    assert jets.constituents.to_list() == read_lhc_olympics(events).constituents.to_list()


def test_soft_jets_are_left_out(events: Floats) -> None:
    jets = read_lhc_olympics(events, n_jets=50, pt_min=5.0)
    harder = read_lhc_olympics(events, n_jets=50, pt_min=100.0)
    assert float(min(jets.pt)) > 5
    assert harder.to_list() == jets[jets.pt > 100].to_list()


def test_other_layouts_are_refused(events: Floats, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected 2,101 or 2,100 columns.*\(24, 2099\)"):
        read_lhc_olympics(events[:, :2099])
    with h5py.File(tmp_path / "features.h5", "w") as file:
        file.create_dataset("df/block0_values", data=events[:, :16])
    with pytest.raises(InputError, match=r"shape \(24, 16\)"):
        read_lhc_olympics(tmp_path / "features.h5")
    with pytest.raises(InputError, match="labels of 0 or 1"):
        read_lhc_olympics(events + 0.5)
    damaged = np.where(np.arange(24)[:, None] == 9, np.inf, events)
    with pytest.raises(NonFiniteError, match="row 9"):
        read_lhc_olympics(damaged)
    for wrong in ({"radius": 0.0}, {"n_jets": 0}):
        with pytest.raises(ConfigError, match="positive"):
            read_lhc_olympics(events, **wrong)


def test_an_unknown_compression_is_named(events: Floats, path: Path, tmp_path: Path) -> None:
    """A chunk that cannot be unpacked, as one of Blosc without its filter."""
    with h5py.File(tmp_path / "odd.h5", "w") as file:
        data = file.create_dataset(
            "df/block0_values", (24, 2101), "<f8", chunks=(24, 2101), compression="gzip"
        )
        data.id.write_direct_chunk((0, 0), b"not what gzip writes")
    with pytest.raises(BadFileError, match="hdf5plugin"):
        read_lhc_olympics(tmp_path / "odd.h5")


def test_labels_in_other_columns_are_refused(events: Floats, tmp_path: Path) -> None:
    first = np.roll(events, 1, axis=1)
    with pytest.raises(InputError, match=r"Column 0 seems to be the label\. .*numpy\.roll"):
        read_lhc_olympics(first)
    assert (
        read_lhc_olympics(np.roll(first, -1, axis=1)).to_list()
        == read_lhc_olympics(events).to_list()
    )
    index = np.concatenate([np.arange(24)[:, None], events[:, :-1]], axis=1)
    with pytest.raises(InputError, match="expected pt ≥ 0"):
        read_lhc_olympics(index)
    # Labels of another type are another block of a data frame, and the first one looks like a black box.
    path = write(tmp_path / "mixed.h5", events[:, :-1])
    with h5py.File(path, "a") as file:
        file["df/block1_values"] = events[:, -1:].astype(np.int64)
    with pytest.raises(InputError, match=r"columns in block1_values too.*pandas\.read_hdf"):
        read_lhc_olympics(path)
    path = write(tmp_path / "order.h5", first)
    with h5py.File(path, "a") as file:
        file["df/block0_items"][:] = np.roll(np.arange(2101), 1)
    with pytest.raises(InputError, match="not in the order of their numbers"):
        read_lhc_olympics(path)
