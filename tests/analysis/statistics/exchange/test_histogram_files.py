from __future__ import annotations

import json
from pathlib import Path
from zipfile import ZipFile

import hist
import numpy as np
import pytest
import uhi.io
import uhi.io.json
import uhi.io.zip
import uproot

from oddjet.analysis.statistics.exchange.histogram_files import (
    histogram_names,
    read_histogram,
)
from oddjet.datasets.files.rootfiles import write_root
from oddjet.errors import BadFileError, FitError, InputError
from oddjet.processors.histogram_files import save_histograms
from oddjet.processors.histograms import HistogramSettings, make_histogram

EDGES = np.array([0.0, 20.0, 40.0, 80.0])


def weighted() -> hist.Hist:
    made = hist.Hist(hist.axis.Variable(EDGES, name="mass"), storage=hist.storage.Weight())
    made.fill([10.0, 30.0, 30.0, 70.0, 90.0, -5.0], weight=[1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    return made


@pytest.fixture
def root_file(tmp_path: Path) -> Path:
    path = tmp_path / "foreign.root"
    plain = hist.Hist(hist.axis.Variable(EDGES), storage=hist.storage.Double())
    plain.fill([10.0, 30.0, 30.0])
    flat = hist.Hist(hist.axis.Variable(EDGES), hist.axis.Regular(2, 0, 1))
    means = hist.Hist(hist.axis.Variable(EDGES), storage=hist.storage.WeightedMean())
    with uproot.recreate(path) as file:
        file["signal/region/mass"] = weighted()
        file["plain"] = plain
        file["flat"] = flat
        file["means"] = means
        file["tuple"] = (np.array([3.0, 2.0, 1.0]), EDGES)
        file.mktree("tree", {"x": np.float64})
    return path


def test_reads_weights_and_flow_of_root_in_folders(root_file: Path) -> None:
    histogram = read_histogram(f"{root_file}:signal/region/mass")
    assert histogram.edges.tolist() == EDGES.tolist()
    assert histogram.counts.tolist() == [1.0, 5.0, 4.0]
    assert histogram.variances is not None
    assert histogram.variances.tolist() == [1.0, 13.0, 16.0]
    assert (histogram.underflow, histogram.overflow) == (6.0, 5.0)
    assert "6 below 0 GeV and 5 above 80 GeV" in histogram.flow_note
    with pytest.raises(FitError, match="Σw² ≠ Σw in what is called data"):
        histogram.checked(is_data=True)
    assert histogram.checked(is_data=False).counts.tolist() == [1.0, 5.0, 4.0]


@pytest.mark.parametrize(("name", "counts"), [("plain", [1, 2, 0]), ("tuple", [3, 2, 1])])
def test_root_without_sumw2_has_poisson_variances(
    root_file: Path, name: str, counts: list[int]
) -> None:
    histogram = read_histogram(f"{root_file}:{name}")
    assert histogram.counts.tolist() == counts
    assert histogram.checked(is_data=True).sumw2.tolist() == counts
    assert histogram.flow_note == ""


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("flat", "is a TH2D: expected one axis"),
        ("means", "is a profile"),
        ("tree", "not a histogram"),
        ("plane", "no histogram 'plane'.*Did you mean 'plain'"),
        ("", "holds 5 histograms: write .*signal/region/mass"),
    ],
)
def test_refuses_what_is_no_mass_histogram(root_file: Path, name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_histogram(f"{root_file}:{name}" if name else root_file)


def test_refuses_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(BadFileError, match="there is no file"):
        read_histogram(tmp_path / "none.root")
    for name in ("broken.root", "broken.json"):
        (tmp_path / name).write_text("[1, 2")
        with pytest.raises(BadFileError, match="cannot be read"):
            read_histogram(tmp_path / name)
    (tmp_path / "other.json").write_text('{"a": 1}')
    with pytest.raises(InputError, match="no histograms in UHI JSON"):
        read_histogram(tmp_path / "other.json")


def test_json_of_one_histogram_and_of_none_but_means(tmp_path: Path) -> None:
    path = tmp_path / "one.json"
    path.write_text(json.dumps(weighted(), default=uhi.io.json.default))
    histogram = read_histogram(path)
    assert histogram.name == "one"
    assert histogram.counts.tolist() == [1.0, 5.0, 4.0]
    assert histogram.variances is not None
    assert histogram.variances.tolist() == [1.0, 13.0, 16.0]
    assert (histogram.underflow, histogram.overflow) == (6.0, 5.0)
    means = hist.Hist(hist.axis.Variable(EDGES), storage=hist.storage.Mean())
    path.write_text(json.dumps(means, default=uhi.io.json.default))
    with pytest.raises(InputError, match="profile"):
        read_histogram(path)


def test_weights_without_variances_are_refused_as_simulation(tmp_path: Path) -> None:
    plain = hist.Hist(hist.axis.Variable(EDGES), storage=hist.storage.Double())
    plain.fill([10.0], weight=[0.5])
    path = tmp_path / "one.json"
    path.write_text(json.dumps(plain, default=uhi.io.json.default))
    # hist gives no variances once a plain storage was filled with weights.
    plain_read = read_histogram(path)
    with pytest.raises(FitError, match="fractional contents"):
        plain_read.checked(is_data=True)


def test_chooses_from_the_axes_of_our_own_histograms(tmp_path: Path) -> None:
    settings = HistogramSettings(n_bins=4, mass_range=(0.0, 80.0))
    made = make_histogram(["qcd", "w"], settings)
    made.fill("qcd", "nominal", "0.1", [30.0, 50.0], [350.0, 550.0], weight=[2.0, 3.0])
    made.fill("w", "nominal", "0.1", [30.0], [350.0], weight=[7.0])
    path = tmp_path / "histograms.json"
    save_histograms(path, {"mse": made, "latent": made})
    assert histogram_names(path) == ["latent", "mse"]
    rest = "&variation=nominal&working_point=0.1"
    whole = read_histogram(f"{path}:mse?dataset=qcd{rest}&pt=sum")
    assert whole.counts.tolist() == [0.0, 2.0, 3.0, 0.0]
    assert whole.variances is not None
    assert whole.variances.tolist() == [0.0, 4.0, 9.0, 0.0]
    assert read_histogram(f"{path}:mse?dataset=sum{rest}&pt=sum").counts[1] == 9.0
    assert read_histogram(f"{path}:mse?dataset=qcd{rest}&pt=350").counts.sum() == 2.0
    with pytest.raises(InputError, match=r"5 axes, dataset \(qcd, w\).*exactly one must be left"):
        read_histogram(f"{path}:mse")
    with pytest.raises(InputError, match=r"dataset has no 'qdc'.*Did you mean 'qcd'"):
        read_histogram(f"{path}:mse?dataset=qdc{rest}&pt=sum")
    with pytest.raises(InputError, match=r"no axis 'datset'.*Did you mean 'dataset'"):
        read_histogram(f"{path}:mse?datset=qcd{rest}&pt=sum")
    with pytest.raises(InputError, match="pt=20 lies outside"):
        read_histogram(f"{path}:mse?dataset=qcd{rest}&pt=20")


def test_within_keeps_whole_bins_and_counts_the_rest_as_flow(root_file: Path) -> None:
    histogram = read_histogram(f"{root_file}:signal/region/mass").within(15.0, 80.0)
    assert histogram.edges.tolist() == [20.0, 40.0, 80.0]
    assert histogram.counts.tolist() == [5.0, 4.0]
    assert histogram.underflow == 7.0
    with pytest.raises(InputError, match="no bin lies in"):
        histogram.within(41.0, 42.0)


def test_what_is_written_as_root_is_read_back(tmp_path: Path) -> None:
    write_root(tmp_path / "a" / "b.root", {"x/mass": weighted()})
    histogram = read_histogram(tmp_path / "a" / "b.root")
    assert histogram.name == "x/mass"
    assert histogram.counts.tolist() == [1.0, 5.0, 4.0]


def test_names_with_plus_signs_colons_and_question_marks(tmp_path: Path) -> None:
    kinds = ["a b", "π+", "x=1&y", "100%"]
    made = hist.Hist(
        hist.axis.StrCategory(kinds, name="sample é"), hist.axis.Variable(EDGES, name="mass")
    )
    for number, kind in enumerate(kinds):
        made.fill(kind, np.full(number + 1, 10.0))
    content = json.dumps({"run:2018+": made}, default=uhi.io.json.default)
    for name in ("plain.json", "a:b?c.json"):
        path = tmp_path / name
        path.write_text(content)
        values = ("a b", "π+", "x%3D1%26y", "100%")
        for number, value in enumerate(values):
            histogram = read_histogram(f"{path}:run:2018+?sample é={value}")
            assert histogram.counts.tolist() == [number + 1, 0, 0]
        assert read_histogram(f"{path}?sample é=sum").counts[0] == 10
        with pytest.raises(InputError, match="expected AXIS=VALUE"):
            read_histogram(f"{path}:run:2018+?sample é")
    with uproot.recreate(tmp_path / "a:b.root") as file:
        file["cr/mass"] = weighted()
    assert read_histogram(f"{tmp_path}/a:b.root:cr/mass").counts.tolist() == [1.0, 5.0, 4.0]
    with pytest.raises(BadFileError, match="there is no file"):
        read_histogram(f"{tmp_path}/none:b.root:mass")


def test_sparse_histograms_and_zip_files(tmp_path: Path) -> None:
    sparse = uhi.io.to_sparse(weighted()._to_uhi_())
    assert "index" in sparse["storage"]
    (tmp_path / "sparse.json").write_text(json.dumps(sparse, default=uhi.io.json.default))
    with ZipFile(tmp_path / "two.zip", "w") as file:
        uhi.io.zip.write(file, "dense", weighted())
        uhi.io.zip.write(file, "cr/sparse", sparse)
    assert histogram_names(tmp_path / "two.zip") == ["cr/sparse", "dense"]
    for source in ("sparse.json", "two.zip:dense", "two.zip:cr/sparse"):
        histogram = read_histogram(tmp_path / source)
        assert histogram.counts.tolist() == [1.0, 5.0, 4.0]
        assert histogram.sumw2.tolist() == [1.0, 13.0, 16.0]
        assert (histogram.underflow, histogram.overflow) == (6.0, 5.0)
    (tmp_path / "broken.zip").write_text("nothing")
    with pytest.raises(BadFileError, match="cannot be read as ZIP"):
        read_histogram(tmp_path / "broken.zip")
    empty = hist.Hist(hist.axis.Variable(EDGES), storage=hist.storage.Int64())
    content = json.dumps(uhi.io.to_sparse(empty._to_uhi_()), default=uhi.io.json.default)
    (tmp_path / "empty.json").write_text(content)
    assert read_histogram(tmp_path / "empty.json").counts.tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("selector", "total"),
    [
        ("counts_Double", 4000),
        ("counts_Int64", 4000),
        ("integer_axis", 4000),
        ("growing", 4000),
        ("unnamed", 4000),
        ("by_year?year=sum", 4000),
        ("odd_names?sample é=π+", 4000),
        ("odd_names?sample é=a b", 0),
        ("bool?tag=sum", 4000),
    ],
)
def test_the_storages_of_hist(cases: Path, selector: str, total: int) -> None:
    histogram = read_histogram(f"{cases}/uhi_storages.json:{selector}")
    assert histogram.counts.sum() + histogram.overflow == pytest.approx(total, abs=30)
    histogram.checked(is_data=True)


