"""Configurations and histograms that nobody should write: one message, at once, never a traceback."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from hostile import LONGEST, SLOWEST, fuzz, mutated, texts
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from oddjet.analysis.cli.app import app

CONFIG: dict[str, Any] = {
    "name": "a",
    "output": "out",
    "samples": "samples",
    "fileset": {
        "datasets": {
            "q": {
                "kind": "background",
                "label": "QCD",
                "k_factor": 2.0,
                "simulate": {"process": "qcd", "n_events": 100, "seed": 1, "pt_hat_min": 350},
            },
        }
    },
    "selection": {"pt_min": 300, "noise_filters": ["Flag_x"], "triggers": {"paths": ["HLT_a"]}},
    "image": {"pixels": 16, "half_width": 0.8},
    "detectors": [
        {
            "name": "kmeans",
            "label": "k",
            "hyper_parameters": {"k": 3, "representation": {"jet_image": {"pixels": 20}}},
            "cut": "min_d",
        },
        {"name": "gmm", "hyper_parameters": {"components": 3, "pca": 2}},
    ],
    "decorrelation": {"methods": {"ddt": {"knots": 3}}, "cut": "ddt"},
    "folds": 3,
    "hunt": {
        "range": [40, 240],
        "bin_width": 5,
        "window": [65, 100],
        "working_points": [0.5, 0.2],
        "pt_edges": [450, 550, 13000],
        "widths": [2, 5],
        "function": "dijet3",
        "n_toys": 100,
    },
    "injection": {"signal": "q", "fractions": [0.0, 0.01], "seeds": [1, 2], "n_toys": 100},
    "pseudo_data": {"lumi_ifb": 0.1, "seed": 2},
    "cluster": {"executor": "futures", "workers": 2, "memory": "2 GB", "prologue": ["true"]},
    "chunk_size": 1000,
}
FILES: dict[str, Any] = {
    "kind": "data",
    "files": ["d.root"],
    "year": "2018",
    "timeout": 3,
    "redirectors": ["root://localhost:1/"],
    "accept": ["other_year"],
}
WITH_FILES = {**CONFIG, "fileset": {"datasets": {"d": FILES}}, "lumi_ifb": 1.0}


def refused_or_done(*words: object) -> str:
    """Call the command line; give what it printed, having checked that it was quick and knew what it met."""
    begin = time.perf_counter()
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert time.perf_counter() - begin < SLOWEST
    assert result.exit_code in (0, 1, 2), result.output
    assert isinstance(result.exception, SystemExit | None)
    assert "not foreseen" not in result.output, result.output
    assert max(map(len, result.output.splitlines()), default=0) < LONGEST
    return result.output


@fuzz
def test_configurations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Any) -> None:
    monkeypatch.chdir(tmp_path)
    config = tmp_path / "a.yaml"
    config.write_text(dumped(CONFIG))
    assert "is valid" in refused_or_done("check", config)

    @run
    @given(
        st.sampled_from([CONFIG, WITH_FILES]).flatmap(mutated).map(dumped) | texts(dumped(CONFIG))
    )
    def check(text: str) -> None:
        config.write_text(text, encoding="utf-8", errors="replace")
        refused_or_done("check", config)

    check()


def dumped(content: Any) -> str:
    return str(yaml.safe_dump(content, allow_unicode=True, sort_keys=False))
