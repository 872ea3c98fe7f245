from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from oddjet.datasets.skims.manifest import (
    SCHEMA_VERSION,
    ChunkRecord,
    CutStep,
    DatasetSummary,
    FileRecord,
    Manifest,
    MissingChunk,
    merge_cutflows,
    read_manifest,
    write_manifest,
)
from oddjet.errors import ConfigError, SkimError


def chunk(key: str, dataset: str = "qcd", scale: int = 1) -> ChunkRecord:
    steps = tuple(
        CutStep(name=name, n_events=scale * n, n_jets=2 * scale * n, sumw=0.5 * scale * n)
        for name, n in (("all", 10), ("pt", 4))
    )
    return ChunkRecord(
        key=key, dataset=dataset, file="a.root", file_uuid="u", tree="Events", entry_start=0, entry_stop=10,
        n_events=10, n_jets=4, cutflow=steps, sumw=5.0, sumw2=2.5, counts={"jets_without_links": 1},
    )  # fmt: skip


def test_round_trip(tmp_path: Path) -> None:
    manifest = Manifest(
        kind="skim",
        config={"selection": {"pt_min": 200.0}},
        versions={"oddjet": "0.1.0"},
        representation={"name": "JetImage", "version": 1, "pixels": 32},
        files=(FileRecord(path="a.root", uuid="u", size=7, n_entries=10, dataset="qcd"),),
        datasets={"qcd": DatasetSummary(kind="background", sumw=5.0, sumw2=2.5, n_events=10)},
        chunks=(chunk("c0"),),
        cutflow=merge_cutflows([chunk("c0")]),
        planned_entries=10,
        processed_entries=10,
    )
    write_manifest(tmp_path, manifest)
    assert read_manifest(tmp_path) == manifest
    assert [path.name for path in tmp_path.iterdir()] == ["manifest.json"]


def test_missing_manifest_says_the_run_can_be_repeated(tmp_path: Path) -> None:
    with pytest.raises(SkimError, match=r"holds no manifest\.json.*interrupted.*repeat"):
        read_manifest(tmp_path)
    with pytest.raises(SkimError, match="does not exist"):
        read_manifest(tmp_path / "nothing")


def test_what_is_no_folder_is_told_as_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("{}")
    with pytest.raises(SkimError, match="file is a file: expected the folder of a skim"):
        read_manifest(tmp_path / "file")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(SkimError, match="loop is a link that leads nowhere"):
        read_manifest(tmp_path / "loop")


def test_newer_schema_is_refused_before_its_keys_are_looked_at(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(
        json.dumps({"schema_version": SCHEMA_VERSION + 1, "kind": "hologram", "new": 1})
    )
    with pytest.raises(SkimError, match=f"schema_version {SCHEMA_VERSION + 1}.*upgrade"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("content", ["", "{", "\xff"])
def test_damaged_manifest(tmp_path: Path, content: str) -> None:
    (tmp_path / "manifest.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(SkimError, match="not JSON"):
        read_manifest(tmp_path)


def test_unknown_key(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(json.dumps({"kind": "skim", "dataset": {}}))
    with pytest.raises(ConfigError, match="Did you mean 'datasets'"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("version", [0, -1, True, "2", "1", 1.0, None, 1])
def test_a_manifest_without_a_seal_is_refused_unless_of_a_version_without(
    tmp_path: Path, version: object
) -> None:
    part = chunk("c0").model_copy(update={"hashes": {".parquet": "0" * 64}})
    write_manifest(tmp_path, Manifest(kind="skim", chunks=(part,)))
    path = tmp_path / "manifest.json"
    content = json.loads(path.read_text()) | {"schema_version": version, "processed_entries": 7}
    del content["sha256"]
    path.write_text(json.dumps(content))
    with pytest.raises(SkimError, match="has no SHA-256 of what it says"):
        read_manifest(tmp_path)
    content["chunks"][0]["hashes"] = {}
    path.write_text(json.dumps(content))
    if type(version) is int and version == 1:
        assert not read_manifest(tmp_path).has_checksums
    else:
        with pytest.raises(SkimError, match="has no SHA-256 of what it says"):
            read_manifest(tmp_path)


@pytest.mark.parametrize(
    ("hashes", "images"),
    [
        ({"x": "y"}, False),
        ({".parquet": "y"}, False),
        ({".parquet": "0" * 64}, True),
        ({".npy": "0" * 64}, True),
    ],
)
def test_hashes_name_the_files_of_a_part(hashes: dict[str, str], images: bool) -> None:
    content = chunk("c0").model_dump() | {"hashes": hashes, "images": images}
    with pytest.raises(ValidationError, match="hashes"):
        ChunkRecord.model_validate(content)


def test_cutflows_add_up() -> None:
    merged = merge_cutflows([chunk("a"), chunk("b", scale=3), chunk("c", "w")])
    assert merged["qcd"][1] == CutStep(name="pt", n_events=16, n_jets=32, sumw=8.0)
    assert merged["w"] == chunk("c", "w").cutflow
    assert merge_cutflows([]) == {}


def test_different_cuts_do_not_add_up() -> None:
    other = chunk("b").model_copy(
        update={"cutflow": (CutStep(name="eta", n_events=1, n_jets=1, sumw=1.0),)}
    )
    with pytest.raises(SkimError, match="chunk b of qcd has the cuts"):
        merge_cutflows([chunk("a"), other])


def test_nan_is_no_sum_of_weights() -> None:
    with pytest.raises(ValidationError):
        DatasetSummary(kind="data", sumw=float("nan"), sumw2=0.0, n_events=0)


def test_what_is_missing_is_told() -> None:
    def lost(n: int | None) -> MissingChunk:
        start, stop = (None, None) if n is None else (n, n + 10)
        return MissingChunk(
            dataset="a", file="f.root", entry_start=start, entry_stop=stop,
            n_events=None if n is None else 10, error="LinkError", message="an index",
        )  # fmt: skip

    whole = Manifest(kind="skim", planned_entries=50, processed_entries=50)
    assert whole.describe_missing() == ""
    missing = tuple(lost(n) for n in (None, 0, 10, 20))
    manifest = whole.model_copy(
        update={"processed_entries": 20, "failed_entries": 30, "missing": missing}
    )
    assert manifest.describe_missing(shown=2).splitlines() == [
        "missing: 1 file that could not be opened; 30 of 50 entries, in 3 chunks",
        "  a: f.root, all entries: LinkError: an index",
        "  a: f.root, entries [0, 10): LinkError: an index",
        "  and 2 more; the manifest names all",
    ]
    assert manifest.describe_missing(shown=0) == manifest.describe_missing().splitlines()[0]
