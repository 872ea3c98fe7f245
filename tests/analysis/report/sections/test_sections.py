"""Sections hold the numbers they are given, and say what is blinded or failed."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pytest

from oddjet.analysis.hunt.hunt import Hunt
from oddjet.analysis.report import sections
from oddjet.analysis.report.figures.style import Histogram
from oddjet.analysis.report.figures.training import LossCurve
from oddjet.analysis.report.page import Section
from oddjet.analysis.report.sections.hunt import scores_section
from oddjet.analysis.scores.anomalies import most_anomalous
from oddjet.analysis.scores.quality import EpochQuality, Quality
from oddjet.analysis.statistics.bumphunt.result import CONDITIONAL
from oddjet.datasets.balance import Balance
from oddjet.datasets.disk.numbers import jsonable
from oddjet.datasets.skims.manifest import DatasetSummary, Manifest

WINDOW = (65.0, 100.0)


def as_text(section: Section) -> str:
    """Everything of a section but its pictures' bytes."""
    slim = dataclasses.replace(section, pictures=(), gallery=())
    captions = [(p.caption, p.hint) for p in (*section.pictures, *section.gallery)]
    return repr(slim) + repr(captions) + json.dumps(jsonable(section.numbers), allow_nan=False)


def drawn(section: Section) -> list[bytes]:
    """The section's pictures, each drawn."""
    pictures = [picture.png for picture in (*section.pictures, *section.gallery)]
    assert all(png.startswith(b"\x89PNG") for png in pictures)
    return pictures


