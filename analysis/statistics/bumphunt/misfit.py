"""What a function does not follow of simulated background, in each spectrum of a scan: the spurious signal in p.

The simulated background of each spectrum, after its cut too, is smoothed, scaled to the jets that are scanned, and
fitted with the function. What is left over is a shape that data may have beyond the function: up or down and of any size
of one standard deviation, since simulation is no truth. With it goes the error of the smooth template, again without what the
function follows. Both become relative changes of the spectra's expectation, beside those of the
calibration of cuts (`statistics.imprint`): pseudo-experiments are drawn with them, and the error of each window has them.

References:
    The spurious signal as an uncertainty: ATL-PHYS-PUB-2020-028, sections 3 and 4.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from oddjet.analysis.statistics.background.many import BatchModel
from oddjet.analysis.statistics.background.quadrature import make_quadrature
from oddjet.analysis.statistics.background.smoothing import SmoothTemplate, smooth
from oddjet.analysis.statistics.background.spurious import LIMIT
from oddjet.analysis.statistics.bumphunt.joint import JointTable, tilted_fit
from oddjet.analysis.statistics.bumphunt.windows import Windows
from oddjet.analysis.statistics.imprint import Imprint
from oddjet.analysis.statistics.spectrum import Spectrum, check_same_edges
from oddjet.errors import FitError
from oddjet.typing import Floats

__all__ = ["Misfit", "cut_template", "misfits", "with_misfits"]

N_REPLICAS = 100
LEAST_CHANGE = -0.9
SLOW = ". Of the cut, slow changes of its efficiency alone are in it: of bumps in the efficiency the verdict on sculpting speaks"


@dataclasses.dataclass(frozen=True)
class Misfit:
    """What a function does not follow of the simulated background of one spectrum.

    Attributes:
        label: The spectrum.
        expected: The function, fitted to the template at the number of jets that are scanned, shape (n_bins,).
        change: Template over function, less 1, shape (n_bins,).
        modes: The same of one standard deviation of the smooth template, independent of each other, shape
            (n_modes, n_bins).
        relative: Relative statistical error of the simulation in each bin, nothing being smooth, shape (n_bins,).
        after_cut: Whether the template is that of all jets times a slow change of the efficiency.
    """

    label: str
    expected: Floats
    change: Floats
    modes: Floats
    relative: Floats
    after_cut: bool = False

    @classmethod
    def of_template(
        cls, label: str, template: Floats, covariance: Floats, relative: Floats, model: BatchModel
    ) -> Misfit:
        """Fit the function to a template.

        Args:
            label: The spectrum.
            template: Expected jets, shape (n_bins,).
            covariance: Their relative covariance, shape (n_bins, n_bins).
            relative: See above.
            model: The function; where there are several, the one that is chosen.

        Raises:
            FitError: It cannot be fitted.
        """
        expected, name = model.expected(template)
        chosen = model.names.index(name)
        n = int(model.functions.n_parameters[chosen])
        slopes = model.nodes.means(model.functions.designs[chosen, :, :n])
        root = np.sqrt(expected)
        followed = np.linalg.qr(slopes * root[:, None])[0]
        values, vectors = np.linalg.eigh(covariance)
        kept = values > 1e-9 * values.max(initial=0.0)
        modes = (vectors[:, kept] * np.sqrt(values[kept])).T * root
        modes -= (modes @ followed) @ followed.T
        return cls(label, expected, template / expected - 1.0, modes / root, relative)

    def spurious(self, windows: Windows, model: BatchModel) -> tuple[Floats, Floats]:
        """Give what windows find in the template, in units of the hunt's error, and the same of the simulation's statistics.

        Args:
            windows: The windows, each tested against a fit beside it.
            model: The function.

        Returns:
            Two arrays of shape (n_windows,).
        """
        spectra = self.expected * (1.0 + np.vstack([self.change, np.diag(self.relative)]))
        starts = np.tile(model.start(self.expected), (len(spectra), 1, 1))
        fits = model.fit_windows(spectra, starts, windows.firsts, windows.stops)
        ratio = (windows.sums(spectra) - fits.background) / np.sqrt(
            np.maximum(fits.background + fits.variance, 1.0)
        )
        return ratio[0], np.sqrt(np.nansum(ratio[1:] ** 2, axis=0))

    def events(self, shape: Floats, model: BatchModel) -> float:
        """Give the spurious signal of one shape, the error of the smooth template included [events].

        Args:
            shape: Fraction of the signal in each bin, shape (n_bins,).
            model: The function.
        """
        spectra = self.expected * (1.0 + np.vstack([self.change, self.modes]))
        starts = np.tile(model.start(self.expected), (len(spectra), 1, 1))
        yields = model.fit_signals(spectra, starts, shape[None]).yields[:, 0]
        return float(np.sqrt(np.nansum(yields**2)))

    def note(self, windows: Windows, model: BatchModel) -> str:
        """Say how large it is, and whether the function is accepted at `LIMIT`, the simulation's error included."""
        sizes, errors = self.spurious(windows, model)
        worst = int(np.nanargmax(np.abs(sizes) + errors))
        low, high = windows.low[worst], windows.high[worst]
        size, error = float(sizes[worst]), float(errors[worst])
        accepted = abs(size) + error < LIMIT
        few = ", for simulated jets are too few to tell" * (abs(size) - error < LIMIT)
        verdict = "accepted" if accepted else f"not accepted{few}"
        return (
            f"{self.label}: beside {low:g}–{high:g} GeV the function leaves {size:+.2f} ± {error:.2f} σ of simulated background, "
            f"{verdict} (|N| + error < {LIMIT:g} σ); p-values have it as an uncertainty{SLOW * self.after_cut}"
        )


