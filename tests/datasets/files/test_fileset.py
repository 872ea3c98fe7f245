from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import uproot
from coffea import processor
from coffea.dataset_tools.filespec import DataGroupSpec
from coffea.nanoevents import schemas

from oddjet.datasets.files.fileset import check_fileset, load_fileset, to_coffea
from oddjet.errors import BadFileError, ConfigError, DuplicateFileError


def write_files(folder: Path, *names: str) -> list[str]:
    paths = []
    for index, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with uproot.recreate(path) as file:
            file["Events"] = {"x": np.arange(3 + index)}
        paths.append(str(path))
    return paths


def write_yaml(folder: Path, text: str) -> Path:
    path = folder / "fileset.yaml"
    path.write_text(text)
    return path


def test_yaml_paths_are_relative_to_its_folder(tmp_path: Path) -> None:
    a, b, c = write_files(tmp_path, "qcd/b.root", "qcd/a.root", "w.root")
    path = write_yaml(
        tmp_path,
        """
        datasets:
          qcd: {files: [qcd/*.root], kind: background, cross_section_pb: 1e3, year: 2018}
          w: {files: {w.root: Events}, kind: signal, truth: [24]}
        """,
    )
    fileset = load_fileset(path)
    assert list(fileset.datasets["qcd"].files) == [b, a]
    assert fileset.datasets["qcd"].cross_section_pb == 1000.0
    assert fileset.datasets["w"].files == {c: "Events"}
    assert load_fileset([path]) == fileset


def test_folder_pattern_file_and_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = write_files(tmp_path, "sub/qcd/1.root", "sub/qcd/deep/2.root")
    assert {
        n: list(d.files) for n, d in load_fileset(tmp_path / "sub" / "qcd").datasets.items()
    } == {"qcd": files}
    assert list(load_fileset(f"{tmp_path}/sub/**/*.root").datasets["files"].files) == files
    assert list(load_fileset(files[1]).datasets["files"].files) == files[1:]
    assert load_fileset(files, kind="data").datasets["files"].kind == "data"
    monkeypatch.chdir(tmp_path / "sub")
    assert list(load_fileset("qcd/1.root").datasets["files"].files) == files[:1]
    url = "root://host//store/a.root"
    assert list(load_fileset(url).datasets["files"].files) == [url]


def test_names_with_pattern_signs_that_exist(tmp_path: Path) -> None:
    (path,) = write_files(tmp_path, "a[1].root")
    assert list(load_fileset(path).datasets["files"].files) == [path]


