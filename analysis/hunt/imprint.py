"""The imprint of the cuts' calibration on the spectra that are hunted in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from oddjet.analysis.hunt.result import spectrum_name
from oddjet.analysis.statistics.imprint import Imprint
from oddjet.ml.replicas import N_MIXED, CutReplicas
from oddjet.typing import Floats

__all__ = ["make_imprint"]


def make_imprint(
    replicas: Mapping[str, CutReplicas],
    points: Sequence[tuple[str, float]],
    cuts: Mapping[str, str],
    edges: Floats,
) -> Imprint | None:
    """Say how spectra change with the calibration of their cuts.

    Args:
        replicas: Column that is cut on to what is known of its calibration.
        points: Score and background efficiency of each spectrum; the score is empty before any cut.
        cuts: Score to the column that is cut on.
        edges: Mass bin edges, n_bins + 1 of them [GeV].

    Returns:
        The imprint; None where nothing is known of any calibration.
    """
    if not replicas:
        return None
    centres = 0.5 * (edges[1:] + edges[:-1])
    changes = np.zeros((N_MIXED, len(points), centres.size))
    n_calibration = np.full(len(points), np.inf)
    unknown = []
    for place, (score, efficiency) in enumerate(points):
        if not score:
            continue
        known = replicas.get(cuts[score], CutReplicas(0.0, ()))
        changes[:, place] = known.changes(efficiency, centres)
        n_calibration[place] = known.n_effective
        if not known.folds:
            unknown.append(spectrum_name(score, efficiency))
    labels = tuple(spectrum_name(*point) for point in points)
    return Imprint(labels, edges, changes, n_calibration, tuple(unknown)).checked()
