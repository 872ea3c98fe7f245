"""Simulating into a file: repeatable, atomic, summed up."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import awkward as ak
import numpy as np
import psutil
import pytest
import uproot

from oddjet.datasets.simulation import SimulationSummary, blocks, run, simulate
from oddjet.datasets.simulation.identifiers import MAX_EVENTS, MAX_SEED
from oddjet.errors import ConfigError, ProcessingError


def read(path: Path) -> ak.Array:
    with uproot.open(path) as file:
        return file["Events"].arrays()


def same(one: ak.Array, other: ak.Array) -> bool:
    assert one.fields == other.fields
    return all(ak.array_equal(one[name], other[name]) for name in one.fields)


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of 5 events, so that small runs have several."""
    monkeypatch.setattr(blocks, "BLOCK_EVENTS", 5)


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> ak.Array:
    """Seven events of the first seed, in two blocks."""
    path = tmp_path_factory.mktemp("first") / "w.root"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "BLOCK_EVENTS", 5)
        simulate("w", 7, seed=1, output=path, pt_hat_min=350)
    return read(path)


@pytest.mark.usefixtures("small_blocks")
def test_the_same_call_gives_the_same_contents_and_another_seed_others(
    first: ak.Array, tmp_path: Path
) -> None:
    for name, seed in (("same", 1), ("other", 2)):
        simulate("w", 7, seed=seed, output=tmp_path / f"{name}.root", pt_hat_min=350)
    again, other = (read(tmp_path / f"{name}.root") for name in ("same", "other"))
    assert same(first, again)
    assert not set(first.event.tolist()) & set(other.event.tolist())
    assert ak.to_list(first.FatJet_pt) != ak.to_list(other.FatJet_pt)


@pytest.mark.usefixtures("small_blocks")
def test_a_longer_run_begins_with_the_shorter_one(first: ak.Array, tmp_path: Path) -> None:
    simulate("w", 5, seed=1, output=tmp_path / "short.root", pt_hat_min=350)
    assert same(read(tmp_path / "short.root"), first[:5])


@pytest.mark.slow
def test_contents_do_not_depend_on_the_number_of_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "BLOCK_EVENTS", 40)
    n_events = 42  # the second block is done long before the first
    done: list[int] = []
    for workers in (1, 2):
        output = tmp_path / f"{workers}.root"
        simulate("aachen", n_events, seed=1, output=output, workers=workers, progress=done.append)
    assert done == [40, 42] * 2
    assert same(read(tmp_path / "1.root"), read(tmp_path / "2.root"))
    summaries = [
        json.loads((tmp_path / f"{workers}.summary.json").read_text()) for workers in (1, 2)
    ]
    for summary in summaries:
        # A ROOT file has its date and a number of its own, and so another hash.
        for varying in ("seconds", "workers", "output", "file_sha256", "sha256"):
            del summary[varying]
    assert summaries[0] == summaries[1]
    events = read(tmp_path / "1.root")
    assert np.unique(events.luminosityBlock).tolist() == [1, 2]
    assert len(np.unique(events.event)) == n_events


@pytest.mark.usefixtures("small_blocks")
def test_event_numbers_are_unique_across_processes_slices_and_seeds(
    first: ak.Array, tmp_path: Path
) -> None:
    made = [first]
    for process, seed, lower, upper in (
        ("w", 2, 350, None),
        ("w", 1, 351, None),
        ("w", 1, 350, 500),
        ("qcd", 1, 350, None),
    ):
        output = tmp_path / "events.root"
        simulate(process, 7, seed=seed, output=output, pt_hat_min=lower, pt_hat_max=upper)
        made.append(read(output))
    for events in made:
        assert set(events.run.tolist()) == {1}
        assert events.luminosityBlock.tolist() == [1] * 5 + [2] * 2
    assert len({number for events in made for number in events.event.tolist()}) == 7 * len(made)


def test_sums_are_written_three_times_and_agree(
    w_sample: tuple[Path, SimulationSummary], w_events: ak.Array
) -> None:
    path, summary = w_sample
    with uproot.open(path) as file:
        runs, lumis = file["Runs"].arrays(), file["LuminosityBlocks"].arrays()
    weight = ak.to_numpy(w_events.genWeight).astype(float)
    assert runs.genEventCount.tolist() == [60] == [summary.n_events]
    assert runs.genEventSumw.tolist() == [weight.sum()] == [summary.sumw]
    assert runs.genEventSumw2.tolist() == [(weight**2).sum()] == [summary.sumw2]
    assert lumis.luminosityBlock.tolist() == [1]
    assert summary.sumw > 0


def test_the_summary_lies_beside_the_file(w_sample: tuple[Path, SimulationSummary]) -> None:
    path, summary = w_sample
    stored = json.loads((path.parent / "w.summary.json").read_text())
    assert stored["cross_section_pb"] == summary.cross_section_pb
    assert stored["truth"] == [24]
    assert stored["r_inv"] is None
    assert stored["pt_hat_min"] == 350
    # 8.88 ± 0.02 pb from 40,000 events without showers and hadrons.
    assert abs(summary.cross_section_pb - 8.88) < 5 * summary.cross_section_error_pb
    assert 0 < summary.cross_section_error_pb < 0.3 * summary.cross_section_pb


