"""What the second processor fills, what the hunt reads, and what NumPy counts in the scores table."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
import uproot

from oddjet.analysis.config import HuntConfig, PseudoData
from oddjet.analysis.hunt.histogram import hunt_file
from oddjet.analysis.hunt.hunt import hunt
from oddjet.analysis.hunt.spectra import fill_spectra, read_histograms
from oddjet.analysis.scores.sample import (
    HuntSample,
    choose_sample,
    dataset_scales,
    histogram_settings,
)
from oddjet.analysis.statistics.bumphunt.settings import ScanSettings
from oddjet.condor import open_executor
from oddjet.datasets.folds import event_hash
from oddjet.datasets.jets import Jets, concatenate
from oddjet.datasets.skims.manifest import (
    ChunkRecord,
    DatasetSummary,
    Manifest,
    read_manifest,
    write_manifest,
)
from oddjet.datasets.skims.parts import write_part
from oddjet.datasets.skims.skim import open_skim
from oddjet.errors import ConfigError, InputError
from oddjet.ml.folds import FoldedDetector
from oddjet.processors.histogram_files import load_histograms
from oddjet.processors.pseudodata import uniform_of
from oddjet.processors.run import run_anomaly
from oddjet.processors.scores import open_scores

SETTINGS = HuntConfig(
    range=(50, 250), bin_width=5, window=(66, 104), working_points=(0.3, 0.1), n_toys=100,
    widths=(2, 4), function="exppoly2", pt_edges=(200, 400, 1000),
)  # fmt: skip
SCORES = ("d_eta", "d_phi")
LUMI_IFB = 2.0
N_EVENTS = {"qcd": 6000, "w": 900, "run": 4000}
PLUGIN = """
from pathlib import Path

import numpy as np

from oddjet.ml.detectors.base import Detector
from oddjet.ml.representations.jet_image import JetImage


class Direction(Detector):
    score_names = ("eta", "phi")
    min_jets = 1

    def __init__(self, *, representation=None):
        self.representation = representation or JetImage(pixels=8)

    def _fit(self, jets, *, validation, seed, progress):
        pass

    def _scores(self, jets):
        return {name: np.abs(np.asarray(jets[name], np.float64)) for name in self.score_names}

    def _save(self, folder: Path):
        pass

    def _load(self, folder: Path):
        pass
