"""Average images: of each sample, and of the jets that a score takes for the most anomalous.

References:
    D. Khanal, Anomalous Jet Detection using Unsupervised Learning (2023), figure 6.
    T. Golling et al., The Mass-ive Issue: Anomaly Detection in Jet Physics (2020), figure 2.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from oddjet.analysis.report.figures.jets import average_images
from oddjet.analysis.report.figures.style import legend_text
from oddjet.analysis.studies.jets import StudyJets
from oddjet.analysis.studies.study import (
    Cell,
    Reconstructs,
    Setting,
    StudyResult,
    common_fields,
    score_test_jets,
    select_score,
    titled,
    train_model,
    training_jets,
)
from oddjet.datasets.jets import Jets
from oddjet.errors import ConfigError
from oddjet.ml.representations.jet_image import JetImage
from oddjet.typing import Floats

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from oddjet.analysis.report.figures.style import PlotLabel

__all__ = ["AverageImage", "AverageImages", "average_jets"]


BATCH_JETS = 4096


@dataclasses.dataclass(frozen=True, eq=False)
class AverageImage:
    """One average.

    Attributes:
        detector: Key of the detector; empty where none was asked.
        score: Score that chose the jets; empty for all jets, `reconstructed` for what became of
            all jets.
        sample: The sample.
        n_jets: Jets in the average.
        total: Sum of the image: the mean share of the jets' pt inside.
        spread: √⟨ΔR²⟩ over the image, weighted by the pixels: how wide the jets are.
        image: Shape (pixels, pixels), the first axis along Δη.
    """

    detector: str
    score: str
    sample: str
    n_jets: int
    total: float
    spread: float
    image: Floats


@dataclasses.dataclass(frozen=True, eq=False)
class AverageImages(StudyResult):
    """Average images of samples and of their most anomalous jets.

    Attributes:
        share: Share of each sample that counts as its most anomalous jets.
        half_width: Half the side of the images.
        images: The averages.
    """

    study: ClassVar[str] = "images"

    share: float
    half_width: float
    images: tuple[AverageImage, ...]

    @property
    def headers(self) -> tuple[str, ...]:
        """Headings of the table."""
        return (*("detector", "jets", "sample", "number", "share of pt inside", "√⟨ΔR²⟩"),)

    def rows(self) -> list[tuple[Cell, ...]]:
        """Give one line an average."""
        return [
            (
                each.detector or "–",
                self._which(each.score),
                each.sample,
                each.n_jets,
                f"{each.total:.4f}",
                f"{each.spread:.4f}",
            )
            for each in self.images
        ]

    def figures(self, *, label: PlotLabel | None = None) -> dict[str, Figure]:
        """Draw the samples beside each other: all jets, and the most anomalous of each score."""
        groups: dict[tuple[str, str], dict[str, Floats]] = {}
        for each in self.images:
            shown = groups.setdefault((each.detector, each.score), {})
            shown[legend_text(each.sample)] = each.image
        return {
            "_".join(part for part in ("images", *group) if part): average_images(
                shown,
                half_width=self.half_width,
                label=titled(label, self._which(group[1]) if group[1] else "all jets"),
            )
            for group, shown in groups.items()
        }

    def _which(self, score: str) -> str:
        if not score:
            return "all"
        return score if score == "reconstructed" else f"{100 * self.share:g} % highest {score}"


def average_jets(
    jets: StudyJets,
    setting: Setting,
    *,
    share: float = 0.01,
    image: JetImage | Mapping[str, Any] | None = None,
) -> AverageImages:
    """Average the images of each sample's test jets, of all and of the most anomalous.

    Where a detector looks at images of the same kind and reconstructs them, the average
    reconstruction is given too.

    Args:
        jets: The jets.
        setting: Detectors and seed.
        share: Share of each sample to take for its most anomalous jets, in (0, 1]; at least one jet.
        image: The images, or the fields of a `JetImage`; by default Khanal's.

    Raises:
        ConfigError: If the share is not in (0, 1], or the image's fields are not allowed.
        TooFewJetsError: If a sample has too few jets.
        DetectorError: If the detector is unknown or the training diverges.
    """
    if not 0 < share <= 1:
        msg = f"study images: expected a share in (0, 1]. Received: {share}."
        raise ConfigError(msg)
    if not isinstance(image, JetImage):
        try:
            image = JetImage(**(image or {}))
        except TypeError as error:
            msg = f"study images: {error}."
            raise ConfigError(msg) from error
    averages = [_average("", "", name, jets.test(name), image) for name in jets.names]
    for detector in setting.detectors:
        some = training_jets(jets, detector, seed=setting.seed)
        model = train_model(detector, some, setting, what=jets.background_name)
        if isinstance(model, Reconstructs) and model.representation == image:
            averages += [
                _of_images(
                    detector.key, "reconstructed", name, _mean_output(model, test), len(test), image
                )
                for name in jets.names
                for test in (jets.test(name),)
            ]
        found = score_test_jets(model, jets)
        for score in model.score_names:
            for name, values in select_score(found, score).items():
                n = max(1, math.floor(share * len(values)))
                highest = np.argsort(-values, kind="stable")[:n]
                chosen = jets.test(name)[np.sort(highest)]
                averages.append(_average(detector.key, score, name, chosen, image))
    return AverageImages(
        **common_fields(jets, setting),
        share=share,
        half_width=image.half_width,
        images=tuple(averages),
    )


def _average(detector: str, score: str, sample: str, jets: Jets, image: JetImage) -> AverageImage:
    """Average images, some at a time."""
    total = np.zeros(image.shape)
    for start in range(0, len(jets), BATCH_JETS):
        total += image(jets[start : start + BATCH_JETS]).sum(axis=0, dtype=np.float64)
    return _of_images(detector, score, sample, total / len(jets), len(jets), image)


def _mean_output(model: Any, jets: Jets) -> Floats:
    total = np.zeros(model.representation.shape)
    for start in range(0, len(jets), BATCH_JETS):
        total += model.reconstruct(jets[start : start + BATCH_JETS]).sum(axis=0, dtype=np.float64)
    return np.asarray(total / len(jets))


def _of_images(
    detector: str, score: str, sample: str, mean: Floats, n_jets: int, image: JetImage
) -> AverageImage:
    pixels = mean.reshape(image.pixels, image.pixels)
    centres = 0.5 * (image.edges[:-1] + image.edges[1:])
    distance2 = centres[:, np.newaxis] ** 2 + centres**2
    positive = np.maximum(pixels, 0.0)  # a network may give a little less than nothing
    spread = math.sqrt(float((positive * distance2).sum() / max(positive.sum(), 1e-300)))
    return AverageImage(detector, score, sample, n_jets, float(pixels.sum()), spread, pixels)