def cut_template(everything: SmoothTemplate, passed: Spectrum) -> Floats:
    """Give the template after a cut: the smooth shape of all jets times the exponential of a polynomial of mass.

    Jets that pass are few, and their share follows the mass slowly; the order is chosen by likelihood ratio.

    Args:
        everything: All simulated jets, smoothed.
        passed: Those that pass, weighted.

    Returns:
        Expected jets, shape (n_bins,), as many as in `passed`.

    Raises:
        FitError: None passes.
    """
    total = float(passed.counts.sum())
    if not total > 0:
        msg = f"no simulated jet passes the cut of '{passed.name}'"
        raise FitError(msg)
    # Numbers of the same relative errors as the weighted ones.
    weight = float(passed.sumw2.sum()) / total
    nodes = make_quadrature(passed.edges, 1)
    return weight * tilted_fit(
        np.maximum(passed.counts, 0.0) / weight, everything.counts / weight, nodes
    )


def misfits(
    table: JointTable, function: str, simulated: Mapping[str, Spectrum]
) -> tuple[Misfit, ...]:
    """Fit the function to the simulated background of each spectrum, where there is some.

    Args:
        table: The spectra that are scanned.
        function: A function, a family or ``auto``.
        simulated: Simulated background by label of the spectrum; that of all jets has all of them.

    Raises:
        FitError: The simulation cannot be smoothed or fitted, or has other bins.
    """
    if not simulated:
        return ()
    known = {label: spectrum.checked(is_data=False) for label, spectrum in simulated.items()}
    for spectrum in known.values():
        check_same_edges(spectrum.edges, table.edges, f"the simulation of '{spectrum.name}'")
    largest = max(known.values(), key=lambda spectrum: float(spectrum.counts.sum()))
    everything = smooth(largest)
    model = BatchModel.make(function, table.edges, table.counts.sum(axis=0))
    covariance = everything.covariance / everything.counts / everything.counts[:, None]
    relative = np.sqrt(largest.sumw2) / everything.counts
    made = []
    for label, counts in zip(table.labels, table.spectra, strict=True):
        if label not in known:
            continue
        whole = known[label] is largest
        template = everything.counts if whole else cut_template(everything, known[label])
        template = template * (counts.sum() / template.sum())
        misfit = Misfit.of_template(label, template, covariance, relative, model)
        made.append(dataclasses.replace(misfit, after_cut=not whole))
    return tuple(made)


def with_misfits(table: JointTable, left: tuple[Misfit, ...], seed: int) -> JointTable:
    """Add what functions do not follow to what calibrations imprint on the spectra.

    One draw holds for all spectra: their shape is the same but for what a cut makes of it.
    """
    if not left:
        return table
    old = table.imprint
    n = N_REPLICAS if old is None or old.trivial else old.n_replicas
    shape = (n, len(table.labels), table.edges.size - 1)
    changes = np.zeros(shape) if old is None or old.trivial else old.changes.copy()
    rng = np.random.default_rng((seed, 14))
    n_modes = max(misfit.modes.shape[0] for misfit in left)
    sign, sizes = rng.standard_normal((n, 1)), rng.standard_normal((n, n_modes))
    for misfit in left:
        place = table.labels.index(misfit.label)
        drawn = sizes[:, : misfit.modes.shape[0]] @ misfit.modes
        changes[:, place] += sign * misfit.change + drawn
    changes = np.maximum(changes, LEAST_CHANGE)
    if old is None:
        imprint = Imprint(table.labels, table.edges, changes, np.full(len(table.labels), np.inf))
    else:
        imprint = dataclasses.replace(old, changes=changes)
    return dataclasses.replace(table, imprint=imprint)
