"""Nothing is downloaded: the code names no place to get anything from, and a run asks for none."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from offline import no_network
from toy_tables import SMALL_HUNT

ROOT = Path(__file__).resolve().parents[1]
MODULES = [
    *(ROOT / "src" / "oddjet").glob("*.py"),
    *(p for room in ("analysis", "processors", "ml", "datasets", "condor") for p in (ROOT / room).rglob("*.py")),
]  # fmt: skip

CLIENTS = {
    *("aiohttp", "boto3", "ftplib", "gdown", "git", "http", "httpx", "huggingface_hub", "imaplib"),
    *("kagglehub", "mplhep_data", "paramiko", "pip", "pooch", "poplib", "requests", "smtplib"),
    *("socket", "socketserver", "ssl", "telnetlib", "tensorflow_datasets", "tensorflow_hub"),
    *("torch", "transformers", "urllib.error", "urllib.request", "urllib3", "webbrowser", "wget"),
    "xmlrpc",
}
"""Packages that ask others for something over a network."""

READERS = {"XRootD": "datasets/disk", "fsspec": "datasets/disk"}
"""Packages that read what a user's fileset names, and the folder that alone may use them."""

FETCHERS = re.compile(
    r"get_file|load_data|url(open|retrieve)|fetch_\w+|from_(pretrained|url)|hf_hub_\w+|snapshot_\w+|qg_jets|create_connection"
)
"""Functions of keras, scikit-learn, EnergyFlow and others that bring data or weights."""

PROGRAMS = {"apt", "conda", "curl", "dasgoclient", "git", "pip", "rsync", "scp", "ssh", "wget", "xrdcp"}  # fmt: skip

STARTERS = {
    "condor/submit.py",
    "analysis/studies/benchmarks/processors.py",
    "analysis/studies/benchmarks/scale.py",
}
"""What may start programs: those of HTCondor, and Python itself to measure it."""


def imported(tree: ast.AST) -> Iterator[str]:
    """Names of all modules that are imported, also inside functions and by name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and name_of(node.func) in ("import_module", "__import__"):
            yield from (a.value for a in node.args if isinstance(a, ast.Constant))


def name_of(function: ast.expr) -> str:
    return getattr(function, "attr", getattr(function, "id", ""))


def texts(node: ast.AST) -> Iterator[str]:
    """Text that a call is given, but for what it is called on."""
    for inner in ast.walk(node):
        if isinstance(inner, ast.Constant) and isinstance(inner.value, str):
            yield inner.value


def problems(path: Path, source: str | None = None) -> list[str]:
    tree = ast.parse(source if source is not None else path.read_text(encoding="utf-8"))
    where = path.relative_to(ROOT).as_posix()
    told = []
    for name in imported(tree):
        parts = name.split(".")
        if CLIENTS & {parts[0], ".".join(parts[:2])}:
            told.append(f"{where} imports {name}")
        if not where.startswith(READERS.get(parts[0], "")):
            told.append(f"{where} imports {name}")
        if parts[0] == "subprocess" and where not in STARTERS:
            told.append(f"{where} starts programs")
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        if FETCHERS.fullmatch(name := name_of(node.func)):
            told.append(f"{where}:{node.lineno} calls {name}")
        if name in ("system", "popen", "execvp", "spawnv", "posix_spawn"):
            told.append(f"{where}:{node.lineno} starts a program")
        if name in ("open", "open_root", "read_text", "get", "run", "Popen", "read_csv", "load"):
            given = [
                text for a in [*node.args, *(k.value for k in node.keywords)] for text in texts(a)
            ]
            told += [f"{where}:{node.lineno} opens {t}" for t in given if re.match(r"\w+://\w", t)]
            told += [f"{where}:{node.lineno} runs {t}" for t in given if t in PROGRAMS]
    return told


def test_the_code_brings_nothing() -> None:
    assert len(MODULES) > 200
    assert [problem for path in MODULES for problem in problems(path)] == []


@pytest.mark.parametrize(
    "source",
    [
        "import requests",
        "from urllib.request import urlopen",
        "from urllib import request",
        "def f():\n    import huggingface_hub.file_download",
        "from importlib import import_module\nimport_module('http.client')",
        "import fsspec",
        "import subprocess",
        "keras.utils.get_file('a', 'b')",
        "sklearn.datasets.fetch_openml('mnist')",
        "uproot.open('root://eos.org//a.root')",
        "os.system('curl x')",
        "run(['wget', 'x'])",
    ],
)
def test_the_test_sees_what_would(source: str) -> None:
    assert len(problems(ROOT / "ml" / "folds" / "folds.py", source)) >= 1


RUN = """
import importlib, json, pkgutil, sys
from pathlib import Path

sys.path.insert(0, sys.argv[3])
from offline import no_network

folder = Path(sys.argv[1])
with no_network() as asked:
    import oddjet
    import yaml

    names = ["oddjet", *(m.name for m in pkgutil.walk_packages(oddjet.__path__, "oddjet."))]
    for name in names:
        try:
            importlib.import_module(name)
        except ImportError as error:  # an optional package that is not installed
            assert "oddjet" not in str(error.name), (name, error)
    qcd, w = (
        {"simulate": {"process": process, "n_events": n, "seed": 1, "pt_hat_min": 350}, **known}
        for process, n, known in (
            ("qcd", 600, {"kind": "background"}), ("w", 120, {"kind": "signal", "truth": [24]})
        )
    )
    settings = {
        "name": "offline", "output": str(folder / "out"), "samples": str(folder / "samples"),
        "fileset": {"datasets": {"qcd": qcd, "w": w}}, "selection": {"pt_min": 350}, "image": None,
        "detectors": [{"name": "kmeans"}], "pseudo_data": {"lumi_ifb": 0.00007, "seed": 1},
        "hunt": json.loads(sys.argv[2]),
    }
    (folder / "analysis.yaml").write_text(yaml.safe_dump(settings))
    oddjet.run(folder / "analysis.yaml")
(folder / "facts.json").write_text(json.dumps({"asked": asked, "modules": len(names)}))
"""


@pytest.mark.long
def test_a_run_asks_for_nothing(tmp_path: Path) -> None:
    """All modules are imported and an analysis is run where no network is, and each attempt is noted.

    The short version is the run of tests/analysis/pipeline/test_run.py.
    """
    helpers = str(ROOT / "tests" / "helpers")
    command = [sys.executable, "-c", RUN, str(tmp_path), json.dumps(SMALL_HUNT), helpers]
    alone = [shutil.which("unshare") or "", "--net"]
    if os.geteuid() == 0 and alone[0] and not subprocess.call([*alone, "true"]):
        command = [*alone, *command]
    said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr
    facts = json.loads((tmp_path / "facts.json").read_text())
    assert facts["asked"] == []
    assert facts["modules"] > 200
    assert (tmp_path / "out" / "report.html").stat().st_size > 10_000


def test_the_test_refuses_what_is_asked() -> None:
    with no_network() as asked:
        for ask in (
            lambda: socket.create_connection(("127.0.0.1", 9)),
            lambda: urllib.request.urlopen("http://127.0.0.1:9/"),
            lambda: subprocess.run(["true"], check=True),
        ):
            with pytest.raises(OSError, match="refused by the test"):
                ask()
    assert [what[0] for what in asked] == [
        "socket.getaddrinfo",
        "urllib.Request",
        "subprocess.Popen",
    ]
    subprocess.run(["true"], check=True)  # and later no more
