"""The smooth template, in bins of any widths."""

from __future__ import annotations

import numpy as np

from oddjet.analysis.statistics.background.smoothing import smooth
from oddjet.analysis.statistics.spectrum import Spectrum

EDGES = np.concatenate([np.arange(50.0, 130.0, 5.0), np.arange(130.0, 251.0, 20.0)])


def test_a_smooth_spectrum_in_unequal_bins_is_its_own_template() -> None:
    slope = 1 / 22
    truth = 1e6 * np.diff(-np.exp(-slope * (EDGES - 50)))
    template = smooth(Spectrum(EDGES, truth, 0.1 * truth, is_data=False))
    np.testing.assert_allclose(template.counts, truth, rtol=1e-4)
    # The density at the centre times the width misses the wide bins by this.
    half = 0.5 * slope * np.diff(EDGES)
    assert np.ptp(np.sinh(half) / half) > 0.03


def test_pulls_of_templates_do_not_depend_on_the_widths() -> None:
    rng = np.random.default_rng(5)
    truth = 3e5 * np.diff(-np.exp(-(EDGES - 50) / 22))
    pulls = np.array(
        [
            (template.counts - truth) / np.sqrt(np.diag(template.covariance))
            for template in (smooth((rng.poisson(truth), EDGES)) for _ in range(40))
        ]
    )
    assert np.all(np.abs(pulls.mean(axis=0)) < 1.0)
