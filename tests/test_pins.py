"""What `make` installs is pinned with hashes, whole, and nothing else can come in."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PINS = (ROOT / "constraints.txt").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^\S.*\\\n(?:    .*\n)+", PINS, re.MULTILINE)
NOT_BUILT = {"wasserstein"}  # which EnergyFlow's polynomials do without


def pinned(python: str = "") -> dict[str, str]:
    """Name to version of what is installed on this machine, or with another Python."""
    versions: dict[str, str] = {}
    environment = {"python_full_version": f"{python}.1", "python_version": python}
    for block in BLOCKS:
        requirement = Requirement(block.split("\\", 1)[0])
        if requirement.marker is None or requirement.marker.evaluate(
            environment if python else None
        ):
            name = canonicalize_name(requirement.name)
            assert name not in versions, f"{name} is there twice"
            (specifier,) = requirement.specifier
            assert specifier.operator == "=="
            versions[name] = specifier.version
    return versions


def test_every_package_has_one_version_and_hashes() -> None:
    lines = [line for line in PINS.splitlines() if line and not line.startswith((" ", "#"))]
    assert len(lines) == len(BLOCKS) > 150
    for block in BLOCKS:
        for line in block.splitlines()[1:]:
            assert re.fullmatch(r"    --hash=sha256:[0-9a-f]{64}( \\)?", line), line


@pytest.mark.parametrize("python", ["3.10", "3.11", "3.12", "3.13"])
def test_what_builds_and_installs_is_there(python: str) -> None:
    assert {
        "pip",
        "uv",
        "hatchling",
        "packaging",
        "pathspec",
        "pluggy",
        "trove-classifiers",
    } <= set(pinned(python))


def test_all_that_is_needed_is_pinned() -> None:
    """The closure of `oddjet[dev]` by what the installed packages say that they need."""
    pins, seen = pinned(), set()
    todo = [Requirement("oddjet[dev,test,batch,xrootd]")]
    while todo:
        requirement = todo.pop()
        name = canonicalize_name(requirement.name)
        key = (name, *sorted(requirement.extras))
        if key in seen or name in NOT_BUILT:
            continue
        if requirement.marker is not None and not requirement.marker.evaluate():
            continue
        seen.add(key)
        if name != "oddjet":
            assert pins[name] in requirement.specifier, requirement
        try:
            if name != "oddjet" and version(name) != pins[name]:
                continue  # another release may need other packages
            needs = [Requirement(text) for text in requires(name) or ()]
        except PackageNotFoundError:
            continue
        for need in needs:
            choices = [
                {**default_environment(), "extra": extra} for extra in (*requirement.extras, "")
            ]
            if need.marker is None or any(need.marker.evaluate(choice) for choice in choices):
                need.marker = None
                todo.append(need)
    assert {name for name, *_ in seen} - {"oddjet"} <= set(pins)
    assert len(seen) > 100


def test_make_installs_nothing_else() -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    installs = re.findall(r"^\t(.*(?:\$\(PIP\)|pip install).*)$", text, re.MULTILINE)
    assert len(installs) == 3
    for line in installs[:2]:
        assert {"--require-hashes", "--no-deps", "--only-binary", ":all:"} <= set(line.split())
    assert {"--no-index", "--no-deps", "--no-build-isolation"} <= set(installs[2].split())
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert not re.search(r"\b(pip3?|uv|curl|wget|conda)\s", ci.split("set -euo", 1)[1])
