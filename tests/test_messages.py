"""Every remedy that a message names exists: keys, flags, commands, objects, packages.

Messages are found by reading the source: every text with a blank in it that is no docstring, the help of the
command line included. What they name is held against the models of configurations, filesets and site
profiles, the commands themselves, and what detectors and studies take.
"""

from __future__ import annotations

import ast
import functools
import inspect
import re
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple, get_args

import pytest
import typer
import yaml
from pydantic import BaseModel

from oddjet.analysis.cli.app import COMMANDS, app
from oddjet.analysis.config import AnalysisConfig
from oddjet.analysis.studies import describe_studies
from oddjet.condor.site import Cluster
from oddjet.datasets.files.dataset import Fileset
from oddjet.ml import decorrelation, describe_detectors
from oddjet.ml.representations import REPRESENTATIONS
from oddjet.ml.representations.base import representation_class

if sys.version_info >= (3, 11):
    import tomllib

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("analysis", "processors", "ml", "datasets", "condor", "src/oddjet")
PAGES = (
    "README.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    *(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")),
)

OTHER_PROGRAMS = ("brilcalc", "condor_", "dasgoclient", "make", "pip", "pytest", "git")
"""What else may be called, with flags of its own."""

ARGUMENTS = {
    "allow_trained": "oddjet.ml.detectors.base:Detector.scores",
    "is_data": "oddjet.analysis.statistics.limits.inputs:LimitSettings",
    "is_signal": "oddjet.ml.evaluation.roc:roc_curve",
    "jet_mask": "oddjet.datasets.readers.reader:Reader.constituents",
    "mass_range": "oddjet.processors.histograms:HistogramSettings",
    "min_jets": "oddjet.ml.evaluation.fixed_mass:Binning",
    "n_permutations": "oddjet.analysis.sculpting.judging:JudgeSettings",
    "n_power_toys": "oddjet.analysis.sculpting.judging:JudgeSettings",
    "signal_efficiency": "oddjet.ml.evaluation.roc:background_rejection",
    "step_size": "oddjet.ml.networks.langevin:Langevin",
    "target_mb": "oddjet.datasets.skims.compaction:compact",
}
"""Arguments of Python functions that messages name; nobody is sent there who has a command line alone."""

NO_SETTINGS = {
    "c_k": "formula",
    "condor_submit": "program",
    "data_obs": "a datacard's process",
    "end_with_owner": "function",
    "e_minus": "a training's record",
    "e_plus": "a training's record",
    "earth_movers_distance": "function",
    "image_mass": "label of messages",
    "is_signal_new": "column of a public file",
    "khanal_mse": "column of scores",
    "lund_nae": "detector",
    "n_bins": "shape",
    "n_jets": "shape",
    "pt_hat": "what a process is cut on",
    "r_inv": "parameter of a process",
    "schema_version": "key of a manifest",
    "sigma_mc": "formula",
    "their_package": "example",
    "wrong_signal": "study",
    "inverse": "study",
}
"""Words of messages that look like settings and are none."""

PROSE = ("computes", "itself", "knows", "than", "that", "writes", "wrote")
"""What may follow the name of the package without being a command."""


DOTTED = r"(?<![\w\0./-])[a-z_]+(?:\.[A-Za-z_]\w*)+"


class Message(NamedTuple):
    """A text, with a NUL where something is filled in."""

    where: str
    text: str

    @property
    def module(self) -> str:
        return Path(self.where.partition(":")[0]).stem if "analysis/cli" in self.where else ""


def text_of(node: ast.AST) -> str | None:
    if isinstance(node, ast.Constant):
        # A template of `format` has names where something is filled in.
        is_text = isinstance(node.value, str)
        return re.sub(r"\{\w+(:[^{}]*)?\}", "\0", node.value) if is_text else None
    if isinstance(node, ast.JoinedStr):
        return "".join(text_of(value) or "\0" for value in node.values)
    return None


