from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
from scipy.special import expit
from sklearn.neighbors import NearestNeighbors
from sklearn.svm import OneClassSVM

from oddjet.datasets.jets import Jets
from oddjet.errors import ConfigError, DetectorError
from oddjet.ml import create, load
from oddjet.ml.detectors.golling import GollingDetector
from oddjet.ml.evaluation.transport import emds
from oddjet.ml.networks.golling import (
    LATENT,
    Networks,
    Stage,
    adversarial_objective,
    load_networks,
    loss_terms,
)
from oddjet.ml.networks.keras_models import import_keras, layer_seeds, model_to_bytes
from oddjet.ml.networks.resume import Resume
from oddjet.ml.representations.jet_image import JetImage
from oddjet.ml.representations.leading_constituents import LeadingConstituents

N = 80
WEIGHTS = {"kl_weight": 0.25, "critic_weight": 0.1, "penalty": 10.0}


def build(seed: int = 1) -> Networks:
    return Networks.build(N, seeds=layer_seeds(seed))


def a_batch(n: int = 32, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, N)).astype(np.float32)


def steps(networks: Networks, stage: Stage, n: int = 3, **changes: Any) -> None:
    objective = adversarial_objective(
        networks, stage=stage, seed=1, **({"learning_rate": 1e-3} | WEIGHTS | changes)
    )
    for seed in range(n):
        objective.step(a_batch(seed=seed))


def changed(before: list[np.ndarray], model: Any) -> bool:
    pairs = zip(before, model.get_weights(), strict=True)
    return not all(np.array_equal(one, other) for one, other in pairs)


def quick(**changes: Any) -> GollingDetector:
    return GollingDetector(**({"stages": [4, 2, 3], "batch_size": 128} | changes))


@pytest.fixture(scope="module")
def trained(background: Jets) -> GollingDetector:
    return quick(stages=[12, 2, 2], batch_size=64).fit(background, seed=1)


@pytest.fixture(scope="module")
def progress_of_training() -> list[tuple[int, int, float]]:
    """What `uninterrupted` reported during its training: epoch, their number, validation loss."""
    return []


@pytest.fixture(scope="module")
def uninterrupted(
    background: Jets, progress_of_training: list[tuple[int, int, float]]
) -> GollingDetector:
    return quick().fit(
        background[:400],
        seed=1,
        progress=lambda epoch, n, logs: progress_of_training.append((epoch, n, logs["val_loss"])),
    )


# --- networks and loss --------------------------------------------------------------------------


def test_networks_are_the_document_s() -> None:
    networks = build()
    units = {
        name: [layer.units for layer in model.layers[1:]]
        for name, model in networks.by_name().items()
    }
    assert units["encoder"] == [256, 128, 64, 2 * 10]
    assert units["decoder"] == [64, 128, 256, 80]
    assert units["critic"][-1] == 1
    again, other = build(), build(seed=2)
    for name, model in networks.by_name().items():
        assert not changed(model.get_weights(), again.by_name()[name])
        assert changed(model.get_weights(), other.by_name()[name])


def test_terms_of_the_loss_are_their_closed_forms() -> None:
    networks, batch, rng = build(), a_batch(), np.random.default_rng(7)
    noise = rng.normal(size=(32, LATENT)).astype(np.float32)
    fractions = rng.uniform(size=(32, 1)).astype(np.float32)
    terms = loss_terms(networks, batch, noise=noise, fractions=fractions, **WEIGHTS)
    terms = {name: float(value) for name, value in terms.items()}

    mean, log_variance = np.split(networks.encoder(batch).numpy().astype(float), 2, axis=1)
    variance = np.exp(log_variance)
    made = networks.decoder((mean + np.sqrt(variance) * noise).astype(np.float32)).numpy()
    assert terms["mse"] == pytest.approx(np.mean((batch - made) ** 2), rel=1e-5)
    # KL(N(μ, σ²) ‖ N(0, 1)) as the mean of ln q − ln p, by Gauss–Hermite quadrature.
    nodes, weights = np.polynomial.hermite_e.hermegauss(20)
    z = mean[..., None] + np.sqrt(variance)[..., None] * nodes
    log_ratio = (z**2 - nodes**2 - log_variance[..., None]) / 2
    kl = (log_ratio @ weights).sum(axis=1) / np.sqrt(2 * np.pi)
    assert terms["kl"] == pytest.approx(kl.mean() / N, rel=1e-4)
    of_jets, of_made = (expit(networks.critic(rows).numpy()[:, 0]) for rows in (batch, made))
    cross_entropy = -np.mean(np.concatenate([np.log(1 - of_jets), np.log(of_made)]))
    assert terms["critic"] == pytest.approx(cross_entropy, rel=1e-5)
    assert terms["loss"] == pytest.approx(
        terms["mse"] + 0.25 * terms["kl"] + 0.1 * (terms["critic"] + 10 * terms["penalty"]),
        rel=1e-6,
    )


