from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from plain_network import squared_errors

from oddjet.datasets.jets import Jets
from oddjet.errors import ConfigError, DetectorError
from oddjet.ml.detectors.autoencoder import AutoencoderDetector
from oddjet.ml.detectors.base import Detector
from oddjet.ml.detectors.nae import NormalisedAutoencoderDetector, residual_temperature

QUICK: dict[str, Any] = {
    "epochs": 4,
    "pretrain_epochs": 3,
    "batch_size": 32,
    "steps": 4,
    "chains": 32,
    "buffer": 200,
}


class Interruption(Exception):
    """Not caught anywhere in the package."""


@pytest.fixture(scope="module")
def trained(background: Jets) -> NormalisedAutoencoderDetector:
    """A short training."""
    return NormalisedAutoencoderDetector(**QUICK).fit(background[:300], seed=1)


def test_energy_is_the_mean_squared_error_of_standardised_features(
    trained: NormalisedAutoencoderDetector, other_background: Jets
) -> None:
    few = other_background[:40]
    np.testing.assert_allclose(
        trained.scores(few)["energy"], squared_errors(trained, few), rtol=1e-4
    )


def test_the_epoch_of_least_distance_is_kept(trained: NormalisedAutoencoderDetector) -> None:
    assert set(trained.history_) == {"loss", "e_plus", "e_minus", "val_loss", "emd"}
    assert {len(values) for values in trained.history_.values()} == {4}
    assert trained.best_epoch_ == 1 + np.argmin(trained.history_["emd"])
    assert len(trained.pretrain_history_["loss"]) == 3


def test_pretraining_is_the_plain_one(
    trained: NormalisedAutoencoderDetector, background: Jets
) -> None:
    plain = AutoencoderDetector(epochs=3, batch_size=32, compress=trained.compress)
    plain.fit(background[:300], seed=1)
    assert trained.pretrain_history_ == plain.history_


def test_without_pretraining_there_is_none(background: Jets) -> None:
    detector = NormalisedAutoencoderDetector(**QUICK | {"pretrain_epochs": 0, "epochs": 1})
    assert detector.fit(background[:200], seed=1).pretrain_history_ == {}


def test_temperature_is_that_of_what_a_linear_network_leaves() -> None:
    rng = np.random.default_rng(1)
    axes = np.linalg.qr(rng.normal(size=(5, 5)))[0]
    deviations = np.array([3.0, 2.0, 0.5, 0.3, 0.1])
    rows = rng.normal(size=(200_000, 5)) * deviations @ axes
    # At it, exp(−|r|²/(d T)) has the variance d T / 2 of the three narrow axes, on average.
    temperature = residual_temperature(rows, 2)
    assert 5 * temperature / 2 == pytest.approx(np.mean(deviations[2:] ** 2), rel=0.01)
    assert residual_temperature(np.ones((10, 3)), 2) == 1e-6


def test_temperature_given_is_taken_and_else_follows_the_rule(
    trained: NormalisedAutoencoderDetector, background: Jets
) -> None:
    given = NormalisedAutoencoderDetector(**QUICK | {"epochs": 1}, temperature=0.5)
    assert given.fit(background[:200], seed=1).temperature_ == 0.5
    assert 0 < trained.temperature_ < 0.1 * 2


def test_moves_go_a_fifth_of_the_way_by_default() -> None:
    langevin = NormalisedAutoencoderDetector()._langevin(0.05)
    # E = (x − x')²/d summed, so that a move with x' held goes (α/T)(2/d) of the way.
    assert langevin.step_size[0] / 0.05 * 2 / 10 == pytest.approx(0.2)
    chosen = NormalisedAutoencoderDetector(step_size=0.3, noise=0.1)._langevin(0.05)
    assert (chosen.step_size, chosen.betas) == ((0.3,), (0.1,))


