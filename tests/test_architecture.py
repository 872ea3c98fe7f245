"""The house rules a reader relies on: imports go one way, public things are documented, no pickles."""

from __future__ import annotations

import ast
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
MODULES = sorted(
    path for folder in MAY_IMPORT for path in (ROOT / folder).rglob("*.py") if path.is_file()
)


def rooms_imported(path: Path) -> set[str]:
    rooms = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names = [node.module or ""]
            if node.module == "oddjet":
                names = [f"oddjet.{alias.name}" for alias in node.names]
        rooms |= {name.split(".")[1] for name in names if name.startswith("oddjet.")}
    return rooms & MAY_IMPORT.keys()


def test_there_are_modules_in_every_room() -> None:
    assert {path.relative_to(ROOT).parts[0] for path in MODULES} == MAY_IMPORT.keys()


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_one_way(path: Path) -> None:
    room = path.relative_to(ROOT).parts[0]
    assert rooms_imported(path) <= MAY_IMPORT[room]


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


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_modules_stay_short(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 500


RUN_CODE_ON_READING = {"pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
UNSAFE = {"allow_pickle": True, "safe_mode": False}
UNSAFE_NAMES = {"Lambda", "read_pickle", "to_pickle", "enable_unsafe_deserialization"}


def unsafe_reading(tree: ast.AST) -> list[str]:
    """What in a module could run code that a file holds, or write files that could."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names]
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            packages = {name.partition(".")[0] for name in names}
            found += sorted(packages & (RUN_CODE_ON_READING | UNSAFE_NAMES))
        elif isinstance(node, ast.keyword) and node.arg in UNSAFE:
            value = node.value.value if isinstance(node.value, ast.Constant) else UNSAFE[node.arg]
            if value == UNSAFE[node.arg]:
                found.append(ast.unparse(node))
        elif isinstance(node, ast.Attribute) and node.attr in UNSAFE_NAMES:
            found.append(ast.unparse(node))
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_module_reads_or_writes_pickles(path: Path) -> None:
    """Detectors can be pickled, as executors do to reach their workers; no file is."""
    assert unsafe_reading(ast.parse(path.read_text(encoding="utf-8"))) == []


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
