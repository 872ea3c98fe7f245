"""From written configuration to typed objects, strictly, with errors one can act upon."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from oddjet.datasets.disk.documents import read_json, read_yaml
from oddjet.errors import ConfigError, did_you_mean, shortened
from oddjet.problems import MOST_SHOWN, describe_problem, with_value

__all__ = ["is_safe_name", "read_config", "require_safe_name", "validate"]

Model = TypeVar("Model", bound=BaseModel)

_KIND = re.compile(r"[A-Z]|(str|int|float|bool|dict|list|tuple|path)(\[.*)?$|[a-z-]+\[")
"""What pydantic calls one of several kinds: a model, a type, or how it is read (`lax-or-strict[…]`)."""

_SAFE_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}")


def validate(model: type[Model], data: object, where: str) -> Model:
    """Validate data, which come from `where`, as a model.

    Raises:
        ConfigError: If it does not validate: one line a problem, with the key's path, what came,
            and for an unknown key the closest known one.
    """
    try:
        return model.model_validate(data)
    except ValidationError as error:
        problems = [_located(problem, data) for problem in error.errors(include_url=False)]
        distinct = list({(loc, told): (loc, told, p) for loc, told, p in _meant(problems)}.values())
        lines = [_describe(model, *problem) for problem in distinct[:MOST_SHOWN]]
        if (more := len(distinct) - MOST_SHOWN) > 0:
            lines.append(f"and {more} more")
        count = "1 problem" if len(distinct) == 1 else f"{len(distinct)} problems"
        msg = "\n".join([f"{where}: {count}", *(f"  {line}" for line in lines)])
        raise ConfigError(msg) from error


def is_safe_name(name: str) -> bool:
    """Whether a name can be a folder's: at most 200 letters, digits, dots, dashes, underscores.

    It then cannot lead out of its folder nor be hidden in it.

    >>> is_safe_name("QCD_HT-100to200.v1"), is_safe_name("../x"), is_safe_name(".hidden"), is_safe_name("a..b")
    (True, False, False, False)
    """
    return _SAFE_NAME.fullmatch(name) is not None and ".." not in name


def require_safe_name(name: str, what: str) -> str:
    """Give a dataset's or part's name back if it is safe; `what` it names is for the message.

    Raises:
        ConfigError: If it is not safe.
    """
    if not is_safe_name(name):
        msg = (
            f"{what} name {shortened(repr(name))}: expected letters, digits, '.', '_' and '-' only, at most 200, not beginning with '.' and"
            " without '..'"
        )
        raise ConfigError(msg)
    return name


def read_config(path: Path | str) -> Any:
    """Read a YAML or JSON file, also compressed by gzip, as nested dicts and lists.

    JSON if its name ends in .json or .json.gz.

    Raises:
        ConfigError: As `read_json` and `read_yaml`.
    """
    is_json = Path(path).name.removesuffix(".gz").endswith(".json")
    return read_json(path) if is_json else read_yaml(path)


Loc = tuple[str | int, ...]


def _located(problem: Any, data: Any) -> tuple[Loc, int | None, Any]:
    """Give a problem's place in the data: without the kinds that pydantic tried where there are several.

    Returns:
        The place; how many steps of it lead to where there are several kinds, None where there is one;
        and the problem.
    """
    loc: list[str | int] = []
    several = None
    for step in problem["loc"]:
        is_there = (
            step in data
            if isinstance(data, Mapping)
            else isinstance(data, list | tuple) and isinstance(step, int) and step < len(data)
        )
        if step == "[key]":  # what is wrong is the key itself
            continue
        if not is_there and isinstance(step, str) and _KIND.match(step):
            several = len(loc) if several is None else several
            continue
        data = data[step] if is_there else None
        loc.append(step)
    return tuple(loc), several, problem


def _meant(problems: Sequence[tuple[Loc, int | None, Any]]) -> Iterator[tuple[Loc, str, Any]]:
    """Say what is wrong where; of the kinds that were tried at a place, leave out those that do not fit at all."""
    kinds: dict[Loc, list[str]] = {}
    for loc, n, problem in problems:
        if n is not None:
            kinds.setdefault(loc[:n], []).extend(
                [describe_problem(problem)] if len(loc) == n else []
            )
    deeper = {loc[:n] for loc, n, _ in problems if n is not None and len(loc) > n}
    for loc, n, problem in problems:
        if n is None or len(loc) > n:
            yield loc, describe_problem(problem), problem
        elif loc not in deeper:  # none of them fits: one line for all
            first, *others = dict.fromkeys(kinds[loc])
            alternatives = [first, *(told.removeprefix("expected ") for told in others)]
            yield loc, ", or ".join(alternatives), problem


def _describe(model: type[BaseModel], loc: Loc, told: str, problem: Any) -> str:
    key = ".".join(str(step) for step in loc) or "(top level)"
    if problem["type"] == "extra_forbidden":
        known = sorted(
            {name for inner in _models_at(model, loc[:-1]) for name in inner.model_fields}
        )
        hint = did_you_mean(str(loc[-1]), known) or f" Known keys: {', '.join(known)}."
        return f"{shortened(key)}: {told}.{hint}"
    if problem["type"] == "missing":
        return f"{shortened(key)}: {told}"
    return f"{shortened(key)}: {with_value(told, problem)}"


def _models_at(annotation: Any, loc: Sequence[str | int]) -> Iterator[type[BaseModel]]:
    """Models that a key's path may lead to; keys of dicts and places in lists are passed over."""
    for model in _models_in(annotation):
        if not loc:
            yield model
        elif loc[0] in model.model_fields:
            field = model.model_fields[str(loc[0])]
            yield from _models_at(field.annotation, loc[1:])
        else:
            yield from _models_at(model, loc[1:])


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)
