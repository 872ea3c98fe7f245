"""Training networks: epochs, early stopping, checkpoints, going on after an interruption.

One loop for all detectors, `optimise`; what differs between them is the `Objective`: the models, a
step, an evaluation. The order of the rows comes from a numpy generator and the initial weights from
seeded initialisers, so that two trainings with one seed agree, and no global random state is touched.
Nothing here names a device: TensorFlow puts the same steps on a GPU where it sees one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from oddjet.errors import ConfigError, DetectorError
from oddjet.ml.networks.keras_models import compile_function, import_keras, model_to_bytes
from oddjet.ml.networks.resume import Resume, TrainingState
from oddjet.typing import Singles

__all__ = [
    "Loss",
    "Objective",
    "Progress",
    "Training",
    "TrainingSettings",
    "optimise",
    "split_rows",
    "train",
    "warn_of_collapse",
]

log = logging.getLogger(__name__)

Loss = Callable[[Any, Any, bool], Any]
"""`loss(model, rows, training)` → a scalar tensor, the mean over the rows."""
Progress = Callable[[int, int, dict[str, float]], None]
"""`progress(epoch, n_epochs, logs)`, called after each epoch, counted from 1."""
Losses = Mapping[str, Any]
"""Name → scalar tensor, each the mean over a batch."""


@dataclass(frozen=True)
class TrainingSettings:
    """How to train.

    Attributes:
        epochs: At most so many passes over the training rows.
        batch_size: Rows per step.
        learning_rate: Of Adam.
        patience: Stop when what is watched has not improved for so many epochs.
        checkpoint_every: Keep the model every so many epochs; 0 keeps none.
        watch: Whose least value makes the best epoch; None takes the last epoch and never stops
            early.
        epsilon: Of Adam, for `train`. Gradients below it make smaller steps than Adam means to take.
    """

    epochs: int
    batch_size: int = 32
    learning_rate: float = 1e-3
    patience: int = 20
    checkpoint_every: int = 10
    watch: str | None = "val_loss"
    epsilon: float = 1e-7

    def __post_init__(self) -> None:
        for name, least in (("epochs", 1), ("batch_size", 1), ("patience", 1)):
            if getattr(self, name) < least:
                msg = f"training: {name} must be at least {least}. Received: {getattr(self, name)}."
                raise ConfigError(msg)
        if self.checkpoint_every < 0:
            msg = f"training: checkpoint_every must be >= 0. Received: {self.checkpoint_every}."
            raise ConfigError(msg)
        for name in ("learning_rate", "epsilon"):
            if not getattr(self, name) > 0:
                msg = f"training: {name} must be positive. Received: {getattr(self, name)}."
                raise ConfigError(msg)


@dataclass
class Training:
    """What a training left behind, beside the trained models.

    Attributes:
        history: Name of a loss → one number an epoch: the training losses, the validation losses
            under `val_` and their names, and what the end of an epoch added.
        best_epoch: The epoch, from 1, whose weights the models have.
        checkpoints: Epoch → the content of its `.keras` file.
    """

    history: dict[str, list[float]] = field(default_factory=dict)
    best_epoch: int = 0
    checkpoints: dict[int, bytes] = field(default_factory=dict)


def _nothing(epoch: int) -> None:
    del epoch


def _no_losses(epoch: int) -> Mapping[str, float]:
    del epoch
    return {}


@dataclass
class Objective:
    """What is trained, and how.

    Attributes:
        step: Improves the models by a batch (b, …) and gives its losses; `"loss"` among them.
        evaluate: Gives the losses of a batch, without improving anything.
        models: Keras models; their weights are what is trained.
        optimizers: Keras optimizers, built.
        state: Further TensorFlow variables that later epochs depend on, for instance
            `tf.random.Generator(…).state` or a buffer.
        start_epoch: Called with the number of the epoch, from 1, before it: learning rates, noise.
        finish_epoch: Called after it; what it gives joins the losses, without `val_`.
        checkpoint: Gives the content of a file to keep; None keeps nothing.
    """

    step: Callable[[Singles], Losses]
    evaluate: Callable[[Singles], Losses]
    models: Sequence[Any]
    optimizers: Sequence[Any] = ()
    state: Sequence[Any] = ()
    start_epoch: Callable[[int], None] = _nothing
    finish_epoch: Callable[[int], Mapping[str, float]] = _no_losses
    checkpoint: Callable[[], bytes] | None = None

    @property
    def weights(self) -> list[Any]:
        """Variables of the models."""
        return [variable for model in self.models for variable in model.weights]

    @property
    def variables(self) -> list[Any]:
        """Every variable that later epochs depend on."""
        optimizers = [variable for each in self.optimizers for variable in each.variables]
        return [*self.weights, *optimizers, *self.state]


def split_rows(
    n: int, *, fraction: float, seed: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Split n rows at random into training and validation rows, each sorted.

    Args:
        n: Number of rows, at least 2.
        fraction: Of validation rows; at least one row goes to either side.
        seed: Of the permutation.
    """
    order = np.random.default_rng(seed).permutation(n)
    n_validation = min(max(1, round(n * fraction)), n - 1)
    return np.sort(order[n_validation:]), np.sort(order[:n_validation])


