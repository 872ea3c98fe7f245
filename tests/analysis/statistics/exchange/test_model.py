from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import uproot

from oddjet.analysis.statistics.exchange.datacard import write_datacard
from oddjet.analysis.statistics.exchange.model import Channel, Sample
from oddjet.analysis.statistics.exchange.workspace import pyhf_model, write_workspace
from oddjet.errors import InputError

EDGES = np.array([60.0, 70.0, 80.0, 90.0])
SIGNAL = np.array([1.0, 8.0, 1.5])
BACKGROUND = np.array([50.0, 40.0, 30.0])


def make_channel(*, observed: bool = True, name: str = "mass") -> Channel:
    change = np.array([60.0, 2.0, 1.0])
    return Channel(
        name=name,
        edges=EDGES,
        samples=(
            Sample(
                "background",
                BACKGROUND,
                shapes={"fit0": (BACKGROUND - change, BACKGROUND + change)},
            ),
            Sample(
                "signal",
                SIGNAL,
                is_signal=True,
                shapes={"jms": (SIGNAL[::-1], SIGNAL + 0.5)},
                norms={"lumi": 0.016},
            ),
            Sample("rare", 0.1 * BACKGROUND, norms={"lumi": 0.016}, stat_errors=np.ones(3)),
        ),
        observed=np.array([55.0, 44.0, 33.0]) if observed else None,
    )


def parse_card(text: str) -> dict[str, list[list[str]]]:
    """A reader of datacards that knows nothing of the writer: first word to its lines."""
    lines: dict[str, list[list[str]]] = {}
    for line in text.splitlines():
        words = line.split()
        if words and not line.startswith(("#", "-")):
            lines.setdefault(words[0], []).append(words[1:])
    return lines


def test_datacard_and_shapes_agree(tmp_path: Path) -> None:
    channel = make_channel()
    card, _ = write_datacard(tmp_path, channel)
    lines = parse_card(card.read_text())
    assert lines["imax"][0][0] == "1"
    assert lines["jmax"][0][0] == "2"
    assert lines["bin"] == [["mass"], ["mass"] * 3]
    names, numbers = lines["process"]
    assert names == ["signal", "background", "rare"]
    assert numbers == ["0", "1", "2"]
    assert lines["lumi"] == [["lnN", "1.016", "-", "1.016"]]
    assert lines["jms"] == [["shape", "1", "-", "-"]]
    assert lines["fit0"] == [["shape", "-", "1", "-"]]
    assert lines["mass"] == [["autoMCStats", "0", "1"]]
    process, bin_name, file, nominal, varied = lines["shapes"][0]
    assert (process, bin_name) == ("*", "mass")
    with uproot.open(tmp_path / file) as shapes:
        data = shapes[nominal.replace("$CHANNEL", "mass").replace("$PROCESS", "data_obs")]
        assert data.values().sum() == float(lines["observation"][0][0]) == 132.0
        assert data.axis().edges().tolist() == EDGES.tolist()
        for column, name in enumerate(names):
            path = nominal.replace("$CHANNEL", "mass").replace("$PROCESS", name)
            assert shapes[path].values().sum() == pytest.approx(float(lines["rate"][0][column]))
        for nuisance in ("jms", "fit0"):
            for column, name in enumerate(names):
                path = varied.replace("$CHANNEL", "mass").replace("$PROCESS", name)
                path = path.replace("$SYSTEMATIC", nuisance)
                wanted = lines[nuisance][0][1 + column] != "-"
                assert (path + "Up" in shapes) is wanted
                assert (path + "Down" in shapes) is wanted
        assert shapes["mass/signal_jmsUp"].values().tolist() == (SIGNAL + 0.5).tolist()
        assert shapes["mass/signal_jmsDown"].values().tolist() == SIGNAL[::-1].tolist()
        # 50 − 60 events is none.
        assert shapes["mass/background_fit0Down"].values().tolist() == [0.0, 38.0, 29.0]
        assert shapes["mass/rare"].variances().tolist() == [1.0, 1.0, 1.0]


