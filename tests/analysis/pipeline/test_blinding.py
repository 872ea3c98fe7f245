"""A blinded run, walked through: no output and no command depends on what its window holds.

Two runs differ in the jets of the window alone: in one of them their events hold none that is selected. All that is
not the table of jets itself has to be the same, to the last digit.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
import uproot
import yaml
from toy_files import without_truth
from toy_tables import SMALL_HUNT
from typer.testing import CliRunner

import oddjet
from oddjet.analysis.cli.app import app
from oddjet.analysis.hunt.ledger import read_ledger
from oddjet.analysis.pipeline.folder import Run
from oddjet.analysis.report import page
from oddjet.processors.histogram_files import load_histograms
from oddjet.processors.scores import open_scores

pytestmark = pytest.mark.long

WINDOW = (60.0, 100.0)
SCORE = "kmeans_min_d"
STEPS = "samples|skim|train|score|hunt|sculpting|limits"
MADE = re.compile(
    "|".join(
        (
            r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]+|\b[0-9a-f]{16,64}\b",  # names of contents
            r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(,\d+)?(\+00:00)?|\d:\d\d:\d\d",  # times of day
            r"\[\d\d/\d\d/\d\d [\d:]+\] |(?m:^ +(?=WARNING ))",
            r" +\d+(\.\d+)? (s|min) ago|\d+(\.\d+)? s\b|\d+ (events|parts|%)/s",  # how long it took
            rf'<tr><td>({STEPS})</td><td class="num">[^<]*|"(seconds|seconds_ago|{STEPS})": [\d.e-]+',
        )
    )
)
"""What differs between two runs of the same."""
COSTS = ("calibration.json", "seconds.json")
"""Files of what a run costs: times, and bytes of its tables."""


def in_window(folder: Path) -> np.ndarray:
    """Event numbers of the data that have a jet in the window."""
    table = open_scores(folder / "scores").columns(datasets="jetht")
    inside = (table["msoftdrop"] >= WINDOW[0]) & (table["msoftdrop"] < WINDOW[1])
    return np.unique(table["event"][inside])


SPEED = re.compile(r"(100%[\d,]+(?:events|jets|parts|strengths))[\d,.*]*")


class Walk:
    """The outputs of a run, and of every command that is asked about it."""

    def __init__(self, folder: Path, qcd: Path, emptied: np.ndarray) -> None:
        self.folder, self.run = folder, folder / "run"
        folder.mkdir()
        self.data = folder / "data.root"

        def change(events: ak.Array) -> ak.Array:
            out = np.isin(np.asarray(events["event"]), emptied)
            events["FatJet_eta"] = events["FatJet_eta"] + np.where(out, 9, 0).astype(np.float32)
            return events

        without_truth(qcd, self.data, change)
        content = {
            "name": "blinded",
            "output": str(self.run),
            "fileset": {
                "datasets": {
                    "qcd": {"kind": "background", "files": [str(qcd)], "cross_section_pb": 9e3},
                    "jetht": {"kind": "data", "files": [str(self.data)]},
                }
            },
            "selection": {"pt_min": 350, "leading_only": True},
            "image": None,
            "detectors": [{"name": "kmeans", "hyper_parameters": {"k": 4, "starts": 1}}],
            "hunt": {**SMALL_HUNT, "method": "conditional", "orders": [1, 2]},
            "lumi_ifb": 0.001,
        }
        (folder / "data.yaml").write_text(
            yaml.safe_dump({"datasets": {"jetht": {"kind": "data", "files": [str(self.data)]}}})
        )
        self.config = folder / "analysis.yaml"
        self.config.write_text(yaml.safe_dump(content))
        self.said = {"run": self.ask("run", str(self.config))}

    def ask(self, *command: str) -> str:
        """What a command prints."""
        done = CliRunner().invoke(app, command)
        refused = command[0] == "spurious" or "dataset=sum" in " ".join(command)
        assert refused or done.exit_code in (0, 3, 4), done.output
        return self.plain(f"{done.output}\n{done.exit_code}")

    def plain(self, text: str) -> str:
        """A text without what names this very run: places, hashes, times, and the size of its file."""
        text = text.replace(str(self.folder), "").replace(f"{self.data.stat().st_size}", "")
        size = f"{self.data.stat().st_size:,}".replace(",", "\u202f")
        # Tables break long paths, and a bar of progress ends with a speed.
        text = "".join(re.sub("[│━]", "", MADE.sub("*", text.replace(size, ""))).split())
        return SPEED.sub(r"\1", text.replace(str(self.folder), ""))

    def ask_all(self) -> dict[str, str]:
        """What every command says that can be asked about the run."""
        scores, settings = self.run / "scores", ("--config", str(self.run / "config.yaml"))
        questions = [
            ("status", str(self.run), "--no-plan", "-o", str(self.run / "status.json")),
            ("status", str(self.run / "skim")),
            ("report", str(self.run)),
            ("ledger", str(self.run)),
            ("check", str(self.config)),
            ("hunt", str(scores), "--column", SCORE, *settings, "-o", str(self.run / "hunt.json")),
            ("spurious", str(self.run / "skim"), "--background", "jetht", "-o", str(self.folder)),
            (
                "sculpt", str(scores), "--column", f"{SCORE}_calibrated", "--dataset", "jetht",
                "-o", str(self.run / "sculpt"),
            ),
            (
                "skim", "--fileset", str(self.folder / "data.yaml"), "-o", str(self.folder / "other"), "--no-images",
                "--set", "selection.pt_min=350", "--set", "selection.leading_only=true",
            ),
            *(("hunt", source, "--function", "exppoly2") for source in self.histograms()),
            (
                "limit", self.histograms()[0], "--mass", "80", "--width", "6", "--function", "exppoly2",
                "--toys", "0", "-o", str(self.run / "limit"),
            ),
        ]  # fmt: skip
        planned = CliRunner().invoke(app, ["plan", str(self.config)]).output  # times and sizes
        (of_data,) = (line for line in planned.splitlines() if "jetht" in line)
        self.said["plan"] = of_data.split("│")[5].strip()  # the column of jets
        for question in questions:
            self.said[self.plain(" ".join(question))] = self.ask(*question)
        return self.said

    def histograms(self) -> list[str]:
        """Every histogram of the data in the files of the run."""
        scores = self.run / "scores"
        rest = "&variation=nominal&working_point=all&pt=sum"
        names = [f"histograms.json:{SCORE}?dataset={name}{rest}" for name in ("jetht", "sum")]
        names.append("histograms.json:hunted?dataset=jetht&pattern=sum")
        names += [
            "histograms.root:hunted/all/mass",
            f"histograms.root:{SCORE}/jetht/nominal/all/mass",
        ]
        return [f"{scores}/{name}" for name in names]

    def files(self) -> dict[str, Any]:
        """What is in every file of the run but tables of jets, what describes their rows, and detectors."""
        contents: dict[str, Any] = {}
        for path in sorted(p for p in self.run.rglob("*") if p.is_file()):
            name = str(path.relative_to(self.run))
            if is_table(name) or name in COSTS:
                continue
            if path.suffix == ".root":
                with uproot.open(path) as file:
                    keys = [
                        k
                        for k, c in file.classnames(cycle=False).items()
                        if c[:3] in ("TH1", "TH2")
                    ]
                    contents[name] = {key: file[key].values(flow=True).tolist() for key in keys}
            elif path.suffix in (".png", ".npz"):
                contents[name] = path.read_bytes()
            else:
                contents[name] = self.plain(path.read_text(encoding="utf-8"))
        return contents


def is_table(name: str) -> bool:
    """Whether a file is one of a table of jets, or of a detector, which keeps hashes of its events."""
    folder, _, rest = name.partition("/")
    is_row = rest.endswith((".parquet", "manifest.json", "unique.json")) or bool(
        re.search(r"[0-9a-f]{20}\.json$", rest)
    )
    return (folder in ("skim", "scores") and is_row) or folder == "models"


@pytest.fixture(scope="module", autouse=True)
def undrawn() -> Iterator[None]:
    """Reports whose pictures are what would be drawn, as text: drawing takes most of the time."""
    with pytest.MonkeyPatch.context() as patch:
        pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGP4DwABAQEAG7buVgAAAABJRU5ErkJggg=="
        patch.setattr(page, "data_uri", lambda _: f"data:image/png;base64,{pixel}")
        yield


@pytest.fixture(scope="module")
def walks(qcd: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Walk, Walk]:
    folder = tmp_path_factory.mktemp("blinded")
    full = Walk(folder / "full", qcd, np.array([], np.int64))
    emptied = Walk(folder / "void", qcd, in_window(full.run))
    return full, emptied


def test_the_window_holds_jets_in_one_run_alone(walks: tuple[Walk, Walk]) -> None:
    full, emptied = (in_window(walk.run).size for walk in walks)
    assert full > 20
    assert emptied == 0


def test_no_command_says_what_the_window_holds(walks: tuple[Walk, Walk]) -> None:
    first, second = (walk.ask_all() for walk in walks)
    assert first.keys() == second.keys()
    assert {name: first[name] for name in first if first[name] != second[name]} == {}
    assert first["plan"] == "–"


def test_no_file_says_what_the_window_holds(walks: tuple[Walk, Walk]) -> None:
    first, second = (walk.files() for walk in walks)
    assert {"report.html", "report.json", "ledger.jsonl", "scores/histograms.root"} <= first.keys()
    differ = [name for name in {**first, **second} if first.get(name) != second.get(name)]
    assert differ == []
    # Nor is it what is missing to a total: all numbers of data leave it out.
    report = json.loads((walks[0].run / "report.json").read_text())
    seen = Run.open(walks[0].run).visible
    assert report["summary"]["n_jets"] == seen.sum() < seen.size


def test_results_in_python_do_not_say_it_either(walks: tuple[Walk, Walk]) -> None:
    shown = []
    for walk in walks:
        run = Run.open(walk.run)
        table = open_scores(run.scores_folder)
        skim = oddjet.open_skim(run.skim_folder)
        results = (run, run.hunt, run.sculpting, *run.limits, run.ledger, skim, table)
        shown.append([walk.plain(result._repr_html_()) for result in results if result is not None])
    assert shown[0] == shown[1]


def test_after_unblinding_all_is_there_and_the_ledger_says_so(walks: tuple[Walk, Walk]) -> None:
    full = walks[0]
    before = read_ledger(full.run / "ledger.jsonl")
    assert {entry.event for entry in before.entries} == {"blinded"}
    full.ask("run", str(full.config), "--unblind")
    table = open_scores(full.run / "scores").columns(datasets="jetht")
    histograms = load_histograms(full.run / "scores" / "histograms.json")
    filled = histograms[SCORE]["jetht", "nominal", "all", :, ::sum].values(flow=True)
    assert filled.sum() == len(table["rank"])
    inside = (table["msoftdrop"] >= WINDOW[0]) & (table["msoftdrop"] < WINDOW[1])
    assert filled[5:9].sum() == inside.sum() > 0
    after = read_ledger(full.run / "ledger.jsonl")
    assert after.entries[: len(before.entries)] == before.entries
    assert [e.event for e in after.entries[len(before.entries) :]] == ["unblinding", "hunt"]
    report = json.loads((full.run / "report.json").read_text())
    assert report["sections"]["ledger"]["looks"]["n_looks"] == 1
    assert report["sections"]["ledger"]["looks"]["p"] == pytest.approx(
        report["summary"]["global_p"]
    )
    # The same again is kept; another range is another look.
    full.ask("run", str(full.config), "--unblind")
    assert read_ledger(full.run / "ledger.jsonl") == after
    full.ask(
        "hunt", str(full.run / "scores"), "--column", SCORE, "--config", str(full.config), "--unblind",
        "--set", "hunt.widths=[2, 3]",
    )  # fmt: skip
    assert read_ledger(full.run / "ledger.jsonl").looks.n_looks == 2  # type: ignore[union-attr]
    said = full.ask("hunt", full.histograms()[0], "--function", "exppoly2")
    assert "globalp" in said  # `plain` leaves no spaces
    assert read_ledger(full.run / "ledger.jsonl").looks.n_looks == 3  # type: ignore[union-attr]
