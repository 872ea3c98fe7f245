"""The top-tagging reference dataset: jets of hadronic tops, and of quarks and gluons.

14 TeV, Pythia 8 and Delphes, no pile-up; the leading anti-kt jet (R = 0.8) of 550 < pt < 650 GeV and
|η| < 2, with its 200 hardest constituents. 1.2 million jets for training, 400,000 each for validation and
test.

References:
    G. Kasieczka et al., The Machine Learning Landscape of Top Taggers, arXiv:1902.09914; the files:
    doi:10.5281/zenodo.2603256.
"""

from __future__ import annotations

from typing import Any

import awkward as ak
import numpy as np
import numpy.typing as npt

from oddjet.datasets.jets import Jets, Truth, concatenate, make_jets
from oddjet.datasets.kinematics.geometry import collider
from oddjet.datasets.public.tables import Layout, Source, name_of, read_rows
from oddjet.errors import InputError
from oddjet.typing import Floats

__all__ = ["read_top_tagging"]

CONSTITUENTS = 200
LAYOUT = Layout(
    name="top-tagging reference dataset",
    node="table/table",
    fields={"values_block_0": 4 * CONSTITUENTS + 4, "values_block_1": 2},
    widths=(4 * CONSTITUENTS + 6,),
    columns="E_0 PX_0 PY_0 PZ_0 … PZ_199 truthE truthPX truthPY truthPZ ttv is_signal_new",
    last=("ttv", "is_signal_new"),
)
ROUNDING = 1e-6
"""E² − p² below this part of E² is rounding: the file's numbers are float32."""


def read_top_tagging(
    source: Source, *, start: int = 0, stop: int | None = None, dataset: str | None = None
) -> Jets:
    """Read jets of the top-tagging reference dataset.

    A jet is the sum of its constituents as they are in the file. Padding is left out, and a
    constituent's mass is 0 where E² − p² is within the rounding of its numbers.

    Args:
        source: `train.h5`, `val.h5` or `test.h5` as published; or a `.npy` file or an array of the
            same 806 columns, shape (n, 806).
        start: First row.
        stop: Row to stop before; to the end by default. Reading needs some 150 MB beside the jets.
        dataset: The jets' `dataset`; by default the file's name without its ending, so that the rows
            of different files are different events.

    Returns:
        One jet a row: `label` MERGED for tops, all of whose decay partons are within 0.8 of the
        axis, and BACKGROUND; `run` 1, `luminosityBlock` 1 + ttv (0 train, 1 test, 2 validation), and
        the row as `event`, so that folds work.

    Raises:
        BadFileError: If the file cannot be read.
        InputError: If it is of another layout, or labels are in another column.
        NonFiniteError: If a number is NaN or infinite.

    >>> row = np.zeros((1, 806))
    >>> row[0, :8] = [5, 3, 0, 4, 5, 0, 3, 4]  # E PX PY PZ of two constituents
    >>> jets = read_top_tagging(row)
    >>> round(float(jets.pt[0]), 3), round(float(jets.mass[0]), 3), len(jets.constituents[0])
    (4.243, 4.243, 2)
    """
    name = dataset or name_of(source, "top_tagging")
    return concatenate(
        _jets(rows, first, name) for first, rows in read_rows(source, LAYOUT, start, stop)
    )


def _jets(rows: npt.NDArray[Any], first: int, dataset: str) -> Jets:
    momenta = rows[:, : 4 * CONSTITUENTS].astype(np.float64).reshape(-1, CONSTITUENTS, 4)
    is_there = momenta.any(axis=2)  # (n, 200)
    set_number, is_top = rows[:, -2].astype(np.int64), rows[:, -1]
    if not np.isin(is_top, (0, 1)).all() or (set_number < 0).any():
        msg = (
            f"{LAYOUT.name}: expected is_signal_new of 0 or 1 and ttv ≥ 0 in the last two columns, "
            f"from row {first:,} on. Received: {np.unique(is_top)[:5]} and {np.unique(set_number)[:5]}."
        )
        raise InputError(msg)
    _check_truth(rows, first)
    particles = _coordinates(momenta[is_there], rounding=ROUNDING)
    constituents = ak.unflatten(ak.zip(particles), is_there.sum(axis=1))
    return make_jets(
        constituents,
        **_coordinates(momenta.sum(axis=1), rounding=0.0),
        run=np.ones(len(rows), np.uint32),
        luminosityBlock=1 + set_number,
        event=first + np.arange(len(rows)),
        label=np.where(is_top == 1, Truth.MERGED, Truth.BACKGROUND),
        dataset=dataset,
    )


def _check_truth(rows: npt.NDArray[Any], first: int) -> None:
    """Refuse ttv and is_signal_new that changed places: only tops have the momentum of a top."""
    has_top = rows[:, 4 * CONSTITUENTS] != 0
    of_set, of_label = ((rows[:, n] == 1) == has_top for n in (-2, -1))
    if of_set.all() and not of_label.all() and not has_top.all():
        msg = (
            f"{LAYOUT.name}: is_signal_new is expected in the last column and ttv before it, from row {first:,} on; the truth"
            " momentum of tops goes with the last but one. Change the columns, and give the rows as an array."
        )
        raise InputError(msg)


def _coordinates(momenta: Floats, *, rounding: float) -> dict[str, Floats]:
    """Turn (E, px, py, pz), shape (n, 4), into pt, eta, phi and mass."""
    energy, px, py, pz = momenta.T
    return collider(px, py, pz, energy, rounding=rounding)
