"""The energy mover's distance between jets: the work of rearranging one into the other.

References:
    P. T. Komiske, E. M. Metodiev, J. Thaler, The Metric Space of Collider Events, arXiv:1902.02346.
    The transport problems are solved by POT: R. Flamary et al., JMLR 22 (2021) 78.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from oddjet.datasets.kinematics.geometry import delta_r
from oddjet.errors import ConfigError, InputError, NonFiniteError
from oddjet.typing import Floats

__all__ = ["emds", "import_pot", "pt_eta_phi"]


BATCH_JETS = 1024
"""Jets whose distance matrices are held at once."""
DISABLE_BACKENDS = tuple(
    f"POT_BACKEND_DISABLE_{name}" for name in ("TENSORFLOW", "PYTORCH", "JAX", "CUPY")
)


def emds(a: npt.ArrayLike, b: npt.ArrayLike, *, radius: float) -> Floats:
    """Energy mover's distances of pairs of jets.

    min Σ_ij f_ij θ_ij / R + |Σ_i pt_i − Σ_j pt_j|, where the flow f_ij ≥ 0 takes at most pt_i from
    each particle of one jet, brings at most pt_j to each of the other, and is min(Σ pt_i, Σ pt_j) in
    all; θ² = Δη² + Δφ², Δφ wrapped. A metric only where no θ exceeds 2R; beyond, the triangle
    inequality can fail.

    Args:
        a: Particles of the first jets: pt, η, φ, shape (n_jets, n, 3), filled up with zeros;
            those without pt count as none.
        b: Particles of the second ones, shape (n_jets, m, 3).
        radius: R, what a unit of pt must travel to cost as much as a missing one.

    Returns:
        Distances in the unit of the pt, shape (n_jets,).

    Raises:
        ConfigError: If the radius is not positive.
        InputError: If a shape does not fit or a pt is negative.
        NonFiniteError: If there is a NaN or an infinity.

    References:
        arXiv:1902.02346, eq. (1), with pt for the energies.

    >>> emds([[[3.0, 0.0, 0.0]]], [[[2.0, 0.4, 0.0]]], radius=0.8).tolist()
    [2.0]
    """
    if not radius > 0 or not np.isfinite(radius):
        msg = f"emds: radius must be positive. Received: {radius}."
        raise ConfigError(msg)
    first, second = _checked(a), _checked(b)
    if len(first) != len(second):
        msg = f"emds: expected as many jets on either side. Received: {len(first)}, {len(second)}."
        raise InputError(msg)
    distances = np.zeros(len(first))
    for start in range(0, len(first), BATCH_JETS):
        part = slice(start, start + BATCH_JETS)
        distances[part] = list(_solved(first[part], second[part], radius))
    return distances


def pt_eta_phi(momenta: npt.ArrayLike) -> Floats:
    """Turn (px, py, pz, …), (…, 3 or more), into (pt, η, φ), (…, 3); without pt all are 0."""
    px, py, pz = np.moveaxis(np.asarray(momenta, dtype=np.float64)[..., :3], -1, 0)
    pt = np.hypot(px, py)
    with np.errstate(over="ignore"):
        slope = np.divide(pz, pt, out=np.zeros_like(pt), where=pt > 0)
    # A pt so small that pz / pt overflows weighs nothing, but its distance must stay a number.
    eta = np.arcsinh(np.clip(slope, -1e300, 1e300))
    phi = np.where(pt > 0, np.arctan2(py, px), 0.0)
    return np.stack([pt, eta, phi], axis=-1)


def _checked(jets: npt.ArrayLike) -> Floats:
    particles = np.asarray(jets, dtype=np.float64)
    if particles.ndim != 3 or particles.shape[2] != 3:
        msg = (
            f"emds: expected jets of particles of shape (n_jets, n, 3): pt, eta, phi. "
            f"Received: {particles.shape}."
        )
        raise InputError(msg)
    bad = np.asarray(~np.isfinite(particles).all(axis=(1, 2)))
    if bad.any():
        msg = (
            f"emds: {np.count_nonzero(bad)} of {len(bad)} jets have a NaN or an infinity, first jet "
            f"{int(np.argmax(bad))}. Drop them first."
        )
        raise NonFiniteError(msg)
    if particles.size and particles[..., 0].min() < 0:
        msg = f"emds: a pt is negative, {particles[..., 0].min():g}; all must be 0 or more."
        raise InputError(msg)
    return particles


def _solved(a: Floats, b: Floats, radius: float) -> Iterator[float]:
    """Solve the problems one by one; those of shape (n, 3) and (m, 3) are rows of `a` and `b`."""
    costs = _costs(a, b, radius)  # (jets, n + 1, m + 1)
    totals = np.stack([a[..., 0].sum(axis=1), b[..., 0].sum(axis=1)])  # (2, jets)
    # POT's tolerances are absolute, so that totals far from 1 would count as infeasible.
    unit = np.where(totals.max(axis=0) > 0, totals.max(axis=0), 1.0)
    # What one side lacks is a particle that all others reach at the cost of a missing unit.
    lacking = np.maximum(totals.max(axis=0) - totals, 0.0)
    given = np.column_stack([a[..., 0], lacking[0]]) / unit[:, np.newaxis]
    taken = np.column_stack([b[..., 0], lacking[1]]) / unit[:, np.newaxis]
    for jet in range(len(a)):
        if totals[:, jet].min() <= 0:
            yield float(totals[:, jet].max())
            continue
        rows, columns = np.flatnonzero(given[jet]), np.flatnonzero(taken[jet])
        cost = costs[jet].take(rows, axis=0).take(columns, axis=1)
        yield float(unit[jet]) * _transport(given[jet, rows], taken[jet, columns], cost)


def _costs(a: Floats, b: Floats, radius: float) -> Floats:
    """θ / R between all particles of each pair of jets, and 1 to the particle added at the end."""
    costs = np.ones((len(a), a.shape[1] + 1, b.shape[1] + 1))
    delta = a[:, :, np.newaxis, 1:] - b[:, np.newaxis, :, 1:]  # (jets, n, m, 2)
    costs[:, :-1, :-1] = delta_r(delta[..., 0], delta[..., 1]) / radius
    return costs


def _transport(given: Floats, taken: Floats, cost: Floats) -> float:
    """Least cost of bringing what is given to where it is taken; the sums agree up to rounding."""
    # The sums are checked above, and the dual variables are not used.
    value = import_pot().emd2(given, taken, cost, center_dual=False, check_marginals=False)
    return float(value)


@cache
def import_pot() -> Any:
    """Import POT with its numpy backend alone: it would load TensorFlow, PyTorch and JAX too.

    Returns:
        The module `ot`.
    """
    before = {name: os.environ.get(name) for name in DISABLE_BACKENDS}
    os.environ.update(dict.fromkeys(DISABLE_BACKENDS, "1"))
    try:
        import ot  # noqa: PLC0415
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value
    return ot
