from __future__ import annotations

import time
from pathlib import Path

import pytest
import yaml

from oddjet.analysis.config import (
    AnalysisConfig,
    DecorrelationConfig,
    HuntConfig,
    load_config,
    read_settings,
)
from oddjet.analysis.statistics.background import DEFAULT
from oddjet.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]

MINIMAL = {
    "name": "test",
    "output": "runs/test",
    "fileset": {
        "datasets": {
            "q": {"kind": "background", "simulate": {"process": "qcd", "n_events": 10, "seed": 1}}
        }
    },
}


def write(folder: Path, **changes: object) -> Path:
    path = folder / "analysis.yaml"
    path.write_text(yaml.safe_dump(MINIMAL | changes))
    return path


def test_the_quickstart_is_valid() -> None:
    config = load_config(ROOT / "analysis" / "quickstart.yaml")
    assert config.resolve_fileset().datasets.keys() == {"qcd", "w"}
    assert config.hunt.n_bins * config.hunt.bin_width == config.hunt.range[1] - config.hunt.range[0]


def test_defaults_are_khanals_selection(tmp_path: Path) -> None:
    config = load_config(write(tmp_path))
    assert (config.selection.pt_min, config.selection.eta_max) == (200, 2)
    assert config.detectors[0].key == "khanal"
    assert not config.unblind


def test_a_resolved_configuration_reads_back(tmp_path: Path) -> None:
    config = load_config(write(tmp_path))
    path = tmp_path / "again.yaml"
    path.write_text(yaml.safe_dump(config.model_dump(mode="json")))
    assert load_config(path) == config


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("seed: 010", r"the number 010 begins with 0.*: write 10"),
        ("chunk_size: 0_1_0_0_0", r"the number 0_1_0_0_0 begins with 0.*: write 1_0_0_0"),
        ("chunk_size: 1:40", r"chunk_size: expected a whole number; received '1:40'"),
        ("seed: true", "seed: expected a number, not true or false; received true"),
        ("selection: {pt_min: 0450}", "0450 .*: write 450"),
        ("selection: {pt_min: true}", "selection.pt_min: expected a number, not true or false"),
        ("hunt: {window: [65, true]}", r"hunt.window: expected a number, not true or false"),
        ("hunt: 3", r"hunt: expected keys with values \(key: value\); received 3"),
        ("fileset: 3", "fileset: expected a path, or a text, or keys with values"),
    ],
)
def test_numbers_are_what_they_look_like(tmp_path: Path, line: str, said: str) -> None:
    key = line.partition(":")[0]
    content = {name: value for name, value in MINIMAL.items() if name != key}
    path = tmp_path / "analysis.yaml"
    path.write_text(yaml.safe_dump(content) + line + "\n")
    with pytest.raises(ConfigError, match=said):
        load_config(path)


@pytest.mark.parametrize("name", ["a" * 240, "a\x7fb", "a" * 200])
def test_the_output_is_not_told_by_a_key_that_was_not_given(tmp_path: Path, name: str) -> None:
    if name.isprintable():
        assert len(read_settings(None, {}, output=tmp_path / name).name) <= 200
    else:
        with pytest.raises(ConfigError, match=r"^settings: 1 problem\n  output: "):
            read_settings(None, {}, output=tmp_path / name)


def test_unknown_keys_are_refused_with_a_hint(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"luni_ifb.*lumi_ifb"):
        load_config(write(tmp_path, luni_ifb=3))
    with pytest.raises(ConfigError, match=r"widnow.*window"):
        load_config(write(tmp_path, hunt={"widnow": [65, 105]}))


