from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from oddjet.analysis.config import HuntConfig, PseudoData
from oddjet.analysis.hunt.hunt import Hunt, hunt, hunt_histogram
from oddjet.analysis.hunt.spectra import fill_spectra
from oddjet.analysis.scores.sample import HuntSample, choose_sample, dataset_scales
from oddjet.analysis.statistics.bumphunt.result import CONDITIONAL
from oddjet.analysis.statistics.bumphunt.settings import ScanSettings
from oddjet.datasets.files.normalisation import Normalisation
from oddjet.datasets.skims.manifest import DatasetSummary
from oddjet.errors import ConfigError, InputError, MissingDataError

N = 40_000
SETTINGS = HuntConfig(
    range=(50, 250), bin_width=5, window=(70, 95), working_points=(0.1,), n_toys=200, widths=(2, 5)
)


def falling_masses(rng: np.random.Generator, n: int) -> npt.NDArray[np.float64]:
    return np.asarray(50 + rng.exponential(45, 3 * n)[:n])


def table_of(bump: int = 0, seed: int = 3) -> dict[str, npt.NDArray[Any]]:
    """Background whose score knows nothing of the mass, and a bump at 82 GeV that scores high."""
    rng = np.random.default_rng(seed)
    mass = np.concatenate([falling_masses(rng, N), rng.normal(82, 6, bump)])
    survival = np.concatenate([rng.uniform(0, 1, N), rng.uniform(0, 0.1, bump)])
    n = N + bump
    return {
        "dataset": np.array(["qcd"] * N + ["w"] * bump, dtype=object),
        "run": np.ones(n, np.uint32),
        "luminosityBlock": np.ones(n, np.uint32),
        "event": np.arange(n, dtype=np.uint64),
        "rank": np.zeros(n, np.int16),
        "weight": np.ones(n),
        "msoftdrop": mass,
        "d_s": -survival,
        "d_s_calibrated": -np.log10(survival),
        "d_s_ddt": -np.log10(survival),
    }


EVERYTHING = HuntSample("pseudo-data", None)
DATA = HuntSample("data", None)


def hunt_table(
    table: dict[str, npt.NDArray[Any]],
    scores: str | list[str],
    sample: HuntSample = EVERYTHING,
    settings: HuntConfig = SETTINGS,
    **choices: Any,
) -> Hunt:
    columns = [scores] if isinstance(scores, str) else scores
    return hunt(fill_spectra(table, columns, sample, settings), settings, **choices)


SUMMARIES = {
    "qcd": DatasetSummary(
        kind="background",
        cross_section_pb=2.0,
        sumw=N / 2,
        sumw2=N,
        n_events=N,
        k_factor=1.5,
        norm=Normalisation(sumw=N, source="Runs"),
    ),
    "w": DatasetSummary(
        kind="signal", cross_section_pb=0.1, sumw=1000, sumw2=1000, n_events=1000, sumw_runs=1000
    ),
}


def test_scales_are_sigma_k_lumi_over_sumw() -> None:
    scales = dataset_scales(SUMMARIES, 3.0)
    assert scales["qcd"] == pytest.approx(2.0 * 1.5 * 3.0 * 1000 / N)
    assert scales["w"] == pytest.approx(0.1 * 3.0 * 1000 / 1000)
    assert dataset_scales(SUMMARIES, None) == {"qcd": 1.0, "w": 1.0}


def test_scales_need_a_cross_section() -> None:
    unknown = {"q": DatasetSummary(kind="background", sumw=1, sumw2=1, n_events=1)}
    with pytest.raises(ConfigError, match="cross_section_pb"):
        dataset_scales(unknown, 1.0)


def test_scales_need_the_sum_of_all_generated_events() -> None:
    known: dict[str, Any] = {"cross_section_pb": 2.0, "sumw": 1, "sumw2": 1, "n_events": 1}
    unknown = DatasetSummary(kind="background", **known)
    with pytest.raises(ConfigError, match="not known: skim its files again with sumw"):
        dataset_scales({"q": unknown}, 1.0)
    with pytest.raises(MissingDataError, match="parts of dataset 'q' are missing"):
        dataset_scales({"q": unknown.model_copy(update={"is_whole": False})}, 1.0)


def test_a_cut_keeps_its_share_and_finds_the_bump() -> None:
    table = table_of(bump=600)
    result = hunt_table(table, "d_s")
    before, after = result.working_points
    assert before.counts.sum() == np.sum((table["msoftdrop"] >= 50) & (table["msoftdrop"] <= 250))
    in_range = (table["msoftdrop"] >= 50) & (table["msoftdrop"] <= 250)
    assert after.counts.sum() == np.sum(in_range & (table["d_s_calibrated"] >= 1))
    assert after.scan is not None
    assert before.scan is not None
    assert after.scan.local_p < before.scan.local_p
    assert after.scan.local_p < 1e-6
    low, high = after.scan.window
    assert low < 82 < high
    assert result.tightest is after


