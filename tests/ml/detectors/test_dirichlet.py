from __future__ import annotations

import functools
import logging
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
from scipy.special import rel_entr
from sklearn.decomposition import PCA

from oddjet.datasets.jets import Jets, make_jets
from oddjet.errors import ConfigError
from oddjet.ml import create
from oddjet.ml.detectors.dirichlet import DirichletDetector
from oddjet.ml.networks.resume import Resume
from oddjet.ml.representations.energy_flow import EnergyFlow
from oddjet.ml.representations.jet_image import JetImage

PIXELS = 8
SMALL = JetImage(pixels=PIXELS)
QUICK: dict[str, Any] = {"epochs": 3, "batch_size": 64, "checkpoint_every": 0}


def theme(*spots: tuple[float, float]) -> np.ndarray:
    """An image of sum 1 with a broad spot at each place."""
    x, y = np.meshgrid(np.arange(PIXELS), np.arange(PIXELS), indexing="ij")
    image = sum(np.exp(-((x - a) ** 2 + (y - b) ** 2) / 3) for a, b in spots) + 1e-3
    return np.asarray(image / np.sum(image))


THEMES = (theme((3.5, 3.5)), theme((1.0, 1.0), (6.0, 6.0)), theme((1.0, 6.0)))


def jets_of(images: np.ndarray) -> Jets:
    """Jets with these images: a constituent on the middle of each pixel."""
    middles = (SMALL.edges[1:] + SMALL.edges[:-1]) / 2
    eta, phi = np.meshgrid(middles, middles, indexing="ij")
    n = len(images)
    constituents = ak.zip(
        {
            "pt": ak.Array(100 * images.reshape(n, -1)),
            "eta": ak.Array(np.tile(eta.ravel(), (n, 1))),
            "phi": ak.Array(np.tile(phi.ravel(), (n, 1))),
        }
    )
    ones = np.ones(n)
    columns = {"run": ones.astype(np.uint32), "luminosityBlock": ones.astype(np.uint32)}
    axis = {"pt": 100 * ones, "eta": 0 * ones, "phi": 0 * ones, "mass": ones}
    return make_jets(constituents, **axis, **columns, event=np.arange(n))


def mixed(shares: np.ndarray, seed: int) -> np.ndarray:
    """Images whose logarithms mix those of the themes, shares (n, R), with some noise."""
    logs = shares @ np.log(np.stack([theme.ravel() for theme in THEMES[: shares.shape[1]]]))
    images = np.exp(logs + np.random.default_rng(seed).normal(0, 0.1, logs.shape))
    images /= images.sum(axis=1, keepdims=True)
    return np.asarray(images.reshape(-1, PIXELS, PIXELS))


def themed(n: int, seed: int, frequencies: tuple[float, ...] = (0.8, 0.2)) -> tuple[Jets, Any]:
    """Jets of one theme each, nearly, and which it is."""
    rng = np.random.default_rng(seed)
    which = rng.choice(len(frequencies), n, p=frequencies)
    impurity = rng.uniform(0, 0.1, (n, 1))
    shares = (1 - impurity) * np.eye(len(frequencies))[which] + impurity / len(frequencies)
    return jets_of(mixed(shares, seed)), which


@pytest.fixture(scope="module")
def of_two_themes() -> DirichletDetector:
    """Trained on four jets of the first theme to one of the second."""
    detector = DirichletDetector(
        epochs=60, batch_size=64, checkpoint_every=30, representation=SMALL
    )
    return detector.fit(themed(1000, seed=1)[0], seed=1)


# --- two known themes -------------------------------------------------------------------------


def test_images_of_the_toy_jets_are_the_intended_ones() -> None:
    images = mixed(np.array([[1.0, 0.0], [0.3, 0.7]]), seed=1)
    np.testing.assert_allclose(SMALL(jets_of(images))[..., 0], images, rtol=1e-5)


def test_decoder_s_columns_are_the_themes(of_two_themes: DirichletDetector) -> None:
    pictures = of_two_themes.mixtures()
    assert pictures.shape == (2, PIXELS, PIXELS)
    np.testing.assert_allclose(pictures.sum(axis=(1, 2)), 1)
    apart = rel_entr(THEMES[0], THEMES[1]).sum()
    for picture, expected in zip(pictures, THEMES[:2], strict=True):
        assert rel_entr(expected, picture).sum() < 0.05 * apart
        assert np.corrcoef(expected.ravel(), picture.ravel())[0, 1] > 0.97


def test_weights_separate_the_themes_and_the_rarer_is_anomalous(
    of_two_themes: DirichletDetector,
) -> None:
    jets, which = themed(300, seed=2, frequencies=(0.5, 0.5))
    weights = of_two_themes.latent(jets)
    assert weights.shape == (300, 2)
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    assert weights[which == 0, 1].max() < weights[which == 1, 1].min()
    scores = of_two_themes.scores(jets, allow_trained=True)
    np.testing.assert_allclose(scores["latent"], weights[:, 1])


