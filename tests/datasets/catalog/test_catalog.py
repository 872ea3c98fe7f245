from __future__ import annotations

import pytest

from oddjet.datasets.catalog import catalog_names, catalog_path
from oddjet.datasets.files.dataset import require_files
from oddjet.datasets.files.fileset import load_fileset
from oddjet.datasets.simulation.processes import PROCESSES
from oddjet.errors import ConfigError


def test_there_are_catalogs() -> None:
    assert {"builtin", "khanal_nanoaodv15", "khanal_pfnano"} <= set(catalog_names())


@pytest.mark.parametrize("name", catalog_names())
def test_catalog_loads_and_knows_whether_it_was_verified(name: str) -> None:
    fileset = load_fileset(f"catalog:{name}")
    assert {dataset.kind for dataset in fileset.datasets.values()} == {"background", "signal"}
    assert all(dataset.truth for dataset in fileset.datasets.values() if dataset.kind == "signal")
    from_cms = [dataset for dataset in fileset.datasets.values() if dataset.das]
    assert len(from_cms) in {0, len(fileset.datasets)}
    assert fileset.verified is (not from_cms)
    assert ("UNVERIFIED" in catalog_path(name).read_text()) is bool(from_cms)
    with pytest.raises(ConfigError, match="dasgoclient" if from_cms else "simulate"):
        require_files(fileset)


def test_w_decays_to_quarks() -> None:
    for name in ("khanal_nanoaodv15", "khanal_pfnano"):
        signal = [
            d.das or ""
            for d in load_fileset(f"catalog:{name}").datasets.values()
            if d.kind == "signal"
        ]
        assert signal
        assert all("Wto2Q" in das or "WJetsToQQ" in das for das in signal)


def test_builtin_processes_exist_with_their_truth() -> None:
    seeds = set()
    for dataset in load_fileset("catalog:builtin").datasets.values():
        assert dataset.simulate is not None
        assert dataset.truth == PROCESSES[dataset.simulate.process].truth
        seeds.add(dataset.simulate.seed)
    assert len(seeds) == len(PROCESSES)


def test_unknown_catalog() -> None:
    with pytest.raises(ConfigError, match=r"no catalog 'buildin'.*Did you mean 'builtin'"):
        load_fileset("catalog:buildin")