def test_without_a_bump_nothing_is_significant() -> None:
    table = table_of()
    result = hunt_table(table, "d_s").bump_hunt
    assert result is not None
    assert result.global_p > 0.01


def test_leading_jets_only_unless_all_are_asked_for() -> None:
    table = table_of()
    table["rank"] = (np.arange(N) % 2).astype(np.int16)
    leading = hunt_table(table, "d_s")
    both = hunt_table(table, "d_s", settings=SETTINGS.model_copy(update={"jets": "all"}))
    share = leading.working_points[0].counts.sum() / both.working_points[0].counts.sum()
    assert share == pytest.approx(0.5, abs=0.02)


def test_data_are_blind_until_unblinded() -> None:
    table = table_of(bump=600)
    blind = hunt_table(table, "d_s", DATA)
    inside = (blind.working_points[0].edges[:-1] >= 70) & (blind.working_points[0].edges[1:] <= 95)
    for point in blind.working_points:
        assert np.isnan(point.counts[inside]).all()
        assert not np.isnan(point.counts[~inside]).any()
        assert point.scan is None
        assert point.fit is not None
        assert point.fit.observed is None
    emptied = {
        **table,
        "msoftdrop": np.where(
            (table["msoftdrop"] >= 70) & (table["msoftdrop"] < 95), 300.0, table["msoftdrop"]
        ),
    }
    same = hunt_table(emptied, "d_s", DATA)
    for one, other in zip(blind.working_points, same.working_points, strict=True):
        assert one.fit is not None
        assert other.fit is not None
        np.testing.assert_array_equal(one.fit.expected, other.fit.expected)
    opened = hunt_table(table, "d_s", DATA, unblind=True).tightest
    assert opened.scan is not None
    # Failing jets in the window are blinded too: nothing is transferred from a window that seems empty.
    blinded, seen = (point.methods for point in (blind.tightest, opened))
    assert blinded is not None
    assert seen is not None
    (transfer,) = (method for method in blinded.methods if method.requested == "transfer")
    assert not transfer.used
    assert "blinded" in transfer.why_not
    assert blinded.systematic is None or blinded.systematic < 0.8 * blinded.central
    assert any(method.requested == "transfer" and method.used for method in seen.methods)


def test_a_failed_fit_is_told_and_nothing_is_scanned() -> None:
    table = table_of()
    table["d_s_calibrated"] = np.zeros(N)
    result = hunt_table(table, "d_s")
    tightest = result.tightest
    assert tightest.fit is None
    assert tightest.scan is None
    assert "no fit" in tightest.problem
    assert tightest.counts.sum() == 0
    # What could be fitted is scanned all the same.
    assert result.bump_hunt is not None
    assert [channel.label for channel in result.bump_hunt.channels] == ["all jets"]


def test_pseudo_data_are_drawn_where_there_are_no_data() -> None:
    table = table_of(bump=1000)
    lumi_ifb = 5.0
    sample = choose_sample(SUMMARIES, pseudo_data=PseudoData(lumi_ifb=lumi_ifb, seed=2))
    expected = dataset_scales(SUMMARIES, lumi_ifb)
    for name in ("qcd", "w"):
        rows = table["dataset"] == name
        share, n = expected[name], rows.sum()
        assert abs(sample.rows(table)[rows].sum() - share * n) < 4 * np.sqrt(share * n)
    assert sample.kind == "pseudo-data"


def test_what_is_hunted_in_must_be_clear() -> None:
    with pytest.raises(ConfigError, match="pseudo_data"):
        choose_sample(SUMMARIES)
    data = SUMMARIES | {"d": DatasetSummary(kind="data", sumw=1, sumw2=1, n_events=1)}
    with pytest.raises(ConfigError, match="drop one"):
        choose_sample(data, pseudo_data=PseudoData(lumi_ifb=1))


def test_unknown_columns_are_refused() -> None:
    table = table_of()
    with pytest.raises(InputError, match="no score 'd_x' to cut on"):
        hunt_table(table, "d_x")
    with pytest.raises(ConfigError, match="no column 'mass'"):
        hunt_table(table, "d_s", settings=SETTINGS.model_copy(update={"mass": "mass"}))


def test_rows_and_dictionary_hold_the_same_numbers() -> None:
    table = table_of(bump=600)
    result = hunt_table(table, "d_s")
    content = result.to_dict()
    assert len(result.rows()) == len(content["working_points"]) == 2
    assert content["working_points"][1]["bump_hunt"]["window"] == list(result.tightest.scan.window)  # type: ignore[union-attr]


def test_scores_are_scanned_together_and_the_global_p_counts_them_all() -> None:
    table = table_of(bump=300)
    one = hunt_table(table, "d_s")
    two = hunt_table(table, ["d_s", "d_s_ddt"])
    assert [p.name for p in two.working_points] == [
        "all jets",
        "d_s, 10 % background",
        "d_s_ddt, 10 % background",
    ]
    assert two.column == "d_s"
    assert len(two.main_points) == 2
    assert one.bump_hunt is not None
    assert two.bump_hunt is not None
    # The second score is the first: looking twice at the same changes nothing.
    assert two.bump_hunt.local_p == pytest.approx(one.bump_hunt.local_p)
    assert two.bump_hunt.n_windows == one.bump_hunt.n_windows * 3 // 2
    assert two.to_dict()["global_p"] == two.bump_hunt.global_p


