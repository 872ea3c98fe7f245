from __future__ import annotations

from pathlib import Path

import awkward as ak
import numpy as np
import pytest
import uproot

from oddjet.analysis.studies.benchmarks.processors import (
    benchmark_memory,
    benchmark_skim,
    repeat_file,
)
from oddjet.datasets.files.rootfiles import inspect_root


def test_a_repeated_file_holds_the_same_events_under_other_numbers(
    qcd: Path, tmp_path: Path
) -> None:
    big = repeat_file(qcd, tmp_path / "big.root", times=3)
    names = ["event", "FatJet_pt", "PFCand_eta", "FatJetPFCand_jetIdx", "genWeight"]
    with uproot.open(qcd) as one, uproot.open(big) as three:
        small = one["Events"].arrays(names)
        large = three["Events"].arrays(names)
        assert set(one["Events"].keys()) == set(three["Events"].keys())
        assert len(large) == 3 * len(small)
        for i in range(3):
            part = large[i * len(small) : (i + 1) * len(small)]
            for name in names[1:]:
                assert ak.array_equal(part[name], small[name])
        events = ak.to_numpy(large["event"])
        assert len(np.unique(events)) == len(events)
        counts = three["Runs"].arrays(["run", "genEventCount"])
        assert (counts.run[0], counts.genEventCount[0]) == (1, 3 * len(small))
    assert inspect_root(big).history.sumw == 3 * len(small)


def test_rates_and_their_ratio(qcd: Path) -> None:
    numbers = benchmark_skim(qcd, repeats=1)
    assert numbers["n_events"] == 400
    assert 30 <= numbers["n_branches"] <= 40
    assert numbers["ratio"] == pytest.approx(
        numbers["skim_events_per_second"] / numbers["read_events_per_second"]
    )
    assert numbers["ratio"] > 0


@pytest.mark.slow
def test_memory_is_bounded_by_the_chunk(qcd: Path, tmp_path: Path) -> None:
    small = repeat_file(qcd, tmp_path / "small.root", times=3)
    large = repeat_file(qcd, tmp_path / "large.root", times=24)
    numbers = benchmark_memory(small, large, chunk_size=1200)
    assert numbers["small_mb"] > 100
    assert 0.9 < numbers["ratio"] < 1.15
