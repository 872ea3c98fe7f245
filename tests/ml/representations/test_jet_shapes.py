from __future__ import annotations

import numpy as np
import pytest

from oddjet.datasets.jets import Jets
from oddjet.errors import ConfigError
from oddjet.ml.representations import representation_from_identity
from oddjet.ml.representations.jet_shapes import JetShapes
from oddjet.ml.representations.substructure import Substructure


def test_the_columns_are_those_of_substructure(background: Jets) -> None:
    jets = background[:50]
    rows, everything = JetShapes()(jets), Substructure()(jets)
    assert rows.shape == (50, 11)
    for name, column in zip(JetShapes.names, rows.T, strict=True):
        np.testing.assert_array_equal(column, everything[:, Substructure.names.index(name)])
    assert JetShapes()(jets[:0]).shape == (0, 11)


def test_logarithms_have_a_floor(background: Jets) -> None:
    jets = background[:50]
    rows = JetShapes()(jets)
    np.testing.assert_allclose(
        JetShapes(log=True, floor=0.5)(jets), np.log(np.clip(rows, 0.5, None))
    )
    empty = jets[["pt", "eta", "phi", "mass"]]
    empty["constituents"] = jets.constituents[:, :0]
    np.testing.assert_allclose(JetShapes(log=True)(empty), np.log(1e-3))


def test_its_identity_gives_it_back_and_nonsense_is_refused() -> None:
    shapes = JetShapes(log=True, floor=0.01)
    assert representation_from_identity(shapes.identity()) == shapes
    with pytest.raises(ConfigError, match="log must be one of False, True"):
        JetShapes(log=1)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="floor must be positive"):
        JetShapes(floor=0.0)
