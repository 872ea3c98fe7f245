from __future__ import annotations

import numpy as np

from oddjet.datasets.kinematics.geometry import cartesian
from oddjet.datasets.kinematics.njettiness import n_subjettiness
from oddjet.ml.representations.batches import flatten_jets


def test_orders_can_be_chosen(toy_jets) -> None:
    flat = flatten_jets(toy_jets(60, prongs=2, seed=62), label="test", masses=True)
    momenta = cartesian(flat.pt, flat.eta, flat.phi, flat.mass)
    every = n_subjettiness(momenta, flat.counts, [1, 2, 3, 4, 5])
    np.testing.assert_array_equal(n_subjettiness(momenta, flat.counts, [5, 2]), every[:, [4, 1]])
    assert n_subjettiness(momenta, flat.counts, []).shape == (60, 0)
    narrow = n_subjettiness(momenta, flat.counts, [2], radius=0.4)
    np.testing.assert_allclose(narrow, 2 * every[:, [1]], rtol=1e-9)
