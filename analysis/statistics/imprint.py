"""What the calibration of a cut imprints on mass spectra: how they would look after other calibrations.

A threshold or a map that makes a score independent of mass is learned from a limited number of jets. Its
error is the same for all jets that are cut on, so it does not shrink with their number: once they
outnumber the jets that calibrated, it makes bumps and dips that no Poisson fluctuation explains. Replicas
of the calibration, bootstraps over its events, say how large these are and what shape they have.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from oddjet.errors import FitError
from oddjet.typing import Floats

__all__ = ["Imprint"]


@dataclasses.dataclass(frozen=True, eq=False)
class Imprint:
    """Relative changes of the expectation of mass spectra by replicas of the calibration of their cuts.

    One replica is one draw of the calibrating events for all spectra: methods, detectors and working
    points change together as they do in truth.

    Attributes:
        labels: Names of the spectra, as of `bumphunt.joint.JointTable`.
        edges: Mass bin edges, n_bins + 1 of them [GeV].
        changes: Expectation after the cut of a replica over that after the cut in use, less 1, shape (n_replicas,
            n_spectra, n_bins), of mean 0 over the replicas; 0 for a spectrum without a cut.
        n_calibration: Effective jets that each cut was calibrated on, all folds together, shape (n_spectra,);
            infinite for a spectrum without a cut.
        unknown: Spectra whose cut comes of a method that has no replicas; their changes are 0, and
            say nothing.
    """

    labels: tuple[str, ...]
    edges: Floats
    changes: Floats
    n_calibration: Floats
    unknown: tuple[str, ...] = ()

    @property
    def n_replicas(self) -> int:
        """Number of replicas."""
        return int(self.changes.shape[0])

    @property
    def trivial(self) -> bool:
        """Whether no spectrum is changed by any replica."""
        return not self.changes.any()

    def select(self, spectra: Sequence[int]) -> Imprint:
        """Take spectra by their places."""
        places = list(spectra)
        labels = tuple(self.labels[place] for place in places)
        return dataclasses.replace(
            self,
            labels=labels,
            changes=self.changes[:, places],
            n_calibration=self.n_calibration[places],
            unknown=tuple(label for label in self.unknown if label in labels),
        )

    def checked(self) -> Imprint:
        """Refuse arrays that do not fit together, and changes that no expectation can have.

        Raises:
            FitError: Shapes differ from what the labels and edges say, or a change is not above −1 or not
                finite.
        """
        shape = (self.n_replicas, len(self.labels), self.edges.size - 1)
        if self.changes.shape != shape or self.n_calibration.shape != shape[1:2]:
            msg = (
                f"imprint of the calibration: expected changes of shape (replicas, {shape[1]}, {shape[2]}) and "
                f"{shape[1]} numbers of jets, received {self.changes.shape} and {self.n_calibration.shape}: give "
                "one row a spectrum and one column a mass bin"
            )
            raise FitError(msg)
        if not (np.isfinite(self.changes).all() and np.all(self.changes > -1)):
            msg = (
                "imprint of the calibration: expected relative changes above -1, received "
                f"{np.nanmin(self.changes):g} or numbers that are not finite: calibrate on more jets"
            )
            raise FitError(msg)
        return self

    def covariance(self) -> Floats:
        """Covariance of the changes over the replicas, shape (n_spectra, n_bins, n_spectra, n_bins)."""
        n, *shape = self.changes.shape
        flat = self.changes.reshape(n, -1)
        flat = flat - flat.mean(axis=0)
        return np.asarray(flat.T @ flat / max(n - 1, 1)).reshape(*shape, *shape)
