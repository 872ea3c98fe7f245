from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest

from oddjet.datasets.jets import Jets, concatenate
from oddjet.errors import ConfigError, DetectorError, TooFewJetsError, TrainedOnError
from oddjet.ml import create
from oddjet.ml.detectors.inn import InvertibleDetector
from oddjet.ml.networks.flows import Flow, log_normal, trainable_model
from oddjet.ml.networks.resume import Resume
from oddjet.ml.representations.energy_flow import EnergyFlow, Reweight
from oddjet.ml.representations.jet_image import JetImage

SMALL: dict[str, Any] = {
    "epochs": 4,
    "batch_size": 128,
    "learning_rate": 2e-3,
    "blocks": 3,
    "units": 16,
}


class Interrupted(Exception):
    """Stands for whatever ends a process."""


@pytest.fixture(scope="module", params=[None, "log"], ids=["as they are", "logarithms"])
def trained(request: pytest.FixtureRequest, background: Jets) -> InvertibleDetector:
    """A short training, on polynomials and on their logarithms."""
    representation = EnergyFlow(reweight=request.param)
    detector = InvertibleDetector(
        **SMALL, noise_decay=0.5, checkpoint_every=2, representation=representation
    )
    return detector.fit(background, seed=1)


def with_particles(jets: Jets, n: int) -> Jets:
    """The same jets, of their first n particles."""
    return ak.with_field(jets, jets.constituents[:, :n], "constituents")


def assert_same_training(a: InvertibleDetector, b: InvertibleDetector) -> None:
    assert a.history_ == b.history_
    for name, values in vars(a.flow_).items():
        np.testing.assert_array_equal(values, getattr(b.flow_, name))


def test_defaults_are_the_document_s() -> None:
    detector = create("inn")
    assert detector.representation == EnergyFlow(kappa=1.0, beta=1.0, reweight=None)
    assert detector.hyper_parameters() == {
        "epochs": 300,
        "batch_size": 512,
        "learning_rate": 1e-4,
        "learning_rate_decay": 0.98,
        "noise": 0.5,
        "noise_decay": 0.95,
        "blocks": 24,
        "units": 512,
        "clamp": 2.0,
        "pca": True,
        "watch": None,
        "patience": 20,
        "checkpoint_every": 0,
    }


@pytest.mark.parametrize("n", [1.0, 1 / 3, "log"])
def test_density_is_that_of_a_numerical_change_of_variables(
    trained: InvertibleDetector, other_background: Jets, n: Reweight
) -> None:
    """log p of u = EFPⁿ, from the derivatives ∂z/∂u of the whole way to the latent space."""
    few = other_background[:10]
    representation = trained.representation
    efps = representation.polynomials(few)

    def latent_of(u: np.ndarray) -> np.ndarray:
        back = np.exp(u) if n == "log" else u ** (1 / float(n))
        rows = representation.reweighted(back, representation.reweight)
        return trained.flow_.forward((rows - trained.centre_) @ trained.axes_.T)[0]

    def log_density(u: np.ndarray) -> float:
        steps = np.diag(1e-6 * np.abs(u))
        jacobian = (latent_of(u + steps) - latent_of(u - steps)) / (2 * np.diag(steps)[:, None])
        log_det = np.linalg.slogdet(jacobian)[1]
        return float(log_normal(latent_of(u[None]))[0] + log_det)

    expected = [-log_density(u) for u in representation.reweighted(efps, n)]
    np.testing.assert_allclose(trained.scores_reweighted(few, n), expected, atol=1e-3)


def test_scores_at_the_documented_powers_are_the_reweighted_ones(
    trained: InvertibleDetector, signal: Jets
) -> None:
    scores = trained.scores(signal)
    for name, n in {"log_p": 1.0, "log_p_third": 1 / 3, "log_p_log": 0}.items():
        np.testing.assert_array_equal(scores[name], trained.scores_reweighted(signal, n))
    log_efps = np.log(trained.representation.polynomials(signal)).sum(axis=1)
    np.testing.assert_allclose(
        trained.scores_reweighted(signal, 0.7),
        scores["log_p"] - 0.3 * log_efps + 8 * np.log(0.7),
        rtol=1e-9,
    )
    assert trained.scores_reweighted(signal[:0], 0.7).shape == (0,)


