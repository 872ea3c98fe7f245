"""A scores table of known dependence on the mass."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import awkward as ak
import numpy as np
import pytest
from toy_tables import write_table

from oddjet.datasets.jets import Truth
from oddjet.ml.decorrelation import Decorrelation

N_BACKGROUND = 20_000


def make_jets(n: int, seed: int, *, is_signal: bool = False) -> ak.Array:
    """Make jets whose score `blind` does not know the mass, and whose score `sculpts` does."""
    rng = np.random.default_rng(seed)
    mass = rng.normal(82, 8, n) if is_signal else 50 + rng.exponential(45, n)
    shift = 1.5 * is_signal
    return ak.Array(
        {
            "run": np.ones(n, np.uint32),
            "luminosityBlock": np.ones(n, np.uint32),
            "event": np.arange(n, dtype=np.uint64),
            "rank": (np.arange(n) % 4 == 3).astype(np.int16),
            "pt": rng.uniform(450, 1000, n),
            "mass": mass + 5,
            "msoftdrop": mass,
            "weight": np.full(n, 0.25),
            "label": np.full(n, Truth.MERGED if is_signal else Truth.BACKGROUND, np.int8),
            "blind": rng.standard_normal(n) + shift,
            "sculpts": rng.standard_normal(n) + shift + (mass - 90) / 60,
        }
    )


def write_scores(folder: Path, n: int = N_BACKGROUND) -> Path:
    """Write a scores table of `n` background jets, as many of data, and of signal a tenth."""
    kinds = {"qcd": "background", "data": "data", "w": "signal"}
    jets = {
        name: make_jets(n // 10 if name == "w" else n, seed, is_signal=name == "w")
        for seed, name in enumerate(kinds)
    }
    return write_table(folder, jets, kinds, kind="scores").folder


@pytest.fixture(scope="session")
def scores_table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scores(tmp_path_factory.mktemp("scores"))


@pytest.fixture(scope="session")
def small_table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scores(tmp_path_factory.mktemp("few_scores"), 1000)


@pytest.fixture(scope="module")
def few_replicas() -> Iterator[None]:
    """Maps with few replicas, for tests of what is done with them rather than of what they say."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Decorrelation, "n_replicas", 10)
        yield
