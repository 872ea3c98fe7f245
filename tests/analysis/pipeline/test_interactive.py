"""`import oddjet` in a notebook: every line of the example runs, and results show themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import nbclient
import nbformat
import numpy as np
import pytest
import yaml
from toy_files import without_truth

import oddjet
from oddjet.datasets.simulation import simulate
from oddjet.errors import ConfigError

pytestmark = pytest.mark.slow

ANALYSIS = {
    "name": "in a notebook",
    "output": "runs/notebook",
    "samples": "samples",
    "image": None,
    "selection": {"pt_min": 300},
    "detectors": [{"name": "kmeans", "hyper_parameters": {"k": 4, "starts": 1}}],
    "hunt": {
        "function": "exppoly2",
        "range": [20, 220],
        "bin_width": 10,
        "window": [65, 105],
        "working_points": [0.5],
        "pt_edges": [300, 500, 13000],
        "n_toys": 100,
    },
    "pseudo_data": {"lumi_ifb": 0.00008, "seed": 1},
}

SETUP = """
import hist
import numpy as np
histogram = hist.Hist.new.Reg(20, 40, 240, name="mass").Double()
histogram.fill(40 + np.random.default_rng(1).exponential(50, 20_000))
"""

EXAMPLE = """
import oddjet
run    = oddjet.run("analysis.yaml")
(run.skim, run.detectors, run.scores, run.hunt, run.sculpting, run.limits, run.report)
run
skim   = oddjet.skim(["a.root"], "runs/look")
oddjet.open_skim("runs/look")
model  = oddjet.train(skim, "kmeans", k=50)
model
scores = oddjet.score(skim, model)
scores
oddjet.hunt(scores, "kmeans_min_d")
oddjet.hunt(histogram, window=(65, 105))
oddjet.judge(scores, "kmeans_min_d").verdict
oddjet.judge(scores, "kmeans_min_d")
oddjet.limit(histogram, mass=80, width=8).plot()
oddjet.limit(histogram, mass=80, width=8)
[oddjet.hunt(histogram, n_toys=100).to_dict()["global_p"], run.to_dict()["title"]]
"""


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, nbformat.NotebookNode]:
    """Lines of the example, and what a notebook shows of each."""
    folder = tmp_path_factory.mktemp("notebook")
    simulate("qcd", 1500, seed=1, output=folder / "qcd.root", pt_hat_min=300)
    without_truth(folder / "qcd.root", folder / "a.root")
    dataset = {"kind": "background", "files": [str(folder / "qcd.root")], "cross_section_pb": 9e3}
    content = ANALYSIS | {"fileset": {"datasets": {"qcd": dataset}}}
    (folder / "analysis.yaml").write_text(yaml.safe_dump(content))
    lines = [SETUP, *EXAMPLE.strip().splitlines()]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(line) for line in lines])
    nbclient.NotebookClient(
        notebook, timeout=900, kernel_name="python3", resources={"metadata": {"path": folder}}
    ).execute()
    # What was logged on the way is an output too, without data.
    shown = {cell.source: [o.data for o in cell.outputs if "data" in o] for cell in notebook.cells}
    return {line: data[-1] if data else nbformat.NotebookNode() for line, data in shown.items()}


def test_every_line_of_the_example_runs(outputs: dict[str, nbformat.NotebookNode]) -> None:
    assert len(outputs) == len(EXAMPLE.strip().splitlines()) + 1


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("run", ["in a notebook", "report.html"]),
        ('oddjet.open_skim("runs/look")', ["data", "msoftdrop", "<table>"]),
        ("model", ["kmeans", "k=50", "min_d_calibrated"]),
        ("scores", ["scores", "kmeans_min_d"]),
        ('oddjet.hunt(scores, "kmeans_min_d")', ["kmeans_min_d, 10 % background", "blinded"]),
        ("oddjet.hunt(histogram, window=(65, 105))", ["global p over", "in 65–105 GeV", "<img"]),
        ('oddjet.judge(scores, "kmeans_min_d").verdict', ["<b>", "p = "]),
        ('oddjet.judge(scores, "kmeans_min_d")', ["kmeans_min_d", "<img"]),
        ("oddjet.limit(histogram, mass=80, width=8)", ["95 % CL", "<img"]),
    ],
)
def test_results_show_themselves(
    outputs: dict[str, nbformat.NotebookNode], line: str, words: list[str]
) -> None:
    for word in words:
        assert word in outputs[line]["text/html"]


def test_a_plot_is_a_picture_and_numbers_are_given(
    outputs: dict[str, nbformat.NotebookNode],
) -> None:
    assert "image/png" in outputs["oddjet.limit(histogram, mass=80, width=8).plot()"]
    last = list(outputs.values())[-1]["text/plain"]
    assert "in a notebook" in last


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda h: oddjet.hunt(h, windw=(60, 100)), "hunt in a histogram: unknown option 'windw'"),
        (lambda h: oddjet.hunt(h, "kmeans_min_d"), "a histogram has no scores to cut on"),
        (lambda h: oddjet.limit(h, 80, 8, lumi=3), "limit: unknown option 'lumi'"),
    ],
)
def test_options_that_do_not_exist_are_refused(call: Callable[[Any], Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        call((np.ones(10), np.linspace(40, 240, 11)))