def test_categories_of_numbers_and_truth_values(cases: Path) -> None:
    file = f"{cases}/uhi_storages.json"
    parts = [read_histogram(f"{file}:by_year?year={year}").counts for year in (2017, 2018)]
    whole = read_histogram(f"{file}:by_year?year=sum").counts
    assert np.array_equal(parts[0] + parts[1], whole)
    tags = [read_histogram(f"{file}:bool?tag={tag}").counts.sum() for tag in ("true", "0")]
    assert sum(tags) == read_histogram(f"{file}:bool?tag=sum").counts.sum()
    assert tags[0] == read_histogram(f"{file}:bool?tag=1").counts.sum()


def test_values_that_a_discrete_axis_lacks(tmp_path: Path) -> None:
    made = hist.Hist(
        hist.axis.Regular(4, 0, 80, name="mass"),
        hist.axis.IntCategory([3, 5], name="jets"),
        hist.axis.Integer(0, 4, name="tags"),
        hist.axis.Boolean(name="passed"),
    )
    made.fill(mass=[30.0, 50.0], jets=[3, 5], tags=[2, 2], passed=[True, False])
    path = tmp_path / "made.json"
    save_histograms(path, {"made": made})

    def read(jets: str, tags: str, passed: str) -> float:
        query = f"jets={jets}&tags={tags}&passed={passed}"
        return float(read_histogram(f"{path}:made?{query}").counts.sum())

    assert [read("3", "2", "true"), read("3.0", "2", "1"), read("5", "2.0", "False")] == [1, 1, 1]
    assert [read("3", "1", "1"), read("3", "2", "0")] == [0, 0]
    for jets in ("4", "3.6", "nan", "inf", "three", ""):
        with pytest.raises(InputError, match=rf"axis jets has no '{jets}', but 3, 5"):
            read(jets, "2", "1")
    for tags in ("2.7", "4", "-1"):
        with pytest.raises(InputError, match=rf"axis tags has no '{tags}', but 0, 1, 2, 3"):
            read("3", tags, "1")
    for passed in ("0.5", "2", "yes"):
        with pytest.raises(InputError, match=rf"axis passed has no '{passed}', but 0, 1"):
            read("3", "2", passed)
    with pytest.raises(InputError, match="jets is chosen twice"):
        read_histogram(f"{path}:made?jets=3&jets=5&tags=sum&passed=sum")


def test_weighted_contents_without_sumw2_are_refused(cases: Path) -> None:
    known = read_histogram(f"{cases}/limit_inputs.json:bkg_Weight").checked(is_data=False)
    assert known.sumw2[0] == 24671.25
    for source in ("limit_inputs.json:bkg_Double", "uhi_storages.json:weighted_Double"):
        with pytest.raises(FitError, match="needs variances"):
            read_histogram(cases / source).checked(is_data=False)
    with pytest.raises(FitError, match="fractional contents"):
        read_histogram(f"{cases}/uhi_storages.json:weighted_Double").checked(is_data=True)
