"""Small results of every kind, from toys."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from oddjet.analysis.hunt.hunt import Hunt, WorkingPoint
from oddjet.analysis.scores.quality import EpochQuality, Quality
from oddjet.analysis.statistics.background.fit import fit_sidebands
from oddjet.analysis.statistics.bumphunt.joint import JointTable
from oddjet.analysis.statistics.bumphunt.scan import scan_jointly
from oddjet.analysis.statistics.bumphunt.settings import ScanSettings
from oddjet.analysis.statistics.spectrum import Spectrum
from oddjet.datasets.skims.manifest import CutStep, DatasetSummary, Manifest
from oddjet.ml.evaluation.roc import evaluate, roc_curve
from oddjet.processors.sample import HuntSample

EDGES = np.linspace(40, 240, 41)
WINDOW = (65.0, 100.0)
SCORE = "khanal_mse"


def make_hunt(*, blinded: bool) -> Hunt:
    """A hunt at two working points; its window holds 54321 jets a bin where it is blinded."""
    rng = np.random.default_rng(1)
    mass = 40 + rng.exponential(40, 25_000)
    mass = mass[mass < 240]
    passes = np.stack([np.ones(mass.size, bool), rng.random(mass.size) < 0.1], axis=1)
    points = []
    for column, efficiency, passed in (("", 1.0, passes[:, 0]), (SCORE, 0.1, passes[:, 1])):
        counts = np.histogram(mass[passed], EDGES)[0].astype(float)
        if blinded:
            counts[5:12] = 54321
        fit = fit_sidebands(
            Spectrum(EDGES, counts, blind_window=WINDOW if blinded else None), window=WINDOW
        )
        problem = "blinded: not scanned" if blinded else ""
        points.append(WorkingPoint(column, efficiency, EDGES, fit.counts, fit, None, problem))
    result = None
    if not blinded:
        labels = [point.name for point in points]
        bins = np.searchsorted(EDGES, mass, side="right")[:, None] == np.arange(1, EDGES.size)
        jets = JointTable(tuple(labels), EDGES, passes.T, bins.astype(float))
        table = jets.select(range(len(labels))).checked()
        result = scan_jointly(table, ScanSettings(n_toys=30, seed=1, function="exppoly2"))
        points = [
            dataclasses.replace(point, scan=channel)
            for point, channel in zip(points, result.channels, strict=True)
        ]
    sample = HuntSample("data" if blinded else "pseudo-data", 0.004)
    problem = "blinded: not scanned" if blinded else ""
    return Hunt((SCORE,), "msoftdrop", sample, blinded, tuple(points), result, problem)


@pytest.fixture
def open_hunt() -> Hunt:
    """A hunt in pseudo-data."""
    return make_hunt(blinded=False)


@pytest.fixture
def blinded_hunt() -> Hunt:
    """A hunt in data with the window shut."""
    return make_hunt(blinded=True)


@pytest.fixture
def datasets() -> dict[str, DatasetSummary]:
    """QCD with a name that must be escaped, and a signal."""
    return {
        "qcd": DatasetSummary(
            kind="background", label="<b>QCD</b> & co", sumw=100, sumw2=100, n_events=100
        ),
        "w": DatasetSummary(kind="signal", sumw=50, sumw2=50, n_events=50),
    }


@pytest.fixture
def manifest(datasets: dict[str, DatasetSummary]) -> Manifest:
    """A skim's manifest with a cut flow."""
    steps = (
        CutStep(name="all_events", n_events=100, n_jets=200, sumw=100.0),
        CutStep(name="jet_pt", n_events=40, n_jets=50, sumw=40.0),
    )
    return Manifest(
        kind="skim",
        versions={"oddjet": "0.1.0"},
        datasets=datasets,
        cutflow={"qcd": steps, "w": steps},
        planned_entries=150,
        processed_entries=150,
    )


@pytest.fixture
def qualities() -> list[Quality]:
    """Two scores of 100 signal and 400 background jets."""
    rng = np.random.default_rng(2)
    truth = np.arange(500) < 100
    scores = {
        name: rng.normal(truth * shift) for name, shift in (("khanal_mse", 1.5), ("x_y", 0.5))
    }
    return [
        Quality(row.score, "w", "merged", row, roc_curve(scores[row.score], truth))
        for row in evaluate(scores, truth, replicas=10)
    ]


@pytest.fixture
def epochs(qualities: list[Quality]) -> list[EpochQuality]:
    """The same curve at two epochs."""
    area = qualities[0].evaluation.auc
    return [EpochQuality("mse", {10: qualities[0].roc, 20: qualities[1].roc}, {10: area, 20: area})]
