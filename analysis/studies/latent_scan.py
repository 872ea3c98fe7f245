"""How many numbers a code needs: trainings at several sizes of the latent space.

References:
    I. Ene, Anomalies in Hadronic Resonances using Autoencoders (2022), "Finding the encoding
    dimension": five independent trainings for each size, and the elbow of their mean loss.
"""

from __future__ import annotations

import functools
import hashlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from oddjet.analysis.config import DetectorConfig
from oddjet.analysis.report.figures import draw
from oddjet.analysis.report.figures.style import BACKGROUND, SIGNAL, PlotLabel, styled
from oddjet.analysis.trials import read_json, resumable
from oddjet.datasets.disk.digest import content_key, source_digest
from oddjet.datasets.disk.numbers import jsonable
from oddjet.datasets.disk.state import write_state
from oddjet.datasets.jets import Jets
from oddjet.errors import ConfigError, DetectorError
from oddjet.ml import create
from oddjet.ml.detectors.base import Detector
from oddjet.ml.networks.training import split_rows
from oddjet.ml.plugins import class_path

__all__ = ["LatentScan", "ScanProgress", "draw_latent_scan", "elbow", "scan_latent_sizes"]

log = logging.getLogger(__name__)

ScanProgress = Callable[[int, int, int, int, dict[str, float]], None]
"""`progress(training, n_trainings, epoch, n_epochs, logs)`, after each epoch; trainings of all
sizes together from 0, epochs from 1. A training that was done before is passed over."""

PARAMETER = "latent"
LOSS = "val_loss"
VALIDATION_FRACTION = 0.2
BATCH_JETS = 4096
CODE = ("oddjet.ml", "oddjet.datasets.jets", "oddjet.datasets.kinematics")
ENE = DetectorConfig(name="ene")


@dataclass(frozen=True)
class LatentScan:
    """The losses of a scan.

    Attributes:
        sizes: Sizes of the latent space, rising.
        losses: For each size, the validation loss of each training at its best epoch.
    """

    sizes: tuple[int, ...]
    losses: tuple[tuple[float, ...], ...]

    @property
    def mean(self) -> npt.NDArray[np.float64]:
        """Mean loss of each size, shape (n_sizes,)."""
        return np.asarray(np.mean(self.losses, axis=1))

    @property
    def spread(self) -> npt.NDArray[np.float64]:
        """Standard deviation of a size's trainings (n − 1), shape (n_sizes,); 0 of only one."""
        if len(self.losses[0]) == 1:
            return np.zeros(len(self.sizes))
        return np.asarray(np.std(self.losses, axis=1, ddof=1))

    @property
    def elbow(self) -> int | None:
        """The size at the elbow of the mean loss, see `elbow`."""
        return elbow(self.sizes, self.mean)


def elbow(sizes: Sequence[int], losses: npt.ArrayLike) -> int | None:
    """Find where a falling curve of losses begins to flatten out.

    The elbow is the size whose point lies farthest below the chord, the straight line from the
    first point to the last. Stretching either axis changes no order of distances from a line, so
    it does not matter in what units they are measured. It does matter where the scan begins and
    ends: the elbow is that of the sizes tried.

    Args:
        sizes: Rising, n of them.
        losses: Of each size, shape (n,).

    Returns:
        The size, the smallest of several at the same distance; None if no point lies below the
        chord, by more than rounding.

    Raises:
        ConfigError: If the sizes do not rise, or there is not one finite loss for each.

    References:
        I. Ene (2022), "Finding the encoding dimension", chose 12 by eye.

    >>> elbow([1, 2, 3, 10], [10.0, 4.0, 3.0, 1.0])
    2
    """
    x, y = np.asarray(sizes, dtype=np.float64), np.asarray(losses, dtype=np.float64)
    if x.ndim != 1 or not x.size or not np.all(np.diff(x) > 0):
        msg = f"elbow: expected rising sizes, at least one. Received: {list(sizes)}."
        raise ConfigError(msg)
    if y.shape != x.shape or not np.all(np.isfinite(y)):
        msg = f"elbow: expected {x.size} finite losses, one a size. Received: {y.tolist()}."
        raise ConfigError(msg)
    chord = np.interp(x, x[[0, -1]], y[[0, -1]])
    below = chord - y  # at one slope of the chord, proportional to the distance from it
    if below.max() <= 1e-9 * np.ptp(y):
        return None
    return int(sizes[int(np.argmax(below))])


