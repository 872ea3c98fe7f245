from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from oddjet.errors import ConfigError, DetectorError
from oddjet.ml.networks.keras_models import BatchedModel, import_keras, model_from_bytes
from oddjet.ml.networks.objectives import loss_objective
from oddjet.ml.networks.training import (
    Training,
    TrainingSettings,
    optimise,
    split_rows,
    warn_of_collapse,
)


def train(
    model: Any,
    training_rows: np.ndarray,
    validation: np.ndarray,
    *,
    loss: Any,
    settings: TrainingSettings,
    rows_at_once: int | None = None,
    **others: Any,
) -> Training:
    rate = settings.learning_rate
    objective = loss_objective(model, loss, learning_rate=rate, rows_at_once=rows_at_once)
    return optimise(objective, training_rows, validation, settings=settings, **others)


def linear_model() -> Any:
    _, keras = import_keras()
    image = keras.layers.Input((2,))
    return keras.Model(
        image, keras.layers.Dense(2, use_bias=False, kernel_initializer="zeros")(image)
    )


def mean_square(model: Any, rows: Any, training: bool) -> Any:
    tf, _ = import_keras()
    return tf.reduce_mean(tf.square(model(rows, training=training) - rows))


def rows(n: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, 2)).astype(np.float32)


def test_learns_the_identity_and_reports_the_epochs() -> None:
    model = linear_model()
    calls = []
    training = train(
        model,
        rows(512),
        rows(64, seed=2),
        loss=mean_square,
        settings=TrainingSettings(
            epochs=30, batch_size=32, learning_rate=0.02, checkpoint_every=10
        ),
        seed=1,
        progress=lambda epoch, n_epochs, logs: calls.append((epoch, n_epochs, logs["val_loss"])),
    )
    np.testing.assert_allclose(model.get_weights()[0], np.eye(2), atol=1e-3)
    assert calls == [(i + 1, 30, loss) for i, loss in enumerate(training.history["val_loss"])]
    assert list(training.checkpoints) == [10, 20, 30]
    early = model_from_bytes(training.checkpoints[10])
    assert 1e-4 < np.abs(early.get_weights()[0] - np.eye(2)).max() < 1e-2


def test_stops_after_patience_with_the_best_weights() -> None:
    # Validation rows that training on other rows makes worse from the first epoch on.
    def contrary(model: Any, batch: Any, training: bool) -> Any:
        tf, _ = import_keras()
        return tf.reduce_mean(tf.square(model(batch) - (batch if training else -batch)))

    model = linear_model()
    training = train(
        model,
        rows(64),
        rows(64),
        loss=contrary,
        settings=TrainingSettings(epochs=50, batch_size=16, learning_rate=0.01, patience=3),
        seed=1,
    )
    assert training.best_epoch == 1
    assert len(training.history["loss"]) == 4
    expected = float(np.mean((rows(64) @ model.get_weights()[0] + rows(64)) ** 2))
    assert training.history["val_loss"][0] == pytest.approx(expected, rel=1e-5)


def test_validation_loss_weighs_a_short_last_batch_right() -> None:
    training = train(
        linear_model(),
        rows(8),
        rows(5),
        loss=lambda model, batch, training: (
            mean_square(model, batch, training) * 0
            + batch[0, 0] * 0
            + 2 * import_keras()[0].reduce_mean(batch)
        ),
        settings=TrainingSettings(epochs=1, batch_size=2),
        seed=1,
    )
    assert training.history["val_loss"] == [pytest.approx(2 * rows(5).mean(), rel=1e-5)]


def test_divergence_is_refused() -> None:
    def nan(model: Any, batch: Any, training: bool) -> Any:
        return mean_square(model, batch, training) * float("nan")

    with pytest.raises(DetectorError, match=r"diverged in epoch 1.*learning_rate \(now 0\.001\)"):
        train(
            linear_model(), rows(8), rows(8), loss=nan, settings=TrainingSettings(epochs=2), seed=1
        )


def test_split_is_seeded_disjoint_and_complete() -> None:
    training, validation = split_rows(101, fraction=0.2, seed=1)
    assert len(validation) == 20
    assert sorted([*training, *validation]) == list(range(101))
    np.testing.assert_array_equal(split_rows(101, fraction=0.2, seed=1)[1], validation)
    assert not np.array_equal(split_rows(101, fraction=0.2, seed=2)[1], validation)
    assert [len(part) for part in split_rows(2, fraction=0.01, seed=1)] == [1, 1]


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": 0},
        {"batch_size": 0},
        {"patience": 0},
        {"learning_rate": 0.0},
        {"checkpoint_every": -1},
    ],
)
def test_settings_that_cannot_train_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        TrainingSettings(**{"epochs": 1, **wrong})


def test_batched_model_pads_and_traces_once() -> None:
    model = linear_model()
    model.set_weights([np.array([[1.0, 2.0], [3.0, 4.0]], dtype=np.float32)])
    batched = BatchedModel(model, batch_size=4)
    for n in (4, 3, 1, 0):
        np.testing.assert_allclose(batched(rows(n)), rows(n) @ model.get_weights()[0], rtol=1e-5)


def test_bytes_that_are_no_model_are_refused() -> None:
    with pytest.raises(DetectorError, match=r"here\.keras"):
        model_from_bytes(b"not a model", where="here.keras")


def test_models_with_code_inside_are_refused(tmp_path) -> None:
    _, keras = import_keras()
    image = keras.layers.Input((2,))
    model = keras.Model(image, keras.layers.Lambda(lambda x: x * 2)(image))
    model.save(tmp_path / "m.keras")
    with pytest.raises(DetectorError, match=r"(?i)lambda|deserializ"):
        model_from_bytes((tmp_path / "m.keras").read_bytes())


def test_a_watched_name_that_is_not_there_is_refused() -> None:
    with pytest.raises(ConfigError, match="'emd' is watched, but there are only loss, val_loss"):
        train(
            linear_model(),
            rows(8),
            rows(8),
            loss=mean_square,
            settings=TrainingSettings(epochs=2, watch="emd"),
            seed=1,
        )


def test_without_a_watch_the_last_epoch_is_taken() -> None:
    training = train(
        linear_model(),
        rows(8),
        rows(8),
        loss=mean_square,
        settings=TrainingSettings(epochs=7, patience=1, watch=None, learning_rate=3.0),
        seed=1,
    )
    assert training.best_epoch == 7


def test_collapsed_latent_dimensions_are_counted_and_warned_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    codes = np.random.default_rng(1).normal(size=(100, 3))
    assert warn_of_collapse(codes, label="me") == 3
    assert not caplog.records
    codes[:, 1] = 0.5
    assert warn_of_collapse(codes, label="me") == 2
    assert "me: 1 of 3 latent dimensions" in caplog.text
    assert warn_of_collapse(np.ones((100, 3)), label="me") == 0


def test_batches_taken_in_parts_make_the_same_steps() -> None:
    ends = []
    for rows_at_once in (None, 7):
        model = linear_model()
        training = train(
            model,
            rows(100),
            rows(30, seed=2),
            loss=mean_square,
            settings=TrainingSettings(epochs=4, batch_size=24),  # last batch: 4; parts: 7, 7, 7, 3
            seed=1,
            rows_at_once=rows_at_once,
        )
        ends.append((model.get_weights()[0], training.history))
    np.testing.assert_allclose(ends[1][0], ends[0][0], rtol=1e-4)
    for name, losses in ends[0][1].items():
        np.testing.assert_allclose(ends[1][1][name], losses, rtol=1e-5)
