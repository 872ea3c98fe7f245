"""Training networks: epochs, early stopping, checkpoints, going on after an interruption.

One loop for all detectors, `optimise`; what differs between them is the objective. The order of the rows comes from a numpy generator and the initial weights from
seeded initialisers, so that two trainings with one seed agree, and no global random state is touched.
Nothing here names a device: TensorFlow puts the same steps on a GPU where it sees one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from oddjet.constraints import Interval, check_fields, constrained
from oddjet.errors import ConfigError, DetectorError
from oddjet.ml.networks.objectives import Losses, Objective
from oddjet.ml.networks.resume import Resume, TrainingState
from oddjet.typing import Singles

__all__ = [
    "Progress",
    "Training",
    "TrainingSettings",
    "optimise",
    "split_rows",
    "warn_of_collapse",
]

log = logging.getLogger(__name__)

Progress = Callable[[int, int, dict[str, float]], None]
"""`progress(epoch, n_epochs, logs)`, called after each epoch, counted from 1."""


@dataclass(frozen=True)
class TrainingSettings:
    """How to train.

    Attributes:
        epochs: Most passes over the training rows.
        batch_size: Rows per step.
        learning_rate: Of Adam.
        patience: Stop when what is watched has not improved for this many epochs.
        checkpoint_every: Keep the model after each multiple of this many epochs; 0 keeps none.
        watch: Whose least value makes the best epoch; None takes the last epoch and never stops
            early.

    Raises:
        ConfigError: If one of these is out of its range.
    """

    epochs: int = constrained(constraint=Interval(int, 1))
    batch_size: int = constrained(32, Interval(int, 1))
    learning_rate: float = constrained(1e-3, Interval(float, 0, closed="neither"))
    patience: int = constrained(20, Interval(int, 1))
    checkpoint_every: int = constrained(10, Interval(int, 0))
    watch: str | None = "val_loss"

    def __post_init__(self) -> None:
        check_fields(self, label="training")


@dataclass
class Training:
    """What a training gives, apart from the trained models.

    Attributes:
        history: Name of a loss → one number an epoch: the training losses, the validation losses
            under `val_` and their names, and what the end of an epoch added.
        checkpoints: Epoch → the content of its `.keras` file.
    """

    history: dict[str, list[float]] = field(default_factory=dict)
    best_epoch: int = 0
    checkpoints: dict[int, bytes] = field(default_factory=dict)


def split_rows(
    n: int, *, fraction: float, seed: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Split n ≥ 2 rows at random into training and validation rows, each sorted, one at least."""
    order = np.random.default_rng(seed).permutation(n)
    n_validation = min(max(1, round(n * fraction)), n - 1)
    return np.sort(order[n_validation:]), np.sort(order[:n_validation])


def optimise(
    objective: Objective,
    rows: Singles,
    validation: Singles,
    *,
    settings: TrainingSettings,
    seed: int,
    progress: Progress | None = None,
    resume: Resume | None = None,
) -> Training:
    """Run the epochs of a training and leave the models with the weights of the best one.

    Args:
        objective: What is trained, and how.
        rows: Training rows, shape (n, …), n >= 1.
        validation: Validation rows, shape (m, …), m >= 1.
        settings: How long, in which steps, what is watched. The learning rate is the objective's.
        seed: Of the order of the rows.
        progress: Called after each epoch; not again for those of an earlier call.
        resume: Where to keep the state. If one of the same training is there, it goes on from it,
            to the same end as without the interruption.

    Raises:
        DetectorError: If a loss becomes NaN or infinite.
    """
    if resume is not None:
        resume = resume.bound_to(rows, validation)
    now = _begin(objective, resume)
    rng = np.random.default_rng(seed)
    for _ in range(now.epoch):
        rng.permutation(len(rows))
    while now.epoch < settings.epochs and not _is_over(now, settings):
        now.epoch += 1
        objective.start_epoch(now.epoch)
        order = rng.permutation(len(rows))
        logs = _mean_over_batches(objective.step, rows, settings.batch_size, order)
        judged = _mean_over_batches(objective.evaluate, validation, settings.batch_size)
        logs |= {f"val_{name}": value for name, value in judged.items()}
        logs |= {name: float(v) for name, v in objective.finish_epoch(now.epoch).items()}
        _refuse_divergence(logs, now.epoch, settings)
        _note(now, logs, objective, settings)
        log.debug("epoch %d of %d: %s", now.epoch, settings.epochs, logs)
        if resume is not None:
            now.variables = _values(objective.variables)
            is_last = now.epoch == settings.epochs or _is_over(now, settings)
            resume.save(now, last=is_last)
        if progress is not None:
            progress(now.epoch, settings.epochs, logs)
    if now.epoch < settings.epochs:
        log.info("stopped after epoch %d: best was %d", now.epoch, now.best_epoch)
    _assign(objective.weights, now.best_weights)
    return Training(now.history, now.best_epoch, now.checkpoints)


