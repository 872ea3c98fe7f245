from __future__ import annotations

import time
from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict

from oddjet.datasets.disk.validation import is_safe_name, read_config, require_safe_name, validate
from oddjet.errors import ConfigError


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")
    threshold: float
    names: list[str] = []


class Outer(BaseModel):
    model_config = ConfigDict(extra="forbid")
    lumi_ifb: float = 1.0
    inner: Inner | None = None
    by_name: dict[str, Inner] = {}
    listed: tuple[Inner, ...] = ()


def problems(data: object) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        validate(Outer, data, "a.yaml")
    return str(caught.value).splitlines()


def test_valid_data_is_the_model() -> None:
    model = validate(
        Outer, {"inner": {"threshold": 2}, "by_name": {"x": {"threshold": 3}}}, "a.yaml"
    )
    assert model.inner is not None
    assert model.inner.threshold == 2.0


def test_one_line_a_problem() -> None:
    lines = problems({"lumi_ifb": "much", "inner": {"names": [1]}})
    assert lines[0] == "a.yaml: 3 problems"
    assert lines[1].startswith("  lumi_ifb: ")
    assert lines[1].endswith("received 'much'")
    assert lines[2] == "  inner.threshold: this key is required"
    assert lines[3].startswith("  inner.names.0: ")


@pytest.mark.parametrize(
    ("data", "line"),
    [
        ({"luni_ifb": 1}, "  luni_ifb: unknown key. Did you mean 'lumi_ifb'?"),
        ({"inner": {"threshold": 1, "treshold": 1}}, "Did you mean 'threshold'?"),
        ({"by_name": {"lumi_ifb": {"threshold": 1, "nams": []}}}, "Did you mean 'names'?"),
        (
            {"listed": [{"threshold": 1, "nams": []}]},
            "  listed.0.nams: unknown key. Did you mean 'names'?",
        ),
        ({"zzz": 1}, "Known keys: by_name, inner, listed, lumi_ifb."),
    ],
)
def test_unknown_keys_are_hinted_at_where_they_are(data: object, line: str) -> None:
    (_, problem) = problems(data)
    assert problem.endswith(line)


def test_not_a_mapping() -> None:
    assert "(top level)" in problems([1])[1]


def test_long_input_is_cut() -> None:
    assert len(problems({"lumi_ifb": "x" * 1000})[1]) < 200


def test_many_unknown_keys_are_told_at_once() -> None:
    begin = time.perf_counter()
    lines = problems({f"key_{n}": 1 for n in range(20_000)})
    assert time.perf_counter() - begin < 4
    assert lines[0] == "a.yaml: 20000 problems"
    assert lines[1].startswith("  key_0: unknown key.")
    assert lines[-1] == "  and 19980 more"
    assert len(lines) == 22


def test_yaml_numbers_and_repeated_keys(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("a: 1e3\nb: -2.5E-1\nc: 1e3x\nd: 7\ne: .5e1\n")
    assert read_config(path) == {"a": 1000.0, "b": -0.25, "c": "1e3x", "d": 7, "e": 5.0}
    path.write_text("a: 1\nb: {x: 1, x: 2}\n")
    with pytest.raises(ConfigError, match=r"a\.yaml: the key 'x' is there twice[\s\S]*line 2"):
        read_config(path)
    path.write_text("base: &base {x: 1}\nmore: {<<: *base, x: 2}\n")
    assert read_config(path)["more"] == {"x": 2}


def test_yaml_makes_no_objects(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("a: !!python/object/apply:os.getcwd []\n")
    with pytest.raises(ConfigError, match="could not determine a constructor"):
        read_config(path)


@pytest.mark.parametrize("name", ["a", "QCD_HT-100to200", "v1.5", "_x"])
def test_safe_names(name: str) -> None:
    assert require_safe_name(name, "dataset") == name


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "/a", "../x", ".a", "a..b", "a b", "a\n", "é"]
)
def test_unsafe_names(name: str) -> None:
    assert not is_safe_name(name)
    with pytest.raises(ConfigError, match="dataset name"):
        require_safe_name(name, "dataset")