def test_latent_score_is_the_distance_from_the_centre(
    trained: InvertibleDetector, other_background: Jets
) -> None:
    rows = trained.representation(other_background)
    latent, _ = trained.flow_.forward((rows - trained.centre_) @ trained.axes_.T)
    expected = np.sqrt((latent**2).sum(axis=1))
    np.testing.assert_allclose(trained.scores(other_background)["latent"], expected, rtol=1e-9)


def test_validation_loss_is_the_mean_of_minus_log_p(
    background: Jets, other_background: Jets
) -> None:
    detector = InvertibleDetector(**SMALL)
    detector.fit(background, validation=other_background, seed=1)
    score = detector.scores(other_background, allow_trained=True)["log_p"]
    expected = score.mean() + np.linalg.slogdet(detector.axes_)[1]
    assert detector.history_["val_loss"][-1] == pytest.approx(expected, rel=1e-4)
    assert detector.history_["val_loss"][-1] < detector.history_["val_loss"][0]
    assert detector.n_parameters == 3 * ((4 + 1) * 16 + (16 + 1) * 8)


@pytest.mark.parametrize("pca", [True, False])
def test_whitening(background: Jets, pca: bool) -> None:
    detector = InvertibleDetector(**SMALL | {"epochs": 1}, pca=pca)
    detector.fit(background[:800], validation=background[800:], seed=1)
    rows = (detector.representation(background[:800]) - detector.centre_) @ detector.axes_.T
    np.testing.assert_allclose(rows.mean(axis=0), 0, atol=1e-8)
    covariance = np.cov(rows, rowvar=False, ddof=1 if pca else 0)
    np.testing.assert_allclose(np.diag(covariance), 1, rtol=1e-6)
    correlations = covariance - np.diag(np.diag(covariance))
    assert (np.abs(correlations).max() < 1e-6) == pca


def test_learning_rate_and_noise_follow_the_epoch(background: Jets) -> None:
    detector = InvertibleDetector(
        **SMALL | {"learning_rate": 0.01}, noise=100.0, noise_decay=0.1, learning_rate_decay=0.5
    )
    start = Flow.initial(8, blocks=1, units=4, seed=1)
    objective = detector._objective(trainable_model(start), start, noise_seed=1)
    rows = np.zeros((4096, 8), dtype=np.float32)
    for epoch, rate, noise in ((1, 0.01, 100.0), (3, 0.0025, 1.0), (2, 0.005, 10.0)):
        objective.start_epoch(epoch)
        assert float(objective.optimizers[0].learning_rate) == pytest.approx(rate)
        objective.optimizers[0].learning_rate = 0.0  # so that the flow stays a rotation
        loss = float(objective.step(rows)["loss"])
        assert loss == pytest.approx(4 * noise**2 + 4 * np.log(2 * np.pi), rel=0.03)
    assert float(objective.evaluate(rows)["loss"]) == pytest.approx(4 * np.log(2 * np.pi))


def test_last_epoch_is_taken_unless_one_is_watched(
    trained: InvertibleDetector, background: Jets, signal: Jets
) -> None:
    assert trained.best_epoch_ == 4
    by_epoch = trained.scores_by_epoch(signal)
    assert list(by_epoch) == [2, 4]
    for name, values in trained.scores(signal).items():
        np.testing.assert_allclose(by_epoch[4][name], values)
        assert not np.allclose(by_epoch[2][name], values)
    watching = InvertibleDetector(**SMALL | {"epochs": 9, "learning_rate": 0.3}, watch="val_loss")
    watching.patience = 1
    watching.fit(background[:300], seed=1)
    assert watching.best_epoch_ == 1 + int(np.argmin(watching.history_["val_loss"]))
    assert watching.best_epoch_ < 9


