"""Declared constraints: what each field of a dataclass may be, checked in one place.

A field says it beside its default, `epochs: int = constrained(90, Interval(int, 1))`, and
`check_fields` refuses an instance whose values are not allowed. After scikit-learn's
`_parameter_constraints`.
"""

from __future__ import annotations

import dataclasses
import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, Literal

from oddjet.errors import ConfigError, shortened

__all__ = [
    "Constraint",
    "InstanceOf",
    "Interval",
    "ListOf",
    "OneOf",
    "OrNone",
    "check_fields",
    "constrained",
    "field_constraints",
]

CONSTRAINT = "constraint"
MOST = 1_000_000
"""The largest of whole numbers that have no upper end: epochs, sizes of batches and layers."""


class Constraint(ABC):
    """What a value may be."""

    @property
    @abstractmethod
    def expected(self) -> str:
        """What the value must be, as it follows "must be" in a message."""

    @abstractmethod
    def allows(self, value: Any) -> bool:
        """Whether the value is one of them."""

    def describe(self, value: Any) -> str:  # noqa: ARG002 - for constraints that look at it
        """Describe what must be, for a message about this value."""
        return self.expected


@dataclass(frozen=True)
class Interval(Constraint):
    """Numbers between two ends. NaN is in no interval, and whole numbers are at most a million unless `high` says more.

    Attributes:
        kind: `int` for whole numbers alone, `float` for any.
        low: Lower end.
        high: Upper end.
        closed: Which ends belong to it; an infinity is allowed only where its end is closed.
    """

    kind: type[int | float]
    low: float
    high: float = math.inf
    closed: Literal["both", "left", "right", "neither"] = "left"

    @property
    def expected(self) -> str:
        """What the value must be."""
        closed = self.closed in ("both", "left"), self.closed in ("both", "right")
        if self.high < math.inf:
            return f"in {'(['[closed[0]]}{self.low}, {self.high}{')]'[closed[1]]}"
        if closed[0]:
            return f"at least {self.low}"
        return "positive" if self.low == 0 else f"greater than {self.low}"

    def allows(self, value: Any) -> bool:
        """Whether it is a number of the kind, between the ends."""
        if not self._is_of_the_kind(value):
            return False
        if self.kind is int and self.high == math.inf and value > MOST:
            return False
        above = value >= self.low if self.closed in ("both", "left") else value > self.low
        below = value <= self.high if self.closed in ("both", "right") else value < self.high
        return bool(above and below)

    def describe(self, value: Any) -> str:
        """Describe what must be; for a value that is no such number, that first."""
        if self._is_of_the_kind(value):
            is_large = self.high == math.inf and value > MOST
            return f"at most {MOST}" if is_large and self.kind is int else self.expected
        return f"{'a whole number' if self.kind is int else 'a number'}, {self.expected}"

    def _is_of_the_kind(self, value: Any) -> bool:
        kind = Integral if self.kind is int else Real
        return isinstance(value, kind) and not isinstance(value, bool)


class OneOf(Constraint):
    """A few values, each of one type."""

    def __init__(self, *options: Any) -> None:
        self.options = options

    @property
    def expected(self) -> str:
        """What the value must be."""
        return f"one of {', '.join(map(repr, self.options))}"

    def allows(self, value: Any) -> bool:
        """Whether it is one of them; 1 is not True."""
        return any(type(value) is type(option) and value == option for option in self.options)


@dataclass(frozen=True)
class OrNone(Constraint):
    """What another constraint allows, or None."""

    constraint: Constraint

    @property
    def expected(self) -> str:
        """What the value must be."""
        return f"{self.constraint.expected} or None"

    def allows(self, value: Any) -> bool:
        """Whether it is None or allowed."""
        return value is None or self.constraint.allows(value)


@dataclass(frozen=True)
class ListOf(Constraint):
    """A list, or another sequence, of numbers.

    Attributes:
        constraint: Of each number.
        length: How many; None for any number from `least` on.
        least: How many at least.
    """

    constraint: Constraint
    length: int | None = None
    least: int = 1

    @property
    def expected(self) -> str:
        """What the value must be."""
        return f"{self.length or f'at least {self.least}'} numbers, each {self.constraint.expected}"

    def allows(self, value: Any) -> bool:
        """Whether it is such a list."""
        return (
            isinstance(value, list | tuple)
            and (len(value) >= self.least if self.length is None else len(value) == self.length)
            and all(map(self.constraint.allows, value))
        )


class InstanceOf(Constraint):
    """Instances of some classes, named in messages.

    Attributes:
        classes: The classes.
    """

    def __init__(self, *classes: type) -> None:
        self.classes = classes

    @property
    def expected(self) -> str:
        """What the value must be."""
        names = " or ".join(cls.__name__ for cls in self.classes)
        return f"{'an' if names[0] in 'AEIOU' else 'a'} {names}"

    def allows(self, value: Any) -> bool:
        """Whether it is of one of the classes."""
        return isinstance(value, self.classes)


def constrained(
    default: Any = dataclasses.MISSING,
    constraint: Constraint | None = None,
    *,
    factory: Callable[[], Any] | None = None,
) -> Any:
    """Declare a field of a dataclass: its default and what it may be.

    A subclass that gives the field another default inherits the constraint.

    Args:
        default: The default; a list is copied for each instance. None is given for a field
            without one.
        constraint: What it may be; None for anything.
        factory: Makes the default, in place of `default`.
    """
    metadata = {} if constraint is None else {CONSTRAINT: constraint}
    if isinstance(default, list):
        factory = default.copy
    if factory is not None:
        return dataclasses.field(default_factory=factory, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def field_constraints(cls: type) -> dict[str, Constraint]:
    """Give the constraints that a class and those it is derived from declare: field → constraint."""
    return {
        name: field.metadata[CONSTRAINT]
        for parent in reversed(cls.__mro__)
        for name, field in vars(parent).get("__dataclass_fields__", {}).items()
        if CONSTRAINT in field.metadata
    }


def check_fields(instance: object, *, label: str) -> None:
    """Refuse a dataclass instance with a value that is not allowed.

    Args:
        instance: Of a class whose fields are declared by `constrained`.
        label: What it is, at the head of the message.

    Raises:
        ConfigError: If a value is not allowed; it names the field, what was expected and what came.
    """
    for name, constraint in field_constraints(type(instance)).items():
        value = getattr(instance, name)
        if not constraint.allows(value):
            is_kind = isinstance(constraint, InstanceOf)
            shown = type(value).__name__ if is_kind else shortened(repr(value))
            msg = f"{label}: {name} must be {constraint.describe(value)}. Received: {shown}."
            raise ConfigError(msg)