def scan_latent_sizes(
    jets: Jets,
    *,
    sizes: Sequence[int],
    trainings: int = 5,
    detector: DetectorConfig = ENE,
    seed: int,
    validation: Jets | None = None,
    folder: Path | str | None = None,
    progress: ScanProgress | None = None,
) -> LatentScan:
    """Train a detector several times at each size of its latent space.

    The trainings of a scan share their jets and their validation jets, so that the spread at a
    size is that of initial weights and of the order of the jets. Each training has a seed of its
    own, made of `seed`, the size and its number: sizes or trainings added later change no other.

    Args:
        jets: Training jets.
        sizes: Values of the detector's hyper-parameter `latent`.
        trainings: For each size.
        detector: One that is trained in epochs, with its other hyper-parameters.
        seed: Fixes everything random.
        validation: Jets whose loss is compared; otherwise a fifth of `jets` is set aside.
        folder: Keeps each training's loss, and the state of the one under way, so that the same
            call, or one with more sizes, does none of them again. What is kept holds for the same
            settings, jets, seed and code.
        progress: Called after each epoch.

    Raises:
        ConfigError: If there are no sizes, one twice, or no trainings; if a setting is not allowed,
            or `latent` is among them.
        DetectorError: If the detector has no `latent`, is not trained in epochs, or diverges.
        TooFewJetsError: If there are too few jets.
    """
    ordered = _checked_sizes(sizes, trainings)
    settings = detector.hyper_parameters
    if PARAMETER in settings:
        msg = f"latent scan: {PARAMETER!r} is what is scanned: give it as sizes, not as a setting."
        raise ConfigError(msg)
    models = [create(detector.name, **settings | {PARAMETER: size}) for size in ordered]
    if validation is None:
        # Here, not by each training, which would set other jets aside each time.
        rows, validation_rows = split_rows(len(jets), fraction=VALIDATION_FRACTION, seed=seed)
        jets, validation = jets[rows], jets[validation_rows]
    samples = _Samples(jets, validation, None if folder is None else Path(folder), models[0])
    losses = []
    for i, (size, model) in enumerate(zip(ordered, models, strict=True)):
        of_size = []
        for training in range(trainings):
            number = (i * trainings + training, trainings * len(ordered))
            report = None if progress is None else functools.partial(progress, *number)
            of_size.append(samples.loss(model, seed=_seed_of(seed, size, training), report=report))
        losses.append(tuple(of_size))
        log.info("latent size %d: %s %s", size, LOSS, of_size)
    return LatentScan(ordered, tuple(losses))


class _Samples:
    """The jets of all trainings, and the folder of the numbers of those that are done."""

    def __init__(
        self, jets: Jets, validation: Jets, folder: Path | None, detector: Detector
    ) -> None:
        self.jets, self.validation, self.folder = jets, validation, folder
        if folder is not None:
            self.digests = [_digest(sample, detector) for sample in (jets, validation)]

    def loss(
        self,
        detector: Detector,
        *,
        seed: int,
        report: Callable[[int, int, dict[str, float]], None] | None,
    ) -> float:
        """Train, or read what an earlier call kept; the state is in the folder of the same name."""
        file = self._file(detector, seed)
        kept = {} if file is None else read_json(file) or {}
        if "loss" in kept:
            return float(kept["loss"])
        with resumable(None if file is None else file.with_suffix("")) as state:
            detector.fit(
                self.jets, validation=self.validation, seed=seed, progress=report, resume_in=state
            )
            loss = _best_loss(detector)
            if file is not None:
                numbers = {
                    "loss": loss,
                    "seed": seed,
                    "hyper_parameters": detector.hyper_parameters(),
                    "history": getattr(detector, "history_", {}),
                }
                write_state(file, jsonable(numbers))
        return loss

    def _file(self, detector: Detector, seed: int) -> Path | None:
        if self.folder is None:
            return None
        key = [
            class_path(type(detector)),
            detector.hyper_parameters(),
            detector.representation.identity(),
            seed,
            self.digests,
            source_digest(*CODE),
        ]
        return self.folder / f"{content_key(key)}.json"


