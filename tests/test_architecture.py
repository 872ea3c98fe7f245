"""The house rules a reader relies on: imports go one way, public things are documented, no pickles."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MAY_IMPORT = {
    "datasets": {"datasets"},
    "ml": {"ml", "datasets"},
    "processors": {"processors", "ml", "datasets"},
    "condor": {"condor"},
    "analysis": {"analysis", "processors", "ml", "datasets", "condor"},
}
FLOORS: dict[str, tuple[str, ...]] = {
    "analysis": (
        *("cli", "jobs", "studies", "pipeline", "report", "injection", "sculpting"),
        *("hunt", "scores", "trials", "config", "statistics"),
    ),
    "analysis/report": ("write", "show", "sections", "*", "figures"),
    "analysis/statistics": (
        *("limits", "exchange", "conditional", "bumphunt", "channels", "background", "spectrum"),
        *("imprint", "components", "masses", "uhi", "contents"),
    ),
    "analysis/studies": ("reproduce", "*", "benchmarks"),
    "processors": ("*", "engine", "chunkwise", "events", "source"),
    "ml": (
        "folds",
        "fold_files",
        "fold_training",
        "decorrelation",
        "detectors",
        "networks",
        "representations",
        "*",
    ),
    "datasets": (
        *("public", "simulation", "readers", "luminosity", "skims", "files", "catalog"),
        *("*", "disk"),
    ),
}
"""What is in each folder, the highest floor first: imports go down only. `*` is whatever is not named."""

MODULES = sorted(
    path for folder in MAY_IMPORT for path in (ROOT / folder).rglob("*.py") if path.is_file()
)
LONGEST_MODULE, LONGEST_FUNCTION, MOST_PARAMETERS, MOST_OPTIONS = 400, 60, 8, 12


def module_name(path: Path) -> str:
    name = ".".join(("oddjet", *path.relative_to(ROOT).with_suffix("").parts))
    return name.removesuffix(".__init__")


NAMES = {module_name(path): path for path in MODULES}


def imported_names(tree: ast.AST) -> set[str]:
    """Everything a module imports, also inside functions and under TYPE_CHECKING."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def modules_imported(path: Path) -> set[str]:
    """The modules of the package that a module imports, itself left out."""
    names = imported_names(ast.parse(path.read_text(encoding="utf-8")))
    modules = {name if name in NAMES else name.rpartition(".")[0] for name in names}
    return (modules & NAMES.keys()) - {module_name(path)}


IMPORTS = {name: modules_imported(path) for name, path in NAMES.items()}


def floor_of(name: str, folder: str) -> int | None:
    """The floor of a module inside a folder, 0 the highest; None if it has none in there."""
    prefix = f"oddjet.{folder.replace('/', '.')}."
    room = name.removeprefix(prefix).partition(".")[0]
    room = room if room in FLOORS[folder] else "*"
    inside = name.startswith(prefix) and room in FLOORS[folder]
    return FLOORS[folder].index(room) if inside else None


def arrows_up(imports: Mapping[str, set[str]], folder: str) -> list[str]:
    """Imports inside a folder that point to a higher floor."""
    arrows = []
    for name, imported in imports.items():
        if (floor := floor_of(name, folder)) is None:
            continue
        others = ((other, floor_of(other, folder)) for other in sorted(imported))
        arrows += [
            f"{name} → {other}" for other, high in others if high is not None and high < floor
        ]
    return arrows


def circles(imports: Mapping[str, set[str]]) -> list[str]:
    """Files that import each other, through others or not."""
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        return [" → ".join(error.args[1])]
    return []


def test_there_are_modules_in_every_room() -> None:
    assert {path.relative_to(ROOT).parts[0] for path in MODULES} == MAY_IMPORT.keys()


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_one_way_between_the_top_folders(path: Path) -> None:
    rooms = {name.split(".")[1] for name in IMPORTS[module_name(path)]}
    assert rooms <= MAY_IMPORT[path.relative_to(ROOT).parts[0]]


