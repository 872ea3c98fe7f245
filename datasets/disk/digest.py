"""Keys made of content: what went into a file decides whether it can be used again."""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.util
import json
from pathlib import Path
from typing import Any

__all__ = ["content_key", "dependency_digest", "source_digest"]


def content_key(content: Any, *, length: int = 20) -> str:
    """Hash anything JSON can hold.

    Args:
        content: Mappings, sequences, strings, numbers, ``None``; other objects by their ``str``.
        length: Number of hexadecimal digits returned.

    Returns:
        The first digits of the SHA-256 of the canonical JSON text.

    >>> content_key({"a": 1, "b": 2}) == content_key({"b": 2, "a": 1})
    True
    """
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:length]


@functools.cache
def source_digest(*modules: str) -> str:
    """Hash the source of modules, and of packages with every ``.py`` file below them.

    Returns:
        Hexadecimal SHA-256 over file names and contents, in sorted order.

    Raises:
        ModuleNotFoundError: A name cannot be found.
    """
    digest = hashlib.sha256()
    for module in sorted(modules):
        spec = importlib.util.find_spec(module)
        if spec is None or spec.origin is None:
            msg = f"no source for module {module!r}"
            raise ModuleNotFoundError(msg)
        origin = Path(spec.origin)
        is_package = origin.name == "__init__.py"
        for path in sorted(origin.parent.rglob("*.py")) if is_package else [origin]:
            digest.update(f"{module}:{path.relative_to(origin.parent)}\0".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


@functools.cache
def dependency_digest(*modules: str) -> str:
    """Hash the source of modules and of all they import from their own top-level package.

    Narrower than `source_digest` of a package: what a module does not import does not change it, nor
    does a comment, a docstring or the layout of the code. Imports inside functions count; the
    ``__init__.py`` of packages passed through do not.

    Args:
        modules: Importable names of modules below one package, such as ``oddjet.ml.detectors.gmm``.

    Returns:
        Hexadecimal SHA-256 over module names and code, in sorted order; it depends on the version of
        Python, which writes code down in its own way.

    Raises:
        ModuleNotFoundError: A name cannot be found.
    """
    codes: dict[str, str] = {}
    waiting = list(modules)
    while waiting:
        module = waiting.pop()
        if module in codes:
            continue
        tree = ast.parse(_source_path(module).read_bytes())
        waiting += _imported(tree, module.partition(".")[0])
        codes[module] = _code(tree)
    digest = hashlib.sha256()
    for module in sorted(codes):
        digest.update(f"{module}\0".encode())
        digest.update(codes[module].encode())
    return digest.hexdigest()


def _source_path(module: str) -> Path:
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        msg = f"no source for module {module!r}"
        raise ModuleNotFoundError(msg)
    return Path(spec.origin)


def _code(tree: ast.Module) -> str:
    """Write down a module's code without its docstrings."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [statement for statement in node.body if not _is_text(statement)]
    return ast.dump(tree)


def _is_text(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _imported(tree: ast.Module, package: str) -> list[str]:
    """Name the modules of a package that a module imports, functions included."""
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            inside = [f"{node.module}.{alias.name}" for alias in node.names]
            names += [name for name in inside if _is_module(name, package)] or [node.module]
    return [name for name in names if name.split(".")[0] == package]


def _is_module(name: str, package: str) -> bool:
    if name.split(".", maxsplit=1)[0] != package:
        return False
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False
