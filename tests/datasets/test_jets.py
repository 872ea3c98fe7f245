from __future__ import annotations

import math

import awkward as ak
import numpy as np
import pytest

from oddjet.datasets.jets import (
    JETS_REQUIRED,
    Truth,
    concatenate,
    empty_jets,
    make_jets,
    require_columns,
    sum_constituents,
)
from oddjet.errors import InputError, NonFiniteError


def particle(pt: float, eta: float = 0.0, phi: float = 0.0, **more: float) -> dict[str, float]:
    return {"pt": pt, "eta": eta, "phi": phi, **more}


def by_hand(particles: list[dict[str, float]]) -> tuple[float, float, float, float]:
    """Four-vector sum with Python's floats."""
    px = sum(p["pt"] * math.cos(p["phi"]) for p in particles)
    py = sum(p["pt"] * math.sin(p["phi"]) for p in particles)
    pz = sum(p["pt"] * math.sinh(p["eta"]) for p in particles)
    e = sum(
        math.sqrt((p["pt"] * math.cosh(p["eta"])) ** 2 + p.get("mass", 0.0) ** 2) for p in particles
    )
    pt = math.hypot(px, py)
    return pt, math.asinh(pz / pt), math.atan2(py, px), math.sqrt(e**2 - px**2 - py**2 - pz**2)


def random_particles(seed: int, n_jets: int) -> list[list[dict[str, float]]]:
    rng = np.random.default_rng(seed)
    single = np.float32  # so that the stored numbers are the ones summed by hand
    return [
        [
            particle(
                float(single(rng.exponential(10) + 1)),
                float(single(rng.normal())),
                float(single(rng.uniform(-3, 3))),
                mass=float(single(rng.uniform(0, 1))),
            )
            for _ in range(rng.integers(2, 30))
        ]
        for _ in range(n_jets)
    ]


def test_axis_and_mass_are_the_four_vector_sum() -> None:
    particles = random_particles(1, 20)
    jets = make_jets(particles)
    for jet, listed in zip(jets, particles, strict=True):
        assert [jet.pt, jet.eta, jet.phi, jet.mass] == pytest.approx(by_hand(listed), rel=1e-9)


def test_two_massless_particles_closed_form() -> None:
    # m² = 2 pt1 pt2 (cosh Δη − cos Δφ)
    jets = make_jets([[particle(30.0, 0.5, 3.0), particle(20.0, -0.25, -3.0)]])
    expected = math.sqrt(2 * 30 * 20 * (math.cosh(0.75) - math.cos(6.0)))
    assert jets.mass[0] == pytest.approx(expected, rel=1e-6)


def test_given_columns_win_and_others_are_summed() -> None:
    jets = make_jets([[particle(30.0)]], pt=[35.0], mass=[5.0])
    assert jets.pt.to_list() == [35.0]
    assert jets.mass.to_list() == [5.0]
    assert jets.eta.to_list() == [0.0]


def test_constituents_hardest_first_with_their_companions() -> None:
    jets = make_jets(
        [[], [particle(1.0, pdgId=22), particle(3.0, pdgId=211)], [particle(2.0, pdgId=130)]]
    )
    assert jets.constituents.pt.to_list() == [[], [3.0, 1.0], [2.0]]
    assert jets.constituents.pdgId.to_list() == [[], [211, 22], [130]]
    assert str(jets.constituents.pdgId.type) == "3 * var * int32"


def test_rising_pt_across_jets_is_no_reason_to_sort() -> None:
    jets = make_jets([[particle(2.0), particle(1.0)], [particle(5.0), particle(4.0)]])
    assert jets.constituents.pt.to_list() == [[2.0, 1.0], [5.0, 4.0]]


def test_empty_jet_has_zero_axis() -> None:
    jets = make_jets([[], [particle(1.0)]])
    assert [jets[name][0] for name in ("pt", "eta", "phi", "mass")] == [0, 0, 0, 0]


def test_missing_mass_is_zero_and_field_is_there() -> None:
    assert make_jets([[particle(3.0)]]).constituents.mass.to_list() == [[0.0]]


def test_sliced_and_regular_constituents() -> None:
    particles = ak.Array(random_particles(2, 12))
    whole = make_jets(particles)
    chosen = make_jets(particles[np.array([False, True] * 6)])
    assert ak.to_list(chosen) == ak.to_list(whole[1::2])
    regular = ak.zip({name: np.ones((3, 2)) for name in ("pt", "eta", "phi")})
    assert make_jets(regular).pt.to_list() == pytest.approx([2.0] * 3)


def test_column_types_are_fixed() -> None:
    jets = make_jets(
        [[particle(1.0)]] * 2, run=[1, 1], event=[2**63, 5], label=[Truth.MERGED, Truth.DATA], dataset="qcd",
        gen_pt=[1.0, None],
    )  # fmt: skip
    kinds = {name: str(jets[name].type.content) for name in jets.fields}
    assert kinds["run"] == "uint32"
    assert kinds["event"] == "uint64"
    assert kinds["label"] == "int8"
    assert kinds["dataset"] == "categorical[type=string]"
    assert kinds["gen_pt"] == "?float32"
    assert jets.event[0] == 2**63
    assert (jets.label >= Truth.MATCHED).to_list() == [True, False]