@pytest.mark.parametrize("folder", FLOORS)
def test_imports_go_down_inside_a_folder(folder: str) -> None:
    assert arrows_up(IMPORTS, folder) == []


@pytest.mark.parametrize("folder", [name for name in FLOORS if "*" not in FLOORS[name]])
def test_every_room_has_a_floor(folder: str) -> None:
    entries = {path.name.removesuffix(".py") for path in (ROOT / folder).iterdir()}
    rooms = {entry for entry in entries if not entry.startswith("_") and "." not in entry}
    assert rooms == set(FLOORS[folder])


def test_no_files_import_each_other() -> None:
    assert circles(IMPORTS) == []


def test_arrows_and_circles_would_be_noticed() -> None:
    code = (
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    from oddjet.analysis.cli import app\n"
        "def f():\n    import oddjet.analysis.hunt.hunt\n"
    )
    names = imported_names(ast.parse(code)) & NAMES.keys()
    assert names == {"oddjet.analysis.cli.app", "oddjet.analysis.hunt.hunt"}
    assert len(arrows_up({"oddjet.analysis.scores.sample": names}, "analysis")) == 2
    assert arrows_up({"oddjet.analysis.cli.app": {"oddjet.analysis.hunt.hunt"}}, "analysis") == []
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}})
    assert not circles({"a": {"b", "c"}, "b": {"c"}})


def test_few_imports_hide_inside_functions() -> None:
    marker = "noqa: " + "PLC0415"
    files = [*MODULES, *(ROOT / "tests").rglob("*.py"), *(ROOT / "docs").rglob("*.py")]
    hidden = {path.name: path.read_text(encoding="utf-8").count(marker) for path in files}
    assert sum(hidden.values()) <= 30, {name: n for name, n in hidden.items() if n}


def test_the_analysis_folder_can_be_taken_in_at_a_glance() -> None:
    entries = [path.name for path in (ROOT / "analysis").iterdir() if path.name != "__pycache__"]
    examples = [name for name in entries if name.endswith(".yaml")]
    assert len(entries) - len(examples) <= 13
    assert len(examples) <= 4
    assert not [name for name in entries if name.startswith("cli_")]