def test_autoencoder_is_trained_against_the_critic() -> None:
    tf, _ = import_keras()
    networks, batch = build(), a_batch()
    noise, fractions = np.zeros((32, LATENT), np.float32), np.full((32, 1), 0.5, np.float32)

    def gradients(critic_weight: float | None) -> list[list[np.ndarray]]:
        with tf.GradientTape() as tape:
            terms = loss_terms(
                networks,
                tf.constant(batch),
                noise=noise,
                fractions=fractions,
                **(WEIGHTS | {"critic_weight": critic_weight, "penalty": 0.0}),
            )
        models = (networks.decoder, networks.critic)
        values = tape.gradient(terms["loss"], [model.trainable_variables for model in models])
        return [[g.numpy() for g in of if g is not None] for of in values]

    with tf.GradientTape() as tape:
        made = networks.decoder(networks.encoder(batch)[:, :LATENT])
        critic = tf.reduce_mean(
            tf.nn.softplus(networks.critic(batch)) + tf.nn.softplus(-networks.critic(made))
        )
    plain = tape.gradient(critic, networks.decoder.trainable_variables)
    without, with_critic = gradients(None), gradients(0.1)
    assert not without[1]
    assert with_critic[1]
    for both, alone, of_critic in zip(with_critic[0], without[0], plain, strict=True):
        np.testing.assert_allclose(both, alone - 0.1 * of_critic.numpy() / 2, atol=1e-6)


def test_each_stage_trains_what_it_should() -> None:
    for stage, is_critic_trained in zip(Stage, (False, True, False), strict=True):
        networks = build()
        before = {name: model.get_weights() for name, model in networks.by_name().items()}
        steps(networks, stage)
        is_changed = {
            name: changed(before[name], model) for name, model in networks.by_name().items()
        }
        assert is_changed == {"encoder": True, "decoder": True, "critic": is_critic_trained}, stage


def test_critic_has_no_influence_in_the_first_stage_and_has_later() -> None:
    for stage in (Stage.WITHOUT_CRITIC, Stage.FROZEN_CRITIC):
        ends = []
        for factor in (1.0, -3.0):
            networks = build()
            networks.critic.set_weights([factor * w for w in networks.critic.get_weights()])
            steps(networks, stage, critic_weight=5.0)
            ends.append(networks.encoder.get_weights() + networks.decoder.get_weights())
        same = all(np.array_equal(one, other) for one, other in zip(*ends, strict=True))
        assert same == (stage is Stage.WITHOUT_CRITIC), stage


def test_networks_of_other_sizes_are_refused(tmp_path: Path) -> None:
    for name, model in build().by_name().items():
        (tmp_path / f"{name}.keras").write_bytes(model_to_bytes(model))
    load_networks(tmp_path, n_inputs=N)
    with pytest.raises(DetectorError, match=r"encoder\.keras: expected .*\(40, 20\)"):
        load_networks(tmp_path, n_inputs=40)


# --- scores -------------------------------------------------------------------------------------


def test_observation_scores_compare_input_and_reconstruction(
    trained: GollingDetector, signal: Jets
) -> None:
    jets = signal[:50]
    scores = trained.scores(jets)
    rows, made = trained.representation(jets), trained.reconstruct(jets)
    scaled, scaled_made = (trained.scaling_.apply(momenta) for momenta in (rows, made))
    np.testing.assert_allclose(scores["mse"], np.mean((scaled - scaled_made) ** 2, axis=1), 1e-4)

    def particles(row: np.ndarray) -> np.ndarray:
        px, py, pz, _ = row.reshape(20, 4).T
        pt = np.hypot(px, py)
        slope = np.divide(pz, pt, out=np.zeros(20), where=pt > 0)
        return np.stack([pt, np.arcsinh(slope), np.arctan2(py, px)], axis=1)

    expected = [
        emds([particles(one)], [particles(other)], radius=0.8)[0]
        for one, other in zip(rows, made, strict=True)
    ]
    np.testing.assert_allclose(scores["emd"], expected, rtol=1e-6)