def test_scores_are_those_of_the_network(of_two_themes: DirichletDetector) -> None:
    jets, _ = themed(50, seed=2)
    images, weights = SMALL(jets).reshape(50, -1), of_two_themes.latent(jets)
    columns = np.log(of_two_themes.mixtures().reshape(2, -1))
    decoded = np.exp(weights @ columns)  # up to a factor: columns are known up to constants
    decoded /= decoded.sum(axis=1, keepdims=True)
    scores = of_two_themes.scores(jets, allow_trained=True)
    np.testing.assert_allclose(
        scores["reconstruction"], rel_entr(images, decoded).sum(axis=1), rtol=1e-4
    )
    again = of_two_themes.scores(jets, allow_trained=True)
    assert all(np.array_equal(scores[name], again[name]) for name in scores)


def test_a_third_theme_is_not_reconstructed(of_two_themes: DirichletDetector) -> None:
    known, _ = themed(100, seed=2)
    unknown = jets_of(mixed(np.tile([0.0, 0.0, 1.0], (100, 1)), seed=3))
    known_loss, unknown_loss = (
        of_two_themes.scores(jets, allow_trained=True)["reconstruction"]
        for jets in (known, unknown)
    )
    assert unknown_loss.min() > known_loss.max()


def test_history_checkpoints_and_validation_losses(
    of_two_themes: DirichletDetector, tmp_path: Path
) -> None:
    losses = {"loss", "reconstruction", "kl"}
    assert set(of_two_themes.history_) == losses | {f"val_{name}" for name in losses}
    assert {len(values) for values in of_two_themes.history_.values()} == {60}
    jets, _ = themed(200, seed=4)
    by_epoch = of_two_themes.scores_by_epoch(jets, allow_trained=True)
    scores = of_two_themes.scores(jets, allow_trained=True)
    assert list(by_epoch) == [30, 60]
    np.testing.assert_allclose(by_epoch[60]["kl"], scores["kl"], rtol=1e-5)
    assert not np.allclose(by_epoch[30]["kl"], scores["kl"])
    of_two_themes.save(tmp_path / "saved")
    loaded = DirichletDetector.load(tmp_path / "saved")
    assert loaded.history_ == of_two_themes.history_
    np.testing.assert_array_equal(loaded.mixtures(), of_two_themes.mixtures())


@pytest.mark.parametrize("representation", [SMALL, EnergyFlow()])
def test_validation_losses_are_mean_scores(
    representation: Any, background: Jets, other_background: Jets
) -> None:
    detector = DirichletDetector(**QUICK, representation=representation)
    detector.fit(background[:300], validation=other_background, seed=1)
    scores = detector.scores(other_background, allow_trained=True)
    for name in ("reconstruction", "kl"):
        expected = detector.history_[f"val_{name}"][-1]
        assert scores[name].mean() == pytest.approx(expected, rel=1e-4)


def test_a_collapsed_latent_space_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    jets, _ = themed(300, seed=1)
    detector = DirichletDetector(
        epochs=40, batch_size=64, beta_kl=100.0, checkpoint_every=0, representation=SMALL
    )
    with caplog.at_level(logging.WARNING, "oddjet.ml.detectors.dirichlet"):
        detector.fit(jets, seed=1)
    assert "mixtures 0, 1 are the same for every jet" in caplog.text
    assert detector.latent(jets).std(axis=0).max() < 0.01


def test_a_latent_space_in_use_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    detector = DirichletDetector(epochs=40, batch_size=64, checkpoint_every=0, representation=SMALL)
    with caplog.at_level(logging.WARNING, "oddjet.ml.detectors.dirichlet"):
        detector.fit(themed(300, seed=1)[0], seed=1)
    assert not caplog.records


# --- three mixtures, energy flow polynomials ----------------------------------------------------


def test_three_mixtures_find_three_themes() -> None:
    jets, _ = themed(1000, seed=1, frequencies=(0.6, 0.25, 0.15))
    detector = DirichletDetector(
        alpha=[1.0, 0.25, 0.1], epochs=60, batch_size=64, checkpoint_every=0, representation=SMALL
    ).fit(jets, seed=1)
    others, which = themed(300, seed=2, frequencies=(1 / 3, 1 / 3, 1 / 3))
    weights, pictures = detector.latent(others), detector.mixtures()
    assert weights.shape == (300, 3)
    assert pictures.shape == (3, PIXELS, PIXELS)
    np.testing.assert_array_equal(
        detector.scores(others, allow_trained=True)["latent"], weights[:, 2]
    )
    # Which column takes which theme is free; each theme has its own.
    alike = np.corrcoef([image.ravel() for image in (*pictures, *THEMES)])[:3, 3:]
    column = alike.argmax(axis=0)
    assert sorted(column) == [0, 1, 2]
    assert alike.max(axis=0).min() > 0.9
    np.testing.assert_array_equal(weights.argmax(axis=1), column[which])


