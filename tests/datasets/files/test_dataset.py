from __future__ import annotations

from typing import Any

import pytest

from oddjet.datasets.disk.validation import validate
from oddjet.datasets.files.dataset import Dataset, Fileset, Simulate, require_files
from oddjet.errors import ConfigError


def dataset(**fields: Any) -> Dataset:
    return validate(Dataset, {"kind": "background", "files": ["a.root"], **fields}, "here")


def test_list_of_files_gets_the_tree() -> None:
    assert dataset(files=["b.root", "a.root"], tree="T").files == {"b.root": "T", "a.root": "T"}
    assert dataset(files={"a.root": "X"}).files == {"a.root": "X"}


def test_numbers_are_taken_where_words_are_meant() -> None:
    assert dataset(year=2018).year == "2018"
    assert dataset(truth=[24, 23]).truth == (24, 23)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"files": []}, "exactly one of files"),
        ({"das": "/A/B/NANOAODSIM"}, "got files, das"),
        ({"files": ["a.root", "a.root"]}, "given twice: a.root"),
        ({"files": [], "das": "A/B/C"}, "DAS name"),
        ({"cross_section_pb": 0}, "more than 0"),
        ({"cross_section_pb": float("nan")}, "finite"),
        ({"k_factor": -1}, "more than 0"),
        ({"kind": "data", "cross_section_pb": 1.0}, "data cannot have cross_section_pb"),
        ({"kind": "data", "truth": [24]}, "data cannot have truth"),
        ({"truth": [-24]}, "truth.0"),
        ({"kind": "mc"}, "'data', 'background', 'peaking' or 'signal'"),
        ({"crosssection_pb": 1.0}, "Did you mean 'cross_section_pb'"),
    ],
)
def test_what_cannot_be_meant(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        dataset(**fields)


def test_datasets_are_frozen_and_resolved_into_new_ones() -> None:
    planned = dataset(files=[], simulate={"process": "w", "n_events": 10, "seed": 1}, truth=[24])
    assert planned.simulate == Simulate(process="w", n_events=10, seed=1)
    ready = planned.with_files(["w.root"], cross_section_pb=2.0)
    assert (ready.files, ready.simulate, ready.truth) == ({"w.root": "Events"}, None, (24,))
    assert ready.cross_section_pb == 2.0
    with pytest.raises(ConfigError, match="more than 0"):
        planned.with_files(["w.root"], cross_section_pb=-2.0)


@pytest.mark.parametrize(
    "name",
    [
        "../x", "a/b", "/etc", "..", ".", ".a", "a/../b", "a..b", "a b", "a\\b", "a\n", "\na", "a\0", "a\x1b[0m",
        "~", "$HOME", "ü", "\u202ea", "",
    ],
)  # fmt: skip
def test_dataset_names_are_safe(name: str) -> None:
    with pytest.raises(ConfigError, match="expected letters"):
        validate(Fileset, {"datasets": {name: {"files": ["a.root"], "kind": "data"}}}, "here")


def test_only_and_replace() -> None:
    fileset = Fileset(datasets={"a": dataset(), "b": dataset(files=["b.root"])})
    assert list(fileset.only(["b"]).datasets) == ["b"]
    with pytest.raises(ConfigError, match="no dataset 'c'"):
        fileset.only(["c"])
    replaced = fileset.replace("a", dataset(files=["c.root"]))
    assert list(replaced.datasets) == ["a", "b"]
    assert list(replaced.datasets["a"].files) == ["c.root"]
    with pytest.raises(ConfigError, match="dataset name"):
        fileset.replace("../a", dataset())


def test_unresolved_datasets_say_what_to_do(caplog: pytest.LogCaptureFixture) -> None:
    das = Fileset(datasets={"q": dataset(files=[], das="/A/B/NANOAODSIM")})
    with pytest.raises(
        ConfigError, match=r'dasgoclient -query="file dataset=/A/B/NANOAODSIM"[\s\S]*root://'
    ):
        require_files(das)
    simulated = dataset(files=[], simulate={"process": "w", "n_events": 10, "seed": 1})
    with pytest.raises(ConfigError, match="oddjet simulate w"):
        require_files(Fileset(datasets={"w": simulated}))
    require_files(Fileset(datasets={"a": dataset()}, verified=False, note="from memory"))
    assert "from memory" in caplog.text