def test_latent_scores_are_sklearn_s(
    trained: GollingDetector, background: Jets, signal: Jets
) -> None:
    stored = trained._nearest.codes
    assert stored.shape == (1200, LATENT)  # of the training jets, without those of the validation
    codes = trained.encode(background)
    assert len(np.unique(np.concatenate([stored, codes]).round(5), axis=0)) <= 1510
    scores, codes = trained.scores(signal), trained.encode(signal)
    distances, _ = NearestNeighbors(n_neighbors=5, algorithm="brute").fit(stored).kneighbors(codes)
    np.testing.assert_allclose(scores["knn"], distances.sum(axis=1), rtol=1e-6)
    machine = OneClassSVM(nu=0.5, gamma="scale").fit(stored)
    np.testing.assert_allclose(scores["ocsvm"], -machine.decision_function(codes), rtol=1e-6)


def test_critic_score_is_the_probability_of_a_reconstruction(
    trained: GollingDetector, signal: Jets
) -> None:
    inputs = trained.scaling_.apply(trained.representation(signal)).astype(np.float32)
    expected = expit(trained._model.critic(inputs).numpy()[:, 0].astype(float))
    critic = trained.scores(signal)["critic"]
    np.testing.assert_allclose(critic, expected, rtol=1e-5)
    assert ((critic > 0) & (critic < 1)).all()


def test_what_is_not_weighed_and_not_stored_plays_no_part(
    background: Jets, other_background: Jets
) -> None:
    detector = quick(
        stages=[1, 1, 1], kl_weight=0.0, critic_weight=0.0,
        stored_codes=70, svm_jets=60, neighbours=2, svm_nu=0.99,
    )  # fmt: skip
    detector.fit(background[:400], validation=other_background, seed=1)
    assert detector._nearest.codes.shape == (70, LATENT)
    assert detector._nearest.k == 2
    assert 59 <= len(detector._boundary.support) <= 60  # at least the part ν
    # Nothing but the squared error is left; that it is of the jets given, the contract tests.
    assert detector.history_["val_loss"] == pytest.approx(detector.history_["val_mse"], rel=1e-6)


def test_masses_are_those_of_rows_and_reconstruction(
    trained: GollingDetector, signal: Jets, other_background: Jets
) -> None:
    before, after = trained.reconstruct_masses(signal)
    momenta = (
        trained.representation(signal).reshape(-1, 20, 4) * np.asarray(signal.pt)[:, None, None]
    )
    px, py, pz, energy = momenta.sum(axis=1).T
    np.testing.assert_allclose(before, np.sqrt(energy**2 - px**2 - py**2 - pz**2), rtol=1e-6)
    made = trained.representation.mass(trained.reconstruct(signal), signal.pt)
    np.testing.assert_allclose(after, made, rtol=1e-6)
    for jets in (signal, other_background):
        before, after = trained.reconstruct_masses(jets)
        assert (before > 0).all()
        assert (after > 0).all()
    assert trained.reconstruct_masses(signal[:0])[0].shape == (0,)
    assert trained.encode(signal[:0]).shape == (0, LATENT)
    assert trained.reconstruct(signal[:0]).shape == (0, N)


def test_jets_of_few_constituents_can_be_scored_and_weighed(
    trained: GollingDetector, other_background: Jets
) -> None:
    few = other_background[:6]
    counts = np.array([0, 1, 2, 3, 0, 1])
    short = ak.with_field(
        few, few.constituents[ak.local_index(few.constituents) < counts], "constituents"
    )
    scores = trained.scores(short)
    # Without constituents all of the reconstruction's pt is missing.
    made = trained.reconstruct(short).reshape(6, 20, 4)
    missing = np.hypot(made[..., 0], made[..., 1]).sum(axis=1)
    np.testing.assert_allclose(scores["emd"][counts == 0], missing[counts == 0], rtol=1e-6)
    before, after = trained.reconstruct_masses(short)
    np.testing.assert_allclose(before[counts <= 1], 0.0, atol=1e-4)
    assert np.isfinite(after).all()


# --- training -----------------------------------------------------------------------------------


def test_toy_jets_are_learnt_and_the_latent_space_is_alive(trained: GollingDetector) -> None:
    assert trained.active_dimensions_ == LATENT
    assert trained.history_["val_mse"][-1] < 0.9 * trained.history_["val_mse"][0]