def train(
    model: Any,
    rows: Singles,
    validation: Singles,
    *,
    loss: Loss,
    settings: TrainingSettings,
    seed: int,
    progress: Progress | None = None,
    resume: Resume | None = None,
    rows_at_once: int | None = None,
) -> Training:
    """Train one model in place with Adam and leave it with the weights of its best epoch.

    Args:
        model: A built Keras model.
        rows: Training rows, shape (n, …), n >= 1.
        validation: Validation rows, shape (m, …), m >= 1.
        loss: What to minimise.
        settings: How long, in which steps.
        seed: Of the order of the rows.
        progress: Called after each epoch.
        resume: Where to keep the state, and go on from.
        rows_at_once: Take the gradient of a batch in parts of at most so many rows, which bounds the
            memory of wide networks; but for rounding, the steps are the same. Not for models whose
            layers couple the rows of a batch, such as batch normalisation.

    Raises:
        DetectorError: If the loss becomes NaN or infinite.
    """
    objective = _objective(model, loss, settings, rows_at_once)
    return optimise(
        objective, rows, validation, settings=settings, seed=seed, progress=progress, resume=resume
    )


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
    """Count the latent dimensions that carry something, and warn of those that do not.

    Args:
        codes: Encoded jets, for a variational network their means, shape (n, d).
        label: The caller, for the message.

    Returns:
        The number of dimensions whose standard deviation over the jets is at least 1 % of the
        largest, and more than 0.
    """
    spread = codes.astype(np.float64).std(axis=0)
    active = int(np.count_nonzero(spread > max(0.01 * spread.max(initial=0.0), 1e-6)))
    if active < len(spread):
        log.warning(
            "%s: %d of %d latent dimensions are the same for every jet (the latent space has "
            "collapsed there). Scores of the latent space tell as much as the others do; lower the "
            "weight of the KL term, or the number of dimensions, to change that.",
            label,
            len(spread) - active,
            len(spread),
        )
    return active


def _objective(
    model: Any, loss: Loss, settings: TrainingSettings, at_once: int | None
) -> Objective:
    """Give what `train` trains: one model with Adam, by whole batches or by parts of them."""
    tf, keras = import_keras()
    optimizer = keras.optimizers.Adam(settings.learning_rate, epsilon=settings.epsilon)
    variables = model.trainable_variables
    optimizer.build(variables)
    shape = (None, *model.input_shape[1:])

    def gradient(batch: Any) -> list[Any]:
        with tf.GradientTape() as tape:
            value = loss(model, batch, True)
        return [value, *tape.gradient(value, variables)]

    def judge(batch: Any) -> list[Any]:
        return [loss(model, batch, False)]

    def improve(found: list[Any]) -> Losses:
        optimizer.apply(found[1:], variables)
        return {"loss": found[0]}

    def tell(found: list[Any]) -> Losses:
        return {"loss": found[0]}

    def traced(means: Callable[[Any], list[Any]], use: Callable[[list[Any]], Losses]) -> Any:
        if at_once is None:
            return compile_function(lambda batch: use(means(batch)), shape)
        by_parts = _by_parts(compile_function(means, shape), at_once)
        return lambda batch: use(by_parts(batch))

    return Objective(
        step=traced(gradient, improve),
        evaluate=traced(judge, tell),
        models=[model],
        optimizers=[optimizer],
        checkpoint=lambda: model_to_bytes(model),
    )


def _by_parts(
    means: Callable[[Singles], list[Any]], at_once: int
) -> Callable[[Singles], list[Any]]:
    """Make a function that gives means over rows take them in parts of at most so many."""

    def over_parts(rows: Singles) -> list[Any]:
        total: list[Any] = []
        for start in range(0, len(rows), at_once):
            part = rows[start : start + at_once]
            found = [len(part) / len(rows) * value for value in means(part)]
            total = [a + b for a, b in zip(total, found, strict=True)] if total else found
        return total

    return over_parts


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
        name: float(np.average([float(value) for value in found], weights=sizes))
        for name, found in values.items()
    }


def _refuse_divergence(logs: dict[str, float], epoch: int, settings: TrainingSettings) -> None:
    if not all(np.isfinite(value) for value in logs.values()):
        told = ", ".join(f"{name} {value:g}" for name, value in logs.items())
        msg = (
            f"the training diverged in epoch {epoch}: {told}. Lower learning_rate (now "
            f"{settings.learning_rate:g}), and look for odd values in the input."
        )
        raise DetectorError(msg)