def test_a_signal_of_given_width_is_scanned_for_instead_of_windows() -> None:
    table = table_of(bump=600)
    settings = SETTINGS.model_copy(update={"signal_width": 6.0})
    result = hunt_table(table, "d_s", settings=settings).bump_hunt
    assert result is not None
    assert result.background == "signal plus background"
    assert result.window[0] < 82 < result.window[1]


def test_any_histogram_can_be_scanned() -> None:
    edges = np.linspace(50, 250, 41)
    counts = np.histogram(table_of(bump=600)["msoftdrop"], edges)[0].astype(float)
    fitted = hunt_histogram((counts, edges), ScanSettings(n_toys=50))
    assert fitted.window[0] < 82 < fitted.window[1]
    assert fitted.function == "exppoly6"
    background = np.histogram(table_of(bump=0)["msoftdrop"], edges)[0] + 0.5
    given = hunt_histogram(
        (counts, edges), ScanSettings(n_toys=50, max_toys=0), background=background
    )
    assert given.background == "given"
    with pytest.raises(ConfigError, match="no --background"):
        hunt_histogram((counts, edges), ScanSettings(signal_width=5), background=background)
    with pytest.raises(ConfigError, match="use method: function"):
        hunt_histogram((counts, edges), ScanSettings(method="conditional"))


def test_after_a_decorrelated_cut_pass_is_compared_with_fail() -> None:
    table = table_of(bump=300)
    settings = SETTINGS.model_copy(update={"n_toys": 100})
    result = hunt_table(table, "d_s_ddt", settings=settings)
    scan, check = result.bump_hunt, result.cross_check
    assert scan is not None
    assert check is not None
    assert scan.background == CONDITIONAL[0]
    assert [channel.label for channel in scan.channels] == ["d_s_ddt, 10 % background"]
    assert scan.window[0] < 82 < scan.window[1]
    assert scan.global_p == 1 / 101
    everything, cut = result.working_points
    assert everything.scan is None
    assert everything.cross_check is not None
    assert result.rows()[0][4] == "not tested"
    # The cross-check is the scan by functions, which has all jets too, and a global p of its own.
    by_function = hunt_table(
        table, "d_s_ddt", settings=settings.model_copy(update={"method": "function"})
    )
    assert by_function.cross_check is None
    assert by_function.bump_hunt is not None
    assert check.to_dict() == by_function.bump_hunt.to_dict()
    content = result.to_dict()
    assert content["global_p"] == scan.global_p
    assert content["cross_check"]["global_p"] == check.global_p
    assert content["working_points"][1]["cross_check"]["window"] == list(cut.cross_check.window)  # type: ignore[union-attr]
    raw = hunt_table(table, "d_s", settings=settings)
    assert raw.bump_hunt is not None
    assert raw.bump_hunt.background == "fit beside each window"


def test_a_cut_that_nothing_passes_leaves_the_others_to_be_compared() -> None:
    table = table_of()
    table["d_s_ddt"] = np.where(table["d_s_ddt"] > 2, 1.5, table["d_s_ddt"])
    settings = SETTINGS.model_copy(update={"n_toys": 100, "working_points": (0.1, 0.001)})
    result = hunt_table(table, "d_s_ddt", settings=settings)
    assert result.bump_hunt is not None
    assert result.bump_hunt.not_tested == ("all jets", "d_s_ddt, 0.1 % background")
    table["d_s_ddt"] = np.zeros(N)
    nothing = hunt_table(table, "d_s_ddt", settings=settings)
    assert nothing.bump_hunt is None
    assert "no cut that some" in nothing.problem
    assert nothing.cross_check is not None


def test_score_bins_are_tested_beside_single_cuts() -> None:
    settings = SETTINGS.model_copy(update={"n_toys": 20, "working_points": (0.1, 0.02)})
    spectra = fill_spectra(table_of(bump=300), ["d_s_ddt"], EVERYTHING, settings)
    result = hunt(spectra, settings)
    assert result.bump_hunt is not None
    (joint,) = result.joint_scans
    assert joint.label == "d_s_ddt, score bins"
    assert len(result.bump_hunt.channels) == 3
    assert joint.window[0] < 82 < joint.window[1]
    assert result.rows()[-1][0] == joint.label
    assert result.to_dict()["score_bins"][0]["local_p"] == joint.local_p
    only = hunt(spectra.only([joint.label]), settings)
    assert only.bump_hunt is not None
    assert [channel.label for channel in only.bump_hunt.channels] == [joint.label]
    assert only.bump_hunt.local_p == pytest.approx(joint.local_p)
    single = settings.model_copy(update={"score_bins": False})
    assert hunt(spectra, single).joint_scans == ()
