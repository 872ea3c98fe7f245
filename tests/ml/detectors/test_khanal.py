from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from oddjet.datasets.jets import Jets
from oddjet.errors import ConfigError, DetectorError
from oddjet.ml import create
from oddjet.ml.detectors.image_autoencoder import kl_divergence
from oddjet.ml.detectors.khanal import KhanalDetector, build_autoencoder
from oddjet.ml.networks.keras_models import layer_seeds
from oddjet.ml.representations.jet_image import JetImage


def build(**changes: Any) -> Any:
    return build_autoencoder(
        seeds=layer_seeds(1), **({"dropout": 0.0, "shared_alpha": False} | changes)
    )


@pytest.fixture(scope="module")
def trained(background: Jets) -> KhanalDetector:
    """A short training."""
    return KhanalDetector(epochs=4, batch_size=64, checkpoint_every=2).fit(background[:600], seed=1)


def test_number_of_parameters() -> None:
    weights_and_biases = 25_282  # counted by hand: (16 c_in + 1) c_out and (n_in + 1) n_out
    dense = 10 + 32 + 100 + 64
    a_pixel = 32 * 32 * (10 + 5) + 16 * 16 * (5 + 5) + dense + 8 * 8 * (5 + 5)
    a_filter = (10 + 5) + (5 + 5) + dense + (5 + 5)
    assert build().count_params() == weights_and_biases + a_pixel == 44_048
    assert build(shared_alpha=True).count_params() == weights_and_biases + a_filter == 25_523


def test_layers_are_the_document_s() -> None:
    kinds = [type(layer).__name__ for layer in build(dropout=0.1).layers]
    conv, act = ["Conv2D", "PReLU"], "PReLU"
    assert kinds == [
        "InputLayer", *conv, *conv, "AveragePooling2D", "Dropout", *conv, "Dropout", *conv,
        "Flatten", "Dense", act, "Dense", act, "Dense", act, "Dense", act,
        "Reshape", "Dropout", *conv, "Dropout", *conv, "UpSampling2D", "Conv2DTranspose",
    ]  # fmt: skip
    sizes = [
        layer.get_config().get("filters") or layer.get_config()["units"]
        for layer in build().layers
        if "Conv" in type(layer).__name__ or "Dense" in type(layer).__name__
    ]
    assert sizes == [10, 5, 5, 5, 10, 32, 100, 64, 5, 5, 1]
    assert build().output_shape == (None, 32, 32, 1)


def test_weights_come_from_the_seed() -> None:
    first, again = build().get_weights(), build().get_weights()
    other = build_autoencoder(seeds=layer_seeds(2), dropout=0.0, shared_alpha=False).get_weights()
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))
    alphas = build().layers[2].get_weights()[0]
    assert alphas.shape == (32, 32, 10)
    assert alphas.std() == pytest.approx(0.05, rel=0.05)


def test_scores_are_those_of_image_and_reconstruction(
    trained: KhanalDetector, signal: Jets
) -> None:
    images, outputs = trained.representation(signal), trained.reconstruct(signal)
    assert outputs.shape == images.shape == (len(signal), 32, 32, 1)
    scores = trained.scores(signal)
    np.testing.assert_allclose(
        scores["mse"], np.mean((images - outputs) ** 2, axis=(1, 2, 3)), rtol=1e-5
    )
    np.testing.assert_allclose(scores["kl"], kl_divergence(images, outputs), rtol=1e-6)


def test_many_jets_are_scored_as_few_are(trained: KhanalDetector, toy_jets) -> None:
    jets = toy_jets(1100, prongs=2, seed=4, dataset="signal")  # more than one batch
    scores = trained.scores(jets)["mse"]
    np.testing.assert_allclose(trained.scores(jets[1020:1030])["mse"], scores[1020:1030], rtol=1e-5)


def test_history_and_checkpoints(trained: KhanalDetector, signal: Jets) -> None:
    assert set(trained.history_) == {"loss", "val_loss"}
    assert len(trained.history_["loss"]) == len(trained.history_["val_loss"]) == 4
    assert trained.best_epoch_ == 1 + int(np.argmin(trained.history_["val_loss"]))
    by_epoch = trained.scores_by_epoch(signal)
    assert list(by_epoch) == [2, 4]
    assert not np.allclose(by_epoch[2]["mse"], by_epoch[4]["mse"])
    if trained.best_epoch_ in by_epoch:
        best = by_epoch[trained.best_epoch_]["mse"]
        np.testing.assert_allclose(best, trained.scores(signal)["mse"], rtol=1e-5)
    assert trained.n_parameters == 44_048


def test_history_is_saved(trained: KhanalDetector, tmp_path) -> None:
    trained.save(tmp_path / "khanal")
    assert sorted(path.name for path in tmp_path.glob("khanal/epoch*")) == [
        "epoch_002.keras",
        "epoch_004.keras",
    ]
    loaded = KhanalDetector.load(tmp_path / "khanal")
    assert loaded.history_ == trained.history_
    assert loaded.best_epoch_ == trained.best_epoch_


def test_validation_loss_is_that_of_the_jets_given(
    background: Jets, other_background: Jets
) -> None:
    detector = KhanalDetector(epochs=1, batch_size=64, shared_alpha=True, dropout=0.1)
    detector.fit(background[:200], validation=other_background, seed=1)
    expected = detector.scores(other_background, allow_trained=True)["mse"].mean()
    assert detector.history_["val_loss"] == [pytest.approx(expected, rel=1e-4)]
    assert detector.n_parameters == 25_523


def test_a_training_that_diverges_is_refused_and_leaves_it_untrained(background: Jets) -> None:
    detector = KhanalDetector(epochs=3, batch_size=32, learning_rate=1e30)
    with pytest.raises(DetectorError, match="diverged"):
        detector.fit(background[:200], seed=1)
    assert not detector.is_fitted


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"epochs": 0}, "epochs"),
        ({"dropout": 1.0}, "dropout"),
        ({"representation": JetImage(pixels=40)}, r"\(32, 32, 1\)"),
    ],
)
def test_settings_that_cannot_work_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        create("khanal", **wrong)
