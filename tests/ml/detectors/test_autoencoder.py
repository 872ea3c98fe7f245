from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from plain_network import squared_errors

from oddjet.datasets.jets import Jets
from oddjet.errors import ConfigError, DetectorError
from oddjet.ml.detectors.autoencoder import AutoencoderDetector, build_dense_autoencoder
from oddjet.ml.networks.keras_models import layer_seeds
from oddjet.ml.representations.jet_image import JetImage

QUICK: dict[str, Any] = {"epochs": 4, "batch_size": 32}


class Interruption(Exception):
    """Not caught anywhere in the package."""


def test_network_is_ten_ten_six_ten_ten_and_linear_at_the_end() -> None:
    model = build_dense_autoencoder(
        10, hidden=10, latent=6, activation="relu", seeds=layer_seeds(1)
    )
    weights = [weight.shape for weight in model.get_weights()]
    assert weights == [(10, 10), (10,), (10, 6), (6,), (6, 10), (10,), (10, 10), (10,)]
    assert [layer.activation.__name__ for layer in model.layers[1:]] == ["relu"] * 3 + ["linear"]


def test_score_is_the_mean_squared_error_of_standardised_features(
    background: Jets, other_background: Jets
) -> None:
    detector = AutoencoderDetector(**QUICK).fit(background[:300], seed=1)
    few = other_background[:40]
    np.testing.assert_allclose(
        detector.scores(few)["mse"], squared_errors(detector, few), rtol=1e-4
    )


def test_training_lowers_the_loss_and_keeps_the_best_epoch(background: Jets) -> None:
    detector = AutoencoderDetector(epochs=8, batch_size=32).fit(background[:500], seed=1)
    losses = detector.history_["val_loss"]
    assert losses[-1] < losses[0]
    assert detector.best_epoch_ == 1 + np.argmin(losses)


def test_an_interrupted_training_ends_as_it_would_have(
    background: Jets, other_background: Jets, tmp_path: Path
) -> None:
    few = background[:300]

    def interrupt(epoch: int, n_epochs: int, losses: dict[str, float]) -> None:
        if epoch == 2:
            raise Interruption

    whole = AutoencoderDetector(**QUICK).fit(few, seed=1)
    with pytest.raises(Interruption):
        AutoencoderDetector(**QUICK).fit(few, seed=1, progress=interrupt, resume_in=tmp_path)
    resumed = AutoencoderDetector(**QUICK).fit(few, seed=1, resume_in=tmp_path)
    assert resumed.history_ == whole.history_
    np.testing.assert_array_equal(
        resumed.scores(other_background)["mse"], whole.scores(other_background)["mse"]
    )


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"latent": 0}, "autoencoder: latent must be at least 1"),
        ({"hidden": -1}, "autoencoder: hidden must be at least 1"),
        ({"activation": "sine"}, "autoencoder: activation must be one of"),
        ({"epochs": 0}, "epochs must be at least 1"),
        ({"representation": JetImage()}, "a row of numbers a jet"),
    ],
)
def test_settings_that_cannot_train_are_refused(setting: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        AutoencoderDetector(**setting)


def test_a_model_of_another_size_is_refused(background: Jets, tmp_path: Path) -> None:
    detector = AutoencoderDetector(**QUICK).fit(background[:200], seed=1)
    detector._model = build_dense_autoencoder(
        9, hidden=2, latent=1, activation="relu", seeds=layer_seeds(1)
    )
    detector.save(tmp_path / "saved")
    with pytest.raises(DetectorError, match=r"the model takes \(9,\)"):
        type(detector).load(tmp_path / "saved")