def texts_in(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Every text with a blank but docstrings, with its line."""
    passed: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr):
            passed.add(node.value)
        elif isinstance(node, ast.JoinedStr):
            passed |= {*ast.walk(node)} - {node}
    for node in ast.walk(tree):
        text = text_of(node) if node not in passed else None
        if text is not None and " " in text.strip():
            yield getattr(node, "lineno", 0), text


@functools.cache
def messages() -> tuple[Message, ...]:
    collected = []
    for folder in FOLDERS:
        # Not through the links in src/oddjet, which lead to the same files.
        for path in sorted(p for p in (ROOT / folder).rglob("*.py") if p.is_file()):
            name = str(path.relative_to(ROOT))
            tree = ast.parse(path.read_text(encoding="utf-8"))
            collected += [Message(f"{name}:{line}", text) for line, text in texts_in(tree)]
            if folder == "analysis" and path.parent.name == "cli":
                functions = (n for n in tree.body if isinstance(n, ast.FunctionDef))
                collected += [
                    Message(f"{name}:{f.lineno}", ast.get_docstring(f) or "") for f in functions
                ]
        for path in sorted((ROOT / folder).rglob("*.j2")):
            text = re.sub(
                r"<style>.*</style>", "", path.read_text(encoding="utf-8"), flags=re.DOTALL
            )
            collected.append(Message(f"{path.relative_to(ROOT)}:1", text))
    return tuple(collected)


@functools.cache
def flags_of(command: str) -> frozenset[str]:
    group: Any = typer.main.get_command(app)
    if command:
        group = group.resolve_command(typer.Context(group), [command])[1]
    flags = {flag for p in group.params for flag in (*p.opts, *p.secondary_opts)}
    return frozenset(flags | {"--help"})


ALL_FLAGS = frozenset[str]().union(flags_of(""), *map(flags_of, COMMANDS))


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from models_in(argument)


def keys_of(model: type[BaseModel]) -> set[str]:
    """Every key of a model and of those inside it, with the path that leads there and alone."""
    keys = set()
    for name, field in model.model_fields.items():
        keys.add(name)
        for inner in models_in(field.annotation):
            for key in keys_of(inner):
                keys |= {key, f"{name}.{key}"}
    return keys


KEYS = keys_of(AnalysisConfig) | keys_of(Fileset) | keys_of(Cluster)


@functools.cache
def hyper_parameters() -> frozenset[str]:
    """What detectors, decorrelations, representations and studies take."""
    names = {name for detector in describe_detectors() for name in detector.hyper_parameters}
    for method in decorrelation.DECORRELATIONS:
        names |= decorrelation.create(method).hyper_parameters().keys()
    for name in REPRESENTATIONS:
        names |= set(inspect.signature(representation_class(name)).parameters)
    for study in describe_studies():
        names |= study.options.keys()
    return frozenset(names)


def is_setting(name: str) -> bool:
    return name in KEYS or name in hyper_parameters()


def values_of(model: type[BaseModel]) -> set[str]:
    """Values that keys of a model and those inside it may have, where they are few."""
    values = set()
    for field in model.model_fields.values():
        values |= set(literals_in(field.annotation))
        for inner in models_in(field.annotation):
            values |= values_of(inner)
    return values


def literals_in(annotation: Any) -> Iterator[str]:
    for argument in get_args(annotation):
        if isinstance(argument, str):
            yield argument
        yield from literals_in(argument)


def values_of_key(name: str) -> set[str]:
    """Values that a key of this name may have, empty where they are not few."""
    values: set[str] = set()
    models: list[type[BaseModel]] = [AnalysisConfig, Fileset, Cluster]
    while models:
        for key, field in models.pop().model_fields.items():
            models += models_in(field.annotation)
            if key == name:
                values |= set(literals_in(field.annotation))
                values |= {"true", "false"} if field.annotation is bool else set()
    return values


VALUES = {*values_of(AnalysisConfig), *values_of(Fileset), "auto", "full", "quick"}


def resolved(path: str) -> Any:
    """Import `package.module:Class.method`, or `oddjet.module.name` of any depth."""
    module, _, names = path.partition(":")
    value = import_module(module)
    for name in filter(None, names.split(".")):
        value = getattr(value, name)
    return value


def is_object(path: str) -> bool:
    parts = path.split(".")
    for n in range(len(parts), 0, -1):
        try:
            import_module(".".join(parts[:n]))
        except ImportError:
            continue
        try:
            resolved(f"{'.'.join(parts[:n])}:{'.'.join(parts[n:])}")
        except AttributeError:
            return False
        return True
    return False


def wrong_commands(message: Message) -> Iterator[str]:
    for command, rest in re.findall(r"\boddjet ([a-z][a-z-]*)([^`\n]*)", message.text):
        if command not in (*COMMANDS, *PROSE):
            yield f"oddjet {command}"
        words = (" ".join((command, *rest.split()[:1])), command)
        for name in [word for word in words if word in COMMANDS][:1]:
            named = set(re.findall(r"(?<![\w-])--[a-z][\w-]*", rest))
            yield from (f"oddjet {name} {flag}" for flag in named - flags_of(name))


def wrong_flags(message: Message) -> Iterator[str]:
    if any(program in message.text for program in OTHER_PROGRAMS):
        return
    here = [name for name, command in COMMANDS.items() if command.module == message.module]
    known = ALL_FLAGS.intersection(frozenset().union(*map(flags_of, here))) if here else ALL_FLAGS
    for flag in re.findall(r"(?<![\w-])--[a-z][a-z-]*", message.text):
        if flag not in known and not flag.endswith("-"):
            yield flag


def wrong_keys(message: Message) -> Iterator[str]:
    text = message.text
    # `set x to`, `x: true`, `x: {…`, `x` in backticks: what is told to be set is a setting, and nothing less.
    told = re.findall(r"\bset ([a-z][\w.]*) to\b", text)
    told += re.findall(r"(?<![\w.])([a-z][\w.]*): ?(?:true|false|null|\{|\[)", text)
    told += re.findall(r"`([a-z]+[_.][a-z][\w.]*|[a-z_.]+)(?:: [^`]*|:|=[^`]*)`", text)
    if not message.module:
        told += [name for name in re.findall(r"`([a-z]+)`", text) if name not in VALUES]
    yield from (f"{name}: no setting" for name in told if not is_setting(name))
    for name in re.findall(r"(?<![\w\0.\\-])[a-z]+(?:_[a-z0-9]+)+(?![\w\0-])", text):
        if not is_setting(name) and name not in (*VALUES, *ARGUMENTS, *NO_SETTINGS):
            yield name
    for path in re.findall(DOTTED, text):
        if path.partition(".")[0] in AnalysisConfig.model_fields and path not in KEYS:
            yield path


def wrong_values(message: Message) -> Iterator[str]:
    """What a key is told to be, where the key takes a few values or a truth value alone."""
    told = re.findall(r"\bset (?:[a-z_]+\.)*([a-z_]+) to ([a-z_]+)\b", message.text)
    told += re.findall(r"\b(?:dataset|it|with) ([a-z_]+): \[?([a-z_]+)\b", message.text)
    for name, value in told:
        values = values_of_key(name)
        if values and value not in (*values, "a", "at", "null"):
            yield f"{name}: {value}"


def wrong_objects(message: Message) -> Iterator[str]:
    paths = re.findall(DOTTED, message.text)
    yield from (path for path in paths if path.startswith("oddjet.") and not is_object(path))


def wrong_packages(message: Message) -> Iterator[str]:
    yield from re.findall(r"oddjet\[\w+\]", message.text)  # it is on no index
    if sys.version_info >= (3, 11):
        declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
        extras = declared["project"]["optional-dependencies"]
        named = re.findall(r"(?<=[\"' ]\.\[)\w+(?=\])", message.text)
        yield from (f".[{extra}]" for extra in named if extra not in extras)


CHECKS = (
    *(wrong_commands, wrong_flags, wrong_keys, wrong_values),
    *(wrong_objects, wrong_packages),
)


def test_there_are_messages() -> None:
    texts = [message.text for message in messages()]
    assert len(texts) > 1000
    assert any("use `oddjet submit` and `oddjet collect`" in text for text in texts)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_what_messages_name_exists(check: Any) -> None:
    wrong = [f"{m.where}: {name}" for m in messages() for name in check(m)]
    assert wrong == []


def test_arguments_that_messages_name_are_arguments() -> None:
    for name, path in ARGUMENTS.items():
        assert name in inspect.signature(resolved(path)).parameters, (name, path)


def test_nothing_is_excused_that_no_message_says() -> None:
    said = "\n".join(message.text for message in messages())
    words = set(re.findall(r"\w+", said))
    assert not {*ARGUMENTS, *NO_SETTINGS} - words
    assert not {*ARGUMENTS, *NO_SETTINGS} & KEYS


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("set require_sumw to false", "require_sumw"),
        ("take it from hunt.winds", "hunt.winds"),
        ("set selection.jet_id to maybe", "jet_id: maybe"),
        ("give the dataset kind: dater", "kind: dater"),
        ("write `lumi_masc: FILE`", "lumi_masc"),
        ("or set `fold`", "fold"),
        ("call `oddjet skimm` first", "oddjet skimm"),
        ("call `oddjet skim --resubmit` first", "oddjet skim --resubmit"),
        ("add --unblinded", "--unblinded"),
        ("load it with oddjet.ml.folds.FoldedDetector.laod, then", "FoldedDetector.laod"),
        ("pip install 'oddjet[batch]' first", "oddjet[batch]"),
        ("pip install '.[batched]' first", ".[batched]"),
    ],
)
def test_wrong_remedies_would_be_noticed(text: str, wrong: str) -> None:
    ((line, collected),) = texts_in(ast.parse(f"raise ConfigError({text!r})"))
    names = [name for check in CHECKS for name in check(Message(f"ml/x.py:{line}", collected))]
    if "batched" in wrong and sys.version_info < (3, 11):
        return
    assert any(wrong in name for name in names)


def page_texts(page: str) -> Iterator[Message]:
    """Code of a page: spans, and lines of blocks without what follows a hash."""
    text = (ROOT / page).read_text(encoding="utf-8")
    blocks = re.findall(r"```(?:console|bash)\n(.*?)```", text, re.DOTALL)
    spans = re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    lines = [line.partition("  #")[0] for block in blocks for line in block.splitlines()]
    yield from (Message(page, snippet) for snippet in (*spans, *lines))


@pytest.mark.parametrize("page", PAGES)
def test_commands_of_the_pages_exist(page: str) -> None:
    checks = (wrong_commands, wrong_objects, wrong_packages)
    wrong = [name for text in page_texts(page) for check in checks for name in check(text)]
    assert wrong == []


@pytest.mark.parametrize("page", PAGES)
def test_configurations_of_the_pages_are_valid(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL):
        content = yaml.safe_load(block)
        if "datasets" in content:
            Fileset.model_validate(content)
        else:
            AnalysisConfig.model_validate({"name": "", "output": "", "fileset": "", **content})
