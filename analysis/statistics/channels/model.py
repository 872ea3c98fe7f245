"""What is expected in each region, score bin and mass bin: a smooth background, and components on top of it.

The mean of region r, score bin k and mass bin b is

    F_rb · e_rkb + Σ_j ν_j T_jrkb,    e_r0b = 1,    ln e_rkb = Σ_p D_rkbp q_p.

F_rb ≥ 0 are the jets of the smooth background that fail every cut: free, one a region and mass bin. Columns D are,
for each region and score bin, a free constant and Legendre polynomials of mass with a loose prior; and
the ways in which a map's replicas differ, of unit prior, which all regions and score bins share.
Components T have a free norm ν ≥ 0, or ln ν a Gaussian prior, and shifts that they share by name.

Each (region, score bin, mass bin) is a channel of one bin to pyhf and Combine: F_rb and exp(constant) are free
factors, exp(D q) of a column with a prior is a log-normal factor, the rest samples of their own.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from oddjet.analysis.statistics.components import Component, shifted
from oddjet.errors import FitError
from oddjet.typing import Bools, Floats, Ints

__all__ = ["ChannelModel", "ChannelTable", "Component", "shifted"]


@dataclasses.dataclass(frozen=True, eq=False)
class ChannelTable:
    """Jets by region, score bin and mass bin.

    Attributes:
        edges: Mass bin edges, n_bins + 1 of them [GeV].
        regions: Names of the regions (pt bins).
        scores: Names of the score bins, which are disjoint and rise; the first holds the jets that fail every cut.
        counts: Shape (n_regions, n_scores, n_bins).
    """

    edges: Floats
    regions: tuple[str, ...]
    scores: tuple[str, ...]
    counts: Floats

    @property
    def shape(self) -> tuple[int, int, int]:
        """Numbers of regions, score bins and mass bins."""
        return len(self.regions), len(self.scores), self.edges.size - 1

    @property
    def totals(self) -> Floats:
        """Jets of all score bins, shape (n_regions, n_bins)."""
        return np.asarray(self.counts.sum(axis=1))


@dataclasses.dataclass(frozen=True, eq=False)
class ChannelModel:
    """The likelihood: see the module.

    Attributes:
        table: The jets.
        design: Columns of ln e, shape (n_regions, n_scores, n_bins, n_columns); 0 in the first score bin.
        precision: Inverse variances of the Gaussian priors around 0 on the parameters of the columns, shape
            (n_columns,): 0 for a constant, which is free.
        components: What comes on top of the smooth background.
        columns: Names of the columns.
    """

    table: ChannelTable
    design: Floats
    precision: Floats
    components: tuple[Component, ...] = ()
    columns: tuple[str, ...] = ()

    @classmethod
    def make(
        cls,
        table: ChannelTable,
        powers: Floats,
        modes: Floats | None = None,
        components: tuple[Component, ...] = (),
        *,
        loose: float = 1.0,
    ) -> ChannelModel:
        """Give each region and score bin a constant and powers of its own, and all of them the modes of the map.

        Args:
            table: The jets.
            powers: Legendre polynomials at the mean masses, the constant first: shape (n_bins, order + 1), or
                (n_regions, n_bins, order + 1).
            modes: Changes of ln e by one standard deviation of a parameter, shape (n_modes, n_regions, n_scores,
                n_bins); 0 in the first score bin.
            components: What comes on top.
            loose: Standard deviation of the prior on the coefficient of a power.

        Raises:
            FitError: Shapes do not fit together.
        """
        n_regions, n_scores, n_bins = table.shape
        powers = np.broadcast_to(powers, (n_regions, n_bins, powers.shape[-1]))
        n_powers = powers.shape[-1]
        own = np.zeros((n_regions, n_scores, n_bins, n_regions, n_scores - 1, n_powers))
        for r in range(n_regions):
            for k in range(1, n_scores):
                own[r, k, :, r, k - 1] = powers[r]
        modes = np.zeros((0, *table.shape)) if modes is None else modes
        design = np.concatenate([own.reshape(*table.shape, -1), np.moveaxis(modes, 0, -1)], axis=-1)
        single = np.r_[0.0, np.full(n_powers - 1, loose**-2)]
        precision = np.r_[np.tile(single, n_regions * (n_scores - 1)), np.ones(len(modes))]
        names = [
            f"power{i}[{region}, {score}]" if i else f"constant[{region}, {score}]"
            for region in table.regions
            for score in table.scores[1:]
            for i in range(n_powers)
        ]
        names += [f"map{i}" for i in range(len(modes))]
        return cls(table, design, precision, tuple(components), tuple(names)).checked()

    def checked(self) -> ChannelModel:
        """Refuse arrays that do not fit together, and names that are not unique.

        Raises:
            FitError: Of what does not fit.
        """
        shape = self.table.shape
        wanted = {
            "counts": (self.table.counts.shape, shape),
            "design": (self.design.shape, (*shape, self.precision.size)),
            "names of columns": ((len(self.columns),), (self.precision.size,)),
        }
        for component in self.components:
            arrays = [component.contents, *(a for pair in component.shifts.values() for a in pair)]
            arrays += [] if component.variances is None else [component.variances]
            wanted |= {
                f"component '{component.name}', array {i}": (array.shape, shape)
                for i, array in enumerate(arrays)
            }
        for what, (came, expected) in wanted.items():
            if came != expected:
                msg = f"channels: {what}: expected the shape {expected}, received {came}: use the bins of the table"
                raise FitError(msg)
        if len(set(self.names)) < len(self.names):
            msg = f"channels: expected different names of parameters, received {', '.join(self.names)}: rename one"
            raise FitError(msg)
        return self

    @property
    def shifts(self) -> tuple[str, ...]:
        """Names of the nuisances of the components' shapes."""
        return tuple(dict.fromkeys(name for c in self.components for name in c.shifts))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all parameters: columns, norms of components, shifts."""
        return (*self.columns, *(c.name for c in self.components), *self.shifts)

    @property
    def prior_widths(self) -> Floats:
        """Widths of the Gaussian priors of all parameters, infinite for a free one, shape (n_parameters,).

        Those of constrained norms are of ln(norm).
        """
        with np.errstate(divide="ignore"):
            columns = np.where(self.precision > 0, self.precision**-0.5, np.inf)
        norms = [np.inf if c.constraint is None else c.constraint for c in self.components]
        return np.asarray(np.r_[columns, norms, np.ones(len(self.shifts))])

    @property
    def is_free_norm(self) -> Bools:
        """Which parameters are norms ≥ 0 without a prior, shape (n_parameters,)."""
        free = np.zeros(len(self.names), np.bool_)
        for i, component in enumerate(self.components, len(self.columns)):
            free[i] = component.constraint is None
        return free

    def ratios(self, values: Floats) -> Floats:
        """Give e: jets of the smooth background in a score bin over those that fail, of the shape of the counts."""
        return np.asarray(np.exp(self.design @ values[: self.precision.size]))

    def added(self, values: Floats, names: tuple[str, ...] | None = None) -> Floats:
        """What the components add, of the shape of the counts: all of them, or those that are named."""
        norms, shifts = self._parts(values)
        total = np.zeros(self.table.shape)
        for component in self.components:
            if names is None or component.name in names:
                total = total + norms[component.name] * component.at(shifts)
        return total

    def expected(self, values: Floats, failing: Floats) -> Floats:
        """Mean of every region, score bin and mass bin.

        Args:
            values: Of all parameters in the order of `names`; norms as factors.
            failing: Jets of the smooth background that fail, F, shape (n_regions, n_bins).
        """
        return np.asarray(failing[:, None] * self.ratios(values) + self.added(values))

    def place(self, name: str) -> int:
        """Place of a parameter.

        Raises:
            FitError: There is none of that name.
        """
        if name not in self.names:
            msg = f"channels: expected one of {', '.join(self.names)}, received '{name}': name one of them"
            raise FitError(msg)
        return self.names.index(name)

    def _parts(self, values: Floats) -> tuple[dict[str, float], dict[str, float]]:
        n, m = self.precision.size, len(self.components)
        norms = {c.name: float(v) for c, v in zip(self.components, values[n : n + m], strict=True)}
        return norms, dict(zip(self.shifts, values[n + m :].tolist(), strict=True))

    @property
    def used(self) -> Ints:
        """Columns that are not 0 everywhere in a region and score bin, −1 for none: (n_regions, n_scores, most)."""
        inside = (self.design != 0).any(axis=2)
        most = max(1, int(inside.sum(axis=2).max()))
        used = np.full((*inside.shape[:2], most), -1, dtype=np.int64)
        for r, k in np.ndindex(*inside.shape[:2]):
            places = np.flatnonzero(inside[r, k])
            used[r, k, : places.size] = places
        return used
