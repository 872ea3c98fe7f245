"""Background-only replicas through the whole chain: divided anew, kept, gone on with, keyed by what matters."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
from toy_tables import write_table

from oddjet.analysis.config import AnalysisConfig
from oddjet.analysis.config.certificate import CertificateConfig
from oddjet.analysis.injection.certificate.replica import (
    Replica,
    renumbered,
    replica_key,
    run_replica,
)
from oddjet.analysis.injection.certificate.run import (
    certificate_key,
    plan_replicas,
    run_certificate,
)
from oddjet.analysis.injection.certificate.summary import Certificate
from oddjet.datasets.files.normalisation import Normalisation
from oddjet.datasets.folds import fold_of, held_out, jets_hash
from oddjet.datasets.skims.manifest import write_manifest
from oddjet.datasets.skims.skim import Skim, open_skim
from oddjet.errors import ConfigError, ProcessingError
from oddjet.processors.sample import HeldOut, HuntSample

pytestmark = pytest.mark.usefixtures("few_replicas")

SETTINGS: dict[str, Any] = {
    "name": "toy",
    "output": "unused",
    "fileset": {"datasets": {"qcd": {"kind": "background", "files": {"toy.root": "Events"}}}},
    "detectors": [{"name": "observables", "cut": "tau21"}],
    "folds": 2,
    "hunt": {
        "range": [40, 240], "bin_width": 10, "window": [100, 140], "working_points": [0.2],
        "function": "exppoly2", "widths": [2, 4], "pt_edges": [0, 100000],
        "n_toys": 100,
    },
    "pseudo_data": {"lumi_ifb": 0.4},
    "certificate": {"replicas": 2, "n_toys": 100},
    "cluster": {"executor": "iterative"},
}  # fmt: skip


def config(**changes: Any) -> AnalysisConfig:
    return AnalysisConfig.model_validate(SETTINGS | changes)


MAPPED = config(decorrelation={"methods": ["ddt"]})
N = 2400


@pytest.fixture(scope="module")
def weighted_skim(toy_skim: Skim, tmp_path_factory: pytest.TempPathFactory) -> Skim:
    """2400 background events of the toy skim, at 1/fb."""
    folder = tmp_path_factory.mktemp("weighted") / "skim"
    jets = {name: toy_skim.jets(name)[:N] for name in ("qcd", "top")}
    written = write_table(folder, jets, {"qcd": "background", "top": "signal"})
    known = {
        name: dataset.model_copy(
            update={
                "cross_section_pb": dataset.n_events / 1000,
                "norm": Normalisation(sumw=dataset.sumw, source="events"),
            }
        )
        for name, dataset in written.manifest.datasets.items()
    }
    write_manifest(folder, written.manifest.model_copy(update={"datasets": known}))
    return open_skim(folder)


@pytest.fixture(scope="module")
def made(weighted_skim: Skim, tmp_path_factory: pytest.TempPathFactory) -> tuple[Certificate, Path]:
    output = tmp_path_factory.mktemp("out")
    return run_certificate(MAPPED, weighted_skim, output), output


def test_a_replica_hunts_in_what_it_has_not_learned_from(
    made: tuple[Certificate, Path], weighted_skim: Skim
) -> None:
    result, _ = made
    assert len(result.global_p) == len(result.cross_check_p) == 2
    assert len(set(result.global_p)) == 2
    in_range = np.asarray(weighted_skim.jets("qcd").msoftdrop)
    n_range = np.count_nonzero((in_range >= 40) & (in_range < 240))
    for replica in result.replicas:
        assert replica["n_hunted"] == pytest.approx(0.4 * n_range, rel=0.1)  # 0.4/fb of 1/fb
        assert replica["n_learned"] == pytest.approx(N / 2, rel=0.1)
        assert replica["hunted_overlap"] == pytest.approx(0.4)
        assert replica["learned_overlap"] == pytest.approx(0.5)
        (outcome,) = replica["verdicts"].values()
        assert outcome.split(":")[0] in {"PASS", "FAIL", "INCONCLUSIVE", "not judged"}


def test_replicas_divide_the_events_anew_and_share_what_they_say(weighted_skim: Skim) -> None:
    jets = weighted_skim.jets("qcd")
    first, second = (renumbered(jets, seed) for seed in (1, 2))
    assert np.array_equal(jets_hash(first), jets_hash(renumbered(jets, 1)))
    for one, other in ((jets, first), (first, second)):
        shared = np.mean(held_out(one, 0.5)[held_out(other, 0.5)])
        assert shared == pytest.approx(0.5, abs=0.04)
        assert np.mean(fold_of(one, 2) == fold_of(other, 2)) == pytest.approx(0.5, abs=0.04)
    # The hunted jets: each of 1/fb with probability 0.4, whatever is held out.
    hunted = []
    for those in (first, second):
        sample = HuntSample("pseudo-data", 0.4, 1, {"qcd": 0.4}, held_out=HeldOut(0.5, ("qcd",)))
        columns = ("dataset", "run", "luminosityBlock", "event", "weight")
        table = {name: np.asarray(those[name]) for name in columns}
        hunted.append(sample.rows(table))
    assert np.mean(hunted[0]) == pytest.approx(0.4, abs=0.03)
    assert np.mean(hunted[1][hunted[0]]) == pytest.approx(0.4, abs=0.04)


def test_jets_of_an_event_stay_together(weighted_skim: Skim) -> None:
    jets = weighted_skim.jets("qcd")[:100]
    jets = ak.with_field(jets, np.asarray(jets["event"]) // 2, "event")
    events = np.asarray(renumbered(jets, 3)["event"])
    np.testing.assert_array_equal(events[::2], events[1::2])
    assert len(np.unique(events)) == 50


def test_nothing_is_done_twice_and_more_replicas_add_to_those_there_are(
    made: tuple[Certificate, Path], weighted_skim: Skim, monkeypatch: pytest.MonkeyPatch
) -> None:
    result, output = made
    files = sorted((output / "replicas").iterdir())
    kept = files[0].read_text()
    files[0].unlink()  # as if it had been killed before this one
    more = MAPPED.model_copy(update={"certificate": CertificateConfig(replicas=3, n_toys=100)})
    begun: list[int] = []

    def stub(replica: Replica) -> dict[str, Any]:
        begun.append(replica.seed)
        return dict(result.replicas[0]) | {"seed": replica.seed}

    monkeypatch.setattr("oddjet.analysis.injection.certificate.run.run_replica", stub)
    again = run_certificate(more, weighted_skim, output)
    killed = json.loads(kept)["seed"]
    assert sorted(begun) == [killed, 3]
    assert [replica["seed"] for replica in again.replicas] == [1, 2, 3]
    assert again.replicas[2 - killed] == result.replicas[2 - killed]
    assert again.key == result.key

    def refuse(*args: Any, **kwargs: Any) -> None:
        pytest.fail("nothing is left to do")

    monkeypatch.setattr("oddjet.analysis.trials.open_executor", refuse)
    assert run_certificate(more, weighted_skim, output).to_dict() == again.to_dict()


def test_what_is_learned_on_data_is_learned_on_what_stands_for_them(weighted_skim: Skim) -> None:
    """As many events as data, of which the held-out half is hunted in; thresholds on the rest of the simulation."""
    training = {"on": "data", "thresholds": {"on": "simulation"}}
    replica = run_replica(plan_replicas(config(training=training), weighted_skim)[0])
    assert replica["n_hunted"] == pytest.approx(0.2 * N * 0.9, rel=0.15)
    assert replica["hunted_overlap"] == pytest.approx(0.2)
    assert replica["learned_overlap"] == pytest.approx(0.2)
    assert replica["cross_check_p"] is None
    continued = config(training={"on": "data"}, decorrelation={"methods": ["ddt"]})
    with pytest.raises(ConfigError, match="ddt cannot be continued"):
        run_replica(plan_replicas(continued, weighted_skim)[0])


def test_keys_change_with_what_matters(weighted_skim: Skim) -> None:
    def key(**changes: Any) -> str:
        return certificate_key(config(**changes), weighted_skim)

    replicas = SETTINGS["certificate"] | {"replicas": 9, "n_toys": 300, "seed": 4}
    assert key() == key(name="another", certificate=replicas, cluster={"executor": "futures"})
    others = {
        key(hunt=SETTINGS["hunt"] | {"bin_width": 5}),
        key(decorrelation={"methods": ["ddt"]}),
        key(pseudo_data={"lumi_ifb": 0.3}),
        key(training={"held_out": 0.4}),
        key(folds=3),
    }
    assert len(others | {key()}) == 6
    first, second = plan_replicas(config(), weighted_skim)[:2]
    assert replica_key(first) != replica_key(second)


def test_what_cannot_be_certified_is_refused(weighted_skim: Skim, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="luminosity of what is hunted in is not known"):
        plan_replicas(config(pseudo_data=None), weighted_skim)
    manifest = weighted_skim.manifest
    none = manifest.model_copy(update={"datasets": {"top": manifest.datasets["top"]}})
    with pytest.raises(ConfigError, match="no dataset of kind 'background'"):
        plan_replicas(config(), dataclasses.replace(weighted_skim, manifest=none))
    too_much = config(pseudo_data={"lumi_ifb": 0.9})
    with pytest.raises(ProcessingError, match=r"(?s)2 of 2 replicas failed.*draw at most 0\.5/fb"):
        run_certificate(too_much, weighted_skim, tmp_path)
