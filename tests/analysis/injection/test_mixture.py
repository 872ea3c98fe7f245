"""Mixtures: whole events, the right number of signal jets, nested fractions, different seeds."""

from __future__ import annotations

import awkward as ak
import numpy as np
import pytest

from oddjet.analysis.config import HuntConfig
from oddjet.analysis.injection.mixture import draw_mixture
from oddjet.analysis.scores.sample import hunted_rows
from oddjet.datasets.jets import Jets
from oddjet.errors import TooFewJetsError
from oddjet.typing import Bools


def jets_of(dataset: str, n_events: int) -> Jets:
    """Two jets an event; the leading one in the mass range in two events of three."""
    n = 2 * n_events
    return ak.zip(
        {
            "dataset": np.repeat(dataset, n),
            "run": np.ones(n, np.uint32),
            "luminosityBlock": np.ones(n, np.uint32),
            "event": np.arange(n, dtype=np.uint64) // 2,
            "rank": (np.arange(n) % 2).astype(np.int16),
            "msoftdrop": np.where((np.arange(n) // 2) % 3 == 0, 10.0, 100.0),
        },
        depth_limit=1,
    )


def with_hunted(jets: Jets, *, leading: bool = True) -> tuple[Jets, Bools]:
    settings = HuntConfig(range=(40.0, 240.0), jets="leading" if leading else "all")
    return jets, hunted_rows(jets, settings)


QCD, TOP = with_hunted(jets_of("qcd", 6000)), with_hunted(jets_of("top", 900))


def test_hunted_jets_are_leading_and_in_range() -> None:
    jets, rows = QCD
    assert rows.sum() == 4000
    assert np.all(np.asarray(jets["rank"])[rows] == 0)
    assert with_hunted(jets, leading=False)[1].sum() == 8000


@pytest.mark.parametrize("fraction", [0.0, 0.01, 0.1])
def test_signal_is_the_wanted_share_of_the_hunted_jets(fraction: float) -> None:
    mixture, rows = with_hunted(draw_mixture(QCD, TOP, share=0.5, fraction=fraction, seed=1))
    names = np.asarray(ak.to_list(mixture["dataset"]))
    n_background = int((rows & (names == "qcd")).sum())
    assert (rows & (names == "top")).sum() == round(fraction * n_background)
    assert n_background == pytest.approx(2000, abs=150)
    # Events come whole: every event has both of its jets.
    for name in ("qcd", "top"):
        counts = np.unique(np.asarray(mixture["event"])[names == name], return_counts=True)[1]
        assert np.all(counts == 2)


def events_of(mixture: Jets, name: str) -> set[int]:
    rows = np.asarray(ak.to_list(mixture["dataset"])) == name
    return set(np.asarray(mixture["event"])[rows].tolist())


def test_more_signal_is_added_to_the_same() -> None:
    less, more = (draw_mixture(QCD, TOP, share=0.5, fraction=f, seed=1) for f in (0.02, 0.1))
    assert events_of(less, "qcd") == events_of(more, "qcd")
    assert events_of(less, "top") < events_of(more, "top")


def test_seeds_draw_other_events() -> None:
    one, other = (draw_mixture(QCD, TOP, share=0.5, fraction=0.1, seed=s) for s in (1, 2))
    shared = len(events_of(one, "qcd") & events_of(other, "qcd")) / len(events_of(one, "qcd"))
    assert shared == pytest.approx(0.5, abs=0.05)
    assert events_of(one, "top") != events_of(other, "top")


def test_too_little_of_either_is_refused() -> None:
    with pytest.raises(TooFewJetsError, match="signal jets are wanted and the sample has 600"):
        draw_mixture(QCD, TOP, share=1.0, fraction=0.2, seed=1)
    nothing = (QCD[0], np.zeros(len(QCD[0]), bool))
    with pytest.raises(TooFewJetsError, match="none of 12000 background jets"):
        draw_mixture(nothing, TOP, share=0.5, fraction=0.0, seed=1)
