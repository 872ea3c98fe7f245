"""Fits of many spectra in many windows at once: the same likelihood as `likelihood`, compiled.

A bump hunt with pseudo-experiments needs a sideband fit for every window of every spectrum: 10⁵ to
10⁷ fits. They are all of one kind, log-linear functions with two to six parameters, and each begins
next to its minimum, at the fit of the whole spectrum. A few Newton steps are enough.

The expectation of a bin is the integral of the function over it, as in `functions`, by the same
quadrature with fewer nodes where fewer are enough: two for bins that are narrow beside the slope, and never
more than eight. So bins may have any widths.

The function is chosen as in `choice`, the smallest deviance with a penalty for each parameter, anew in every
window of every spectrum. Errors are those of the profile likelihood over all functions, and so is what a signal gains.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from oddjet.analysis.statistics.background import kernels
from oddjet.analysis.statistics.background.choice import AUTO_FAMILIES
from oddjet.analysis.statistics.background.functions import FAMILIES, MAX_PARAMETERS, make_function
from oddjet.analysis.statistics.background.kernels import (
    Functions,
    SignalFits,
    Spectra,
    WindowFits,
)
from oddjet.analysis.statistics.background.quadrature import (
    Quadrature,
    make_quadrature,
    needed_nodes,
)
from oddjet.errors import ConfigError, FitError
from oddjet.typing import Floats, Ints

__all__ = ["BatchModel"]

Fits = TypeVar("Fits", WindowFits, SignalFits)


@dataclasses.dataclass(frozen=True)
class BatchModel:
    """Functions bound to bins, ready to be fitted many times. Make one with `make`.

    Attributes:
        names: Names of the functions, those of one family next to each other, in rising order.
        edges: Bin edges, n_bins + 1 of them [GeV].
        functions: What compiled fits take of them.
        nodes: Where functions are evaluated, a few masses a bin.
        given: What is expected on top of the functions, shape (n_spectra, n_bins): of spectra that follow each
            other in what is fitted; nothing by default.
    """

    names: tuple[str, ...]
    edges: Floats
    functions: Functions
    nodes: Quadrature
    given: Floats | None = None

    @classmethod
    def make(
        cls,
        function: str,
        edges: npt.ArrayLike,
        spectrum: npt.ArrayLike,
    ) -> BatchModel:
        """Bind functions to bins.

        Args:
            function: ``auto``, a family, or one function such as ``dijet3``.
            edges: Bin edges, n_bins + 1 of them [GeV].
            spectrum: Roughly what will be fitted, shape (n_bins,): it sets the parameters' axes.

        Raises:
            ConfigError: There is no such function, or its logarithm is not linear.
            FitError: A function is not defined on the bins.
        """
        edges = np.asarray(edges, dtype=np.float64)
        names = _function_names(function)
        weight = np.sqrt(np.maximum(np.asarray(spectrum, dtype=np.float64), 0.5))
        centres = 0.5 * (edges[:-1] + edges[1:])
        nodes = make_quadrature(edges, needed_nodes(edges, weight**2))
        designs = np.zeros((len(names), nodes.masses.size, MAX_PARAMETERS))
        for index, name in enumerate(names):
            made = make_function(name, scale=2.0 * float(edges[-1]))
            if made.link != "log":
                msg = (
                    f"'{name}' cannot be used in a scan that is refitted: expected a function whose "
                    "logarithm is linear in its parameters (dijet, exppoly, or auto)"
                )
                raise ConfigError(msg)
            # In these axes the terms, nearly collinear over a short range, are orthonormal.
            upper: Floats = np.linalg.qr(made.basis(centres) * weight[:, None])[1]
            basis = made.basis(nodes.masses)
            designs[index, :, : made.n_parameters] = np.linalg.solve(upper.T, basis.T).T
        functions = Functions(
            designs=designs,
            n_parameters=np.array([int(name[-1]) for name in names], dtype=np.int64),
            log_weights=np.log(nodes.weights),
            begins=nodes.begins,
        )
        return cls(names, edges, functions, nodes)

    def start(self, spectrum: npt.ArrayLike) -> Floats:
        """Parameters (n_functions, 6) near the minimum, from a line through ln(spectrum)."""
        floored = np.maximum(np.asarray(spectrum, dtype=np.float64), 0.5)
        root = np.sqrt(floored)
        target = np.log(floored / np.diff(self.edges)) * root
        starts = np.zeros((len(self.names), MAX_PARAMETERS))
        for index, n in enumerate(self.functions.n_parameters):
            design = self.nodes.means(self.functions.designs[index, :, :n]) * root[:, None]
            starts[index, :n] = np.linalg.lstsq(design, target, rcond=None)[0]
        return starts

    def fit_whole(self, spectra: npt.ArrayLike, starts: Floats) -> Spectra:
        """Fit every function to the whole of every spectrum.

        Args:
            spectra: Contents, shape (n_spectra, n_bins).
            starts: Where to begin, shape (n_spectra, n_functions, 6).

        Returns:
            The spectra with the fits; where one is not valid, its parameters are the start.
        """
        counts = np.ascontiguousarray(spectra, dtype=np.float64)
        deviances = np.full(starts.shape[:2], np.inf)
        given = np.zeros((1, counts.shape[1])) if self.given is None else self.given
        given = np.ascontiguousarray(given, dtype=np.float64)
        fitted = Spectra(counts, _saturated(counts), starts.copy(), deviances, given)
        kernels.fit_whole(fitted, self.functions)
        return fitted

    def expected(self, spectrum: npt.ArrayLike) -> tuple[Floats, str]:
        """Expected events, shape (n_bins,), and the name of the function: see `at_nodes`."""
        parts, name = self.at_nodes(spectrum)
        return self.nodes.sums(parts), name

    def at_nodes(self, spectrum: npt.ArrayLike) -> tuple[Floats, str]:
        """Fit one whole spectrum with the chosen function.

        Args:
            spectrum: Contents, shape (n_bins,).

        Returns:
            The function times the weights of the nodes, shape (n_nodes,); and its name.

        Raises:
            FitError: No fit is valid.
        """
        counts = np.asarray(spectrum, dtype=np.float64)
        none = np.zeros(1, dtype=np.int64)
        fitted = self.fit_whole(counts[None], self.start(counts)[None])
        chosen = int(self._fit_windows(fitted, none, none).chosen[0, 0])
        if chosen < 0:
            msg = f"no function of {', '.join(self.names)} can be fitted to {counts.sum():g} events"
            raise FitError(msg)
        n, parameters = self.functions.n_parameters[chosen], fitted.parameters[0, chosen]
        exponent = self.functions.designs[chosen, :, :n] @ parameters[:n]
        return np.exp(exponent + self.functions.log_weights), self.names[chosen]

    def fit_windows(
        self, spectra: npt.ArrayLike, starts: Floats, firsts: Ints, stops: Ints
    ) -> WindowFits:
        """Fit every spectrum with each window masked.

        Args:
            spectra: Contents, shape (n_spectra, n_bins).
            starts: Where to begin with each spectrum, shape (n_spectra, n_functions, 6).
            firsts: First bin of each window, shape (n_windows,).
            stops: One past its last bin, shape (n_windows,).
        """
        return self._fit_windows(self.fit_whole(spectra, starts), firsts, stops)

    def _fit_windows(self, fitted: Spectra, firsts: Ints, stops: Ints) -> WindowFits:
        fits = _not_fitted(WindowFits, len(fitted.counts), firsts.size)
        kernels.fit_windows(fitted, self.functions, (firsts, stops), fits)
        return fits

    def fit_signals(self, spectra: npt.ArrayLike, starts: Floats, templates: Floats) -> SignalFits:
        """Fit every spectrum with each signal on top of the background.

        Args:
            spectra: Contents, shape (n_spectra, n_bins).
            starts: Where to begin with each spectrum, shape (n_spectra, n_functions, 6).
            templates: Fraction of each signal in each bin, shape (n_templates, n_bins).
        """
        fitted = self.fit_whole(spectra, starts)
        fits = _not_fitted(SignalFits, len(fitted.counts), len(templates))
        shapes = np.ascontiguousarray(templates, dtype=np.float64)
        kernels.fit_signals(fitted, self.functions, shapes, fits)
        return fits


def _not_fitted(kind: type[Fits], *shape: int) -> Fits:
    """Results without a valid fit, to be filled."""
    numbers: list[Floats] = [np.full(shape, np.nan) for _ in kind._fields[:-1]]
    chosen = np.full(shape, -1, dtype=np.int8)
    return kind._make([*numbers, chosen])


def _function_names(function: str) -> tuple[str, ...]:
    if function in FAMILIES or function == "auto":
        families: Sequence[str] = AUTO_FAMILIES if function == "auto" else (function,)
        return tuple(f"{family}{n}" for family in families for n in range(2, MAX_PARAMETERS + 1))
    make_function(function, scale=1.0)  # refuses an unknown name, with the known ones
    return (function,)


def _saturated(counts: Floats) -> Floats:
    """Log-likelihood of a model that gives each content exactly, bin by bin: n ln n − n."""
    return np.where(counts > 0, counts * np.log(np.where(counts > 0, counts, 1.0)) - counts, 0.0)
