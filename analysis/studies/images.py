"""Average images: of each sample, and of the jets that a score takes for the most anomalous.

References:
    D. Khanal, Anomalous Jet Detection using Unsupervised Learning (2023), figure 6.
    T. Golling et al., The Mass-ive Issue: Anomaly Detection in Jet Physics (2020), figure 2.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from oddjet.analysis.report.figures.jets import average_images
from oddjet.analysis.report.figures.style import legend_text
from oddjet.analysis.studies.jets import StudyJets, select_score
from oddjet.analysis.studies.study import (
    Cell,
    Figures,
    PlotLabel,
    Reconstructs,
    Setting,
    StudyResult,
    titled,
)
from oddjet.datasets.jets import Jets
from oddjet.errors import ConfigError
from oddjet.ml.representations.jet_image import JetImage
from oddjet.typing import Floats

__all__ = ["AverageImage", "AverageImages", "average_images_study"]


BATCH_JETS = 4096


@dataclasses.dataclass(frozen=True, eq=False)
class AverageImage:
    """One average.

    Attributes:
        detector: Key of the detector; empty where none was asked.
        score: Score that chose the jets; empty for all jets, `reconstructed` for what became of
            all jets.
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
    """

    study: ClassVar[str] = "images"

    share: float
    half_width: float
    images: tuple[AverageImage, ...]

    def records(self) -> list[dict[str, Cell]]:
        """Give one line an average."""
        return [
            {
                "detector": average.detector or "–",
                "jets": self._which(average.score),
                "sample": average.sample,
                "number": average.n_jets,
                "share of pt inside": f"{average.total:.4f}",
                "√⟨ΔR²⟩": f"{average.spread:.4f}",
            }
            for average in self.images
        ]

    def figures(self, *, label: PlotLabel | None = None) -> Figures:
        """Draw the samples beside each other: all jets, and the most anomalous of each score."""
        groups: dict[tuple[str, str], dict[str, Floats]] = {}
        for average in self.images:
            shown = groups.setdefault((average.detector, average.score), {})
            shown[legend_text(average.sample)] = average.image
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


def average_images_study(
    jets: StudyJets,
    setting: Setting,
    *,
    share: float = 0.01,
    image: JetImage | Mapping[str, Any] | None = None,
) -> AverageImages:
    """Average the images of each sample's test jets, of all and of the most anomalous.

    Where a detector looks at images of the same kind and reconstructs them, the average
    reconstruction is given too.

    Of each sample, the `share` in (0, 1] of highest score counts, at least one jet. `image` is a
    `JetImage` or its fields; by default Khanal's.

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
    for detector, model in setting.train_on_background(jets):
        if isinstance(model, Reconstructs) and model.representation == image:
            averages += [
                _average(detector.key, "reconstructed", name, jets.test(name), image, model)
                for name in jets.names
            ]
        scores = jets.scores(model)
        for score in model.score_names:
            for name, values in select_score(scores, score).items():
                n = max(1, math.floor(share * len(values)))
                highest = np.argsort(-values, kind="stable")[:n]
                chosen = jets.test(name)[np.sort(highest)]
                averages.append(_average(detector.key, score, name, chosen, image))
    return AverageImages(
        **setting.common_fields(jets),
        share=share,
        half_width=image.half_width,
        images=tuple(averages),
    )


def _average(
    detector: str,
    score: str,
    sample: str,
    jets: Jets,
    image: JetImage,
    model: Reconstructs | None = None,
) -> AverageImage:
    """Average the images of jets, or what a model makes of them, a batch at a time."""
    draw = image if model is None else model.reconstruct
    total = np.zeros(image.shape)
    for start in range(0, len(jets), BATCH_JETS):
        total += draw(jets[start : start + BATCH_JETS]).sum(axis=0, dtype=np.float64)
    pixels = (total / len(jets)).reshape(image.pixels, image.pixels)
    centres = 0.5 * (image.edges[:-1] + image.edges[1:])
    distance2 = centres[:, np.newaxis] ** 2 + centres**2
    positive = np.maximum(pixels, 0.0)  # a network's pixels may be a little below 0
    spread = math.sqrt(float((positive * distance2).sum() / max(positive.sum(), 1e-300)))
    return AverageImage(detector, score, sample, len(jets), float(pixels.sum()), spread, pixels)
