"""The LHC Olympics 2020: events of up to 700 particles, clustered into jets here.

The R&D set has a million QCD dijet events and 100,000 of a 3.5 TeV resonance → X (500 GeV) Y (100 GeV), X
and Y each to two quarks, with labels; the black boxes have a million events each, without. 13 TeV,
Delphes, no pile-up, at least one jet (R = 1.0) of pt > 1.2 TeV; particles are massless.

References:
    G. Kasieczka et al., The LHC Olympics 2020, arXiv:2101.08320; the R&D set:
    doi:10.5281/zenodo.4536377.
"""

from __future__ import annotations

from typing import Any

import awkward as ak
import numpy as np
import numpy.typing as npt

from oddjet.datasets.jets import Jets, Truth, concatenate, make_jets
from oddjet.datasets.public.tables import Layout, Source, name_of, read_rows
from oddjet.datasets.simulation.jets import cluster
from oddjet.datasets.simulation.momenta import from_pt_eta_phi_mass
from oddjet.errors import ConfigError, InputError
from oddjet.typing import Floats

__all__ = ["read_lhc_olympics"]

PARTICLES = 700
ETA_MAX, PHI_MAX = 10.0, 3.15
LAYOUT = Layout(
    name="LHC Olympics 2020",
    node="df/block0_values",
    fields={},
    widths=(3 * PARTICLES + 1, 3 * PARTICLES),
    columns=f"{PARTICLES} × (pt, eta, phi), and a label in the R&D set",
)


def read_lhc_olympics(
    source: Source,
    *,
    start: int = 0,
    stop: int | None = None,
    radius: float = 1.0,
    n_jets: int = 2,
    pt_min: float = 20.0,
    dataset: str | None = None,
) -> Jets:
    """Cluster events of the LHC Olympics 2020 into anti-kt jets and keep the leading ones.

    Args:
        source: An HDF5 file as published, of the R&D set or a black box; or a `.npy` file or an array
            of the same 2,101 or 2,100 columns. Files compressed with Blosc need hdf5plugin.
        start: First row, which is an event.
        stop: Row to stop before; to the end by default. Reading needs some 300 MB beside the jets.
        radius: Distance parameter R.
        n_jets: Leading jets kept of each event.
        pt_min: Softer jets are not kept [GeV].
        dataset: The jets' `dataset`; by default the file's name without its ending, so that the rows
            of different files are different events.

    Returns:
        The jets, event after event, hardest first (`rank`, `jet_index`); `run` and `luminosityBlock`
        1, and the row as `event`, so that folds work. `label`: BACKGROUND; in signal events MATCHED
        for the two leading jets, which X and Y nearly always make, and UNMATCHED for others (the files
        hold the event's label, no partons); DATA without labels.

    Raises:
        BadFileError: If the file cannot be read.
        InputError: If it is of another layout, or labels are in another column.
        ConfigError: If the radius or the number of jets is not positive.
        NonFiniteError: If a number is NaN or infinite.

    >>> event = np.zeros((1, 2101))
    >>> event[0, :6] = [30, 0.0, 0.0, 10, 0.3, 0.0]  # pt eta phi of two particles
    >>> jets = read_lhc_olympics(event)
    >>> round(float(jets.pt[0]), 3), round(float(jets.mass[0]), 3), len(jets.constituents[0])
    (40.0, 5.216, 2)
    """
    if not (radius > 0 and n_jets > 0):
        msg = f"{LAYOUT.name}: radius and n_jets must be positive. Received: {radius} and {n_jets}."
        raise ConfigError(msg)
    name = dataset or name_of(source, "lhc_olympics")
    return concatenate(
        _jets(rows, first, radius=radius, n_jets=n_jets, pt_min=pt_min, dataset=name)
        for first, rows in read_rows(source, LAYOUT, start, stop)
    )


def _jets(
    rows: npt.NDArray[Any], first: int, *, radius: float, n_jets: int, pt_min: float, dataset: str
) -> Jets:
    labels = _labels(rows, first)
    particles = rows[:, : 3 * PARTICLES].astype(np.float64).reshape(-1, PARTICLES, 3)
    _check_particles(particles, rows, first)
    event, slot = np.nonzero(particles[..., 0])  # padding has no pt
    pt, eta, phi = particles[event, slot].T
    momenta = from_pt_eta_phi_mass(event, pt, eta, phi, np.zeros_like(pt))
    jets = cluster(momenta, len(rows), radius=radius, pt_min=pt_min)
    event_of = jets.momenta.event
    rank = np.arange(len(jets)) - np.searchsorted(event_of, event_of)
    links = jets.constituents
    constituents = ak.unflatten(
        ak.zip({"pt": pt[links], "eta": eta[links], "phi": phi[links]}), jets.n_constituents
    )
    kept, axes = rank < n_jets, jets.momenta[rank < n_jets]
    return make_jets(
        constituents[kept],
        pt=axes.pt,
        eta=axes.eta,
        phi=axes.phi,
        mass=axes.mass,
        run=np.ones(len(axes), np.uint32),
        luminosityBlock=np.ones(len(axes), np.uint32),
        event=first + axes.event,
        label=labels[axes.event, np.minimum(rank[kept], 2)],
        dataset=dataset,
        jet_index=rank[kept],
        rank=rank[kept],
    )


def _check_particles(particles: Floats, rows: npt.NDArray[Any], first: int) -> None:
    """Refuse columns that are not pt, η, φ of particles, as where a label or an index comes first."""
    pt, eta, phi = np.moveaxis(particles, 2, 0)
    if not ((pt < 0).any() or (np.abs(eta) > ETA_MAX).any() or (np.abs(phi) > PHI_MAX).any()):
        return
    marks = [n for n in range(rows.shape[1]) if set(np.unique(rows[:, n])) == {0, 1}]
    seems = f" Column {marks[0]} seems to be the label." if marks else ""
    msg = (
        f"{LAYOUT.name}: expected pt ≥ 0, |η| ≤ {ETA_MAX:g} and |φ| ≤ π of each particle in turn from the first column"
        f" on, and the label, if any, in the last. Received other numbers, from row {first:,} on.{seems} Give the rows as an"
        " array, with the columns moved (numpy.roll(rows, -1, axis=1) puts the first one last)."
    )
    raise InputError(msg)


def _labels(rows: npt.NDArray[Any], first: int) -> npt.NDArray[np.int8]:
    """Label of each event's first, second and any later jet, shape (n, 3)."""
    labels = np.full((len(rows), 3), Truth.DATA, np.int8)
    if rows.shape[1] == 3 * PARTICLES:
        return labels
    if not np.isin(rows[:, -1], (0, 1)).all():
        msg = (
            f"{LAYOUT.name}: expected labels of 0 or 1 in the last column, from row {first:,} on. "
            f"Received: {np.unique(rows[:, -1])[:5]}."
        )
        raise InputError(msg)
    labels[:] = Truth.BACKGROUND
    labels[rows[:, -1] == 1] = (Truth.MATCHED, Truth.MATCHED, Truth.UNMATCHED)
    return labels
