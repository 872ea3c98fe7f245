"""What replicas are added up to: rates, uniformity, words, and the file in between."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from oddjet.analysis.injection.certificate.summary import Certificate, Rate, read_certificate
from oddjet.analysis.report.sections.certificate import certificate_section
from oddjet.analysis.report.write import write_section
from oddjet.typing import Floats


def certificate(global_p: Floats, **changes: Any) -> Certificate:
    replicas = tuple(
        {
            "seed": seed,
            "global_p": None if np.isnan(p) else float(p),
            "problem": "no scan: no events" if np.isnan(p) else "",
            "verdicts": {"kmeans_ddt": "FAIL" if seed % 10 == 0 else "PASS"},
            "n_hunted": 1000 + seed % 2,
            "n_learned": 4000,
            "n_toys": 200,
            "hunted_overlap": 0.25,
            "learned_overlap": 0.5,
        }
        for seed, p in enumerate(global_p)
    )
    return dataclasses.replace(Certificate("abc", replicas, len(replicas)), **changes)


UNIFORM = np.arange(0.005, 1, 0.01)


def test_rates_have_the_interval_of_the_binomial_distribution() -> None:
    rate = Rate(7, 100)
    low, high = rate.interval
    assert stats.binom.sf(6, 100, low) == pytest.approx(0.025)
    assert stats.binom.cdf(7, 100, high) == pytest.approx(0.025)
    assert str(rate).startswith("7 of 100 (7.0 %, 95 %: 2.9 to 13.9 %)")
    assert Rate(0, 0).interval == (0.0, 1.0)


def test_uniform_p_hold_and_others_do_not() -> None:
    good = certificate(UNIFORM)
    assert good.holds
    assert (good.below.count, good.below.n) == (5, 100)
    assert good.ks_p == pytest.approx(stats.kstest(UNIFORM, "uniform").pvalue)
    small, large = certificate(UNIFORM**3), certificate(UNIFORM**0.3)
    assert not small.holds
    assert "too small: bumps are made by the chain" in small.conclusion
    assert not large.holds
    assert "too large: power is lost" in large.conclusion
    # A surplus of small p alone, which the largest distance does not see.
    few = certificate(np.concatenate([np.full(12, 0.01), np.linspace(0.13, 1, 88)]))
    assert not few.holds
    assert few.verdicts["kmeans_ddt"]["FAIL"].count == 10


def test_the_cross_check_has_numbers_of_its_own() -> None:
    good = certificate(UNIFORM)
    assert good.cross_check == ""
    small = [replica | {"cross_check_p": 0.01} for replica in good.replicas]
    checked = dataclasses.replace(good, replicas=tuple(small))
    assert checked.holds
    assert "100 of 100" in checked.cross_check
    rows = dict(certificate_section(checked).tables[0].rows)
    assert rows["the cross-check by functions"] == checked.cross_check


def test_replicas_without_a_p_are_counted_and_named() -> None:
    missing = certificate(np.append(UNIFORM, np.nan))
    assert missing.below.n == 100
    (warning,) = certificate_section(missing).warnings
    assert warning.startswith("1 of 101 replicas have no global p")
    assert "no scan: no events" in warning
    none = certificate(np.full(3, np.nan))
    assert not none.holds
    section = certificate_section(none)
    assert "None of 3 replicas gave a global p" in section.statements[0]
    assert section.pictures == ()


def test_section_says_what_is_shared_and_of_which_analysis_it_is(tmp_path: Path) -> None:
    good = certificate(UNIFORM)
    section = certificate_section(good, key="abc")
    assert section.warnings == ()
    assert "25 % of their hunted jets" in section.paragraphs[1]
    assert section.tables[0].rows[3][1] == "1,000"
    (other,) = certificate_section(good, key="abd").warnings
    assert "not of this analysis" in other
    unfinished = dataclasses.replace(good, n_planned=200)
    assert "100 of 200 replicas are done" in certificate_section(unfinished).warnings[0]
    path, picture = write_section(tmp_path, section, sealed=True)
    assert path.name == "certificate.json"
    assert picture.stat().st_size > 5000
    read = read_certificate(tmp_path)
    assert read is not None
    assert read.to_dict() == good.to_dict()
    assert read_certificate(tmp_path / "nowhere") is None
    path.write_text(path.read_text().replace("abc", "abd", 1))
    assert read_certificate(tmp_path) is None
