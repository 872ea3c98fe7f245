from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from oddjet.ml.networks.keras_models import import_keras
from oddjet.ml.networks.objectives import Objective, loss_objective
from oddjet.ml.networks.resume import Resume, TrainingState
from oddjet.ml.networks.training import Training, TrainingSettings, optimise


class Interrupted(Exception):
    """Stands for whatever ends a process."""


def network() -> Any:
    _, keras = import_keras()
    rows = keras.layers.Input((3,))
    weights = keras.initializers.GlorotUniform(seed=1)
    return keras.Model(rows, keras.layers.Dense(3, kernel_initializer=weights)(rows))


def mean_square(model: Any, rows: Any, training: bool) -> Any:
    tf, _ = import_keras()
    return tf.reduce_mean(tf.square(model(rows, training=training) - rows))


def an_objective(model: Any) -> Objective:
    return loss_objective(model, mean_square, learning_rate=1e-3)


def some_rows(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(64, 3)).astype(np.float32)


def run(
    path: Path | None, *, stop_after: int | None = None, seed: int = 1, rows_seed: int = 1
) -> tuple[Training, list[np.ndarray], list[int]]:
    epochs = []

    def progress(epoch: int, n_epochs: int, logs: dict[str, float]) -> None:
        epochs.append(epoch)
        if epoch == stop_after:
            raise Interrupted

    model = network()
    training = optimise(
        an_objective(model),
        some_rows(rows_seed),
        some_rows(100),
        settings=TrainingSettings(epochs=9, batch_size=8, checkpoint_every=2),
        seed=seed,
        progress=progress,
        resume=None if path is None else Resume(path, "key", every_seconds=0.0),
    )
    return training, model.get_weights(), epochs


def assert_alike(a: tuple[Training, list[np.ndarray], Any], b: tuple[Any, ...]) -> None:
    assert a[0].history == b[0].history
    assert a[0].best_epoch == b[0].best_epoch
    assert list(a[0].checkpoints) == list(b[0].checkpoints)
    for weights, other in zip(a[1], b[1], strict=True):
        np.testing.assert_array_equal(weights, other)


@pytest.mark.parametrize("stop_after", [1, 5, 8])
def test_an_interrupted_training_comes_to_the_same_end(tmp_path: Path, stop_after: int) -> None:
    whole = run(None)
    with pytest.raises(Interrupted):
        run(tmp_path / "state.npz", stop_after=stop_after)
    resumed = run(tmp_path / "state.npz")
    assert_alike(resumed, whole)
    assert resumed[2] == list(range(stop_after + 1, 10))


def test_a_finished_training_does_no_epoch_again(tmp_path: Path) -> None:
    whole = run(tmp_path / "state.npz")
    again = run(tmp_path / "state.npz")
    assert_alike(again, whole)
    assert again[2] == []


def test_other_rows_or_an_unreadable_state_start_anew(tmp_path: Path) -> None:
    path = tmp_path / "state.npz"
    run(path)
    assert run(path, rows_seed=2)[2] == list(range(1, 10))
    path.write_bytes(path.read_bytes()[:100])
    assert run(path)[2] == list(range(1, 10))


def test_no_flipped_bit_of_a_state_is_silent(tmp_path: Path) -> None:
    path = tmp_path / "state.npz"
    rows = some_rows(1)
    whole = TrainingState(3, {"loss": [3.0, 2.0, 1.0]}, 3, 1.0, [rows], [rows[:2]], {1: b"kept"})
    resume = Resume(path, "key", every_seconds=0.0)
    resume.save(whole, last=True)
    content = path.read_bytes()
    n_seen = 0
    for bit in np.random.default_rng(1).choice(8 * len(content), 200, replace=False):
        changed = bytearray(content)
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        state = resume.load()
        n_seen += state is None
        if state is not None:  # a date, or the like
            np.testing.assert_equal(dataclasses.asdict(state), dataclasses.asdict(whole))
    assert n_seen > 100


def test_the_state_is_not_written_at_every_epoch(tmp_path: Path) -> None:
    path = tmp_path / "state.npz"
    with pytest.raises(Interrupted):
        optimise(
            an_objective(network()),
            some_rows(1),
            some_rows(2),
            settings=TrainingSettings(epochs=9),
            seed=1,
            progress=lambda epoch, *_: (_ for _ in ()).throw(Interrupted) if epoch == 8 else None,
            resume=Resume(path, "key", every_seconds=3600.0),
        )
    assert not path.exists()