def test_a_kl_term_that_is_too_strong_empties_the_latent_space(background: Jets) -> None:
    detector = quick(kl_weight=1e4, stages=[25, 1, 1], batch_size=64).fit(background, seed=1)
    assert detector.history_["val_kl"][-1] < 1e-4
    assert np.abs(detector.encode(background)).max() < 0.1


def test_history_and_progress_go_over_the_stages(
    uninterrupted: GollingDetector, progress_of_training: list[tuple[int, int, float]]
) -> None:
    history = uninterrupted.history_
    assert progress_of_training == [(i + 1, 9, loss) for i, loss in enumerate(history["val_loss"])]
    terms = {"loss", "mse", "kl", "critic", "penalty"}
    assert set(history) == terms | {f"val_{name}" for name in terms}
    assert uninterrupted.best_epoch_ == 9
    for name in ("critic", "val_penalty"):
        values = np.array(history[name])
        assert (values[:4] == 0).all()
        assert (values[4:] > 0).all()


class Interrupted(Exception):
    pass


@pytest.mark.slow
@pytest.mark.parametrize("last", [5, pytest.param(8, marks=pytest.mark.long)])
def test_interrupted_in_a_later_stage_and_resumed_is_uninterrupted(
    last: int,
    uninterrupted: GollingDetector,
    background: Jets,
    signal: Jets,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    progress_of_training: list[int] = []

    def interrupt(epoch: int, n_epochs: int, logs: dict[str, float]) -> None:
        progress_of_training.append(epoch)
        if progress_of_training == list(range(1, last + 1)):
            raise Interrupted

    monkeypatch.setattr(
        "oddjet.ml.detectors.base.Resume", functools.partial(Resume, every_seconds=0.0)
    )
    few = background[:400]
    with pytest.raises(Interrupted):
        quick().fit(few, seed=1, resume_in=tmp_path, progress=interrupt)
    resumed = quick().fit(few, seed=1, resume_in=tmp_path, progress=interrupt)
    assert progress_of_training == list(range(1, 10)), "each epoch is done once"
    assert resumed.history_ == uninterrupted.history_
    for name, values in uninterrupted.scores(signal).items():
        np.testing.assert_allclose(resumed.scores(signal)[name], values, rtol=1e-6)


def test_saved_keeps_history_scaling_and_dimensions(
    trained: GollingDetector, signal: Jets, tmp_path: Path
) -> None:
    trained.save(tmp_path / "golling")
    loaded = load(tmp_path / "golling")
    assert isinstance(loaded, GollingDetector)
    assert loaded.history_ == trained.history_
    assert loaded.best_epoch_ == trained.best_epoch_ == 16
    assert loaded.active_dimensions_ == trained.active_dimensions_
    np.testing.assert_array_equal(loaded.scaling_.iqr, trained.scaling_.iqr)
    for one, other in zip(
        loaded.reconstruct_masses(signal), trained.reconstruct_masses(signal), strict=True
    ):
        np.testing.assert_allclose(one, other, rtol=1e-5)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"stages": [1, 2]}, "stages must be 3 numbers"),
        ({"stages": [1, 0, 2]}, "stages must be 3 numbers, each at least 1"),
        ({"learning_rates": [1e-3] * 4}, "learning_rates must be 3 numbers"),
        ({"learning_rates": [1e-3, 0.0, 1e-3]}, "learning_rates must be 3 numbers, each positive"),
        ({"batch_size": 0}, "batch_size"),
        ({"kl_weight": -1.0}, "kl_weight must be at least 0"),
        ({"critic_weight": float("nan")}, "critic_weight"),
        ({"neighbours": 0}, "neighbours must be at least 1"),
        ({"stored_codes": 4}, "stored_codes must be at least 5"),
        ({"svm_jets": 1}, "svm_jets must be at least 2"),
        ({"svm_nu": 0.0}, "svm_nu must be in"),
        ({"radius": 0.0}, "radius must be positive"),
        ({"representation": JetImage()}, "representation must be a LeadingConstituents"),
    ],
)
def test_settings_that_cannot_work_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        create("golling", **wrong)


def test_fewer_constituents_and_pt_in_gev_work_too(background: Jets, signal: Jets) -> None:
    detector = quick(stages=[1, 1, 1], representation=LeadingConstituents(n=7, scale=False))
    detector.fit(background[:300], seed=1)
    assert detector.reconstruct(signal).shape == (len(signal), 28)
    assert all(np.isfinite(values).all() for values in detector.scores(signal).values())
