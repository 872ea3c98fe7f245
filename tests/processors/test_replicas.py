"""The file of replicas beside a scores table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from oddjet.errors import SkimError
from oddjet.ml.replicas import LEVELS, CutReplicas, Replicas
from oddjet.processors.replicas import load_replicas, save_replicas

MASSES = np.array([50.0, 100.0, 200.0])


def cut(seed: int, n_folds: int = 3) -> CutReplicas:
    rng = np.random.default_rng(seed)
    ratios = np.exp(rng.normal(0, 0.1, (n_folds, 20, len(LEVELS), 3)))
    folds = [Replicas.from_ratios(MASSES, ratio) for ratio in ratios]
    return CutReplicas.from_folds([1000.0] * n_folds, folds)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    written = {"d_s_calibrated": cut(1), "d_s_ddt": cut(2), "d_s_theirs": CutReplicas(700.0, ())}
    save_replicas(tmp_path / "r.npz", written)
    read = load_replicas(tmp_path / "r.npz")
    assert list(read) == list(written)
    for name, replicas in written.items():
        assert read[name].n_effective == replicas.n_effective
        np.testing.assert_array_equal(
            read[name].changes(0.1, MASSES), replicas.changes(0.1, MASSES)
        )
    assert not read["d_s_theirs"].folds
    # The same bytes, so that a report of the same results is not made again.
    save_replicas(tmp_path / "again.npz", written)
    assert (tmp_path / "again.npz").read_bytes() == (tmp_path / "r.npz").read_bytes()


def test_another_file_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "r.npz", columns=np.array(["a"]), n_effective=np.ones(1))
    with pytest.raises(SkimError, match="oddjet score"):
        load_replicas(tmp_path / "r.npz")
    (tmp_path / "r.npz").write_text("nothing")
    with pytest.raises(SkimError, match="Copy it again"):
        load_replicas(tmp_path / "r.npz")
