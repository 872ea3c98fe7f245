"""Global p without a signal, on both built-in spectra and on four of QCD jets at other pt, at three sizes.

The conditional hunt and, beside it, the scan by functions; see docs/results.md, "Estimates of the background".
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from oddjet.analysis.statistics.bumphunt.joint import JointTable
from oddjet.analysis.statistics.bumphunt.scan import scan_table
from oddjet.analysis.statistics.bumphunt.settings import ScanSettings
from oddjet.analysis.statistics.conditional.scan import scan_conditionally
from oddjet.analysis.statistics.spectrum import Spectrum
from oddjet.analysis.studies.background.truth import Truth, built_in, built_in_names
from oddjet.typing import Floats

CUTS = (0.2, 0.1, 0.05)
N_TOYS = 39


def table_of(truth: Truth, n_jets: float, seed: int) -> JointTable:
    """Jets of a spectrum with cuts that know nothing of the mass: the shares of those that pass one more cut."""
    rng = np.random.default_rng((41, seed, *map(ord, truth.name)))
    shares = -np.diff((1.0, *CUTS, 0.0))
    counts = rng.poisson(n_jets * truth.background * shares[:, None]).astype(float)
    members = np.arange(len(shares)) >= np.arange(len(shares))[:, None]
    labels = ("all jets", *(f"{100 * cut:g} %" for cut in CUTS))
    return JointTable(labels, truth.edges, members, counts)


def conditional_p(name: str, n_jets: float, n: int, first: int = 0) -> Floats:
    """Global p of experiments without a signal, shape (n,)."""
    truth = built_in(name)
    settings = ScanSettings(n_toys=N_TOYS)
    return np.array(
        [
            scan_conditionally(
                table_of(truth, n_jets, seed), settings.model_copy(update={"seed": seed})
            ).global_p
            for seed in range(first, first + n)
        ]
    )


def function_p(
    name: str, n_jets: float, n: int, *, simulated: float = 0.0
) -> tuple[Floats, np.ndarray]:  # type: ignore[type-arg]
    """The same by `exppoly6`, and whether the result says that something is wrong.

    With so many times as much simulated background, the spurious signal is in p.
    """
    truth, p, flagged = built_in(name), [], []
    for seed in range(n):
        table = table_of(truth, n_jets, seed)
        known = None
        if simulated:
            made = table_of(truth, simulated * n_jets, 10_000 + seed)
            known = {
                label: Spectrum(
                    truth.edges,
                    counts / simulated,
                    counts / simulated**2,
                    name=label,
                    is_data=False,
                )
                for label, counts in zip(made.labels, made.spectra, strict=True)
            }
        result = scan_table(table, ScanSettings(n_toys=N_TOYS, seed=seed), simulated=known)
        p.append(result.global_p)
        flagged.append(bool(result.flags) or any("not accepted" in s for s in result.spurious))
    return np.array(p), np.array(flagged)


def said(p: Floats) -> str:
    """How often p is at most 0.05, with a 95 % interval, and a KS p."""
    k, n = int(np.sum(p <= 0.05)), p.size
    low = stats.beta.ppf(0.025, k, n - k + 1) if k else 0.0
    high = stats.beta.ppf(0.975, k + 1, n - k) if k < n else 1.0
    ks = stats.kstest(p - 0.5 / (N_TOYS + 1), "uniform").pvalue
    return f"n {n}, P(≤0.05) {k / n:.3f} [{low:.3f}, {high:.3f}], mean {p.mean():.3f}, KS {ks:.3g}"


def test_a_large_spectrum_makes_no_discovery_by_pass_and_fail() -> None:
    """On the spectrum of which the default function makes discoveries in nine of ten experiments."""
    p = conditional_p("qcd550", 75_000, 3)
    assert p.min() > 0.05
    assert p.max() > 0.3


@pytest.mark.long
@pytest.mark.parametrize("n_jets", [7500, 75_000, 750_000])
@pytest.mark.parametrize("name", built_in_names())
def test_global_p_is_uniform(name: str, n_jets: float) -> None:
    p = conditional_p(name, n_jets, 100)
    print(f"{name}, {n_jets:,} jets: {said(p)}")  # noqa: T201
    k = int(np.sum(p <= 0.05))
    # Too small a p is what harms; with score bins a few thousand jets give somewhat too large ones.
    shifted = p - 0.5 / (N_TOYS + 1)
    assert stats.kstest(shifted, "uniform", alternative="greater").pvalue > 0.01
    assert abs(p.mean() - 0.5) < 0.15
    assert stats.binom.sf(k - 1, p.size, 0.08) > 0.01


@pytest.mark.long
@pytest.mark.parametrize("n_jets", [75_000, 750_000])
def test_functions_say_what_they_do_not_describe(n_jets: float) -> None:
    """`exppoly6` makes discoveries of its own in large spectra; with simulated background it makes few, and says why."""
    alone, _ = function_p("qcd550", n_jets, 20)
    known, flagged = function_p("qcd550", n_jets, 20, simulated=10.0)
    print(f"{n_jets:,} jets, alone: {said(alone)}; with simulation: {said(known)}")  # noqa: T201
    assert np.mean(alone <= 0.05) > 0.5
    assert np.mean(known <= 0.05) < 0.25
    assert flagged.all()
