"""What is shown of a skim of blinded data does not depend on the jets of its window."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
from toy_tables import write_table

from oddjet.analysis.config import AnalysisConfig
from oddjet.analysis.jobs.status import HIDDEN, read_status
from oddjet.analysis.pipeline.folder import Run
from oddjet.analysis.report.sections.cutflow import cut_flow_section
from oddjet.analysis.report.show import html_of, section_of
from oddjet.analysis.scores.blinding import (
    ALONE,
    blinding_of,
    blinding_of_folder,
    shown_cutflow,
    shown_jets,
)
from oddjet.datasets.skims.manifest import CutStep, Manifest
from oddjet.processors.blinding import Blinding

WINDOW = (65.0, 105.0)


def jets(n: int, n_in_window: int, seed: int) -> ak.Array:
    rng = np.random.default_rng(seed)
    mass = np.concatenate([rng.uniform(110, 250, n), np.full(n_in_window, 80.0)])
    size = mass.size
    return ak.Array(
        {
            "run": np.ones(size, np.uint32),
            "luminosityBlock": np.ones(size, np.uint32),
            "event": np.arange(size, dtype=np.uint64),
            "rank": np.zeros(size, np.int16),
            "pt": np.concatenate([rng.uniform(450, 900, n), np.full(n_in_window, 2000.0)]),
            "msoftdrop": mass,
            "weight": np.ones(size),
        }
    )


def run_with(folder: Path, n_in_window: int, **settings: Any) -> Run:
    """A run whose skim holds so many jets of data in the window."""
    fileset = {
        "datasets": {
            "jetht": {"kind": "data", "files": ["a.root"]},
            "qcd": {"kind": "background", "files": ["b.root"]},
        }
    }
    content = {"name": "a", "output": folder, "fileset": fileset, "image": None}
    run = Run(AnalysisConfig.model_validate(content | settings))
    tables = {"jetht": jets(40, n_in_window, 1), "qcd": jets(30, 7, 2)}
    write_table(run.skim_folder, tables, {"jetht": "data", "qcd": "background"})
    run.write_config()
    return run


def cut_flow(n_jets: int) -> tuple[CutStep, ...]:
    steps = {"all": (100, 150), "jets": (100, 150), "pt": (90, 120), "eta": (80, n_jets)}
    return tuple(CutStep(name=n, n_events=e, n_jets=j, sumw=e) for n, (e, j) in steps.items())


def test_a_skim_and_its_status_show_no_number_that_holds_the_window(tmp_path: Path) -> None:
    runs = [run_with(tmp_path / str(n), n) for n in (0, 23)]
    sections = [section_of(run.skim) for run in runs]
    assert sections[0].tables[0].rows[0][3] is None  # jets of data
    assert sections[0].tables[0].rows[1][3] == 37  # of simulation
    assert "Data are blinded (jetht): jets with msoftdrop in 65–105 GeV" in html_of(runs[0].skim)
    pictures = [next(p for p in section.pictures if p.name == "pt") for section in sections]
    spectra = [
        [patch.get_path().vertices for patch in p.source().axes[0].patches] for p in pictures
    ]  # type: ignore[operator]
    for one, other in zip(*spectra, strict=True):
        np.testing.assert_array_equal(one, other)
    steps = [read_status(run.folder, plan=False)[0] for run in runs]
    assert [step.n_jets for step in steps] == [37, 37]
    assert HIDDEN in steps[0].note
    # Unblinded, all are there.
    seen = run_with(tmp_path / "seen", 23, unblind=True)
    assert section_of(seen.skim).tables[0].rows[0][3] == 63
    assert read_status(seen.folder, plan=False)[0].n_jets == 37 + 63


def test_a_skim_without_a_run_says_that_blinding_begins_with_an_analysis(tmp_path: Path) -> None:
    tables = {"jetht": jets(40, 23, 1), "qcd": jets(30, 7, 2)}
    alone = write_table(tmp_path / "skim", tables, {"jetht": "data", "qcd": "background"})
    assert ALONE in section_of(alone).statements
    assert ALONE in read_status(alone.folder, plan=False)[0].note
    simulation = write_table(tmp_path / "mc", {"qcd": jets(30, 7, 2)}, {"qcd": "background"})
    assert ALONE not in section_of(simulation).statements
    of_run = run_with(tmp_path / "run", 23).skim
    assert ALONE not in section_of(of_run).statements
    assert ALONE not in read_status(of_run.folder, plan=False)[0].note


def test_cuts_on_jets_of_blinded_data_are_not_counted() -> None:
    manifest = Manifest(kind="skim", cutflow={"jetht": cut_flow(70), "qcd": cut_flow(60)})
    blinding = Blinding(("jetht",), "msoftdrop", window=WINDOW)
    shown = shown_cutflow(manifest, blinding)
    assert [step.name for step in shown["jetht"]] == ["all"]
    assert shown["qcd"] == manifest.cutflow["qcd"]
    assert shown_cutflow(manifest, None) == manifest.cutflow
    section = cut_flow_section(shown, blinding=blinding)
    assert "70" not in str(section.tables)
    assert blinding.sentence in section.paragraphs


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, Blinding(("jetht",), "msoftdrop", window=WINDOW)),
        ({"hunt": {"mass": "mass"}}, Blinding(("jetht",), "mass", window=WINDOW)),
        ({"unblinding": {}}, Blinding(("jetht",), "msoftdrop", share=0.25)),
        ({"unblind": True, "unblinding": {}}, None),
        ({"unblind": True}, None),
    ],
)
def test_what_is_hidden_follows_from_the_settings(
    tmp_path: Path, settings: dict[str, Any], expected: Blinding | None
) -> None:
    run = run_with(tmp_path, 3, **settings)
    assert blinding_of_folder(run.skim_folder, run.skim.manifest) == expected
    assert run.blinding == expected
    numbers = shown_jets(run.skim.manifest, expected)
    assert numbers == {"jetht": 43 if expected is None else None, "qcd": 37}
    simulation = {"qcd": run.datasets["qcd"]}
    assert blinding_of(run.config, simulation) is None
    explores = expected is not None and expected.share is not None
    assert run.config.seen == {
        "unblind": run.config.unblind or explores,
        "explored": 0.25 if explores else None,
    }