def test_energy_flow_polynomials_are_whitened(background: Jets, other_background: Jets) -> None:
    efps = EnergyFlow(beta=0.5, reweight="log")
    detector = DirichletDetector(**QUICK, pca=4, representation=efps)
    detector.fit(background, validation=other_background, seed=1)
    whitened = PCA(4, whiten=True).fit(efps(background))
    np.testing.assert_allclose(
        np.abs((efps(other_background) - detector.centre_) @ detector.axes_.T),
        np.abs(whitened.transform(efps(other_background))),
        rtol=1e-6,
        atol=1e-6,
    )


def test_mixtures_of_polynomials_are_in_their_own_numbers(
    background: Jets, other_background: Jets, tmp_path: Path
) -> None:
    efps = EnergyFlow(beta=0.5, reweight="log")
    detector = DirichletDetector(**QUICK, representation=efps).fit(background, seed=1)
    mixtures = detector.mixtures()
    assert mixtures.shape == (2, 8)
    jets = other_background[:20]
    decoded = detector.latent(jets) @ mixtures
    # The error in whitened numbers is the distance in the metric of the inverse covariance.
    difference = (efps(jets) - decoded) @ detector.axes_.T
    scores = detector.scores(jets)
    np.testing.assert_allclose(scores["reconstruction"], np.mean(difference**2, 1), rtol=1e-3)
    detector.save(tmp_path / "saved")
    loaded = DirichletDetector.load(tmp_path / "saved")
    np.testing.assert_allclose(loaded.mixtures(), mixtures)
    np.testing.assert_allclose(loaded.scores(jets)["kl"], scores["kl"], rtol=1e-6)


def test_a_jet_far_from_all_others_has_finite_scores(background: Jets) -> None:
    detector = DirichletDetector(**QUICK, representation=EnergyFlow(reweight="log"))
    detector.fit(background, seed=1)
    alone = ak.with_field(background[:2], background[:2].constituents[:, :1], "constituents")
    scores = detector.scores(alone, allow_trained=True)  # its polynomials are zero, so floored
    ordinary = detector.scores(background[2:100], allow_trained=True)
    assert scores["reconstruction"].min() > ordinary["reconstruction"].max()


# --- seeds, resuming, settings ------------------------------------------------------------------


def weights_of(detector: DirichletDetector) -> list[np.ndarray]:
    return list(detector._model.get_weights())


@pytest.mark.slow
def test_training_follows_its_seed() -> None:
    jets, _ = themed(200, seed=1)
    first, again, other = (
        weights_of(DirichletDetector(**QUICK, representation=SMALL).fit(jets, seed=seed))
        for seed in (1, 1, 2)
    )
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not any(np.array_equal(a, b) for a, b in zip(first, other, strict=True) if a.std() > 0)


class Interrupted(Exception):
    """Stands for whatever ends a process."""


@pytest.mark.slow
def test_an_interrupted_training_comes_to_the_same_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "oddjet.ml.detectors.base.Resume", functools.partial(Resume, every_seconds=0.0)
    )
    jets, _ = themed(200, seed=1)
    settings = {**QUICK, "epochs": 6, "representation": SMALL}

    def interrupt(epoch: int, n_epochs: int, logs: dict[str, float]) -> None:
        if epoch == 3:
            raise Interrupted

    whole = DirichletDetector(**settings).fit(jets, seed=1)
    with pytest.raises(Interrupted):
        DirichletDetector(**settings).fit(jets, seed=1, progress=interrupt, resume_in=tmp_path)
    epochs = []
    resumed = DirichletDetector(**settings).fit(
        jets, seed=1, progress=lambda epoch, *_: epochs.append(epoch), resume_in=tmp_path
    )
    assert epochs == [4, 5, 6]
    assert resumed.history_ == whole.history_
    for a, b in zip(weights_of(resumed), weights_of(whole), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"alpha": [1.0]}, "alpha"),
        ({"alpha": [1.0, 0.0]}, "alpha"),
        ({"alpha": [0.1, 1.0, 0.1]}, "smallest once"),
        ({"beta_kl": -0.1}, "beta_kl"),
        ({"epochs": 0}, "epochs"),
        ({"pca": 4}, "pca must be None on images"),
        ({"pca": 9, "representation": EnergyFlow()}, "from 1 to 8"),
    ],
)
def test_settings_that_cannot_work_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        create("dirichlet", **wrong)
