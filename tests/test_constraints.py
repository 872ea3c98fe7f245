from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import pytest

from oddjet.constraints import (
    Constraint,
    InstanceOf,
    Interval,
    ListOf,
    OneOf,
    OrNone,
    check_fields,
    constrained,
    field_constraints,
)
from oddjet.errors import ConfigError

POSITIVE = Interval(float, 0, closed="neither")


@pytest.mark.parametrize(
    ("constraint", "allowed", "refused", "expected"),
    [
        (Interval(int, 1), [1, 10**6], [0, 1.0, True, "1", None, 10**6 + 1], "at least 1"),
        (Interval(float, 0), [0, 0.5], [-1e-9, math.nan, math.inf], "at least 0"),
        (Interval(float, 0, closed="both"), [0, math.inf], [-1], "at least 0"),
        (POSITIVE, [1e-300, 3], [0, -0.0, math.inf], "positive"),
        (Interval(float, 2, closed="neither"), [2.1], [2], "greater than 2"),
        (Interval(float, 0, 1), [0.0], [1.0], r"in [0, 1)"),
        (Interval(float, 0, 1, closed="right"), [1.0], [0.0], r"in (0, 1]"),
        (OneOf("a", True), ["a", True], ["b", 1], "one of 'a', True"),
        (OrNone(POSITIVE), [None, 1.0], [0.0], "positive or None"),
        (ListOf(POSITIVE, least=2), [[1, 2], (1, 2, 3)], [[1], [1, 0], 5], "at least 2 numbers, each positive"),
        (ListOf(Interval(int, 1), 1), [[1]], [[1, 1]], "1 numbers, each at least 1"),
        (InstanceOf(int), [3], ["3"], "a int"),
    ],
)  # fmt: skip
def test_what_is_allowed_and_how_it_is_described(
    constraint: Constraint, allowed: list[Any], refused: list[Any], expected: str
) -> None:
    assert all(constraint.allows(value) for value in allowed)
    assert not any(constraint.allows(value) for value in refused)
    assert constraint.expected == expected


@dataclass(kw_only=True)
class Settings:
    epochs: int = constrained(90, Interval(int, 1))
    stages: list[int] = constrained([1, 2], ListOf(Interval(int, 1)))
    error: Exception = constrained(constraint=InstanceOf(Exception), factory=ValueError)
    free: str = "anything"

    def __post_init__(self) -> None:
        check_fields(self, label="settings")


@dataclass(kw_only=True)
class QuickSettings(Settings):
    epochs: int = 2


def test_another_default_keeps_the_constraint() -> None:
    assert QuickSettings().epochs == 2
    assert list(field_constraints(QuickSettings)) == ["epochs", "stages", "error"]
    with pytest.raises(ConfigError, match=r"^settings: epochs must be at least 1\. Received: 0\.$"):
        QuickSettings(epochs=0)


def test_messages_name_the_kind_and_the_class() -> None:
    with pytest.raises(ConfigError, match=r"a whole number, at least 1\. Received: 2\.5"):
        Settings(epochs=2.5)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"error must be an Exception\. Received: str"):
        Settings(error="no")  # type: ignore[arg-type]


def test_a_list_is_each_instance_s_own() -> None:
    one, other = Settings(), Settings()
    one.stages.append(3)
    assert other.stages == [1, 2]
