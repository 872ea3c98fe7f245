"""The study `background`: estimates against single fits and closed forms, what is called safe, its long tables."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize, stats

from oddjet.analysis.statistics.background.signal import fit_signal
from oddjet.analysis.studies.background.estimators import ESTIMATORS
from oddjet.analysis.studies.background.table import (
    Measured,
    StudyOptions,
    study_background,
)
from oddjet.analysis.studies.background.truth import Cut, Experiments, built_in
from oddjet.errors import ConfigError

CUT = Cut(0.1, 0.55)


def drawn(n: int, share: float, spectrum: str = "gamma", n_jets: float = 7500) -> Experiments:
    return built_in(spectrum).draw(n_jets, share, CUT, n, np.random.default_rng(5))


def test_a_known_background_with_a_template_is_the_likelihood_ratio() -> None:
    truth, experiments = built_in("gamma"), drawn(6, 0.01)
    z = ESTIMATORS["known, template"](truth, 750 * truth.background, experiments)
    background = 750 * truth.background
    for counts, value in zip(experiments.passed, z, strict=True):

        def minus(s: float, counts: np.ndarray = counts) -> float:  # type: ignore[type-arg]
            mean = background + s * truth.signal
            return float((mean - counts * np.log(mean)).sum())

        best = optimize.minimize_scalar(minus, bounds=(-20, 400), method="bounded")
        assert np.sign(best.x) * np.sqrt(2 * (minus(0.0) - best.fun)) == pytest.approx(
            value, abs=0.02
        )


def test_a_known_background_in_a_window_is_poisson() -> None:
    truth, experiments = built_in("gamma"), drawn(4, 0.02)
    z = ESTIMATORS["known, window"](truth, 750 * truth.background, experiments)
    mean = 750 * truth.background[truth.bins].sum()
    seen = experiments.passed[:, truth.bins].sum(axis=1)
    np.testing.assert_allclose(z, stats.norm.isf(stats.poisson.sf(seen - 1, mean)), rtol=1e-6)


@pytest.mark.parametrize("function", ["exppoly6", "exppoly4"])
def test_a_function_with_a_template_is_the_single_fit(function: str) -> None:
    truth, experiments = built_in("gamma"), drawn(3, 0.01)
    z = ESTIMATORS[f"{function}, template"](truth, 750 * truth.background, experiments)
    for counts, value in zip(experiments.passed, z, strict=True):
        fit = fit_signal((counts, truth.edges), template=truth.signal, function=function)
        expected = fit.significance if fit.yield_ > 0 else fit.yield_ / fit.error
        assert value == pytest.approx(expected, abs=0.03)


def test_all_estimates_are_unbiased_and_of_unit_width_on_a_smooth_spectrum() -> None:
    truth, experiments = built_in("gamma"), drawn(60, 0.0)
    for name, estimator in ESTIMATORS.items():
        z = estimator(truth, 750 * truth.background, experiments)
        assert np.isfinite(z).all(), name
        assert abs(z.mean()) < 0.45, name
        assert 0.7 < z.std() < 1.35, name


def test_pass_and_fail_together_see_more_than_the_default_function() -> None:
    truth, experiments = built_in("qcd"), drawn(40, 0.02, "qcd")
    z = {
        name: np.median(ESTIMATORS[name](truth, 750 * truth.background, experiments))
        for name in ("exppoly6, window", "conditional 2–4, template", "known, template")
    }
    assert z["conditional 2–4, template"] > 1.5 * z["exppoly6, window"]
    assert z["known, template"] > z["conditional 2–4, template"]


def test_score_bins_see_more_than_one_cut_and_deficits_as_well() -> None:
    truth = built_in("qcd")
    names = ("conditional 2–4, template", "score bins 2–4, template")
    medians, means = [], []
    for name in names:
        z = [
            ESTIMATORS[name](truth, 750 * truth.background, drawn(60, share, "qcd"))
            for share in (0.0, 0.02)
        ]
        medians.append(np.median(z[1]) - z[0].mean())
        means.append(z[0].mean())
        assert (z[0] < 0).sum() > 15
    assert medians[1] > 1.15 * medians[0]
    assert np.abs(means).max() < 0.45


def measured(**changes: object) -> Measured:
    good = {
        "spectrum": "qcd", "n_jets": 7500.0, "estimator": "x", "null": 0.02, "null_error": 0.02, "width": 1.0,
        "often": 0.05, "medians": {0.02: 2.5}, "spurious": {"linear": (0.05, 0.02)}, "n_failed": 0.0,
        "n_null": 1500,
    }  # fmt: skip
    return Measured(**(good | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({}, None),
        ({"null": 0.29}, "mean +0.29"),
        ({"width": 1.2}, "width 1.20"),
        ({"often": 0.12}, "12 % above"),
        ({"spurious": {"rho": (-0.4, 0.02)}}, "rho -0.40"),
        ({"n_failed": 0.05}, "5 % of fits fail"),
    ],
)
def test_what_is_not_safe_says_why(changes: dict[str, object], problem: str | None) -> None:
    problems = measured(**changes).problems
    assert problems == () if problem is None else any(problem in text for text in problems)


def test_the_study_names_what_is_safe() -> None:
    names = ("known, template", "exppoly3, template", "conditional 2, template")
    options = StudyOptions(jets=(7500.0,), shares=(0.02,), estimators=names, n_experiments=150)
    study = study_background([built_in("qcd")], options)
    known, short, conditional = study.measured
    assert known.medians[0.02] > short.medians[0.02] > 0
    # Three parameters do not describe the spectrum: they find a signal where there is none.
    assert short.null > 0.5
    assert short not in study.safe("qcd", 7500.0)
    assert study.safe("qcd", 7500.0) == (conditional,)
    (said,) = study.statements()
    assert "safe are, the most sensitive first: conditional 2, template" in said
    assert "Not safe: exppoly3, template (mean" in said
    numbers = study.to_dict()
    assert numbers["safe"] == {"qcd, 7500 jets": ["conditional 2, template"]}
    assert numbers["measured"][2]["spurious"]["rho"][0] == conditional.spurious["rho"][0]
    (table,) = study.section().tables
    assert [row[-1] for row in table.rows] == ["–", "no", "yes"]
    again = study_background([built_in("qcd")], options)
    assert again.measured == study.measured


def test_wrong_options_are_refused() -> None:
    with pytest.raises(ConfigError, match="estimator"):
        StudyOptions(estimators=("exppoly7, window",))
    with pytest.raises(ConfigError, match="expected jets between 100"):
        StudyOptions(jets=(-1.0,))
    with pytest.raises(ConfigError, match="10 experiments or more"):
        StudyOptions(n_experiments=3)
    with pytest.raises(ConfigError, match="a name of its own"):
        study_background([built_in("gamma")] * 2, StudyOptions())


@pytest.mark.long
def test_table_of_both_spectra() -> None:
    """The default has twice what the default function has in the window on QCD, and 1.25 times on the smooth spectrum."""
    options = StudyOptions(jets=(7500.0,), n_experiments=500)
    study = study_background([built_in("gamma"), built_in("qcd")], options)
    for spectrum, least, factor in (("gamma", 5.4, 1.25), ("qcd", 2.1, 2.0)):
        of = {m.estimator: m for m in study.at(spectrum, 7500.0)}
        default, function = of["conditional 2–4, template"], of["exppoly6, window"]
        assert of["score bins 2–4, template"].medians[0.02] > 1.2 * default.medians[0.02]
        assert default.medians[0.02] > least
        assert default.medians[0.02] > factor * function.medians[0.02]
        for name, limit in (("linear", 0.1), ("quadratic", 0.1), ("rho", 0.25)):
            shift, error = default.spurious[name]
            assert abs(shift) < limit + 2 * error
        assert not default.problems
