from __future__ import annotations

import math
import pickle
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt
import pytest

from oddjet.datasets import fold_of, read_top_tagging
from oddjet.datasets.jets import Truth
from oddjet.datasets.public import tables
from oddjet.errors import BadFileError, InputError, NonFiniteError
from oddjet.typing import Singles

# As pandas writes `to_hdf(…, key="table", format="table")`.
TABLE = np.dtype(
    [("index", "<i8"), ("values_block_0", "<f4", (804,)), ("values_block_1", "<i8", (2,))]
)


def make_rows(n: int, seed: int = 1) -> tuple[Singles, npt.NDArray[np.int64]]:
    """Jets of 10 to 200 massless particles, hardest first, with zeros behind; ttv and label."""
    rng = np.random.default_rng(seed)
    floats, integers = np.zeros((n, 804), np.float32), np.zeros((n, 2), np.int64)
    for row in floats:
        size = rng.integers(10, 201)
        pt = np.sort(rng.exponential(10.0, size) + 0.5)[::-1]
        eta, phi = rng.normal(rng.uniform(-2, 2), 0.3, size), rng.normal(rng.uniform(-4, 4), 0.3)
        columns = [pt * np.cosh(eta), pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)]
        row[: 4 * size] = np.stack(columns, axis=1).ravel()
    integers[:, 0] = rng.integers(0, 3)
    integers[:, 1] = rng.integers(0, 2, n)
    floats[integers[:, 1] == 1, 800:] = (600.0, 400.0, 300.0, 50.0)  # the top: not a constituent
    return floats, integers


def write(path: Path, floats: Singles, integers: npt.NDArray[np.int64]) -> Path:
    rows = np.zeros(len(floats), TABLE)
    rows["index"] = np.arange(len(floats))[::-1]
    rows["values_block_0"], rows["values_block_1"] = floats, integers
    with h5py.File(path, "w") as file:
        file.create_dataset("table/table", data=rows, chunks=(7,), compression="gzip")
    return path


@pytest.fixture(scope="module")
def rows() -> tuple[Singles, npt.NDArray[np.int64]]:
    return make_rows(40)


@pytest.fixture(scope="module")
def path(rows: tuple[Singles, npt.NDArray[np.int64]], tmp_path_factory) -> Path:
    return write(tmp_path_factory.mktemp("top") / "val.h5", *rows)


def test_is_a_plain_loop_over_the_file(rows, path: Path) -> None:
    floats, integers = rows
    jets = read_top_tagging(path)
    assert len(jets) == 40
    for number, jet in enumerate(jets):
        total, particles = np.zeros(4), []
        for energy, px, py, pz in floats[number, :800].astype(float).reshape(200, 4):
            if energy > 0:
                total += (energy, px, py, pz)
                pt = math.hypot(px, py)
                particles.append((pt, math.asinh(pz / pt), math.atan2(py, px)))
        assert len(jet.constituents) == len(particles) < 201
        for name, expected in zip(("pt", "eta", "phi"), zip(*particles, strict=True), strict=True):
            np.testing.assert_allclose(jet.constituents[name], expected, rtol=1e-6, atol=1e-6)
        assert not np.any(jet.constituents.mass)
        energy, px, py, pz = total
        assert jet.mass == pytest.approx(math.sqrt(energy**2 - px**2 - py**2 - pz**2), rel=1e-9)
        assert jet.pt == pytest.approx(math.hypot(px, py), rel=1e-12)
        assert jet.eta == pytest.approx(math.asinh(pz / jet.pt), rel=1e-12)
        assert jet.phi == pytest.approx(math.atan2(py, px), rel=1e-12)
        assert jet.label == (Truth.MERGED if integers[number, 1] else Truth.BACKGROUND)
        assert jet.event == number
        assert jet.luminosityBlock == 1 + integers[number, 0]
        assert jet.dataset == "val"
    assert set(fold_of(jets, 3)) == {0, 1, 2}