def is_overload(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> bool:
    """Whether this is only a signature; the docstring is with the function that follows."""
    return any(isinstance(d, ast.Name) and d.id == "overload" for d in node.decorator_list)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_everything_public_has_a_docstring(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    missing = [] if ast.get_docstring(tree) else ["module"]
    stack: list[tuple[str, ast.AST]] = [("", tree)]
    while stack:
        prefix, node = stack.pop()
        for child in ast.iter_child_nodes(node):
            if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                continue
            if child.name.startswith("_") or is_overload(child):
                continue
            if not ast.get_docstring(child):
                missing.append(prefix + child.name)
            if isinstance(child, ast.ClassDef):
                stack.append((f"{child.name}.", child))
    assert not missing


def too_large(tree: ast.AST, *, is_command_line: bool, is_detector: bool) -> list[str]:
    """Functions that no longer fit a screen, or ask for more than one can keep in mind."""
    large = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        n_lines = (node.end_lineno or node.lineno) - node.lineno + 1
        names = {a.arg for a in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)}
        n_parameters = len(names - {"self", "cls"})
        most = MOST_OPTIONS if is_command_line else MOST_PARAMETERS
        if n_lines > LONGEST_FUNCTION:
            large.append(f"{node.name}: {n_lines} lines")
        if n_parameters > most and not (is_detector and node.name == "__init__"):
            large.append(f"{node.name}: {n_parameters} parameters")
    return large


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_modules_and_functions_stay_short(path: Path) -> None:
    text, room = path.read_text(encoding="utf-8"), str(path.relative_to(ROOT).parent)
    assert len(text.splitlines()) <= LONGEST_MODULE
    large = too_large(
        ast.parse(text),
        is_command_line=room == "analysis/cli",
        is_detector=room == "ml/detectors",
    )
    assert large == []


def test_large_functions_would_be_noticed() -> None:
    body = "    pass\n" * 60
    many = ", ".join(f"p{i}" for i in range(9))
    code = f"def long():\n{body}\nclass A:\n    def __init__(self, {many}): ...\n"
    large = too_large(ast.parse(code), is_command_line=False, is_detector=False)
    assert large == ["long: 61 lines", "__init__: 9 parameters"]
    assert len(too_large(ast.parse(code), is_command_line=True, is_detector=True)) == 1


VAGUE = {"each", "found", "some", "there"}
"""Names of variables that do not say what they hold."""


@pytest.mark.parametrize("folder", [*MAY_IMPORT, "tests", "docs", "src"])
def test_variables_are_named_for_what_they_hold(folder: str) -> None:
    vague = []
    for path in sorted(path for path in (ROOT / folder).rglob("*.py") if path.is_file()):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name = node.arg if isinstance(node, ast.arg) else ""
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                name = node.id
            if name in VAGUE:
                vague.append(f"{path.relative_to(ROOT)}:{node.lineno}: {name}")
    assert vague == []


RUN_CODE_ON_READING = {"pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
UNSAFE = {"allow_pickle": True, "safe_mode": False}
UNSAFE_NAMES = {"Lambda", "read_pickle", "to_pickle", "enable_unsafe_deserialization"}


def unsafe_reading(tree: ast.AST) -> list[str]:
    """What in a module could run code that a file holds, or write files that could."""
    unsafe = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names]
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            packages = {name.partition(".")[0] for name in names}
            unsafe += sorted(packages & (RUN_CODE_ON_READING | UNSAFE_NAMES))
        elif isinstance(node, ast.keyword) and node.arg in UNSAFE:
            value = node.value.value if isinstance(node.value, ast.Constant) else UNSAFE[node.arg]
            if value == UNSAFE[node.arg]:
                unsafe.append(ast.unparse(node))
        elif isinstance(node, ast.Attribute) and node.attr in UNSAFE_NAMES:
            unsafe.append(ast.unparse(node))
    return unsafe


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_module_reads_or_writes_pickles(path: Path) -> None:
    """Detectors can be pickled, as executors do to reach their workers; no file is."""
    assert unsafe_reading(ast.parse(path.read_text(encoding="utf-8"))) == []


MAPPED = {"datasets/public/tables.py", "datasets/skims/parts.py"}
"""Modules that map a `.npy` file into memory; everything else reads `.npz` files by `read_arrays`."""


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_archives_are_read_where_their_sizes_are_looked_at(path: Path) -> None:
    calls = [
        node
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("np.load", "numpy.load")
    ]
    mapped = [c for c in calls if "mmap_mode" in {keyword.arg for keyword in c.keywords}]
    assert not calls or (str(path.relative_to(ROOT)) in MAPPED and mapped == calls)


@pytest.mark.parametrize(
    "code",
    [
        "import pickle",
        "import joblib.numpy_pickle as j",
        "from dill import loads",
        "def f():\n    import cloudpickle",
        "np.load(path, allow_pickle=True)",
        "np.load(path, allow_pickle=wanted)",
        "keras.models.load_model(path, safe_mode=False)",
        "keras.layers.Lambda(lambda x: x)",
        "from keras.layers import Lambda",
        "pd.read_pickle(path)",
    ],
)
def test_pickles_would_be_noticed(code: str) -> None:
    assert unsafe_reading(ast.parse(code))


def test_safe_reading_is_no_offence() -> None:
    code = "np.load(path, allow_pickle=False)\nload_model(path, safe_mode=True)\ndef pickle(): ..."
    assert unsafe_reading(ast.parse(code)) == []
