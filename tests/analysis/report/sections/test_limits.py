from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from oddjet.analysis.report.figures.encode import figure_bytes
from oddjet.analysis.report.figures.limits import limit_band, signal_at_limit
from oddjet.analysis.report.sections.limits import limits_section
from oddjet.analysis.statistics.background.signal import gaussian_fractions
from oddjet.analysis.statistics.limits.agreement import Agreement
from oddjet.analysis.statistics.limits.inputs import LimitInputs, LimitSettings
from oddjet.analysis.statistics.limits.spectrum import SpectrumLimit
from oddjet.analysis.statistics.limits.upper import Limit
from oddjet.errors import ConfigError

EDGES = np.linspace(65.0, 105.0, 9)


def make(mass: float, *, blinded: bool) -> Limit:
    inputs = LimitInputs(
        edges=EDGES,
        observed=None if blinded else np.full(8, 101.0),
        background=np.full(8, 100.0),
        signal_shape=gaussian_fractions(EDGES, mass=mass, width=6.0),
        mass=mass,
        signal_yield=50.0,
    )
    expected = (0.5, 0.7, 1.0, 1.4, 2.0)
    if blinded:
        return Limit(inputs, LimitSettings(lumi_ifb=2.0), expected)
    return Limit(inputs, LimitSettings(lumi_ifb=2.0), expected, 1.5, 0.4, 0.5, 0.2)


@pytest.mark.parametrize("blinded", [True, False])
@pytest.mark.parametrize("masses", [(85.0,), (80.0, 90.0)])
def test_section_shows_what_may_be_shown(masses: tuple[float, ...], blinded: bool) -> None:
    limits = [make(mass, blinded=blinded) for mass in masses]
    section = limits_section([SpectrumLimit(limit) for limit in limits])
    (table,) = section.tables
    assert [row[0] for row in table.rows] == [f"{mass:g}" for mass in masses]
    row = dict(zip(table.headers, table.rows[0], strict=True))
    assert row["Expected events"] == "50"
    assert row["Expected σ [pb]"] == "0.025"
    assert row["Observed events"] == ("blinded" if blinded else "75")
    assert row["Best fit [events]"] == ("blinded" if blinded else "20 ± 25")
    assert len([picture.png for picture in section.pictures]) == 1
    assert section.statements[0] == f"{masses[0]:g} GeV: CLs, asymptotic"
    # Defaults are nobody's measurement: they are shown with every limit.
    assert "luminosity 1.6 %, jet mass scale 1 %, jet mass resolution 10 %" in section.paragraphs[0]


def test_section_names_toys_and_bins_left_out() -> None:
    limit = make(85.0, blinded=False)
    background = np.where(np.arange(8) == 7, 0.0, 2.0)
    inputs = dataclasses.replace(limit.inputs, background=background)
    limit = dataclasses.replace(limit, inputs=inputs, n_toys=1000)
    first, second = limits_section([SpectrumLimit(limit)]).statements
    assert "1000 toys a point, because 10 background events are expected under the signal" in first
    assert second.endswith("no background is expected there: [100, 105) GeV (101 observed)")


def test_section_warns_of_what_speaks_against_a_limit() -> None:
    limit = dataclasses.replace(make(85.0, blinded=False), mu_hat=-4.0, mu_error=1.0)
    given = Agreement(100.0, 200.0, 3.0, 4, 0.0005)
    result = SpectrumLimit(limit, caveats=("data: odd",), given=given, notes=("not used",))
    section = limits_section([result])
    first, second, third = section.warnings
    assert first == "data: odd"
    assert "100 events were seen, 200 ± 3 expected (p = 0.0005)" in second
    assert "best fit of the signal is -200 ± 50 events, far below zero" in third
    assert "100 events seen, 200 ± 3 expected, p = " in section.statements[1]
    assert section.statements[2] == "not used"
    untested = dataclasses.replace(result, given=Agreement(0.0, 0.0, 0.0, 0, float("nan")))
    assert "no bin is there, so it is not tested" in limits_section([untested]).statements[1]


def test_monte_carlo_errors_of_toys_are_shown() -> None:
    errors = (0.1, 0.07, 0.05, 0.07, 0.2)
    limit = dataclasses.replace(
        make(85.0, blinded=False), n_toys=100, expected_errors=errors, observed_error=0.06
    )
    section = limits_section([SpectrumLimit(limit)])
    (table,) = section.tables
    row = dict(zip(table.headers, table.rows[0], strict=True))
    assert row["Expected events"] == "50 ± 2.5"
    assert row["Observed events"] == "75 ± 3"
    assert "± is its Monte-Carlo error" in table.caption
    assert section.statements[1].endswith("observed 4 %, expected 20, 10, 5, 5, 10 % (−2 to +2 σ)")
    numbers = section.numbers[0]["toy_errors"]
    assert numbers["observed"]["events"] == pytest.approx(3.0)
    assert numbers["plus_2_sigma"]["mu"] == 0.2
    blinded = limits_section(
        [SpectrumLimit(dataclasses.replace(make(85.0, blinded=True), expected_errors=errors))]
    )
    assert blinded.numbers[0]["toy_errors"]["observed"] is None


def test_figures_are_drawn_and_a_band_needs_two_masses() -> None:
    limits = [make(mass, blinded=False) for mass in (80.0, 90.0)]
    band = limit_band(limits)
    (observed,) = [line for line in band.axes[0].lines if line.get_label() == "observed"]
    assert np.asarray(observed.get_ydata()).tolist() == [0.0375, 0.0375]
    assert figure_bytes(band).startswith(b"\x89PNG")
    settings = dataclasses.replace(limits[0].settings, lumi_ifb=None)
    assert figure_bytes(signal_at_limit(dataclasses.replace(limits[0], settings=settings)))
    with pytest.raises(ConfigError, match="two masses or more"):
        limit_band(limits[:1])