def test_parts_chunks_and_arrays_give_the_same_jets(
    rows, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = read_top_tagging(path)
    monkeypatch.setattr(tables, "ROWS", 7)
    flat = np.concatenate(rows, axis=1)
    np.save(tmp_path / "val.npy", flat)
    for jets in (
        read_top_tagging(path),
        read_top_tagging(tmp_path / "val.npy"),
        read_top_tagging(flat, dataset="val"),
    ):
        assert jets.to_list() == whole.to_list()
    part = read_top_tagging(path, start=10, stop=25)
    assert part.to_list() == whole[10:25].to_list()
    assert read_top_tagging(path, start=35, stop=1000).to_list() == whole[35:].to_list()
    for empty in (read_top_tagging(path, start=3, stop=3), read_top_tagging(flat[:0])):
        assert len(empty) == 0
        assert empty.fields == whole.fields


def test_massive_constituents_keep_their_mass() -> None:
    row = np.zeros((1, 806))
    row[0, :8] = [math.sqrt(30**2 + 5**2), 30, 0, 0, 10, 0, 10, 0]
    jet = read_top_tagging(row)[0]
    np.testing.assert_allclose(jet.constituents.mass, [5.0, 0.0], rtol=1e-6)
    assert jet.mass**2 == pytest.approx(row[0, [0, 4]].sum() ** 2 - 30**2 - 10**2)


def test_other_layouts_are_refused(rows, path: Path, tmp_path: Path) -> None:
    floats, integers = rows
    with pytest.raises(InputError, match=r"expected 806 columns.*shape \(40, 804\)"):
        read_top_tagging(floats)
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file.create_dataset("jets/constituents", data=floats)
    with pytest.raises(InputError, match=r"values_block_0 \(804\).*but jets/constituents"):
        read_top_tagging(tmp_path / "other.h5")
    swapped = np.dtype([("values_block_0", "<i8", (2,)), ("values_block_1", "<f4", (804,))])
    with h5py.File(tmp_path / "swapped.h5", "w") as file:
        file.create_dataset("table/table", data=np.zeros(3, swapped))
    with pytest.raises(InputError, match="Received, from"):
        read_top_tagging(tmp_path / "swapped.h5")
    wrong = np.concatenate([floats, integers + 5], axis=1)
    with pytest.raises(InputError, match="is_signal_new"):
        read_top_tagging(wrong)


def test_what_cannot_be_read_is_refused(rows, tmp_path: Path) -> None:
    with pytest.raises(BadFileError, match="no file"):
        read_top_tagging(tmp_path / "missing.h5")
    for name in ("text.h5", "text.npy"):
        (tmp_path / name).write_text("not a table")
        with pytest.raises(BadFileError, match="cannot be read"):
            read_top_tagging(tmp_path / name)
    for start, stop in ((-1, None), (41, None), (5, 2)):
        with pytest.raises(InputError, match="within 40 rows"):
            read_top_tagging(np.concatenate(rows, axis=1), start=start, stop=stop)
    damaged = np.concatenate(rows, axis=1)
    damaged[17, 3] = np.nan
    with pytest.raises(NonFiniteError, match="row 17"):
        read_top_tagging(damaged)


@pytest.mark.parametrize("number", [0, 1])
def test_labels_in_other_columns_are_refused(rows, tmp_path: Path, number: int) -> None:
    """ttv and is_signal_new changed places: in train.h5 all jets would be QCD, in test.h5 all tops."""
    floats, integers = rows[0], np.stack([rows[1][:, 1], np.full(40, number)], axis=1)
    with pytest.raises(InputError, match="truth momentum of tops goes with the last but one"):
        read_top_tagging(np.concatenate([floats, integers], axis=1))
    right = np.concatenate([floats, integers[:, ::-1]], axis=1)
    assert (np.asarray(read_top_tagging(right).label) == 3 * rows[1][:, 1]).all()


def test_names_of_columns_are_looked_for(rows, tmp_path: Path) -> None:
    path = write(tmp_path / "named.h5", *rows)
    for names, is_right in (
        (["ttv", "is_signal_new"], True),
        (["is_signal_new", "ttv"], False),
        (["ttv", "is_top"], False),
    ):
        with h5py.File(path, "a") as file:
            file["table/table"].attrs["values_block_1_kind"] = np.void(pickle.dumps(names, 0))
        if is_right:
            assert len(read_top_tagging(path)) == 40
            continue
        with pytest.raises(InputError, match="not ttv, is_signal_new in this order"):
            read_top_tagging(path)
