from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pytest

from oddjet.datasets.jets import Jets
from oddjet.errors import ConfigError
from oddjet.ml import create
from oddjet.ml.detectors.ene import EneDetector, build_network
from oddjet.ml.networks.keras_models import import_keras, layer_seeds
from oddjet.ml.representations.image_mass import image_mass
from oddjet.ml.representations.jet_image import JetImage


def build(*, seed: int = 1, **changes: int) -> Any:
    sizes = {"pixels": 40, "filters": 4, "latent": 12} | changes
    return build_network(seeds=layer_seeds(seed), **sizes)


def a_small_one(**changes: Any) -> EneDetector:
    """8×8 pixels instead of 40×40: 25 times as fast."""
    image = JetImage(pixels=8, centre="centroid", rotate=True, flip=True)
    settings: dict[str, Any] = {
        "filters": 4,
        "latent": 3,
        "epochs": 4,
        "batch_size": 64,
        "learning_rate": 3e-3,
        "checkpoint_every": 2,
    }
    return EneDetector(representation=image, **settings | changes)


@pytest.fixture(scope="module")
def trained(background: Jets) -> EneDetector:
    return a_small_one().fit(background[:800], seed=1)


def test_number_of_parameters() -> None:
    # counted by hand: (9 c_in + 1) c_out and (n_in + 1) n_out
    outer = (9 * 1 + 1) * 128 + (9 * 128 + 1) * 1
    inner = 4 * (9 * 128 + 1) * 128
    dense = (12_800 + 1) * 32 + (32 + 1) * 12 + (12 + 1) * 32 + (32 + 1) * 12_800
    assert build(filters=128).count_params() == outer + inner + dense == 1_425_613


def test_layers_are_the_document_s() -> None:
    network = build(filters=128)
    kinds = [type(layer).__name__ for layer in network.layers]
    assert kinds == [
        "InputLayer", "Conv2D", "MaxPooling2D", "Conv2D", "MaxPooling2D", "Conv2D", "Flatten",
        "Dense", "Dense", "Dense", "Dense", "Reshape",
        "Conv2D", "UpSampling2D", "Conv2D", "UpSampling2D", "Conv2D", "Flatten", "Softmax", "Reshape",
    ]  # fmt: skip
    layers_of_network = [
        (config.get("filters") or config["units"], config["activation"])
        for config in (layer.get_config() for layer in network.layers)
        if "activation" in config
    ]
    assert layers_of_network == [
        *[(128, "relu")] * 3, (32, "relu"), (12, "linear"),
        (32, "relu"), (12_800, "relu"), *[(128, "relu")] * 2, (1, "linear"),
    ]  # fmt: skip
    assert network.output_shape == (None, 40, 40, 1)


def test_weights_come_from_the_seed() -> None:
    first, again, other = (build(seed=seed).get_weights() for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not any(np.array_equal(a, b) for a, b in zip(first[::2], other[::2], strict=True))


def test_defaults_are_the_document_s() -> None:
    detector = create("ene")
    assert detector.hyper_parameters() == {
        "latent": 12,
        "filters": 128,
        "epochs": 100,
        "batch_size": 1024,
        "learning_rate": 1e-3,  # with the next, Adam's defaults
        "epsilon": 1e-7,
        "patience": 3,
        "checkpoint_every": 0,
    }
    assert detector.representation == JetImage.ene()


def test_reconstructions_sum_to_one(trained: EneDetector, signal: Jets) -> None:
    outputs = trained.reconstruct(signal)
    assert outputs.shape == (len(signal), 8, 8, 1)
    assert outputs.min() >= 0
    np.testing.assert_allclose(outputs.sum(axis=(1, 2, 3)), 1, rtol=1e-5)


def test_scores_are_those_of_image_and_reconstruction(trained: EneDetector, signal: Jets) -> None:
    images, outputs = trained.representation(signal), trained.reconstruct(signal)
    expected = np.mean((images - outputs) ** 2, axis=(1, 2, 3))
    np.testing.assert_allclose(trained.scores(signal)["mse"], expected, rtol=1e-5)


def test_codes_are_what_the_decoder_makes_the_reconstructions_of(
    trained: EneDetector, signal: Jets
) -> None:
    _, keras = import_keras()
    codes = trained.encode(signal)
    assert codes.shape == (len(signal), 3)
    network = trained._model
    decoder = keras.Model(network.get_layer("code").output, network.output)
    np.testing.assert_allclose(decoder(codes), trained.reconstruct(signal), rtol=1e-4, atol=1e-7)


def test_a_loaded_one_encodes_alike(trained: EneDetector, signal: Jets, tmp_path) -> None:
    trained.save(tmp_path / "ene")
    loaded = EneDetector.load(tmp_path / "ene")
    np.testing.assert_allclose(loaded.encode(signal), trained.encode(signal), rtol=1e-5, atol=1e-6)
    assert loaded.history_ == trained.history_
    assert list(loaded.scores_by_epoch(signal)) == [2, 4]


def test_masses(trained: EneDetector, signal: Jets) -> None:
    before, after = trained.reconstruct_masses(signal)
    pt = np.asarray(signal.pt)
    images = trained.representation(signal)
    np.testing.assert_allclose(before, image_mass(images, pt, half_width=0.8), rtol=1e-5)
    outputs = trained.reconstruct(signal)
    np.testing.assert_allclose(after, image_mass(outputs, pt, half_width=0.8), rtol=1e-4)


def test_batches_in_parts_are_batches(
    background: Jets, other_background: Jets, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = []
    for rows_at_once in (None, 50):
        monkeypatch.setattr(EneDetector, "rows_at_once", rows_at_once)
        detector = a_small_one(epochs=2, batch_size=200)
        detector.fit(background[:600], validation=other_background, seed=1)
        losses.append(detector.history_["val_loss"])
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-3)


def test_codes_that_are_the_same_for_all_jets_are_warned_of(
    background: Jets, caplog: pytest.LogCaptureFixture
) -> None:
    alike = background[np.zeros(200, dtype=int)]
    with caplog.at_level(logging.WARNING):
        a_small_one(epochs=1).fit(alike, seed=1)
    assert "ene: 3 of 3 latent dimensions are the same" in caplog.text


def test_a_large_epsilon_makes_small_steps(background: Jets) -> None:
    few = background[:300]
    falls = {}
    for epsilon in (1e-3, 1e-9):
        history = a_small_one(epsilon=epsilon).fit(few, seed=1).history_["val_loss"]
        falls[epsilon] = history[0] - history[-1]
    assert falls[1e-9] > 10 * abs(falls[1e-3])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"epochs": 0}, "epochs"),
        ({"epsilon": 0.0}, "epsilon"),
        ({"latent": 0}, "latent must be at least 1"),
        ({"filters": 0}, "filters must be at least 1"),
        ({"representation": JetImage(pixels=30)}, r"p a multiple of 4.*\(30, 30, 1\)"),
    ],
)
def test_settings_that_cannot_work_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        create("ene", **wrong)
