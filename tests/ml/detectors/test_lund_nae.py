from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest

from oddjet.datasets.jets import Jets
from oddjet.errors import ConfigError
from oddjet.ml import create
from oddjet.ml.detectors.lund_nae import LundAutoencoderDetector, _confine
from oddjet.ml.representations.jet_image import JetImage
from oddjet.ml.representations.lund_graph import LundGraph

TINY: dict[str, Any] = {
    "epochs": 3,
    "pretrain_epochs": 4,
    "hidden": 8,
    "latent": 3,
    "steps": 3,
    "chains": 32,
    "buffer": 64,
    "representation": LundGraph(max_nodes=8),
}


@pytest.fixture(scope="module")
def trained(background: Jets) -> LundAutoencoderDetector:
    return LundAutoencoderDetector(**TINY).fit(background[:400], seed=1)


def test_it_learns_and_says_how(trained: LundAutoencoderDetector) -> None:
    assert set(trained.history_) == {
        *("loss", "e_plus", "e_minus", "val_loss", "emd"),
    }
    assert len(trained.history_["emd"]) == 3
    assert trained.best_epoch_ == 1 + int(np.argmin(trained.history_["emd"]))
    losses = trained.pretrain_history_["val_loss"]
    assert losses[-1] < losses[0]
    assert 0 < trained.temperature_ < losses[-1]


def test_plain_it_is_the_pretraining(background: Jets, other_background: Jets) -> None:
    plain = LundAutoencoderDetector(**TINY, normalised=False).fit(background[:400], seed=1)
    assert plain.history_ == plain.pretrain_history_
    assert np.isnan(plain.temperature_)
    assert plain.best_epoch_ == 1 + int(np.argmin(plain.history_["val_loss"]))
    # Saved and loaded, NaN included.
    assert np.isfinite(plain.scores(other_background)["energy"]).all()


def test_sampled_graphs_are_graphs(trained: LundAutoencoderDetector, background: Jets) -> None:
    rows = trained._inputs(trained.representation(background[:200]))
    density = trained._density(trained._model, rows)
    energy, buffer = density.energy, trained._new_buffer(density, rows, seed=1)
    x, a, mask = (np.asarray(chain) for chain in buffer.chains)
    np.testing.assert_allclose(a, np.swapaxes(a, 1, 2), atol=1e-6)
    assert a.min() >= 0
    assert a.max() <= 1
    assert not a[(mask[:, :, None] * mask[:, None, :]) == 0].any()
    assert np.abs(x).max() <= 4
    assert not x[mask == 0].any()
    sizes = set(np.count_nonzero(rows[:, :8] != -2, axis=1))
    assert set(mask.sum(axis=1).astype(int)) <= sizes
    # Moved to lower energies than it started from.
    start = buffer._fresh(64, buffer.generator)
    assert np.mean(energy(x, a, mask)) < np.mean(energy(*start))


def test_confining_keeps_the_mask(background: Jets) -> None:
    rng = np.random.default_rng(1)
    mask = np.array([[1, 1, 0], [1, 1, 1]], np.float32)
    x, a = (rng.normal(size=(2, 3, n)).astype(np.float32) for n in (4, 3))
    x, a, kept = _confine([9 * x, a, mask])
    np.testing.assert_array_equal(kept, mask)
    assert np.abs(np.asarray(x)).max() <= 4
    assert not np.asarray(x)[0, 2].any()
    assert not np.asarray(a)[0, 2].any()


class Interrupted(Exception):
    """Stands for whatever ends a process."""


@pytest.mark.slow
def test_interrupted_and_resumed_is_uninterrupted(
    background: Jets,
    other_background: Jets,
    trained: LundAutoencoderDetector,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("oddjet.ml.networks.resume.Resume.every_seconds", 0.0)

    def stop(epoch: int, n_epochs: int, logs: dict[str, float]) -> None:
        if epoch == 2:
            raise Interrupted

    def fit(**more: Any) -> LundAutoencoderDetector:
        detector = LundAutoencoderDetector(**TINY)
        return detector.fit(background[:400], seed=1, resume_in=tmp_path, **more)

    with pytest.raises(Interrupted):
        fit(progress=stop)
    np.testing.assert_allclose(
        fit().scores(other_background)["energy"],
        trained.scores(other_background)["energy"],
        rtol=1e-5,
    )


def test_a_jet_without_a_graph_has_energy_0(trained: LundAutoencoderDetector, signal: Jets) -> None:
    few = signal[:3]
    lonely = ak.with_field(few, few.constituents[:, :1], "constituents")
    np.testing.assert_array_equal(trained.scores(lonely)["energy"], 0.0)


def test_jets_that_are_all_single_particles_are_refused(
    background: Jets, toy_jets: Callable[..., Jets]
) -> None:
    lonely = ak.with_field(background[:200], background[:200].constituents[:, :1], "constituents")
    with pytest.raises(ConfigError, match="no jet has two constituents"):
        LundAutoencoderDetector(**TINY).fit(lonely, seed=1)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"latent": 0}, "latent must be at least 1"),
        ({"buffer": 10}, "buffer must be at least chains, 128"),
        ({"restart": 2.0}, r"restart must be in \[0, 1\]"),
        ({"temperature": -1.0}, "temperature must be positive or None"),
        ({"edge_weight": -1.0}, "edge_weight must be at least 0"),
        ({"representation": JetImage()}, "representation must be a LundGraph"),
    ],
)
def test_what_cannot_be_is_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        create("lund_nae", **wrong)