def test_coffea_form(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (a, b) = write_files(tmp_path, "a.root", "b.root")
    content: dict[str, Any] = {
        "qcd": {
            "files": {
                "a.root": {"object_path": "Events", "steps": [[0, 2], [2, 3]], "num_entries": 3}
            },
            "metadata": {"cross_section_pb": 2.0, "kfactor": 3},
        },
        "w": {"files": {"b.root": "Events"}, "metadata": {"kind": "signal", "year": "2018"}},
    }
    path = tmp_path / "f.json"
    path.write_text(json.dumps(content))
    fileset = load_fileset(path)
    assert fileset.datasets["qcd"].files == {a: "Events"}
    assert (fileset.datasets["qcd"].kind, fileset.datasets["w"].kind) == ("background", "signal")
    assert fileset.datasets["qcd"].cross_section_pb == 2.0
    assert "metadata 'kfactor' is not used. Did you mean 'k_factor'?" in caplog.text
    path.write_text(json.dumps({"qcd": ["a.root"], "w": ["b.root"]}))
    assert [list(d.files) for d in load_fileset(path, kind="signal").datasets.values()] == [
        [a],
        [b],
    ]


@pytest.mark.parametrize("name", ["f.json", "f.json.gz"])
def test_what_coffea_itself_writes(tmp_path: Path, name: str) -> None:
    (a, b) = write_files(tmp_path, "a.root", "b.root")
    steps = [[0, 2], [2, 3]]
    spec = DataGroupSpec(
        {
            "qcd": {
                "files": {
                    "a.root": {
                        "object_path": "Events", "steps": steps, "num_entries": 3, "uuid": "abc"
                    }
                },
                "metadata": {"year": "2022"},
                "format": "root",
            },
            "w": {"files": {"b.root": "Events"}, "metadata": {"kind": "signal"}},
        }
    )  # fmt: skip
    content = spec.model_dump_json().encode()
    path = tmp_path / name
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    for fileset in (load_fileset(path), load_fileset([path])):
        qcd, w = fileset.datasets.values()
        assert (qcd.files, w.files) == ({a: "Events"}, {b: "Events"})
        assert (qcd.year, qcd.kind, w.kind) == ("2022", "background", "signal")


@pytest.mark.parametrize("name", ["coffea_datagroupspec_plain.json", "coffea_preprocessed.json.gz"])
def test_reported_filesets_of_coffea(cases: Path, name: str) -> None:
    fileset = load_fileset(cases / name)
    assert fileset.datasets["qcd"].files == {str(cases / "mc_good.root"): "Events"}
    assert fileset.datasets["qcd"].year == "2022"
    (file,) = check_fileset(fileset).values()
    assert file.n_entries == 60


def test_other_formats_of_coffea_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "f.json"
    path.write_text(json.dumps({"q": {"files": {"a.parquet": None}, "format": "parquet"}}))
    with pytest.raises(ConfigError, match="q: its files are of the format 'parquet'; ROOT files"):
        load_fileset(path)


def test_a_file_that_is_not_compressed_says_so(tmp_path: Path) -> None:
    path = tmp_path / "f.json.gz"
    path.write_text("{}")
    with pytest.raises(ConfigError, match=r"cannot read .*gzip"):
        load_fileset(path)


def test_urls_keep_their_queries() -> None:
    urls = ["root://h//a.root?token=x&y=[1]", "https://[::1]:80/b.root?sig=a*b"]
    assert list(load_fileset(urls).datasets["files"].files) == urls
    dataset = (
        load_fileset(urls[0]).datasets["files"].model_copy(update={"redirectors": ("root://r/",)})
    )
    assert dataset.places(urls[0]) == (urls[0], "root://r//a.root?token=x&y=[1]")


def test_names_with_colons(tmp_path: Path) -> None:
    (path,) = write_files(tmp_path, "plain.root")
    odd = tmp_path / "run:1" / "a:b.root"
    odd.parent.mkdir()
    shutil.move(path, odd)
    for source in (odd, odd.parent, f"{odd.parent}/*.root"):
        (file,) = check_fileset(load_fileset([source])).values()
        assert (file.path, file.n_entries) == (str(odd), 3)


@pytest.mark.parametrize("steps", [[[1, 3]], [[0, 1], [2, 3]], [[0, 2]]])
def test_coffea_steps_that_leave_out_entries(tmp_path: Path, steps: list[list[int]]) -> None:
    tree = {"object_path": "Events", "steps": steps, "num_entries": 3}
    path = tmp_path / "f.json"
    path.write_text(json.dumps({"qcd": {"files": {"a.root": tree}}}))
    with pytest.raises(ConfigError, match="steps leave out entries"):
        load_fileset(path)


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"steps": [[0, 2]]}, "expected entries 2, and the file has 3"),
        ({"steps": [[0, 2]], "num_entries": 2}, "expected entries 2, and the file has 3"),
        ({"num_entries": 4}, "expected entries 4, and the file has 3"),
        (
            {"uuid": "c42247d6-ea59-11f1-b913-02fc00000001"},
            "expected uuid c42247d6-ea59-11f1-b913-02fc00000001, and the file has ",
        ),
        ({"steps": [[0, 3]]}, None),
        ({"num_entries": 3, "steps": None}, None),
    ],
)
def test_files_are_what_coffeas_preprocessing_saw(
    tmp_path: Path, told: dict[str, Any], expected: str | None
) -> None:
    write_files(tmp_path, "a.root")
    path = tmp_path / "f.json"
    path.write_text(json.dumps({"qcd": {"files": {"a.root": {"object_path": "Events", **told}}}}))
    fileset = load_fileset(path)
    if expected is None:
        (file,) = check_fileset(fileset).values()
        assert file.n_entries == 3
        return
    with pytest.raises(BadFileError, match=expected):
        check_fileset(fileset)


def test_round_trip_through_coffeas_form(tmp_path: Path) -> None:
    (a,) = write_files(tmp_path, "a.root")
    path = write_yaml(
        tmp_path, "datasets: {w: {files: [a.root], kind: signal, truth: [24], k_factor: 1.5}}"
    )
    plain = to_coffea(load_fileset(path))
    assert plain == {
        "w": {
            "files": {a: "Events"},
            "metadata": {
                "kind": "signal", "cross_section_pb": None, "k_factor": 1.5, "year": None, "label": None,
                "truth": [24],
            },
        }
    }  # fmt: skip
    (tmp_path / "f.json").write_text(json.dumps(plain))
    assert load_fileset(tmp_path / "f.json") == load_fileset(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "datasets: {q: {files: [none*.root], kind: data}}",
            r"pattern matches no file; looked for .*none\*",
        ),
        (
            "datasets: {q: {files: [$D/*.root], kind: data}}",
            "environment variables and ~ are not expanded",
        ),
        ("datasets: {q: {files: [empty], kind: data}}", r"folder has no \.root file"),
        ("datasets: {q: {files: ['root://h//a*.root'], kind: data}}", "not expanded in URLs"),
        (
            "datasets: {q: {files: ['*.root', a.root], kind: data}}",
            "listed twice or matched by two",
        ),
        ("datasets: {q: {fils: [a.root], kind: data}}", "Did you mean 'files'"),
        ("datasets: {../q: {files: [a.root], kind: data}}", "expected letters"),
        (
            "datasets: {q: {files: [a.root], kind: data}, q: {files: [b.root], kind: data}}",
            "'q' is there twice",
        ),
        ("dataset: {q: {files: [a.root], kind: data}}", "Did you mean 'datasets'"),
        ("datasets: {q: 7}", "datasets.q"),
        ("datasets: {}", "datasets"),
        ("[1, 2]", "expected datasets by name"),
        ("a: [", "while parsing"),
    ],
)
def test_what_cannot_be_meant(tmp_path: Path, text: str, message: str) -> None:
    write_files(tmp_path, "a.root", "b.root")
    (tmp_path / "empty").mkdir()
    path = write_yaml(tmp_path, text)
    with pytest.raises(ConfigError, match=message) as caught:
        load_fileset(path)
    assert "fileset.yaml" in str(caught.value)


