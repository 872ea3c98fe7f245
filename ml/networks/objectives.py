"""What a training improves: models, a step that improves them by a batch, an evaluation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from oddjet.ml.networks.keras_models import compile_function, import_keras, model_to_bytes
from oddjet.typing import Singles

__all__ = ["Loss", "Losses", "Objective", "adam_objective", "adam_step", "loss_objective"]

Loss = Callable[[Any, Any, bool], Any]
"""`loss(model, rows, training)` → a scalar tensor, the mean over the rows."""
Losses = Mapping[str, Any]
"""Name → scalar tensor, each the mean over a batch."""


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
        optimizers = [v for optimizer in self.optimizers for v in optimizer.variables]
        return [*self.weights, *optimizers, *self.state]


def adam_step(optimizer: Any, gradients: Sequence[Any], variables: Sequence[Any]) -> None:
    """Do what `optimizer.apply` does for Adam with its default options, one operation a variable.

    Keras takes some fifteen, each of which is traced and then started at every step; for small
    networks that is much of a training. Variables without a gradient stay as they are.

    Args:
        optimizer: Keras' Adam, built on these variables in this order.
        gradients: One for each variable; None where the loss does not depend on it.
        variables: What to improve.
    """
    tf, _ = import_keras()
    step = tf.cast(optimizer.iterations.value, tf.float32) + 1.0
    beta_1, beta_2 = optimizer.beta_1, optimizer.beta_2
    shared = {
        "beta1_power": tf.pow(tf.constant(beta_1, tf.float32), step),
        "beta2_power": tf.pow(tf.constant(beta_2, tf.float32), step),
        "lr": tf.convert_to_tensor(optimizer.learning_rate),
        "beta1": beta_1,
        "beta2": beta_2,
        "epsilon": optimizer.epsilon,
    }
    moments = zip(optimizer._momentums, optimizer._velocities, strict=True)
    for variable, gradient, (m, v) in zip(variables, gradients, moments, strict=True):
        if gradient is not None:
            handles = {"var": variable.value.handle, "m": m.value.handle, "v": v.value.handle}
            tf.raw_ops.ResourceApplyAdam(**handles, **shared, grad=gradient)
    optimizer.iterations.assign_add(1)


def adam_objective(
    losses: Callable[..., Losses],
    *,
    models: Sequence[Any],
    optimizer: Any,
    judge: Callable[[Any], Losses] | None = None,
    draw: Callable[[Any], Sequence[Any]] = lambda _: (),
    state: Sequence[Any] = (),
    trained: Sequence[Any] | None = None,
    columns: int | None = None,
) -> Objective:
    """Train models by the gradient of a loss over whole batches, traced once.

    Args:
        losses: `losses(batch, *drawn)` → the losses, `"loss"` among them.
        models: Keras models; a batch holds rows that the first one takes.
        optimizer: Keras' Adam, not yet built.
        judge: Gives the losses of a validation batch; None for `losses`.
        draw: Gives random tensors for a training batch, which no gradient passes.
        state: See `Objective`.
        trained: The models among them that the optimizer improves; None for all.
        columns: Numbers of a row, where a model takes something else that is made of them.

    Returns:
        An objective that keeps the first model at checkpoints.
    """
    tf, _ = import_keras()
    variables = [v for model in trained or models for v in model.trainable_variables]
    optimizer.build(variables)

    def step(batch: Any) -> Losses:
        drawn = draw(batch)
        with tf.GradientTape() as tape:
            values = losses(batch, *drawn)
        adam_step(optimizer, tape.gradient(values["loss"], variables), variables)
        return values

    shape = (None, *(models[0].input_shape[1:] if columns is None else (columns,)))
    return Objective(
        step=compile_function(step, shape),
        evaluate=compile_function(judge or losses, shape),
        models=models,
        optimizers=[optimizer],
        state=state,
        checkpoint=lambda: model_to_bytes(models[0]),
    )


def loss_objective(
    model: Any,
    loss: Loss,
    *,
    learning_rate: float,
    epsilon: float = 1e-7,
    rows_at_once: int | None = None,
) -> Objective:
    """Train one model with Adam, by whole batches or by parts of them.

    Args:
        model: A built Keras model.
        loss: What to minimise.
        learning_rate: Of Adam.
        epsilon: Of Adam. Gradients below it make smaller steps than Adam means to take.
        rows_at_once: Take the gradient of a batch in parts of at most this many rows, which bounds the
            memory of wide networks; except for rounding, the steps are the same. Not for models whose
            layers couple the rows of a batch, such as batch normalisation.
    """
    tf, keras = import_keras()
    optimizer = keras.optimizers.Adam(learning_rate, epsilon=epsilon)
    variables = model.trainable_variables
    optimizer.build(variables)
    shape = (None, *model.input_shape[1:])

    def gradient(batch: Any) -> list[Any]:
        with tf.GradientTape() as tape:
            value = loss(model, batch, True)
        return [value, *tape.gradient(value, variables)]

    def improve(values: list[Any]) -> Losses:
        adam_step(optimizer, values[1:], variables)
        return {"loss": values[0]}

    def traced(means: Callable[[Any], list[Any]], use: Callable[[list[Any]], Losses]) -> Any:
        if rows_at_once is None:
            return compile_function(lambda batch: use(means(batch)), shape)
        by_parts = _by_parts(compile_function(means, shape), rows_at_once)
        return lambda batch: use(by_parts(batch))

    return Objective(
        step=traced(gradient, improve),
        evaluate=traced(
            lambda batch: [loss(model, batch, False)], lambda values: {"loss": values[0]}
        ),
        models=[model],
        optimizers=[optimizer],
        checkpoint=lambda: model_to_bytes(model),
    )


def _by_parts(
    means: Callable[[Singles], list[Any]], at_once: int
) -> Callable[[Singles], list[Any]]:
    """Make a function that gives means over rows take them in parts of at most `at_once`."""

    def over_parts(rows: Singles) -> list[Any]:
        total: list[Any] = []
        for start in range(0, len(rows), at_once):
            part = rows[start : start + at_once]
            terms = [len(part) / len(rows) * value for value in means(part)]
            total = [a + b for a, b in zip(total, terms, strict=True)] if total else terms
        return total

    return over_parts
