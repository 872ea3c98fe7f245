"""Hyper-parameters of detectors: declared with what each may be, checked and listed in one place."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from oddjet.constraints import InstanceOf, check_fields, constrained
from oddjet.errors import ConfigError, DetectorError, look_up
from oddjet.ml.representations import Representation, representation_from_identity

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Configurable", "represented_by"]


def represented_by(kind: type, factory: Callable[[], Any] | None = None) -> Any:
    """Declare the hyper-parameter `representation` of a class, which makes the default, or `factory`."""
    return constrained(constraint=InstanceOf(kind), factory=factory or kind)


class Configurable:
    """What takes keyword-only hyper-parameters of JSON types, and a representation.

    A subclass that is a dataclass, with fields that `oddjet.constraints.constrained` declares, refuses
    values that are not allowed when it is made. One with an `__init__` of its own stores each
    hyper-parameter under its name, unchanged.
    """

    label: ClassVar[str] = ""
    """What messages about its hyper-parameters and its training call it; else its class' name."""

    representation: Representation

    def __post_init__(self) -> None:
        """Check the hyper-parameters of a subclass that is a dataclass."""
        if self.representation is None:
            self.representation = _factories(type(self))["representation"]()
        check_fields(self, label=self.label or type(self).__name__)
        self._check()

    @classmethod
    def create(cls, hyper_parameters: Mapping[str, Any]) -> Self:
        """Make an instance from a mapping, as configurations hold it.

        `representation` may be a name or an identity.

        Raises:
            DetectorError: If there is no such hyper-parameter.
            ConfigError: If a value is not allowed.
        """
        known = cls.hyper_parameter_defaults()
        values = dict(hyper_parameters)
        for name in values:
            if name != "representation":
                look_up(known, name, f"hyper-parameter of {cls.__name__}", error=DetectorError)
        if isinstance(values.get("representation"), str | Mapping):
            values["representation"] = representation_from_identity(values["representation"])
        return cls(**values)

    @classmethod
    def hyper_parameter_defaults(cls) -> dict[str, Any]:
        """Give the hyper-parameters without the representation: name → default."""
        made = _factories(cls)
        parameters = inspect.signature(cls).parameters.values()
        return {
            p.name: made[p.name]() if p.name in made else p.default
            for p in parameters
            if p.name != "representation"
        }

    def hyper_parameters(self) -> dict[str, Any]:
        """Give the hyper-parameters without the representation: name → value."""
        return {name: getattr(self, name) for name in self.hyper_parameter_defaults()}

    def _check(self) -> None:
        """Refuse hyper-parameters that do not fit each other.

        Raises:
            ConfigError: If some do not.
        """

    def _refuse(self, name: str, expected: str, received: object = None) -> NoReturn:
        """Raise an error for a hyper-parameter, worded as for a constraint."""
        received = repr(getattr(self, name)) if received is None else received
        msg = f"{self.label}: {name} must be {expected}. Received: {received}."
        raise ConfigError(msg)


def _factories(cls: type) -> dict[str, Callable[[], Any]]:
    """Give the functions that make the defaults which each instance gets its own of."""
    fields: Mapping[str, Any] = getattr(cls, "__dataclass_fields__", {})
    return {
        name: field.default_factory
        for name, field in fields.items()
        if field.default_factory is not dataclasses.MISSING
    }