def test_every_problem_is_listed(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        load_config(write(tmp_path, folds=1, chunk_size=1, detectors=[]))
    for key in ("folds", "chunk_size", "detectors"):
        assert key in str(error.value)


@pytest.mark.parametrize(
    ("hunt", "words"),
    [
        ({"window": [105, 65]}, "lower first"),
        ({"window": [10, 65]}, "inside the range"),
        ({"bin_width": 7}, "does not divide"),
        ({"widths": [8, 2]}, "widths"),
        ({"widths": [1, 4000]}, "widths"),
        ({"working_points": []}, "at least one"),
        ({"working_points": [0.1, 0.1]}, "twice"),
        ({"working_points": [1.5]}, "less than 1"),
        ({"pt_edges": [300, 200]}, "increasing"),
    ],
)
def test_wrong_hunts_are_refused(tmp_path: Path, hunt: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        load_config(write(tmp_path, hunt=hunt))


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("hunt.bin_width", 1e-7, "expected at least 0.001"),
        ("hunt.bin_width", 0.01, "20000 bins of mass, by bin_width 0.01: expected at most 10000"),
        ("hunt.bin_width", float("nan"), "finite"),
        ("hunt.range", [50, float("inf")], "finite"),
        ("hunt.n_toys", 10**11, "at most|expected at most 10000000"),
        ("hunt.seed", 2**40, "expected at most 4294967295"),
        ("hunt.signal_width", float("inf"), "finite"),
        ("hunt.working_points", [n / 1000 for n in range(1, 600)], "at most 50 entries"),
        ("hunt.pt_edges", list(range(2000)), "at most 1000 entries"),
        ("hunt", {"bin_width": 0.05, "widths": [1, 3000]}, "windows, by bin_width and widths: expected"),
        ("hunt", {"signal_width": 150.0}, "signal_width 150 must be at most half of the range"),
        ("folds", 10**9, "expected at most 100"),
        ("image.pixels", 10**5, "expected at most 512"),
        ("cluster.workers", 10**6, "expected at most 10000"),
        ("cluster", {"executor": "futures", "workers": 600}, "600 workers of .*: expected at most 512"),
        ("cluster.memory", "1e400 GB", "at most 1 PB"),
        ("cluster.start_timeout", float("inf"), "finite"),
        ("chunk_size", 10**12, "expected at most 100000000"),
        ("detectors.0", {"name": "kmeans", "label": "x" * 65}, "at most 64 characters"),
        ("detectors.0", {"name": "a/b"}, "nothing but letters, digits and _ . : -"),
        ("injection", {"signal": "q", "seeds": [-1]}, "expected at least 0"),
        ("lumi_ifb", float("inf"), "lumi_ifb"),
        ("name", "x" * 201, "at most 200 characters"),
        ("name", "a\nb", "one line without control characters"),
        ("output", "x" * 300, "longer than file systems take"),
        ("fileset.datasets.q.simulate.n_events", 10**20, "expected at most 1000000000000"),
        ("fileset.datasets", {"x" * 201: {"kind": "data", "files": ["a"]}}, "at most 200"),
    ],
)  # fmt: skip
def test_what_no_machine_can_do_is_refused_with_the_limit(
    tmp_path: Path, key: str, value: object, said: str
) -> None:
    path = write(tmp_path, detectors=[{"name": "kmeans"}])
    with pytest.raises(ConfigError, match=said) as caught:
        load_config(path, {key: value})
    assert key.partition(".")[0] in str(caught.value)
    assert max(map(len, str(caught.value).splitlines())) < 500


def test_an_alias_bomb_is_refused_at_once(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x]", *(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 40))]
    path = tmp_path / "bomb.yaml"
    path.write_text("\n".join([*lines, "name: *a39"]))
    begin = time.perf_counter()
    with pytest.raises(ConfigError, match=r"bomb\.yaml: its aliases"):
        load_config(path)
    assert time.perf_counter() - begin < 2


def test_working_points_are_ordered_from_loose_to_tight() -> None:
    assert HuntConfig(working_points=(0.01, 0.5, 0.1)).working_points == (0.5, 0.1, 0.01)


def test_labels_must_differ(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="label of its own"):
        load_config(write(tmp_path, detectors=[{"name": "khanal"}, {"name": "khanal"}]))