def test_cross_sections_are_averaged_by_the_points_tried() -> None:
    tally = run._Tally()
    empty = None
    for tried, value, error in ((100, 2.0, 0.2), (300, 4.0, 0.1)):
        tally.add(blocks.BlockResult(empty, tried, value, error, 10, 3))  # type: ignore[arg-type]
    figures = tally.figures()
    assert figures["cross_section_pb"] == pytest.approx(3.5)
    assert figures["cross_section_error_pb"] == pytest.approx(np.hypot(0.25 * 0.2, 0.75 * 0.1))
    assert figures["r_inv"] == pytest.approx(0.3)


def test_a_failure_leaves_nothing_behind_and_the_old_file_alone(tmp_path: Path) -> None:
    output = tmp_path / "w.root"
    output.write_bytes(b"older")

    def stop(n_done: int) -> None:
        raise RuntimeError(n_done)

    with pytest.raises(RuntimeError):
        simulate("w", 5, seed=1, output=output, pt_hat_min=350, progress=stop)
    assert output.read_bytes() == b"older"
    assert list(tmp_path.iterdir()) == [output]


class DyingPool:
    """A pool whose workers all die."""

    def __init__(self, *_: object, **__: object) -> None:
        self.was_shut_down = False

    def submit(self, *_: object) -> Future[None]:
        future: Future[None] = Future()
        future.set_exception(BrokenProcessPool("gone"))
        return future

    def shutdown(self, **_: object) -> None:
        self.was_shut_down = True


@pytest.mark.usefixtures("small_blocks")
def test_a_dead_worker_is_told_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "ProcessPoolExecutor", DyingPool)
    with pytest.raises(ProcessingError, match="a worker of the simulation died"):
        simulate("w", 40, seed=1, output=tmp_path / "w.root", workers=2)
    assert not list(tmp_path.iterdir())


DRIVER = """
import sys
from oddjet.analysis.cli import app as command_line
from oddjet.datasets.simulation import simulate

def command():
    simulate("qcd", 40_000, seed=1, output=sys.argv[1], pt_hat_min=350, workers=2)

if __name__ == "__main__":
    command_line.app = command
    command_line.main()
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_workers_end_with_a_call_that_is_ended(tmp_path: Path, number: int) -> None:
    """Else they would wait for blocks for ever."""
    script, folder = tmp_path / "driver.py", tmp_path / "out"
    script.write_text(DRIVER)
    folder.mkdir()
    with subprocess.Popen(
        [sys.executable, str(script), str(folder / "a.root")], stderr=subprocess.PIPE, text=True
    ) as driver:
        workers: list[psutil.Process] = []
        until = time.monotonic() + 60
        while sum(worker.cpu_times().user > 1 for worker in workers) < 2:
            assert driver.poll() is None
            assert time.monotonic() < until
            time.sleep(0.1)
            workers = psutil.Process(driver.pid).children(recursive=True)
        driver.send_signal(number)
        errors = driver.communicate(timeout=15)[1]
    _, left = psutil.wait_procs(workers, timeout=5)
    for worker in left:
        worker.kill()
    assert not left
    assert driver.returncode == (-9 if number == signal.SIGKILL else 143)
    assert "Traceback" not in errors
    if number == signal.SIGTERM:
        assert not list(folder.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"process": "qdc"}, "Did you mean 'qcd'"),
        ({"n_events": 0}, "n_events: expected 1 to"),
        ({"n_events": MAX_EVENTS + 1}, "another seed"),
        ({"n_events": 10.5}, "whole number"),
        ({"seed": -1}, "seed: expected 0 to 65535, got -1"),
        ({"seed": MAX_SEED + 1}, "seed: expected"),
        ({"workers": 0}, "workers: expected"),
        ({"pt_hat_min": 100.5}, "whole number of GeV"),
        ({"process": "aachen", "pt_hat_min": 100}, "decay of one resonance"),
    ],
)
def test_arguments_that_cannot_be_meant(
    tmp_path: Path, arguments: dict[str, object], message: str
) -> None:
    call: dict[str, object] = {"process": "qcd", "n_events": 10, "seed": 1} | arguments
    with pytest.raises(ConfigError, match=message):
        simulate(output=tmp_path / "x.root", **call)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["x.root", "x.summary.json"])
def test_a_folder_in_the_place_is_seen_first(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / name).mkdir()
    monkeypatch.setattr(run, "simulate_block", lambda _: pytest.fail("it simulates"))
    with pytest.raises(ConfigError, match=rf"{name} is a folder"):
        simulate("qcd", 10, seed=1, output=tmp_path / "x.root")