@pytest.mark.parametrize(
    ("column", "value"), [("run", 1.5), ("run", -1), ("jet_index", 40_000), ("weight", None)]
)
def test_values_that_do_not_fit_are_refused(column: str, value: float | None) -> None:
    with pytest.raises(InputError, match=column):
        make_jets([[particle(1.0)]], **{column: ak.Array([value])})


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_non_finite_numbers_are_counted_and_placed(bad: float) -> None:
    with pytest.raises(NonFiniteError, match=r"1 of 4 .* jet 2"):
        make_jets([[particle(1.0)], [], [particle(1.0), particle(bad)], [particle(1.0)]])
    with pytest.raises(NonFiniteError, match=r"weight: 1 of 2 .* jet 1"):
        make_jets([[particle(1.0)]] * 2, weight=[1.0, bad])


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(InputError, match="column weight has 3 values for 1 jets"):
        make_jets([[particle(1.0)]], weight=[1.0, 2.0, 3.0])
    with pytest.raises(InputError, match=r"n_jets \* var"):
        make_jets([particle(1.0)])
    with pytest.raises(InputError, match=r"pt, eta, phi"):
        make_jets([[{"pt": 1.0}]])
    with pytest.raises(InputError, match="missing values"):
        make_jets([[particle(1.0), None]])


def test_empty_jets_have_the_types_of_full_ones() -> None:
    names = ("run", "event", "weight", "label", "gen_pt", "dataset")
    empty = empty_jets(names)
    full = make_jets(
        [[particle(1.0, pdgId=1)]], run=[1], event=[1], weight=[1.0], label=[0], gen_pt=[1.0], dataset="a",
    )  # fmt: skip
    assert len(empty) == 0
    assert set(JETS_REQUIRED) <= set(empty.fields)
    for name in (*names, "constituents"):
        assert empty[name].type.content.is_equal_to(full[name].type.content), name
    assert len(make_jets([])) == 0


def test_padding_is_no_particle() -> None:
    particles = [[particle(3.0), particle(1.0)], [particle(2.0)], []]
    padded = [jet + [particle(0.0)] * (4 - len(jet)) for jet in particles]
    assert ak.to_list(make_jets(padded, tau1=[1.0, 2.0, 3.0])) == ak.to_list(
        make_jets(particles, tau1=[1.0, 2.0, 3.0])
    )
    jets = make_jets([[particle(0.0), particle(5.0), particle(0.0)]])
    assert ak.num(jets.constituents).to_list() == [1]
    assert jets.pt[0] == 5.0
    with pytest.raises(InputError, match=r"at least 0 .*received -2, first in jet 1"):
        make_jets([[particle(1.0)], [particle(-2.0), particle(1.0)]])


def test_concatenate_keeps_order_and_merges_names() -> None:
    parts = [
        make_jets([[particle(float(i + 1))]] * 2, dataset=name) for i, name in enumerate("aba")
    ]
    jets = concatenate([*parts, empty_jets(("dataset",))])
    assert jets.pt.to_list() == [1, 1, 2, 2, 3, 3]
    assert jets.dataset.to_list() == ["a", "a", "b", "b", "a", "a"]
    assert ak.categories(jets.dataset).to_list() == ["a", "b"]
    assert concatenate([jets[jets.pt > 1]]).dataset.to_list() == ["b", "b", "a", "a"]


def test_concatenate_fills_only_what_may_be_missing() -> None:
    with_gen = make_jets([[particle(1.0)]], gen_pt=[7.0])
    assert concatenate([with_gen, make_jets([[particle(2.0)]])]).gen_pt.to_list() == [7.0, None]
    with pytest.raises(InputError, match="part 1 of 2 lacks tau1"):
        concatenate([make_jets([[particle(1.0)]], tau1=[0.1]), make_jets([[particle(1.0)]])])


def test_concatenate_nothing() -> None:
    assert len(concatenate([])) == 0


def test_require_columns_names_all_and_hints() -> None:
    jets = make_jets([[particle(1.0)]], msoftdrop=[1.0])
    require_columns(jets, ["pt", "msoftdrop"])
    with pytest.raises(InputError, match=r"hunt: .* msoft_drop, tau9; .*Did you mean 'msoftdrop'"):
        require_columns(jets, ["msoft_drop", "tau9"], where="hunt")


def test_sum_constituents_of_float32_input_is_float64() -> None:
    summed = sum_constituents(ak.Array([[particle(1.0)], []]))
    assert str(summed.pt.type) == "2 * float64"
    assert summed.pt.to_list() == [1.0, 0.0]


def test_truth_compares_with_arrays() -> None:
    labels = ak.Array(np.array([-1, 0, 1, 2, 3], np.int8))
    expected = [False, False, False, True, True]
    assert (labels >= Truth.MATCHED).to_list() == expected
    assert (ak.to_numpy(labels) >= Truth.MATCHED).tolist() == expected
