"""Training a Keras model: epochs, early stopping, checkpoints.

One loop for all detectors: what differs between them is the model and the loss. The order of the
rows comes from a numpy generator and the initial weights from seeded initialisers, so that two
trainings with one seed agree, and no global random state is touched.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from oddjet.errors import ConfigError, DetectorError
from oddjet.ml.keras_models import compile_function, import_keras, model_to_bytes

__all__ = ["Loss", "Progress", "Training", "TrainingSettings", "split_rows", "train"]

log = logging.getLogger(__name__)

Floats = npt.NDArray[np.float32]
Loss = Callable[[Any, Any, bool], Any]
"""`loss(model, rows, training)` → a scalar tensor, the mean over the rows."""
Progress = Callable[[int, int, dict[str, float]], None]
"""`progress(epoch, n_epochs, logs)`, called after each epoch, counted from 1."""


@dataclass(frozen=True)
class TrainingSettings:
    """How to train.

    Attributes:
        epochs: At most so many passes over the training rows.
        batch_size: Rows per step.
        learning_rate: Of Adam.
        patience: Stop when the validation loss has not improved for so many epochs.
        checkpoint_every: Keep the model every so many epochs; 0 keeps none.
    """

    epochs: int
    batch_size: int = 32
    learning_rate: float = 1e-3
    patience: int = 20
    checkpoint_every: int = 10

    def __post_init__(self) -> None:
        for name, least in (("epochs", 1), ("batch_size", 1), ("patience", 1)):
            if getattr(self, name) < least:
                msg = f"training: {name} must be at least {least}. Received: {getattr(self, name)}."
                raise ConfigError(msg)
        if self.checkpoint_every < 0:
            msg = f"training: checkpoint_every must be >= 0. Received: {self.checkpoint_every}."
            raise ConfigError(msg)
        if not self.learning_rate > 0:
            msg = f"training: learning_rate must be positive. Received: {self.learning_rate}."
            raise ConfigError(msg)


@dataclass
class Training:
    """What a training left behind, beside the trained model.

    Attributes:
        history: `loss` (mean over the epoch's steps) and `val_loss`, one number an epoch.
        best_epoch: The epoch, from 1, whose weights the model has: the least validation loss.
        checkpoints: Epoch → the content of its `.keras` file.
    """

    history: dict[str, list[float]] = field(default_factory=lambda: {"loss": [], "val_loss": []})
    best_epoch: int = 0
    checkpoints: dict[int, bytes] = field(default_factory=dict)


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
    rows: Floats,
    validation: Floats,
    *,
    loss: Loss,
    settings: TrainingSettings,
    seed: int,
    progress: Progress | None = None,
) -> Training:
    """Train a model in place with Adam and leave it with the weights of its best epoch.

    Args:
        model: A built Keras model.
        rows: Training rows, shape (n, …), n >= 1.
        validation: Validation rows, shape (m, …), m >= 1.
        loss: What to minimise.
        settings: How long, in which steps.
        seed: Of the order of the rows.
        progress: Called after each epoch.

    Raises:
        DetectorError: If the loss becomes NaN or infinite.
    """
    step, evaluate = _compile(model, loss, settings.learning_rate)
    rng = np.random.default_rng(seed)
    training = Training()
    best_loss, best_weights = np.inf, model.get_weights()
    for epoch in range(1, settings.epochs + 1):
        order = rng.permutation(len(rows))
        logs = {
            "loss": _mean_over_batches(step, rows, settings.batch_size, order),
            "val_loss": _mean_over_batches(evaluate, validation, settings.batch_size),
        }
        _refuse_divergence(logs, epoch, settings)
        for name, value in logs.items():
            training.history[name].append(value)
        if logs["val_loss"] < best_loss:
            best_loss, training.best_epoch = logs["val_loss"], epoch
            best_weights = model.get_weights()
        if settings.checkpoint_every and epoch % settings.checkpoint_every == 0:
            training.checkpoints[epoch] = model_to_bytes(model)
        log.debug("epoch %d of %d: %s", epoch, settings.epochs, logs)
        if progress is not None:
            progress(epoch, settings.epochs, logs)
        if epoch - training.best_epoch >= settings.patience:
            log.info("stopped after epoch %d: best was %d", epoch, training.best_epoch)
            break
    model.set_weights(best_weights)
    return training


def _compile(
    model: Any, loss: Loss, learning_rate: float
) -> tuple[Callable[[Floats], Any], Callable[[Floats], Any]]:
    """Trace one optimisation step and one evaluation, for batches of any length."""
    tf, keras = import_keras()
    optimizer = keras.optimizers.Adam(learning_rate)
    variables = model.trainable_variables
    optimizer.build(variables)
    shape = (None, *model.input_shape[1:])

    def step(batch: Any) -> Any:
        with tf.GradientTape() as tape:
            value = loss(model, batch, True)
        optimizer.apply(tape.gradient(value, variables), variables)
        return value

    def evaluate(batch: Any) -> Any:
        return loss(model, batch, False)

    return compile_function(step, shape), compile_function(evaluate, shape)


def _mean_over_batches(
    function: Callable[[Floats], Any],
    rows: Floats,
    batch_size: int,
    order: npt.NDArray[np.int64] | None = None,
) -> float:
    """Apply a function batch by batch and average its values, weighted by the batches' lengths."""
    values, sizes = [], []
    for start in range(0, len(rows), batch_size):
        stop = min(start + batch_size, len(rows))
        batch = rows[start:stop] if order is None else rows[order[start:stop]]
        values.append(function(batch))
        sizes.append(stop - start)
    # Converted at the end: reading each value at once would make a GPU wait after every step.
    return float(np.average([float(value) for value in values], weights=sizes))


def _refuse_divergence(logs: dict[str, float], epoch: int, settings: TrainingSettings) -> None:
    if not all(np.isfinite(value) for value in logs.values()):
        msg = (
            f"the training diverged in epoch {epoch}: loss {logs['loss']}, validation loss "
            f"{logs['val_loss']}. Lower learning_rate (now {settings.learning_rate:g}), and look "
            f"for odd values in the input."
        )
        raise DetectorError(msg)
