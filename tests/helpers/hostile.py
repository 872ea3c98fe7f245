"""Values that nobody should write, put anywhere into what people do write."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

__all__ = ["LONGEST", "SLOWEST", "fuzz", "mutated", "texts"]

SLOWEST = 10.0
"""Longest a refusal may take [s]."""
LONGEST = 1300
"""Longest line that may be printed: a list of names may be long, a value may not."""

NESTED: Any = 1
for _ in range(70):
    NESTED = [NESTED]

VALUES = [
    *(None, True, False, -1, 0, 1, 3, 10**9, 10**18, 2**64, 10**400, -(10**18)),
    *(math.nan, math.inf, -math.inf, 1e-300, 1e308, 0.1, -0.5),
    *("", "x", "\n", "a\nb", "\x00", "\x1b[2J", "x" * 5000, "x y" * 3000, "../..", "/dev/null", "/dev/zero"),
    *("1e400", "12:00:00", "{0}", "%s", "$(HOME)", "[bold]", "<b>", "\u202e", "é" * 300, "a:b", "os:system"),
    *("catalog:x", "file://x", "none.yaml", "*", "**/*", "~x/y", "."),
    *([], {}, [[]], [{}], {"": ""}, {"a": 1}, [1, 2, 3] * 500, ["x"] * 500, dict.fromkeys(map(str, range(300)))),
    NESTED,
]  # fmt: skip


def _places(content: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths to everything inside nested dicts and lists."""
    if isinstance(content, dict):
        items = list(content.items())
    else:
        items = list(enumerate(content)) if isinstance(content, list) else []
    inside = [place for key, value in items for place in _places(value, (*path, key))]
    return ([path] if path else []) + inside


@st.composite
def mutated(draw: st.DrawFn, content: Any, most: int = 3) -> Any:
    """Nested dicts and lists with one to a few values replaced, taken out, doubled or put in."""
    content = copy.deepcopy(content)
    for _ in range(draw(st.integers(1, most))):
        places = _places(content)
        if not places:
            break
        *way, last = draw(st.sampled_from(places))
        inside = content
        for step in way:
            inside = inside[step]
        value = copy.deepcopy(draw(st.sampled_from(VALUES)))
        kind = draw(st.sampled_from(["replace"] * 4 + ["remove", "add", "rename"]))
        if kind == "replace":
            inside[last] = value
        elif kind == "remove":
            del inside[last]
        elif isinstance(inside, list):
            inside.append(value)
        elif kind == "add":
            inside[draw(st.sampled_from(["new", "", "x" * 1000, "name", "a.b"]))] = value
        else:
            inside[f"{last}x"] = inside.pop(last)
    return content


def fuzz(test: Callable[..., None]) -> Callable[..., None]:
    """A test of few examples in the ordinary suite, and of 500 in the long one."""
    checks = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large]
    options: dict[str, Any] = {
        "deadline": None,
        "derandomize": True,
        "suppress_health_check": checks,
    }
    return pytest.mark.parametrize(
        "run",
        [
            pytest.param(settings(max_examples=40, **options), id="40"),
            pytest.param(settings(max_examples=500, **options), id="500", marks=pytest.mark.long),
        ],
    )(test)


@st.composite
def texts(draw: st.DrawFn, text: str) -> str:
    """A text with a few places overwritten, cut off or repeated."""
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, max(len(text) - 1, 0)))
        put = draw(
            st.sampled_from(
                [
                    "",
                    "[",
                    "]",
                    "{",
                    "}",
                    ":",
                    "- ",
                    "&a ",
                    "*a",
                    "!!x ",
                    "\x00",
                    "\t",
                    "'",
                    '"',
                    "\n",
                    "#",
                ]
            )
        )
        n = draw(st.integers(0, 5))
        text = text[:place] + put + text[place + n :]
    return text
