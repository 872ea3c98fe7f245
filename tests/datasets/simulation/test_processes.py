"""The table of processes."""

from __future__ import annotations

import pytest

from oddjet.datasets.simulation import PROCESSES, process_names
from oddjet.datasets.simulation.generator import open_pythia, read_batches
from oddjet.datasets.simulation.identifiers import make_slice
from oddjet.datasets.simulation.processes import Process, get_process
from oddjet.errors import ConfigError, ProcessingError


def test_the_nine_processes_are_there() -> None:
    assert process_names() == (
        "qcd", "w", "z", "top", "aachen", "heidelberg", "stealth80", "stealth400", "svj",
    )  # fmt: skip


def test_numbers_are_distinct_and_fit_their_four_bits() -> None:
    numbers = [process.number for process in PROCESSES.values()]
    assert len(set(numbers)) == len(numbers)
    assert all(1 <= number <= 15 for number in numbers)


def test_truth_of_each_signal() -> None:
    truth = {name: process.truth for name, process in PROCESSES.items()}
    assert truth == {
        "qcd": (),
        "w": (24,),
        "z": (23,),
        "top": (6,),
        "aachen": (4900101,),
        "heidelberg": (4900001,),
        "stealth80": (9000035,),
        "stealth400": (9000035,),
        "svj": (4900101,),
    }


def test_unknown_process_gets_a_hint() -> None:
    with pytest.raises(ConfigError, match=r"unknown process 'aachn'.*Did you mean 'aachen'"):
        get_process("aachn")


def test_a_setting_pythia_does_not_know_is_an_error() -> None:
    wrong = Process(
        number=15, settings=("HardQCD:al=on",), pt_hat_min=100, truth=(), description="", source=""
    )
    with pytest.raises(ProcessingError, match="HardQCD:al=on"):
        open_pythia(wrong, make_slice(wrong, "wrong", None, None), 1, where="wrong")


@pytest.mark.slow
@pytest.mark.parametrize("name", process_names())
def test_every_process_initialises_and_has_its_truth_particle(name: str) -> None:
    process = PROCESSES[name]
    pythia = open_pythia(process, make_slice(process, name, None, None), 1, where=name)
    batches = list(read_batches(pythia, 5, where=name))
    assert sum(map(len, batches)) == 5
    for code in process.truth:
        assert all((abs(event["prt", "id"]) == code).to_numpy().any() for event in batches[0])
    assert pythia.infoPython().sigmaGen() > 0
