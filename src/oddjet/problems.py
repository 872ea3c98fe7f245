"""What is wrong with a value, in plain words: pydantic's are about its own types and Python's.

`Settings` is the base of what users write.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from pathlib import Path, PurePath
from types import NoneType
from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator

from oddjet.errors import did_you_mean, shortened

__all__ = ["MOST_SHOWN", "Settings", "describe_problem", "shown_value", "with_value"]

MOST_SHOWN = 20
"""Problems that a message lists at most."""

_NUMBER, _WHOLE, _TEXT = "a number", "a whole number", "a text"
_KEYS, _LIST, _TRUTH = "keys with values (key: value)", "a list", "true or false"
_EXPECTED: dict[str, str] = {
    "bool_type": _TRUTH,
    "bool_parsing": _TRUTH,
    "int_type": _WHOLE,
    "int_parsing": _WHOLE,
    "int_from_float": _WHOLE,
    "int_parsing_size": "a whole number of fewer digits",
    "float_type": _NUMBER,
    "float_parsing": _NUMBER,
    "finite_number": "a finite number",
    "greater_than": "more than {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "less than {lt}",
    "less_than_equal": "at most {le}",
    "multiple_of": "a multiple of {multiple_of}",
    "string_type": _TEXT,
    "string_sub_type": _TEXT,
    "string_unicode": "a text in UTF-8",
    "string_too_short": "a text of at least {min_length} characters",
    "string_too_long": "a text of at most {max_length} characters",
    "bytes_type": _TEXT,
    "path_type": "a path",
    "none_required": "null",
    "missing_argument": "a value",
    "literal_error": "{expected}",
    "enum": "{expected}",
    "dict_type": _KEYS,
    "mapping_type": _KEYS,
    "model_type": _KEYS,
    "model_attributes_type": _KEYS,
    "dataclass_type": _KEYS,
    "list_type": _LIST,
    "tuple_type": _LIST,
    "set_type": _LIST,
    "frozen_set_type": _LIST,
    "iterable_type": _LIST,
    "too_short": "at least {min_length} entries, {actual_length} are there",
    "too_long": "at most {max_length} entries, more are there",
    "recursion_loop": "a value that does not hold itself",
}
"""Pydantic's names of problems → what was expected, with what it says about them."""
_CHARACTERS = re.compile(r"\^\[(?P<inside>(?:\\?.)+)\][*+]\$")
_PATTERNS = {r"^\d+(:\d+)?$": "a number, or two as first:last"}
_PATH_IN_REPR = re.compile(r"\b(?:Pure)?(?:Posix|Windows)Path\(('[^']*'|\"[^\"]*\")\)")


def describe_problem(problem: Mapping[str, Any]) -> str:
    """Say what was expected in place of a value, without the value.

    Args:
        problem: One of `ValidationError.errors()`.

    >>> describe_problem({"type": "less_than_equal", "ctx": {"le": 512}})
    'expected at most 512'
    """
    kind, context = problem["type"], problem.get("ctx", {})
    if kind in ("value_error", "assertion_error"):
        return re.sub("^(Value|Assertion) error, ", "", problem["msg"])
    if kind == "missing":
        is_of_a_list = problem["loc"] and isinstance(problem["loc"][-1], int)
        return "a value is missing here" if is_of_a_list else "this key is required"
    if kind == "extra_forbidden":
        return "unknown key"
    if kind == "string_pattern_mismatch":
        return f"expected {_described_pattern(context['pattern'])}"
    if kind.startswith(("date", "time")):
        return "expected a date or a time"
    if kind not in _EXPECTED:
        return re.sub(r"^(Input|Value) should (be|have) (valid )?", "expected ", problem["msg"])
    text = f"expected {_EXPECTED[kind].format_map(context)}"
    is_key = problem.get("loc", ())[-1:] == ("[key]",)
    return f"{text} as the key" if is_key else text


def shown_value(value: Any) -> str:
    """Give a value as it may have been written, in at most 80 characters.

    >>> shown_value(True), shown_value(None), shown_value("x"), shown_value([1.5])
    ('true', 'null', "'x'", '[1.5]')
    """
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, PurePath):
        value = str(value)
    return shortened(_PATH_IN_REPR.sub(r"\1", repr(value)), 80)


def with_value(told: str, problem: Mapping[str, Any]) -> str:
    """Add what came to what was expected, unless that says it, and which of a few values is close to it."""
    told, value = shortened(told, 600), problem["input"]
    if "received" in told:
        return told
    hint = ""
    if problem["type"] == "literal_error" and isinstance(value, str):
        hint = did_you_mean(value, re.findall("'([^']*)'", problem["ctx"]["expected"]))
    return f"{told}; received {shown_value(value)}{'.' if hint else ''}{hint}"


class Settings(BaseModel):
    """Settings as users write them: known keys alone, finite numbers that are no true or false, files that are named or left out."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _is_meant(cls, value: Any, info: ValidationInfo) -> Any:
        kinds = _kinds_of_fields(cls).get(info.field_name or "", frozenset())
        if kinds & {int, float} and not kinds & {bool, Any} and _holds_truth(value):
            msg = "expected a number, not true or false"
            raise ValueError(msg)
        if kinds >= {Path, NoneType} and value == "":
            msg = "expected a path, not an empty text: leave the key out where nothing is meant"
            raise ValueError(msg)
        return value


@functools.cache
def _kinds_of_fields(model: type[BaseModel]) -> dict[str, frozenset[Any]]:
    """Types that fields hold, by the field's name; none for fields with settings of their own."""
    kinds = {
        name: frozenset(_kinds(field.annotation)) for name, field in model.model_fields.items()
    }
    return {
        name: inside
        for name, inside in kinds.items()
        if not any(isinstance(kind, type) and issubclass(kind, BaseModel) for kind in inside)
    }


def _kinds(annotation: Any) -> list[Any]:
    own = [annotation] if isinstance(annotation, type) or annotation is Any else []
    return own + [kind for inner in get_args(annotation) for kind in _kinds(inner)]


def _holds_truth(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return any(map(_holds_truth, value))
    if isinstance(value, Mapping):
        return any(map(_holds_truth, value.values()))
    return isinstance(value, bool)


def _described_pattern(pattern: str) -> str:
    if (match := _CHARACTERS.fullmatch(pattern)) is None:
        return _PATTERNS.get(pattern, f"a text of the form {pattern}")
    inside = match["inside"]
    ranges = [("A-Za-z", "letters"), ("a-z", "lower-case letters"), ("0-9", "digits")]
    words = []
    for characters, word in ranges:
        if characters in inside:
            inside = inside.replace(characters, "")
            words.append(word)
    others = " ".join(inside.replace("\\", ""))
    return f"nothing but {', '.join(words)}{f' and {others}' if others else ''}"
