from __future__ import annotations

import numpy as np
import pytest

import oddjet
from oddjet.analysis.report.show import section_of
from oddjet.errors import ConfigError

EDGES = np.linspace(50.0, 150.0, 21)
COUNTS = np.round(1000 * np.exp(-EDGES[:-1] / 40))


def test_a_hunt_shows_its_tables_and_draws_its_pictures() -> None:
    hunt = oddjet.hunt(
        (COUNTS, EDGES), window=(80, 100), function="exppoly2", widths=(2, 3), n_toys=20
    )
    page = hunt._repr_html_()
    for words in ("global p over", "in 80–100 GeV", "<table>", "data:image/png"):
        assert words in page
    assert hunt.plot().get_axes()
    picture = hunt.plot("p_values")._repr_png_()  # type: ignore[attr-defined]
    assert picture.startswith(b"\x89PNG")
    with pytest.raises(ConfigError, match=r"no picture 'masses'. Pictures: fit; p_values; toys"):
        hunt.plot("masses")
    assert hunt.to_dict()["fit"]["window"] == [80, 100]


def test_what_has_no_section_is_refused() -> None:
    with pytest.raises(ConfigError, match="int has no section"):
        section_of(3)