def scores_table(n: int = 300) -> dict[str, Any]:
    rng = np.random.default_rng(3)
    return {
        "dataset": np.where(np.arange(n) < n // 3, "w", "qcd"),
        "run": np.ones(n, int),
        "luminosityBlock": np.ones(n, int),
        "event": np.arange(n),
        "file_id": np.full(n, "uuid-1"),
        "entry": np.arange(n),
        "jet_index": np.zeros(n, int),
        "pt": rng.uniform(200, 500, n),
        "mass": rng.uniform(20, 200, n),
        "msoftdrop": rng.uniform(20, 200, n),
        "label": np.where(np.arange(n) < n // 3, 3, 0),
        "weight": np.ones(n),
        "khanal_mse": rng.lognormal(size=n),
        "khanal_mse_calibrated": rng.exponential(size=n),
    }


def test_cut_flow(manifest: Manifest) -> None:
    section = sections.cut_flow_section(
        manifest.cutflow, labels={"qcd": "QCD"}, warnings={"qcd": {"jets_without_links": 2}}
    )
    assert section.tables[0].rows[1] == ("jet pt", 40, 50, 40.0, "40 %")
    assert section.tables[-1].rows == (("QCD", "jets without links", 2),)
    assert section.numbers["w"]["cutflow"][0]["n_jets"] == 200
    assert len(drawn(section)) == 1


def test_cut_flow_says_how_jets_were_read(datasets: dict[str, DatasetSummary]) -> None:
    balance = Balance(counts={-25: 1, 0: 98, 3250: 1})
    qcd = datasets["qcd"].model_copy(update={"balance": balance, "notes": ("read as it is",)})
    section = sections.cut_flow_section(
        {"qcd": (), "w": ()}, labels={"qcd": "QCD"}, datasets=datasets | {"qcd": qcd}
    )
    ratios, notes = section.tables[-2:]
    assert ratios.rows == (("QCD", 100, "1.000", "0.995", "1.000", "raw pt"),)
    assert notes.rows == (("QCD", "read as it is"),)
    assert section.numbers["qcd"]["constituents_over_jet"]["median"] == 1.0
    assert section.numbers["w"]["constituents_over_jet"]["median"] is None
    assert section.numbers["qcd"]["notes"] == ["read as it is"]


def test_cut_flow_of_nothing() -> None:
    assert sections.cut_flow_section({}).pictures == ()


def test_images() -> None:
    section = sections.images_section(
        {"QCD": np.full((32, 32, 1), 1e-3)}, half_width=0.8, n_jets={"QCD": 12}
    )
    assert section.numbers == {"pixels": 32, "half_width": 0.8, "n_jets": {"QCD": 12}}
    assert len(drawn(section)) == 1


def test_training() -> None:
    curves = [LossCurve("fold 0", [3.0, 2.0], [3.5, 2.5], 2), LossCurve("fold 1", [3.0], None)]
    section = sections.training_section({"khanal": curves})
    assert section.tables[0].rows[0] == ("khanal", "fold 0", 2, 2, 2.0, 2.5)
    assert section.tables[0].rows[1] == ("khanal", "fold 1", 1, None, 3.0, None)
    assert section.numbers["khanal"][0]["val_loss"] == [3.5, 2.5]


def test_scores_leave_data_out(datasets: dict[str, DatasetSummary]) -> None:
    table = scores_table()
    section = sections.scores_section(table, ["khanal_mse"], datasets, working_points=(0.1,))
    assert set(section.numbers["khanal_mse"]) == {"<b>QCD</b> & co", "w, merged"}
    assert section.numbers["khanal_mse"]["w, merged"]["n_jets"] == 100
    data = {"qcd": DatasetSummary(kind="data", sumw=1, sumw2=1, n_events=1)}
    assert sections.scores_section(table, ["khanal_mse"], data).pictures == ()


def test_quality(qualities: list[Quality], epochs: list[EpochQuality]) -> None:
    section = sections.quality_section(qualities, epochs, best_epoch=20, labels={"w": "W"})
    assert len(drawn(section)) == 3
    assert section.tables[0].rows[0][:4] == ("khanal_mse", "W, merged", 100, 400)
    assert f"{qualities[0].evaluation.auc.value:.3f}" in str(section.tables[0].rows[0][4])
    assert section.numbers["scores"][0]["auc"]["value"] == qualities[0].evaluation.auc.value


def test_no_quality_without_signal() -> None:
    section = sections.quality_section([])
    assert section.tables == ()
    assert section.pictures == ()


def test_mass_efficiencies(open_hunt: Hunt) -> None:
    edges = open_hunt.working_points[0].edges
    flat, tenth = (
        Histogram(n, edges, np.full(40, c), np.full(40, c)) for n, c in (("a", 10.0), ("b", 1.0))
    )
    half = Histogram("b", edges, np.full(40, 5.0), np.full(40, 5.0))
    section = sections.mass_section(
        open_hunt, window=WINDOW, background=[flat, tenth], signals={"W": [flat, half]}
    )
    row = section.tables[0].rows[1]
    assert row[1:3] == pytest.approx((0.1, 0.5))
    assert row[3] == f"× {0.5 / np.sqrt(0.1):.2f}"
    assert len(drawn(section)) == 2


def test_open_hunt_shows_its_numbers(open_hunt: Hunt) -> None:
    fit, bump_hunt = sections.fit_section(open_hunt), sections.bump_hunt_section(open_hunt)
    assert fit.warnings == ()
    assert len(drawn(fit)) == 2
    assert len(fit.folded) == 2
    assert fit.numbers[1]["observed_in_window"] == open_hunt.tightest.fit.observed  # type: ignore[union-attr]
    assert len(bump_hunt.tables[0].rows) == 2
    assert len(drawn(bump_hunt)) == 3
    assert open_hunt.bump_hunt is not None
    assert {"local_p", "global_p", "window"} <= set(bump_hunt.numbers)
    assert f"{open_hunt.bump_hunt.n_exceeding} of 30" in bump_hunt.paragraphs[1]


def test_a_conditional_hunt_stands_beside_its_cross_check(open_hunt: Hunt) -> None:
    by_function = open_hunt.bump_hunt
    assert by_function is not None
    everything, cut = by_function.channels
    scan = dataclasses.replace(
        by_function,
        channels=(cut,),
        background=CONDITIONAL[0],
        function="",
        not_tested=("all jets",),
    )
    points = tuple(
        dataclasses.replace(point, scan=scan_of, cross_check=check)
        for point, scan_of, check in zip(
            open_hunt.working_points, (None, cut), (everything, cut), strict=True
        )
    )
    hunt = dataclasses.replace(
        open_hunt, bump_hunt=scan, cross_check=by_function, working_points=points
    )
    section = sections.bump_hunt_section(hunt)
    tested, check = section.tables
    assert len(tested.rows) == 1
    assert len(check.rows) == 2
    assert "Cross-check by exppoly2" in check.caption
    assert "does not enter the other global p" in check.caption
    assert "Jets that pass a cut are compared with jets that fail it" in section.paragraphs[0]
    assert any("all jets: not tested" in text for text in section.statements)
    assert section.numbers["cross_check"]["function"] == "exppoly2"
    assert any("cross-check by" in text for text in scores_section(hunt).statements)
    assert len(drawn(section)) == 2


def test_blinded_hunt_shows_nothing_of_the_window(blinded_hunt: Hunt) -> None:
    built = [
        sections.fit_section(blinded_hunt),
        sections.bump_hunt_section(blinded_hunt),
        sections.mass_section(blinded_hunt, window=WINDOW),
    ]
    for section in built:
        assert "54321" not in as_text(section).replace(",", "").replace("\u202f", "")
    assert "blinded" in str(built[0].tables[0].rows[0])
    assert built[1].warnings == (
        "all jets: blinded: not scanned",
        "khanal_mse, 10 % background: blinded: not scanned",
    )
    cards = sections.headline_cards(n_jets=10, hunt=blinded_hunt)
    assert cards[-1].value == "blinded"
    numbers = sections.headline_numbers(n_jets=10, hunt=blinded_hunt)
    assert numbers["local_p"] is None


def test_failed_fit_is_said(open_hunt: Hunt) -> None:
    broken = dataclasses.replace(
        open_hunt.tightest, fit=None, scan=None, problem="no fit: too few bins"
    )
    hunt = dataclasses.replace(
        open_hunt,
        working_points=(*open_hunt.working_points[:1], broken),
        bump_hunt=None,
        problem="no scan: no spectrum could be fitted",
    )
    warning = "khanal_mse, 10 % background: no fit: too few bins"
    assert sections.fit_section(hunt).warnings == (warning,)
    assert sections.bump_hunt_section(hunt).warnings == (warning, hunt.problem)
    assert sections.headline_cards(n_jets=1, hunt=hunt)[-1].tone == "warning"


def test_what_was_accepted_of_the_files_is_said(open_hunt: Hunt) -> None:
    sample = dataclasses.replace(open_hunt.sample, caveats=("qcd: odd",))
    hunt = dataclasses.replace(open_hunt, sample=sample)
    assert "qcd: odd" in sections.bump_hunt_section(hunt).warnings
    assert hunt.to_dict()["caveats"] == ["qcd: odd"]
    summary = DatasetSummary(kind="data", sumw=1, sumw2=1, n_events=1, caveats=("odd",))
    manifest = Manifest(kind="skim", datasets={"qcd": summary})
    section = sections.provenance_section(config={}, manifest=manifest)
    assert section.warnings == ("qcd: odd",)
    assert section.numbers["caveats"] == ["qcd: odd"]


def test_poor_fit_is_said(open_hunt: Hunt) -> None:
    point = open_hunt.tightest
    assert point.fit is not None
    fitted = dataclasses.replace(point.fit.fitted, deviance=500.0)
    poor = dataclasses.replace(point, fit=dataclasses.replace(point.fit, fitted=fitted))
    section = sections.fit_section(dataclasses.replace(open_hunt, working_points=(poor,)))
    assert "does not describe the sidebands" in section.warnings[0]


def test_headline(open_hunt: Hunt, qualities: list[Quality]) -> None:
    cards = sections.headline_cards(n_jets=12345, qualities=qualities, hunt=open_hunt)
    assert cards[0].value == "12\u202f345"
    assert cards[1].value == f"{qualities[0].evaluation.auc.value:.3f}"
    titles = [card.title for card in cards]
    assert titles[-3:] == ["Most improbable window", "Local p", "Global p"]
    numbers = sections.headline_numbers(n_jets=12345, qualities=qualities, hunt=open_hunt)
    scan = open_hunt.bump_hunt
    assert scan is not None
    assert numbers["global_p"] == scan.global_p
    assert numbers["window"] == list(scan.window)


def test_anomalies() -> None:
    jets = most_anomalous(scores_table(), "khanal_mse", n=3)
    image = np.zeros((32, 32, 1))
    image[16, 16] = 1.0
    section = sections.anomalies_section(jets, "khanal_mse", images={1: image, 2: image})
    assert len(section.gallery) == 2
    assert len(section.tables[0].rows) == 3
    assert jets[0].event_id in section.gallery[0].caption
    assert section.numbers["jets"][0]["event"] == jets[0].event


def test_provenance(manifest: Manifest) -> None:
    section = sections.provenance_section(
        config={"hunt": {"window": (65, 100)}}, manifest=manifest, commands=["oddjet run x.yaml"]
    )
    assert "150 planned = 150 processed + 0 failed" in section.tables[0].caption
    assert "window:" in section.blocks[1].text
    assert section.blocks[0].text == "oddjet run x.yaml"
    assert section.numbers["versions"] == {"oddjet": "0.1.0"}


def test_every_section_is_ready_for_json(open_hunt: Hunt, manifest: Manifest) -> None:
    built = [
        sections.fit_section(open_hunt),
        sections.bump_hunt_section(open_hunt),
        sections.mass_section(open_hunt, window=WINDOW),
        sections.cut_flow_section(manifest.cutflow),
        sections.provenance_section(config={}, manifest=manifest),
    ]
    for section in built:
        json.dumps(jsonable(section.numbers), allow_nan=False)