def test_blinded_data_are_the_expected_background(tmp_path: Path) -> None:
    channel = make_channel(observed=False)
    card, shapes = write_datacard(tmp_path, channel)
    assert "Blinded" in card.read_text()
    with uproot.open(shapes) as file:
        assert file["mass/data_obs"].values() == pytest.approx(1.1 * BACKGROUND)
    write_workspace(tmp_path / "w.json", channel)
    workspace = json.loads((tmp_path / "w.json").read_text())
    assert workspace["measurements"][0]["name"] == "blinded"
    assert workspace["observations"][0]["data"] == pytest.approx((1.1 * BACKGROUND).tolist())


def test_pyhf_expects_what_the_model_says() -> None:
    channel = make_channel()
    model, data = pyhf_model(channel)
    assert data[:3] == [55.0, 44.0, 33.0]
    values = dict(zip(model.config.par_names, model.config.suggested_init(), strict=True))

    def expected(**changed: float) -> np.ndarray:
        merged = {**values, **changed}
        pars = [merged[name] for name in model.config.par_names]
        return np.asarray(model.expected_data(pars, include_auxdata=False))

    assert expected(mu=0.0) == pytest.approx(1.1 * BACKGROUND)
    assert expected(mu=2.0) == pytest.approx(1.1 * BACKGROUND + 2 * SIGNAL)
    raised = 1.016 * (SIGNAL + 0.1 * BACKGROUND) + BACKGROUND
    assert expected(mu=1.0, lumi=1.0) == pytest.approx(raised)
    shifted = expected(mu=1.0, jms=1.0)
    assert shifted == pytest.approx(1.1 * BACKGROUND + SIGNAL + 0.5)
    lower = expected(mu=0.0, fit0=-0.5)
    assert lower == pytest.approx(1.1 * BACKGROUND - [30.0, 1.0, 0.5])


def test_modes_are_one_log_normal_process_a_bin_and_stay_positive(tmp_path: Path) -> None:
    mode = np.array([2.0, -0.1, 0.4])
    channel = dataclasses.replace(
        make_channel(),
        samples=(
            Sample("signal", SIGNAL, is_signal=True),
            Sample("background", BACKGROUND, modes={"fit0": mode}),
            Sample("spurious", 0.5 * SIGNAL, scaled_by="spur"),
        ),
    )
    assert channel.nuisances == ("fit0", "spur")
    assert channel.background.tolist() == BACKGROUND.tolist()
    model, _ = pyhf_model(channel)
    values = dict(zip(model.config.par_names, model.config.suggested_init(), strict=True))
    for fit0, spur in ((1.0, 0.0), (-3.0, 0.0), (0.0, 1.5), (0.5, -0.5)):
        merged = {**values, "mu": 0.0, "fit0": fit0, "spur": spur}
        pars = [merged[name] for name in model.config.par_names]
        wanted = BACKGROUND * np.exp(fit0 * mode) + spur * 0.5 * SIGNAL
        assert model.expected_data(pars, include_auxdata=False) == pytest.approx(wanted)
    card, _ = write_datacard(tmp_path, channel)
    lines = parse_card(card.read_text())
    names = lines["process"][0]
    assert names == ["signal", *(f"background_bin{i}" for i in range(3)), "spurious"]
    kind, *kappas = lines["fit0"][0]
    assert kind == "lnN"
    assert kappas[0] == kappas[-1] == "-"
    assert [float(kappa) for kappa in kappas[1:-1]] == pytest.approx(np.exp(mode), rel=1e-5)
    assert lines["spur"] == [["rateParam", "mass", "spurious", "0", "[-7,7]"], ["param", "0", "1"]]


@pytest.mark.parametrize("name", ["a b", "1x", "khanal@1%"])
def test_names_that_combine_cannot_read_are_refused(name: str) -> None:
    with pytest.raises(InputError, match="no name for Combine: write '"):
        make_channel(name=name)