def warn_of_collapse(codes: npt.NDArray[np.floating[Any]], *, label: str) -> int:
    """Count the dimensions of codes (n, d) that carry something, and warn of those that do not.

    Those are counted whose standard deviation over the jets is at least 1 % of the largest, and
    more than 0. Codes of a variational network are the means.
    """
    spread = codes.astype(np.float64).std(axis=0)
    active = int(np.count_nonzero(spread > max(0.01 * spread.max(initial=0.0), 1e-6)))
    if active < len(spread):
        log.warning(
            "%s: %d of %d latent dimensions are the same for every jet (the latent space has "
            "collapsed there). Scores of the latent space use the others alone; lower the weight "
            "of the KL term, or the number of dimensions, to change that.",
            label,
            len(spread) - active,
            len(spread),
        )
    return active


def _begin(objective: Objective, resume: Resume | None) -> TrainingState:
    """Start at epoch 0, or where the same training was left."""
    state = resume.load() if resume is not None else None
    if state is None:
        weights = _values(objective.weights)
        return TrainingState(0, {}, 0, float("inf"), [], weights, {})
    log.info("going on after epoch %d", state.epoch)
    _assign(objective.variables, state.variables)
    return state


def _note(
    now: TrainingState, logs: dict[str, float], objective: Objective, settings: TrainingSettings
) -> None:
    """Take an epoch's losses into the history, its weights if they are the best, its checkpoint."""
    for name, value in logs.items():
        now.history.setdefault(name, []).append(value)
    if settings.watch is not None and settings.watch not in logs:
        msg = f"training: {settings.watch!r} is watched, but there are only {', '.join(logs)}."
        raise ConfigError(msg)
    watched = -np.inf if settings.watch is None else logs[settings.watch]
    if settings.watch is None or watched < now.best:
        now.best, now.best_epoch = float(watched), now.epoch
        now.best_weights = _values(objective.weights)
    every = settings.checkpoint_every
    if every and now.epoch % every == 0 and objective.checkpoint is not None:
        now.checkpoints[now.epoch] = objective.checkpoint()


def _is_over(now: TrainingState, settings: TrainingSettings) -> bool:
    return settings.watch is not None and now.epoch - now.best_epoch >= settings.patience


def _values(variables: Sequence[Any]) -> list[npt.NDArray[Any]]:
    return [np.array(variable.numpy()) for variable in variables]


def _assign(variables: Sequence[Any], values: Sequence[npt.NDArray[Any]]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def _mean_over_batches(
    function: Callable[[Singles], Losses],
    rows: Singles,
    batch_size: int,
    order: npt.NDArray[np.int64] | None = None,
) -> dict[str, float]:
    """Apply a function batch by batch and average its values, weighted by the batches' lengths."""
    values: dict[str, list[Any]] = {}
    sizes = []
    for start in range(0, len(rows), batch_size):
        stop = min(start + batch_size, len(rows))
        batch = rows[start:stop] if order is None else rows[order[start:stop]]
        for name, value in function(batch).items():
            values.setdefault(name, []).append(value)
        sizes.append(stop - start)
    # Converted at the end: reading each value at once would make a GPU wait after every step.
    return {
        name: float(np.average([float(value) for value in of_batches], weights=sizes))
        for name, of_batches in values.items()
    }


def _refuse_divergence(logs: dict[str, float], epoch: int, settings: TrainingSettings) -> None:
    if not all(np.isfinite(value) for value in logs.values()):
        losses = ", ".join(f"{name} {value:g}" for name, value in logs.items())
        msg = (
            f"the training diverged in epoch {epoch}: {losses}. Lower learning_rate (now "
            f"{settings.learning_rate:g}), and look for odd values in the input."
        )
        raise DetectorError(msg)