def _best_loss(detector: Detector) -> float:
    history, epoch = getattr(detector, "history_", {}), getattr(detector, "best_epoch_", 0)
    if LOSS not in history or not epoch:
        msg = (
            f"{type(detector).__name__} keeps no {LOSS!r} by epoch in history_: a scan of the latent "
            f"size compares that."
        )
        raise DetectorError(msg)
    return float(history[LOSS][epoch - 1])


def _digest(jets: Jets, detector: Detector) -> str:
    """Hash what the detector sees of jets, some at a time."""
    digest = hashlib.sha256()
    for start in range(0, len(jets), BATCH_JETS):
        rows = detector.representation(jets[start : start + BATCH_JETS])
        digest.update(f"{rows.dtype}{rows.shape}".encode())
        digest.update(np.ascontiguousarray(rows).view(np.uint8).data)
    return digest.hexdigest()


def _checked_sizes(sizes: Sequence[int], trainings: int) -> tuple[int, ...]:
    ordered = tuple(sorted(int(size) for size in sizes))
    if not ordered or len(set(ordered)) < len(ordered):
        msg = f"latent scan: expected sizes, each once. Received: {list(sizes)}."
        raise ConfigError(msg)
    if trainings < 1:
        msg = f"latent scan: trainings must be at least 1. Received: {trainings}."
        raise ConfigError(msg)
    return ordered


def _seed_of(seed: int, size: int, training: int) -> int:
    return int(np.random.SeedSequence([seed, size, training]).generate_state(1)[0])


@styled
def draw_latent_scan(
    sizes: Sequence[int],
    losses: Sequence[Sequence[float]],
    *,
    loss_name: str = "Validation loss",
    label: PlotLabel | None = None,
) -> Figure:
    """Draw the mean loss of each latent size, a band of its trainings' spread, and the elbow.

    The band is ± one standard deviation of the trainings of a size, not the error of their mean.
    The elbow is the point farthest below the chord, which is drawn too.

    Raises:
        ConfigError: If the sizes do not rise, or a loss is not finite.
    """
    scan = LatentScan(tuple(sizes), tuple(tuple(of_size) for of_size in losses))
    figure, axes = draw.new_axes()
    power = draw.power_of_ten(scan.losses)
    mean, spread, points = (
        values / 10.0**power for values in (scan.mean, scan.spread, np.asarray(scan.losses))
    )
    axes.fill_between(
        sizes, mean - spread, mean + spread, color=BACKGROUND, alpha=0.22, lw=0, label="spread"
    )
    axes.plot(
        np.repeat(sizes, points.shape[1]), points.ravel(), ".", color=BACKGROUND, alpha=0.6, ms=5
    )
    axes.plot(sizes, mean, "o-", color=BACKGROUND, ms=6, label=f"mean of {points.shape[1]}")
    if scan.elbow is not None:
        height = mean[list(sizes).index(scan.elbow)]
        ends = [0, -1]
        axes.plot(np.asarray(sizes)[ends], mean[ends], "--", color="#777777", lw=1.1, label="chord")
        axes.plot(
            [scan.elbow],
            [height],
            "o",
            color=SIGNAL,
            mfc="white",
            mew=2,
            ms=11,
            label=f"elbow: {scan.elbow}",
        )
    axes.set_xticks(list(sizes))
    axes.minorticks_off()
    name = loss_name if power == 0 else f"{loss_name} / $10^{{{power}}}$"
    draw.finish(axes, "Latent size", name, label, loc="upper right")
    return figure