def test_box_is_a_margin_around_the_features_and_bounded(
    trained: NormalisedAutoencoderDetector,
) -> None:
    low, high = trained._box()
    np.testing.assert_allclose(low, np.maximum(trained.standard_.low - 0.5, -4), rtol=1e-6)
    np.testing.assert_allclose(high, np.minimum(trained.standard_.high + 0.5, 4), rtol=1e-6)


def test_samples_stay_in_the_box_and_follow_the_seed(
    trained: NormalisedAutoencoderDetector,
) -> None:
    samples = trained.samples(50, seed=3)
    assert samples.shape == (50, 10)
    low, high = trained._box()
    standard = trained.standard_(samples)
    assert (standard > low - 1e-3).all()
    assert (standard < high + 1e-3).all()
    np.testing.assert_array_equal(trained.samples(50, seed=3), samples)
    assert not np.allclose(trained.samples(50, seed=4), samples)
    assert trained.samples(0).shape == (0, 10)


def test_samples_have_lower_energy_than_where_they_start(
    trained: NormalisedAutoencoderDetector,
) -> None:
    low, high = trained._box()
    starts = np.random.default_rng(1).uniform(low, high, (500, 10)).astype(np.float32)
    ends = trained.standard_(trained.samples(500))
    energies = [
        float(np.mean((trained._model(rows).numpy() - rows) ** 2)) for rows in (starts, ends)
    ]
    assert energies[1] < 0.5 * energies[0]


def test_saved_and_loaded_samples_the_same(
    trained: NormalisedAutoencoderDetector, tmp_path: Path
) -> None:
    trained.save(tmp_path / "saved")
    loaded = Detector.load(tmp_path / "saved")
    assert isinstance(loaded, NormalisedAutoencoderDetector)
    assert loaded.temperature_ == trained.temperature_
    assert loaded.pretrain_history_ == trained.pretrain_history_
    np.testing.assert_allclose(loaded.samples(5), trained.samples(5), rtol=1e-6)


@pytest.mark.slow
def test_an_interrupted_training_ends_as_it_would_have(
    trained: NormalisedAutoencoderDetector,
    background: Jets,
    other_background: Jets,
    tmp_path: Path,
) -> None:
    few = background[:300]

    def interrupt(epoch: int, n_epochs: int, losses: dict[str, float]) -> None:
        if epoch == 2:
            raise Interruption

    with pytest.raises(Interruption):
        NormalisedAutoencoderDetector(**QUICK).fit(
            few, seed=1, progress=interrupt, resume_in=tmp_path
        )
    resumed = NormalisedAutoencoderDetector(**QUICK).fit(few, seed=1, resume_in=tmp_path)
    assert resumed.history_ == trained.history_
    assert resumed.pretrain_history_ == trained.pretrain_history_
    np.testing.assert_array_equal(
        resumed.scores(other_background)["energy"], trained.scores(other_background)["energy"]
    )


def test_an_untrained_one_has_no_samples() -> None:
    with pytest.raises(DetectorError, match="call fit"):
        NormalisedAutoencoderDetector().samples(3)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"buffer": 100}, "nae: buffer must be at least chains, 256"),
        ({"chains": 0}, "nae: chains must be at least 1"),
        ({"restart": 1.5}, r"nae: restart must be in \[0, 1\]"),
        ({"margin": -0.1}, "nae: margin"),
        ({"bound": 0.0}, "nae: bound"),
        ({"pretrain_epochs": -1}, "nae: pretrain_epochs"),
        ({"pretrain_learning_rate": 0.0}, "pretrain_learning_rate must be positive"),
        ({"latent": 10}, "nae: latent must be less than the features"),
        ({"hidden": 0}, "nae: hidden must be at least 1"),
        ({"temperature": 0.0}, "temperature must be positive"),
        ({"steps": 0}, "steps must be at least 1"),
        ({"epochs": 0}, "epochs must be at least 1"),
    ],
)
def test_settings_that_cannot_train_are_refused(setting: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        NormalisedAutoencoderDetector(**setting)


def test_as_many_units_as_features_need_a_temperature() -> None:
    assert NormalisedAutoencoderDetector(latent=10, temperature=0.1).latent == 10