"""


def jets_of(dataset: str, n_events: int, first_event: int, rng: np.random.Generator) -> Jets:
    """Two jets an event, in files of their own."""
    n = 2 * n_events
    events = first_event + np.arange(n, dtype=np.uint64) // 2
    weights = rng.uniform(0.5, 1.0, n_events)
    columns = {
        "dataset": np.repeat(dataset, n),
        "file_id": np.repeat("file", n),
        "run": np.ones(n, np.uint32),
        "luminosityBlock": np.ones(n, np.uint32),
        "event": events,
        "entry": events.astype(np.int64),
        "jet_index": (np.arange(n) % 2).astype(np.int16),
        "rank": (np.arange(n) % 2).astype(np.int16),
        "pt": rng.uniform(150, 1200, n),
        "eta": rng.normal(size=n),
        "phi": rng.uniform(-np.pi, np.pi, n),
        "mass": 40 + rng.exponential(60, n),
        "msoftdrop": 40 + rng.exponential(60, n),
        "weight": np.ones(n) if dataset == "run" else np.repeat(weights, 2),
        "label": np.full(n, -1 if dataset == "run" else 0, np.int8),
    }
    return ak.zip(columns, depth_limit=1)


def make_skim(folder: Path, names: tuple[str, ...]) -> Path:
    """A skim of three parts a dataset, with whole events."""
    rng = np.random.default_rng(5)
    records, datasets = [], {}
    for name in names:
        size = N_EVENTS[name] // 3
        for part in range(3):
            record = ChunkRecord(
                key=f"{len(records):064x}", dataset=name, file="f.root", file_uuid="file",
                tree="Events", entry_start=part * size, entry_stop=(part + 1) * size,
                n_events=size, n_jets=2 * size, cutflow=(), sumw=float(size), sumw2=1.0, counts={},
                seconds=0.0,
            )  # fmt: skip
            jets = jets_of(name, size, part * size, rng)
            records.append(write_part(folder, name, record.key, jets, images=None, record=record))
        kind: Any = {"qcd": "background", "w": "signal", "run": "data"}[name]
        known = {} if kind == "data" else {"cross_section_pb": {"qcd": 2.2, "w": 0.2}[name]}
        n = N_EVENTS[name]
        datasets[name] = DatasetSummary(
            kind=kind, sumw=n, sumw2=n, n_events=n, sumw_runs=n, **known
        )
    write_manifest(folder, Manifest(kind="skim", datasets=datasets, chunks=tuple(records)))
    return folder


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("package")
    (folder / "directions.py").write_text(PLUGIN)
    rng = np.random.default_rng(1)
    jets = concatenate([jets_of("qcd", 600, 10**6, rng)])
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        FoldedDetector.fit(jets, detector=("directions:Direction", {}), k=3, seed=1).save(
            folder / "model"
        )
        yield folder / "model"
    sys.modules.pop("directions", None)


def score(skim_folder: Path, detector: Path, output: Path, sample: HuntSample) -> Any:
    skim = open_skim(skim_folder)
    scales = dataset_scales(skim.manifest.datasets, LUMI_IFB)
    with open_executor() as executor:
        return run_anomaly(
            skim,
            detectors={"d": detector},
            output=output,
            executor=executor,
            histograms=histogram_settings(SETTINGS, SCORES, sample),
            scales=scales,
        )


@pytest.fixture(scope="module", params=["data", "pseudo-data"])
def scored(
    request: pytest.FixtureRequest, detector: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, HuntSample]:
    folder = tmp_path_factory.mktemp(request.param)
    names = ("qcd", "w") if request.param == "pseudo-data" else ("qcd", "run")
    make_skim(folder / "skim", names)
    drawn = PseudoData(lumi_ifb=LUMI_IFB, seed=7) if request.param == "pseudo-data" else None
    sample = choose_sample(open_skim(folder / "skim").manifest.datasets, pseudo_data=drawn)
    score(folder / "skim", detector, folder / "scores", sample)
    return folder / "scores", sample


def hunted_by_hand(table: dict[str, Any], sample: HuntSample) -> Any:
    """Leading jets of data, or of the events whose number is below their expectation."""
    leading = table["rank"] == 0
    if sample.kind == "data":
        return leading & (table["dataset"] == "run")
    hashes = event_hash(table["run"], table["luminosityBlock"], table["event"])
    kept = np.zeros(leading.size, bool)
    for name, n_events, sigma_pb in (("qcd", 6000, 2.2), ("w", 900, 0.2)):
        rows = table["dataset"] == name
        expected = table["weight"][rows] * (sigma_pb * LUMI_IFB * 1000 / n_events)
        kept[rows] = uniform_of(hashes[rows], name, 7) < expected
    return kept & leading


def cuts_by_hand(table: dict[str, Any]) -> dict[tuple[str, float], Any]:
    cuts = {("", 1.0): np.ones(len(table["rank"]), bool)}
    for name in SCORES:
        for efficiency in (0.3, 0.1):
            cuts[name, efficiency] = table[f"{name}_calibrated"] >= -np.log10(efficiency)
    return cuts


EDGES = np.linspace(50, 250, 41)
HIDDEN = (EDGES[:-1] >= 65) & (EDGES[1:] <= 105)


def test_histograms_of_scores_are_those_counted_by_hand(scored: tuple[Path, HuntSample]) -> None:
    folder, _ = scored
    scores = open_scores(folder)
    table = scores.columns()
    scales = dataset_scales(scores.manifest.datasets, LUMI_IFB)
    histograms = load_histograms(folder / "histograms.json")
    edges = (EDGES, np.array(SETTINGS.pt_edges))
    compared = 0
    with uproot.open(folder / "histograms.root") as file:
        for (name, efficiency), passed in cuts_by_hand(table).items():
            for dataset, scale in scales.items():
                rows = passed & (table["dataset"] == dataset) & (table["rank"] == 0)
                mass, pt, weight = (table[c][rows] for c in ("msoftdrop", "pt", "weight"))
                point = f"{efficiency:g}" if name else "all"
                spectrum: Any = histograms[name or "d_eta"][dataset, "nominal", point, :, :]
                at = f"{name or 'd_eta'}/{dataset}/nominal/{point}"
                for power, kind in ((1, "values"), (2, "variances")):
                    by_hand = np.histogram2d(mass, pt, edges, weights=(weight * scale) ** power)[0]
                    np.testing.assert_allclose(getattr(spectrum, kind)(), by_hand, rtol=1e-12)
                    in_file = getattr(file[f"{at}/mass_pt"], kind)()
                    np.testing.assert_allclose(in_file, by_hand, rtol=1e-12)
                    by_mass = np.histogram(mass, EDGES, weights=(weight * scale) ** power)[0]
                    in_file = getattr(file[f"{at}/mass"], kind)()
                    np.testing.assert_allclose(in_file, by_mass, rtol=1e-12)
                compared += int(by_hand.sum() > 0)
        axis = file["d_eta/qcd/nominal/all/mass_pt"].axis(0)
        assert axis.member("fTitle") == "msoftdrop [GeV]"
    assert compared == 10


@pytest.mark.parametrize("unblind", [False, True])
def test_what_is_hunted_in_is_what_was_counted_by_hand(
    scored: tuple[Path, HuntSample], *, unblind: bool
) -> None:
    folder, sample = scored
    table = open_scores(folder).columns()
    used = hunted_by_hand(table, sample)
    assert used.sum() > 1000
    wanted = histogram_settings(SETTINGS, SCORES, sample)
    spectra = read_histograms(folder, wanted).hunted(wanted)
    result = hunt(spectra, SETTINGS, unblind=unblind)
    assert result.blinded == (sample.kind == "data" and not unblind)
    cuts = cuts_by_hand(table)
    assert [(p.column, p.efficiency) for p in result.working_points] == list(cuts)
    for point, counts, passed in zip(
        result.working_points, spectra.joint.spectra, cuts.values(), strict=True
    ):
        by_hand = np.histogram(table["msoftdrop"][used & passed], EDGES)[0]
        np.testing.assert_array_equal(counts, by_hand)
        # Every bin that overlaps the window is hidden, also where the window cuts a bin in two.
        seen = np.where(HIDDEN & result.blinded, np.nan, by_hand)
        np.testing.assert_array_equal(point.counts, seen)
    # Jets are sorted by all cuts together, each into one pattern.
    inside = np.stack(list(cuts.values()), axis=1)[used]
    patterns = load_histograms(folder / "histograms.json")["hunted"][::sum, :, :]
    for pattern in patterns.axes["pattern"]:  # type: ignore[union-attr]
        rows = (inside == [bit == "1" for bit in pattern]).all(axis=1)
        by_hand = np.histogram(table["msoftdrop"][used][rows], EDGES)[0]
        np.testing.assert_array_equal(patterns[pattern, :].values(), by_hand)  # type: ignore[index, union-attr]
    # In memory it is the same code and the same jets, row by row.
    np.testing.assert_array_equal(sample.rows(table) & (table["rank"] == 0), used)
    filled = fill_spectra(table, SCORES, sample, SETTINGS)
    np.testing.assert_array_equal(filled.joint.counts, spectra.joint.counts)
    np.testing.assert_array_equal(filled.joint.members, spectra.joint.members)


def test_a_changed_file_changes_the_hunt(
    scored: tuple[Path, HuntSample], caplog: pytest.LogCaptureFixture
) -> None:
    folder, sample = scored
    manifest = read_manifest(folder)
    wanted = histogram_settings(SETTINGS, SCORES, sample)
    stored = read_histograms(folder, wanted).hunted(wanted)
    before = hunt(stored, SETTINGS)
    path = folder / "histograms.json"
    text = path.read_text()
    content = json.loads(text)
    table = content["hunted"]
    place = [axis["metadata"]["name"] for axis in table["axes"]].index("pattern")
    everywhere = table["axes"][place]["categories"].index("11111")
    values = np.array(table["storage"]["values"])
    values[0, everywhere, 1 + 30] += 7  # after the underflow
    table["storage"]["values"] = values.tolist()
    try:
        path.write_text(json.dumps(content))
        # Not what was written: the table is what counts, and somebody is told.
        filled = read_histograms(folder, wanted).hunted(wanted)
        np.testing.assert_array_equal(filled.joint.spectra, stored.joint.spectra)
        assert "histograms.json is not the file that was written" in caplog.text
        outputs = manifest.outputs | {path.name: hashlib.sha256(path.read_bytes()).hexdigest()}
        write_manifest(folder, manifest.model_copy(update={"outputs": outputs}))
        after = hunt(read_histograms(folder, wanted).hunted(wanted), SETTINGS)
    finally:
        path.write_text(text)
        write_manifest(folder, manifest)
    for one, other in zip(before.working_points, after.working_points, strict=True):
        difference = other.counts - one.counts
        assert difference[30] == 7
        assert np.nansum(difference) == 7
        assert one.fit is not None
        assert other.fit is not None
        assert (one.fit.expected != other.fit.expected).all()


def test_fewer_scores_and_cuts_are_read_and_other_bins_are_filled(
    scored: tuple[Path, HuntSample], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, sample = scored
    table = open_scores(folder).columns()
    used = hunted_by_hand(table, sample)
    coarse = SETTINGS.model_copy(update={"bin_width": 10.0})
    for settings, scores in ((coarse, SCORES), (SETTINGS, ("d_phi",))):
        if settings is SETTINGS:
            monkeypatch.setattr("oddjet.analysis.hunt.spectra.add_up", pytest.fail)
        wanted = histogram_settings(settings, scores, sample)
        spectra = read_histograms(folder, wanted).hunted(wanted)
        again = fill_spectra(table, scores, sample, settings)
        np.testing.assert_array_equal(spectra.joint.counts, again.joint.counts)
        edges = np.linspace(50, 250, settings.n_bins + 1)
        by_hand = np.histogram(table["msoftdrop"][used], edges)[0]
        np.testing.assert_array_equal(spectra.joint.spectra[0], by_hand)


def test_root_files_are_hunted_in_as_they_are(scored: tuple[Path, HuntSample]) -> None:
    folder, sample = scored
    table = open_scores(folder).columns()
    used = hunted_by_hand(table, sample) & (table["d_eta_calibrated"] >= -np.log10(0.3))
    source = f"{folder / 'histograms.root'}:hunted/d_eta/0.3/mass"
    result = hunt_file(source, ScanSettings(function="exppoly2", n_toys=50))
    by_hand = np.histogram(table["msoftdrop"][used], EDGES)[0]
    np.testing.assert_array_equal(result.spectrum.counts, by_hand)
    with uproot.open(folder / "histograms.root") as file:
        patterns = file["hunted/patterns"]
        assert "11111" in patterns.axis(0).labels()


def test_a_luminosity_that_is_too_large_is_refused_when_all_parts_are_known(
    detector: Path, tmp_path: Path
) -> None:
    make_skim(tmp_path / "skim", ("qcd", "w"))
    datasets = open_skim(tmp_path / "skim").manifest.datasets
    sample = choose_sample(datasets, pseudo_data=PseudoData(lumi_ifb=4.0))
    message = r"too large for the simulated statistics: \d+ of 13800 rows .* draw at most 2\.7"
    with pytest.raises(ConfigError, match=message):
        score(tmp_path / "skim", detector, tmp_path / "scores", sample)
    # The scores can be used for another luminosity, and are refused again for this one.
    assert "hunted" not in load_histograms(tmp_path / "scores" / "histograms.json")
    with pytest.raises(ConfigError, match=message):
        read_histograms(tmp_path / "scores", histogram_settings(SETTINGS, SCORES, sample))
    with pytest.raises(ConfigError, match=message):
        sample.rows(open_scores(tmp_path / "scores").columns())
    fine = choose_sample(datasets, pseudo_data=PseudoData(lumi_ifb=1.0))
    wanted = histogram_settings(SETTINGS, SCORES, fine)
    assert read_histograms(tmp_path / "scores", wanted).hunted(wanted).joint.counts.sum() > 500


def test_a_score_that_does_not_exist_is_named(scored: tuple[Path, HuntSample]) -> None:
    folder, sample = scored
    with pytest.raises(InputError, match=r"no score 'd_et' to cut on\..*d_eta"):
        read_histograms(folder, histogram_settings(SETTINGS, ("d_et",), sample))
