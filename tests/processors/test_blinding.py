from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import uproot

from oddjet.datasets.folds import event_hash, fold_of
from oddjet.processors.blinding import Blinding, explored
from oddjet.processors.histogram_files import load_histograms, write_histograms
from oddjet.processors.histograms import HUNTED, Filler, HistogramSettings, Totals
from oddjet.processors.sample import HuntSample

N = 4000
WINDOW = Blinding(("run",), "msoftdrop", window=(60.0, 100.0))


def table(seed: int = 1) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {
        "run": np.full(N, 7),
        "luminosityBlock": np.arange(N) // 100,
        "event": np.arange(N),
        "rank": np.zeros(N, np.int16),
        "msoftdrop": rng.uniform(0, 250, N),
        "pt": rng.uniform(450, 900, N),
        "weight": np.ones(N),
        "d_s_calibrated": rng.exponential(1 / np.log(10), N),
    }


def filled(blinding: Blinding | None, columns: dict[str, Any]) -> Totals:
    filler = Filler(settings(blinding), {"d_s": "d_s_calibrated"}, ("run", "qcd"))
    totals = Totals()
    for name in ("run", "qcd"):
        totals.add(filler.fill(ak.Array({n: columns[n] for n in filler.columns}), name))
    return totals


def settings(blinding: Blinding | None) -> HistogramSettings:
    sample = HuntSample("data", None, scales={"run": 1.0})
    return HistogramSettings(
        n_bins=20, mass_range=(50.0, 250.0), hunted=("d_s",), sample=sample, blinding=blinding
    )


def test_no_histogram_of_data_depends_on_what_is_hidden() -> None:
    columns = table()
    inside = (columns["msoftdrop"] >= 60) & (columns["msoftdrop"] < 100)
    moved = {**columns, "msoftdrop": np.where(inside, 80.0, columns["msoftdrop"])}
    fewer = {name: values[~inside] for name, values in columns.items()}
    first = filled(WINDOW, columns)
    for other in (moved, fewer):
        same = filled(WINDOW, other)
        assert same.passed["d_s"]["run"] == first.passed["d_s"]["run"]
        assert same.hunted == first.hunted
        one, two = (totals.histograms["d_s"]["run", ...] for totals in (first, same))
        np.testing.assert_array_equal(one.view(flow=True), two.view(flow=True))
    # Simulation is complete, and so are data without blinding.
    open_ = filled(None, columns)
    assert open_.passed["d_s"]["run"]["all"] == N == first.passed["d_s"]["qcd"]["all"]
    assert first.passed["d_s"]["run"]["all"] == N - inside.sum()


def test_files_say_what_is_hidden(tmp_path: Path) -> None:
    written = write_histograms(tmp_path, filled(WINDOW, table()), settings(WINDOW), caveats=("a",))
    told = {"datasets": ["run"], "mass": "msoftdrop", "window": [60.0, 100.0], "share": None}
    loaded = load_histograms(tmp_path / "histograms.json")
    for histogram in (*written.values(), *loaded.values()):
        assert histogram.metadata["blinded"] == told
        assert histogram.metadata["caveats"] == ["a", f"run: blinded, left out are {WINDOW.what}"]
    assert loaded[HUNTED].sum() == written[HUNTED].sum()
    with uproot.open(tmp_path / "histograms.root") as file:
        assert json.loads(str(file["blinded"])) == told
        hidden = file["d_s/run/nominal/all/mass"].values()[1:5]
        assert hidden.tolist() == [0.0] * 4
        assert file["d_s/qcd/nominal/all/mass"].values()[1:5].min() > 0
    plain = write_histograms(tmp_path / "plain", filled(None, table()), settings(None))
    assert all("metadata" not in vars(h) for h in plain.values())


def test_events_that_explore_are_a_share_of_their_own() -> None:
    columns = table()
    quarter, half = explored(columns, 0.25), explored(columns, 0.5)
    assert abs(quarter.mean() - 0.25) < 4 * np.sqrt(0.25 * 0.75 / N)
    assert half[quarter].all()  # nested
    folds = fold_of(event_hash(*(columns[c] for c in ("run", "luminosityBlock", "event"))), 3)
    for fold in range(3):  # independent of the folds
        share = quarter[folds == fold].mean()
        assert abs(share - 0.25) < 4 * np.sqrt(0.25 * 0.75 / (folds == fold).sum())
    blinding = Blinding(("run",), "msoftdrop", share=0.25)
    np.testing.assert_array_equal(blinding.visible(columns, "run"), quarter)
    assert blinding.visible(columns, "qcd").all()
    names = np.where(np.arange(N) % 2, "run", "qcd")
    seen = blinding.visible({**columns, "dataset": names})
    np.testing.assert_array_equal(seen, quarter | (names == "qcd"))
    assert filled(blinding, columns).passed["d_s"]["run"]["all"] == quarter.sum()


def test_what_hides_more_covers_what_hides_less() -> None:
    wider = Blinding(("run",), "msoftdrop", window=(55.0, 100.0))
    assert wider.covers(WINDOW)
    assert not WINDOW.covers(wider)
    assert not Blinding(("run",), "mass", window=(0.0, 200.0)).covers(WINDOW)
    assert not Blinding(("run",), "msoftdrop", share=0.1).covers(WINDOW)