@pytest.mark.slow
def test_an_interrupted_training_comes_to_the_same_end(
    background: Jets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "oddjet.ml.detectors.base.Resume", functools.partial(Resume, every_seconds=0.0)
    )
    few = background[:300]

    def interrupt(epoch: int, n_epochs: int, logs: dict[str, float]) -> None:
        if epoch == 2:
            raise Interrupted

    whole = InvertibleDetector(**SMALL).fit(few, seed=1)
    with pytest.raises(Interrupted):
        InvertibleDetector(**SMALL).fit(few, seed=1, progress=interrupt, resume_in=tmp_path)
    epochs: list[int] = []
    resumed = InvertibleDetector(**SMALL).fit(
        few, seed=1, progress=lambda epoch, *_: epochs.append(epoch), resume_in=tmp_path
    )
    assert epochs == [3, 4]
    assert_same_training(resumed, whole)


def test_jets_of_too_few_particles_are_left_out_counted_and_scored(
    background: Jets, other_background: Jets, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "oddjet")
    pairs = with_particles(background[:50], 2)  # no triangle: the sixth polynomial is 0
    representation = EnergyFlow(reweight="log")
    settings: dict[str, Any] = {**SMALL, "representation": representation}
    validation = concatenate([other_background[:100], pairs])
    with_pairs = InvertibleDetector(**settings)
    with_pairs.fit(concatenate([pairs, background[50:]]), validation=validation, seed=1)
    assert with_pairs.n_floored_ == 50
    assert "inn: 50 of 1500 jets have a polynomial below 1e-12 and are left out" in caplog.text
    without = InvertibleDetector(**settings)
    without.fit(background[50:], validation=other_background[:100], seed=1)
    assert without.n_floored_ == 0
    assert_same_training(with_pairs, without)

    strange = concatenate([with_particles(other_background[:9], n) for n in (0, 1, 2)])
    scores = with_pairs.scores(strange, allow_trained=True)
    assert "inn: 27 of 27 jets have a polynomial below 1e-12 and are scored" in caplog.text
    np.testing.assert_allclose(scores["log_p_log"][:18], scores["log_p_log"][0])  # all at the floor
    typical = np.median(with_pairs.scores(other_background, allow_trained=True)["log_p_log"])
    assert scores["log_p_log"].min() > typical


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda jets: with_particles(jets, 2), TooFewJetsError, "at least three particles"),
        (lambda jets: jets[np.zeros(300, dtype=np.int64)], DetectorError, "no density in 8"),
    ],
    ids=["all below the floor", "all alike"],
)
def test_jets_without_a_density_are_refused(
    background: Jets, change: Callable[[Jets], Jets], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        create("inn").fit(change(background), seed=1)


def test_reweighted_scores_keep_to_the_rules(
    trained: InvertibleDetector, background: Jets, signal: Jets
) -> None:
    with pytest.raises(TrainedOnError):
        trained.scores_reweighted(background, 0.5)
    assert len(trained.scores_reweighted(background[:3], 0.5, allow_trained=True)) == 3
    with pytest.raises(ConfigError, match="reweight must be"):
        trained.scores_reweighted(signal, -1.0)
    with pytest.raises(DetectorError, match="call fit"):
        InvertibleDetector().scores_reweighted(signal, 0.5)


def test_many_jets_are_scored_as_few_are(trained: InvertibleDetector, toy_jets: Any) -> None:
    jets = toy_jets(2100, prongs=2, seed=4, dataset="signal")  # more than one batch
    for name, values in trained.scores(jets).items():
        again = trained.scores(jets[2040:2060])[name]
        np.testing.assert_allclose(again, values[2040:2060], rtol=1e-9)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"epochs": 0}, "epochs"),
        ({"blocks": 0}, "blocks"),
        ({"units": 0}, "units"),
        ({"clamp": -1.0}, "clamp"),
        ({"noise": -0.1}, "noise"),
        ({"noise_decay": 0.0}, "noise_decay"),
        ({"learning_rate_decay": 1.1}, "learning_rate_decay"),
        ({"representation": JetImage()}, "inn: representation must be an EnergyFlow"),
    ],
)
def test_settings_that_cannot_work_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        create("inn", **wrong)
