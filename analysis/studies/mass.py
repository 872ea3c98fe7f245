"""Reconstructed mass: what an autoencoder makes of the jets' masses.

References:
    T. Golling et al., The Mass-ive Issue: Anomaly Detection in Jet Physics (2020), section 3 and
    figure 3: masses of jets before and after the network.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import ClassVar, cast

import numpy as np
import numpy.typing as npt

from oddjet.analysis.report.figures.mass_response import MassPair, mass_response, masses_in_and_out
from oddjet.analysis.studies.jets import StudyJets
from oddjet.analysis.studies.study import (
    Cell,
    Figures,
    PlotLabel,
    ReconstructsMass,
    Setting,
    StudyResult,
    interval_text,
)
from oddjet.datasets.folds import jets_hash
from oddjet.datasets.jets import require_columns
from oddjet.errors import TooFewJetsError
from oddjet.ml.evaluation.bootstrap import Interval, statistic_interval
from oddjet.typing import Floats

__all__ = ["MassResponse", "ReconstructedMass", "reconstructed_mass_study"]


CENTRAL = 0.6827
"""Share of the jets within one standard deviation of a Gaussian."""


@dataclasses.dataclass(frozen=True, eq=False)
class MassResponse:
    """The masses of one sample before and after a network.

    Attributes:
        n_massless: Jets left out, which have no mass in the network's input.
        response: Median of output mass / input mass.
        resolution: Half the width of the central 68 % of that ratio, over its median.
        input_response: Median of input mass / jet mass: below 1 where the input has not all
            constituents, or not all of the jet's area.
        full_response: Median of output mass / jet mass.
        pair: Input, output and jet masses [GeV] of those that have one.
    """

    detector: str
    sample: str
    n_jets: int
    n_massless: int
    response: Interval
    resolution: Interval
    input_response: Interval
    full_response: Interval
    pair: MassPair = dataclasses.field(metadata={"shown_only": True})


@dataclasses.dataclass(frozen=True, eq=False)
class ReconstructedMass(StudyResult):
    """What detectors make of the masses of each sample.

    Attributes:
        responses: One entry a detector and sample.
    """

    study: ClassVar[str] = "mass"

    responses: tuple[MassResponse, ...]

    def records(self) -> list[dict[str, Cell]]:
        """Give one line a detector and sample."""
        return [
            {
                "detector": response.detector,
                "sample": response.sample,
                "jets": response.n_jets,
                "output / input mass": interval_text(response.response),
                "resolution": interval_text(response.resolution),
                "input / jet mass": interval_text(response.input_response),
                "output / jet mass": interval_text(response.full_response),
            }
            for response in self.responses
        ]

    def figures(self, *, label: PlotLabel | None = None) -> Figures:
        """Draw the masses before and after, and their ratio, one figure each a detector."""
        figures = {}
        for detector in dict.fromkeys(response.detector for response in self.responses):
            pairs = {r.sample: r.pair for r in self.responses if r.detector == detector}
            figures[f"mass_{detector}"] = masses_in_and_out(pairs, label=label)
            figures[f"mass_response_{detector}"] = mass_response(
                pairs, signals=self.signals, label=label
            )
        return figures


def reconstructed_mass_study(jets: StudyJets, setting: Setting) -> ReconstructedMass:
    """Train on the background and compare the masses of jets before and after the network.

    Raises:
        DetectorError: If a detector has no `reconstruct_masses`.
        TooFewJetsError: If a sample has too few jets, or none with a mass.
    """
    setting.require_ability(ReconstructsMass, study="mass")
    for name in jets.names:
        require_columns(jets.jets(name), ("mass",), where="study mass")
    responses = []
    for detector, model in setting.train_on_background(jets):
        for name in jets.names:
            before, after = cast("ReconstructsMass", model).reconstruct_masses(jets.test(name))
            pair = MassPair(
                np.asarray(before, dtype=np.float64),
                np.asarray(after, dtype=np.float64),
                jets.column(name, "mass"),
                jets.weights(name),
            )
            events = jets_hash(jets.test(name))
            responses.append(_response(detector.key, name, pair, events, seed=setting.seed))
    return ReconstructedMass(**setting.common_fields(jets), responses=tuple(responses))


def _response(
    detector: str, sample: str, pair: MassPair, events: npt.NDArray[np.uint64], *, seed: int
) -> MassResponse:
    has_mass = (pair.before > 0) & (pair.true > 0) & (pair.weights > 0)
    kept = pair.select(has_mass)
    if not has_mass.any():
        msg = f"study mass: none of {len(has_mass)} test jets of '{sample}' has a mass."
        raise TooFewJetsError(msg)

    def interval(statistic: Callable[[Floats, Floats], float], values: Floats) -> Interval:
        together = events[has_mass]
        return statistic_interval(statistic, values, kept.weights, events=together, seed=seed)

    return MassResponse(
        detector,
        sample,
        len(has_mass),
        int(np.count_nonzero(~has_mass)),
        response=interval(_median, kept.after / kept.before),
        resolution=interval(_resolution, kept.after / kept.before),
        input_response=interval(_median, kept.before / kept.true),
        full_response=interval(_median, kept.after / kept.true),
        pair=kept,
    )


def _median(values: Floats, weights: Floats) -> float:
    return float(np.quantile(values, 0.5, weights=weights, method="inverted_cdf"))


def _resolution(values: Floats, weights: Floats) -> float:
    """Half the width of the central 68 % over the median; infinite for a median of 0."""
    points = [(1 - CENTRAL) / 2, 0.5, (1 + CENTRAL) / 2]
    low, middle, high = np.quantile(values, points, weights=weights, method="inverted_cdf")
    return float((high - low) / (2 * middle)) if middle > 0 else float("inf")
