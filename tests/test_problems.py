from __future__ import annotations

import re
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field, TypeAdapter, ValidationError

from oddjet.problems import Settings, describe_problem, shown_value, with_value

JARGON = re.compile(
    r"Input should|valid |Value error|instance of|[Pp]arse|pattern|dictionary|tuple|Path\(|None\b|class"
)


class Inner(Settings):
    n: int = 1


def told(kind: Any, value: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(kind).validate_python(value)
    (problem,) = caught.value.errors()
    return with_value(describe_problem(problem), problem)


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (bool, 3, "expected true or false; received 3"),
        (bool, "x", "expected true or false; received 'x'"),
        (int, "x", "expected a whole number; received 'x'"),
        (int, 1.5, "expected a whole number; received 1.5"),
        (int, None, "expected a whole number; received null"),
        (int, "9" * 5000, "expected a whole number of fewer digits; received"),
        (float, [], "expected a number; received []"),
        (str, True, "expected a text; received true"),
        (str, Path("new\nline"), r"expected a text; received 'new\nline'"),
        (Path, 3, "expected a path; received 3"),
        (date, "x", "expected a date or a time"),
        (datetime, [], "expected a date or a time"),
        (Literal["first", "always"], "frist", "expected 'first' or 'always'; received 'frist'. Did you mean 'first'?"),
        (dict[str, int], [Path("a")], "expected keys with values (key: value); received ['a']"),
        (Inner, 3, "expected keys with values (key: value); received 3"),
        (list[int], 3, "expected a list; received 3"),
        (tuple[int, ...], "x", "expected a list; received 'x'"),
        (tuple[int, int], [1], "a value is missing here"),
        (tuple[int, int], [1, 2, 3], "expected at most 2 entries"),
        (dict[str, int], {1: 1}, "expected a text as the key; received 1"),
        (Annotated[int, Field(ge=1)], 0, "expected at least 1; received 0"),
        (Annotated[int, Field(gt=1)], 0, "expected more than 1; received 0"),
        (Annotated[int, Field(le=1)], 2, "expected at most 1; received 2"),
        (Annotated[int, Field(lt=1)], 2, "expected less than 1; received 2"),
        (Annotated[float, Field(allow_inf_nan=False)], float("nan"), "expected a finite number; received nan"),
        (Annotated[str, Field(max_length=2)], "abc", "expected a text of at most 2 characters"),
        (Annotated[str, Field(pattern="^[a-z0-9_]*$")], "A", "expected nothing but lower-case letters, digits and _; received"),
        (Annotated[str, Field(pattern=r"^\d+(:\d+)?$")], "A", "expected a number, or two as first:last; received 'A'"),
        (Annotated[list[int], Field(min_length=2)], [1], "expected at least 2 entries, 1 are there"),
    ],
)  # fmt: skip
def test_problems_are_told_in_plain_words(kind: Any, value: Any, expected: str) -> None:
    text = told(kind, value)
    assert expected in text
    assert not JARGON.search(text)
    assert len(text) < 200


class Numbers(Settings):
    n: int = 1
    x: float | None = None
    pair: tuple[float, ...] = ()
    by_name: dict[str, int] = Field(default_factory=dict)
    is_on: bool = False
    mixed: int | bool = 1
    inner: Inner = Inner()
    anything: Any = None
    place: Path | None = None


@pytest.mark.parametrize("value", [True, False])
@pytest.mark.parametrize("key", ["n", "x", "pair", "by_name"])
def test_true_is_no_number(key: str, value: bool) -> None:
    given: Any = {"pair": [1.0, value], "by_name": {"a": value}}.get(key, value)
    with pytest.raises(ValidationError, match="expected a number, not true or false"):
        Numbers.model_validate({key: given})
    with pytest.raises(ValidationError, match=r"inner\.n\n.*not true or false"):
        Numbers.model_validate({"inner": {"n": value}})


def test_true_is_true_where_it_may_be() -> None:
    numbers = Numbers(is_on=True, mixed=True, anything=[True], n=3, pair=(1, 2))
    assert (numbers.is_on, numbers.mixed, numbers.anything) == (True, True, [True])
    assert numbers.pair == (1.0, 2.0)


def test_an_empty_path_is_not_the_working_folder() -> None:
    with pytest.raises(ValidationError, match="expected a path, not an empty text"):
        Numbers.model_validate({"place": ""})
    assert Numbers.model_validate({"place": "."}).place == Path()


def test_what_is_shown_is_short() -> None:
    assert shown_value(False) == "false"
    assert shown_value(Path("a b")) == "'a b'"
    assert len(shown_value(["x" * 1000])) <= 80