def test_nothing_at_all(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="empty list"):
        load_fileset([])
    with pytest.raises(ConfigError, match="cannot read"):
        load_fileset(tmp_path / "none.yaml")
    folder = tmp_path / "with space"
    write_files(folder, "a.root")
    with pytest.raises(ConfigError, match="expected letters"):
        load_fileset(folder)


def test_lists_of_filesets_must_not_share_names(tmp_path: Path) -> None:
    (a, b) = write_files(tmp_path, "a.root", "b.root")
    for name, file in (("1", a), ("2", b)):
        (tmp_path / f"{name}.yaml").write_text(f"datasets: {{q: {{files: [{file}], kind: data}}}}")
    with pytest.raises(ConfigError, match="dataset q is in more than one"):
        load_fileset([tmp_path / "1.yaml", tmp_path / "2.yaml"])
    assert set(load_fileset([tmp_path / "1.yaml", b]).datasets) == {"q", "files"}


def test_same_path_in_two_datasets_or_through_a_link(tmp_path: Path) -> None:
    write_files(tmp_path, "a.root")
    text = "datasets: {{q: {{files: [a.root], kind: data}}, r: {{files: [{}], kind: data}}}}"
    (tmp_path / "link.root").symlink_to(tmp_path / "a.root")
    for again in ("a.root", "./x/../a.root", "link.root"):
        with pytest.raises(
            DuplicateFileError, match=r"\(dataset r\) and .*\(dataset q\) are the same file"
        ):
            load_fileset(write_yaml(tmp_path, text.format(again)))


def test_renamed_copy_is_refused_by_uuid(tmp_path: Path) -> None:
    (a,) = write_files(tmp_path, "a.root")
    shutil.copy(a, tmp_path / "copy.root")
    fileset = load_fileset(tmp_path)
    with pytest.raises(DuplicateFileError, match=r"copy\.root.*a\.root .*are the same file \(uuid"):
        check_fileset(fileset)


def test_check_opens_every_file(tmp_path: Path) -> None:
    a, b = write_files(tmp_path, "a.root", "b.root")
    files = check_fileset(load_fileset(tmp_path))
    assert {path: file.n_entries for path, file in files.items()} == {a: 3, b: 4}
    with pytest.raises(BadFileError, match=r"c\.root does not exist"):
        check_fileset(load_fileset([a, str(tmp_path / "c.root")]))
    Path(b).write_bytes(Path(b).read_bytes()[:-1])
    with pytest.raises(BadFileError, match=r"b\.root is truncated"):
        check_fileset(load_fileset(tmp_path))


def test_runner_takes_the_plain_form(tmp_path: Path) -> None:
    write_files(tmp_path, "a.root", "b.root")

    class Count(processor.ProcessorABC):  # type: ignore[misc]
        def process(self, events: Any) -> dict[str, Any]:
            return {events.metadata["kind"]: len(events)}

        def postprocess(self, accumulator: Any) -> Any:
            return accumulator

    runner = processor.Runner(processor.IterativeExecutor(status=False), schema=schemas.BaseSchema)
    assert runner(to_coffea(load_fileset(f"{tmp_path}/*.root")), Count(), treename="Events") == {
        "background": 7
    }


def test_yaml_cannot_name_a_missing_file_without_notice(tmp_path: Path) -> None:
    fileset = load_fileset(write_yaml(tmp_path, "datasets: {q: {files: [a.root], kind: data}}"))
    with pytest.raises(BadFileError, match=r"a\.root does not exist"):
        check_fileset(fileset)


def test_links_in_a_circle_are_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "a.root").symlink_to("a.root")
    assert set(load_fileset(str(tmp_path / "a.root")).datasets["files"].files) == {
        str(tmp_path / "a.root")
    }
