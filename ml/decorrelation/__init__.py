"""Making scores independent of jet mass and pt, by name.

>>> create("ddt", scale=False).hyper_parameters()
{'scale': False, 'knots': 8}
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from oddjet.errors import ConfigError
from oddjet.ml.decorrelation.base import Decorrelation
from oddjet.ml.plugins import named_class
from oddjet.ml.score_names import CALIBRATED
from oddjet.registry import Registry

__all__ = ["DECORRELATIONS", "Decorrelation", "check_methods", "create", "load", "method_name"]

_DECORRELATIONS = {
    "quantile_polynomial": "oddjet.ml.decorrelation.quantile_polynomial:QuantilePolynomial",
    "ddt": "oddjet.ml.decorrelation.ddt:DDT",
    "quantile_map": "oddjet.ml.decorrelation.quantile_map:QuantileMap",
    "quantile_boosting": "oddjet.ml.decorrelation.quantile_boosting:QuantileBoosting",
}

DECORRELATIONS: Registry[str] = Registry("decorrelations", _DECORRELATIONS, load=str)
"""Name → `module:Class`, imported when asked for; also those that other packages add."""


def create(name: str, /, **hyper_parameters: Any) -> Decorrelation:
    """Make a decorrelation that is not fitted.

    Args:
        name: A registered name, or `"their_package.module:Class"`.
        **hyper_parameters: As the class takes them.

    Raises:
        ConfigError: If there is no such name or hyper-parameter, or a value is not allowed.
        DetectorError: If the named class cannot be imported or is no decorrelation.
    """
    cls = named_class(DECORRELATIONS, name, Decorrelation, "decorrelation", error=ConfigError)
    return cast("type[Decorrelation]", cls).create(hyper_parameters)


def load(path: Path | str) -> Decorrelation:
    """Read what `Decorrelation.save` wrote, whatever its class.

    Raises:
        DetectorError: If the file cannot be read, or its class is not known.
    """
    return Decorrelation.load(Path(path))


def method_name(name: str) -> str:
    """Name a method in columns: `"their_package.module:Class"` → `"Class"`.

    >>> method_name("ddt"), method_name("theirs.flat:Flow")
    ('ddt', 'Flow')
    """
    return name.rpartition(":")[2]


def check_methods(methods: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse methods, name → hyper-parameters, that do not exist, or would share a column.

    Raises:
        ConfigError: If a name or hyper-parameter is wrong, or two methods have one column.
        DetectorError: If a class cannot be imported.
    """
    columns = [method_name(name) for name in methods]
    if len(set(columns)) != len(columns) or CALIBRATED in columns:
        msg = (
            f"decorrelation: expected methods with columns of their own, none called 'calibrated'. "
            f"Received: {', '.join(methods)}."
        )
        raise ConfigError(msg)
    for name, hyper_parameters in methods.items():
        create(name, **hyper_parameters)
