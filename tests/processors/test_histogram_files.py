from __future__ import annotations

from pathlib import Path

import awkward as ak
import numpy as np
import pytest
import uproot

from oddjet.analysis.statistics.exchange.histogram_files import read_histogram
from oddjet.datasets.disk.checksums import file_sha256
from oddjet.datasets.skims.manifest import Manifest, write_manifest
from oddjet.errors import InputError
from oddjet.processors.histogram_files import (
    load_histograms,
    save_histograms,
    write_histograms,
)
from oddjet.processors.histograms import Filler, HistogramSettings, Totals, make_histogram
from oddjet.processors.sample import HuntSample

SETTINGS = HistogramSettings(
    mass="mass", n_bins=3, mass_range=(0, 3), pt_edges=(200, 300, 500), working_points=(0.1,),
    hunted=("d_s",), sample=HuntSample("data", None, scales={"a": 1.0}),
)  # fmt: skip


def filled() -> Totals:
    columns = {
        "mass": [0.5, 1.5, 1.5, 5.0, 2.5],
        "pt": [250.0, 250.0, 400.0, 250.0, 600.0],
        "weight": [2.0, -1.0, 3.0, 5.0, 7.0],
        "rank": [0, 0, 0, 0, 0],
        "d_s_calibrated": [0.5, 1.0, 2.5, 1.5, 0.0],
    }
    return Filler(SETTINGS, {"d_s": "d_s_calibrated"}, ("a", "b")).fill(ak.Array(columns), "a")


def test_histograms_survive_json(tmp_path: Path) -> None:
    histograms = {"d_s": filled().histograms["d_s"], "empty": make_histogram(["x"], SETTINGS)}
    save_histograms(tmp_path / "h.json", histograms)
    loaded = load_histograms(tmp_path / "h.json")
    assert loaded == histograms
    assert loaded["d_s"].axes.name == ("dataset", "variation", "working_point", "mass", "pt")
    assert loaded["d_s"].storage_type is histograms["d_s"].storage_type
    np.testing.assert_array_equal(loaded["d_s"].view(flow=True), histograms["d_s"].view(flow=True))
    # growing axes still grow
    loaded["d_s"].fill("new", "up", "all", 1.0, 250.0, weight=1.0)
    assert list(loaded["d_s"].axes[0]) == ["a", "b", "new"]


@pytest.mark.parametrize("text", ["", "[]", '{"a": 3}'])
def test_other_files_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "h.json").write_text(text)
    with pytest.raises(InputError, match="UHI"):
        load_histograms(tmp_path / "h.json")
    with pytest.raises(InputError, match="nowhere"):
        load_histograms(tmp_path / "nowhere.json")


def test_root_holds_spectra_with_their_squared_weights(tmp_path: Path) -> None:
    written = write_histograms(tmp_path, filled(), SETTINGS, {"a": 2.0})
    assert load_histograms(tmp_path / "histograms.json") == written
    with uproot.open(tmp_path / "histograms.root") as file:
        mass = file["d_s/a/nominal/all/mass"]
        np.testing.assert_array_equal(mass.values(flow=True), [0, 4, 4, 14, 10])
        np.testing.assert_array_equal(mass.variances(flow=True), [0, 16, 40, 196, 100])
        np.testing.assert_array_equal(
            file["d_s/a/nominal/0.1/mass_pt"].values(), [[0, 0], [-2, 6], [0, 0]]
        )
        # What is hunted in are numbers of jets, whatever the weights.
        assert file["hunted/all/mass"].values(flow=True).tolist() == [0, 1, 2, 1, 1]
        assert file["hunted/d_s/0.1/mass"].values(flow=True).tolist() == [0, 0, 2, 0, 1]
        patterns = file["hunted/patterns"]
        assert dict(zip(patterns.axis(0).labels(), patterns.values().tolist(), strict=True)) == {
            "10": [1, 0, 1],
            "11": [0, 2, 0],
        }


def test_histograms_say_what_was_accepted_of_the_files(tmp_path: Path) -> None:
    plain = write_histograms(tmp_path / "plain", filled(), SETTINGS)
    written = write_histograms(tmp_path, filled(), SETTINGS, caveats=("a: odd", "b: old"))
    loaded = load_histograms(tmp_path / "histograms.json")
    assert loaded == written == plain
    assert all(h.metadata == {"caveats": ["a: odd", "b: old"]} for h in loaded.values())
    with uproot.open(tmp_path / "histograms.root") as file:
        assert file["caveats"] == "a: odd\nb: old"
    choice = "?dataset=a&variation=nominal&working_point=all&pt=sum"
    for source in (f"histograms.json:d_s{choice}", "histograms.root:d_s/a/nominal/all/mass"):
        assert read_histogram(f"{tmp_path}/{source}").caveats == ("a: odd", "b: old")
        assert read_histogram(f"{tmp_path}/plain/{source}").caveats == ()


def test_a_root_file_of_the_same_histograms_is_kept(tmp_path: Path) -> None:
    """Its bytes differ each time that it is written, by its dates and its uuid."""
    path = tmp_path / "histograms.root"

    def write(settings: HistogramSettings = SETTINGS, scale: float = 2.0) -> str:
        write_histograms(tmp_path, filled(), settings, {"a": scale})
        hashes = {name: file_sha256(tmp_path / name) for name in ("histograms.json", path.name)}
        config = {"histograms": settings.model_dump(mode="json")}
        write_manifest(tmp_path, Manifest(kind="scores", config=config, outputs=hashes))
        return hashes[path.name]

    first = write()
    assert write() == first
    second = write(scale=3.0)
    assert second != first
    content = bytearray(path.read_bytes())
    content[-30] ^= 1
    path.write_bytes(content)
    assert write(scale=3.0) not in (second, file_sha256(tmp_path / "histograms.json"))
    with uproot.open(path) as file:
        np.testing.assert_array_equal(file["d_s/a/nominal/all/mass"].values(), [6, 6, 21])
    path.unlink()
    write(scale=3.0)
    assert path.exists()
    third = write(SETTINGS.model_copy(update={"hunted": ()}), 3.0)
    assert third == write(SETTINGS.model_copy(update={"hunted": ()}), 3.0)
    assert third == file_sha256(path)
