from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oddjet.datasets.kinematics.compiled import delta_phi, wrap_azimuth
from oddjet.datasets.kinematics.geometry import delta_r, wrap_phi

azimuths = st.floats(-7, 7)


@settings(deadline=None)  # the first call compiles
@given(a=azimuths, b=azimuths)
def test_azimuths_are_wrapped_as_math_does(a: float, b: float) -> None:
    distance = abs(math.remainder(a - b, 2 * math.pi))
    assert delta_phi(a, b) == pytest.approx(distance, abs=1e-12)
    assert abs(wrap_phi(np.array([a - b]))[0]) == pytest.approx(distance, abs=1e-12)
    assert abs(wrap_azimuth(a - b)) == pytest.approx(distance, abs=1e-12)
    assert -math.pi <= wrap_azimuth(a) < math.pi
    assert delta_r(np.array([0.3]), np.array([a - b]))[0] == pytest.approx(
        math.hypot(0.3, distance)
    )


def test_an_azimuth_in_range_stays_as_it_is() -> None:
    for phi in (-math.pi, -1e-17, 0.1, np.nextafter(math.pi, 0)):
        assert wrap_azimuth(phi) == phi