@pytest.mark.parametrize("text", ["", "- a\n- b\n", "name: [unclosed"])
def test_what_is_not_a_mapping_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"bad\.yaml"):
        load_config(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read .*none\.yaml"):
        load_config(tmp_path / "none.yaml")


def test_values_by_dotted_key_replace_those_of_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, detectors=[{"name": "khanal"}, {"name": "kmeans"}])
    drawn = {"lumi_ifb": 0.5, "seed": 7}
    changes = {
        "unblind": True,
        "pseudo_data": drawn,
        "hunt.bin_width": 4,
        "detectors.1.hyper_parameters.k": 9,
        "decorrelation.methods": ["ddt"],
    }
    changed = load_config(path, changes)
    assert changed.unblind
    assert changed.pseudo_data is not None
    assert changed.pseudo_data.model_dump() == drawn
    assert changed.hunt.bin_width == 4
    assert changed.detectors[1].hyper_parameters == {"k": 9}
    assert changed.decorrelation is not None
    assert load_config(path, {}) == load_config(path)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"pseudo_data": {"lumi_ifb": -1.0, "seed": 7}}, "lumi_ifb"),
        ({"hunt.widnow": [65, 105]}, r"widnow.*window"),
        ({"detectors.7.name": "kmeans"}, r"detectors\.7\.name.*no '7'"),
        ({"name.first": "x"}, r"name\.first.*is 'test': no 'first' in it"),
        ({"fileset.datasets.p.k_factor": 2}, r"no 'p' in fileset\.datasets, but q\.$"),
        ({"fileset.datasets.Q.k_factor": 2}, r"no 'Q' in fileset\.datasets, .*Did you mean 'q'"),
        (
            {"fileset.datasets.q.k_fator": 2},
            r"1 problem\n  fileset\.datasets\.q\.k_fator: .*'k_factor'",
        ),
        ({"fileset": 3}, r"1 problem\n  fileset: [^\n]* or [^\n]*received 3$"),
        ({"folds.0": 3}, r"folds is not in the configuration: no '0' in it"),
    ],
)
def test_wrong_changes_are_refused(tmp_path: Path, changes: dict[str, object], words: str) -> None:
    path = write(tmp_path, detectors=[{"name": "khanal"}])
    with pytest.raises(ConfigError, match=words):
        load_config(path, changes)


def test_settings_that_a_step_does_not_look_at_are_refused(tmp_path: Path) -> None:
    output = tmp_path / "a"
    assert read_settings(None, {"hunt.n_toys": 200}, output=output, unused=["folds"])
    for key, words in (("folds", "folds: this step"), ("output", "an argument of its own")):
        with pytest.raises(ConfigError, match=words):
            read_settings(None, {key: 4}, output=output, unused=["folds", "output"])
    with pytest.raises(ConfigError, match=r"hunt\.n_toys: this step does not look at it"):
        read_settings(write(tmp_path), {"hunt.n_toys": 200}, output=output, unused=["hunt"])


def test_default_settings_have_the_background_function_of_statistics(tmp_path: Path) -> None:
    config = read_settings(None, {"hunt.n_toys": 200}, output=tmp_path / "out")
    assert config.hunt == HuntConfig(n_toys=200)
    assert config.hunt.function == DEFAULT
    assert read_settings(write(tmp_path), {}, output=tmp_path).name == "test"


def test_a_fileset_path_is_relative_to_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "samples.yaml").write_text(yaml.safe_dump(MINIMAL["fileset"]))
    config: AnalysisConfig = load_config(write(tmp_path, fileset="samples.yaml"))
    assert config.resolve_fileset().datasets.keys() == {"q"}


def test_decorrelation(tmp_path: Path) -> None:
    assert load_config(write(tmp_path)).decorrelation is None

    def read(**settings: object) -> DecorrelationConfig:
        decorrelation = load_config(write(tmp_path, decorrelation=settings)).decorrelation
        assert decorrelation is not None
        return decorrelation

    assert read().methods == {"quantile_polynomial": {}}
    names = read(methods=["ddt", "quantile_boosting"])
    assert names.methods == {"ddt": {}, "quantile_boosting": {}}
    assert (names.cut_method, names.mass) == ("ddt", None)
    both = read(methods={"ddt": {"knots": 3}, "quantile_map": None}, cut="quantile_map")
    assert both.methods == {"ddt": {"knots": 3}, "quantile_map": {}}
    assert both.cut_method == "quantile_map"
    for wrong, said in (
        ({"methods": ["dtd"]}, "Did you mean 'ddt'"),
        ({"methods": {"ddt": {"knot": 3}}}, "Did you mean 'knots'"),
        ({"methods": {"ddt": {"knots": 0}}}, "Received: 0"),
        ({"methods": []}, "methods"),
        ({"methods": ["ddt"], "cut": "quantile_map"}, "expected one of ddt"),
        ({"mass": "weight"}, "mass"),
    ):
        with pytest.raises(ConfigError, match=said):
            read(**wrong)
