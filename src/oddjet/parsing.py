"""YAML and JSON from anybody: parsed with limits, so that no text can fill the memory or hang."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Hashable
from typing import Any, NoReturn

import yaml

from oddjet.errors import ConfigError

__all__ = ["DEEPEST", "parse_json", "parse_yaml"]

DEEPEST = 64
"""Lists and mappings inside each other, at most."""
_GROWTH = 10, 100_000
"""Aliases may make YAML as many times as long, and as many characters longer."""
_LONGEST_NUMBER = 60
_LARGEST = 2**64
"""Whole numbers are smaller than this."""
_UNUSUAL = re.compile(r"\\u(0000|[dD][89a-fA-F])")
"""How JSON writes the character NUL and halves of surrogate pairs."""

_BASE_60 = re.compile(r"[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?$")
"""What YAML 1.1 takes for a number in base 60: 1:40 would be 100."""
_OCTAL = re.compile(r"([-+]?)0[0_]*([0-9][0-9_.]*)$")

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def parse_json(text: str) -> Any:
    """Parse JSON.

    Raises:
        ConfigError: It is no JSON, repeats a key, is nested more than 64 deep, or holds a whole number beyond 64
            bits or text that cannot be written again.
    """
    try:
        content = json.loads(text, object_pairs_hook=_unique_pairs, parse_int=_whole_number)
    except RecursionError:
        _refuse_depth()
    except ValueError as error:
        raise ConfigError(str(error)) from error
    _check_nesting(content, texts=_UNUSUAL.search(text) is not None)
    return content


def parse_yaml(text: str) -> Any:
    """Parse YAML. Repeated keys are refused; as in YAML 1.2, 1e3 is a number, and 12:30:00 is a text.

    Raises:
        ConfigError: It is no YAML, repeats a key, is nested more than 64 deep, its aliases make it much longer than
            it is written, or it holds a number, date or text that cannot be, or a number that begins with 0, which
            is octal in YAML 1.1 and decimal in YAML 1.2.
    """
    try:
        _check_events(text)
        loader = _StrictLoader(text)
        try:
            return loader.get_single_data()
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        raise ConfigError(str(error)) from error
    # What PyYAML raises for dates, numbers and tags that are none.
    except (ValueError, LookupError, AttributeError, TypeError, ArithmeticError) as error:
        msg = f"a value is not what its form or its tag says ({error}): write texts in quotes"
        raise ConfigError(msg) from error


class _StrictLoader(_Loader):  # type: ignore[misc]
    """Loader that refuses repeated keys, of which YAML would quietly keep the last, and endless numbers."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = key_node.value
            if not isinstance(key_node, yaml.ScalarNode):
                continue  # refused by the loader itself, unless it is hashable
            if key_node.tag != "tag:yaml.org,2002:merge" and key in seen:
                msg = f"the key {key!r} is there twice"
                raise yaml.constructor.ConstructorError(None, None, msg, key_node.start_mark)
            seen.add(key)
        mapping: dict[Hashable, Any] = super().construct_mapping(node, deep=deep)
        return mapping

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        return _in_range(super().construct_yaml_int(_unambiguous(node)), node.value)

    def construct_yaml_float(self, node: yaml.ScalarNode) -> float:
        return float(super().construct_yaml_float(_unambiguous(node)))

    def construct_base_60(self, node: yaml.ScalarNode) -> str:
        return str(_short(node).value)


_StrictLoader.add_constructor("tag:yaml.org,2002:int", _StrictLoader.construct_yaml_int)
_StrictLoader.add_constructor("tag:yaml.org,2002:float", _StrictLoader.construct_yaml_float)
_StrictLoader.add_constructor("!base-60", _StrictLoader.construct_base_60)
_StrictLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)[eE][-+]?[0-9]+$"),
    list("-+.0123456789"),
)
for _resolvers in map(_StrictLoader.yaml_implicit_resolvers.get, "-+0123456789"):
    _resolvers.insert(0, ("!base-60", _BASE_60))


def _check_events(text: str) -> None:
    """Refuse what is nested too deeply or grows by its aliases, before anything is built of it."""
    most = _GROWTH[0] * len(text) + _GROWTH[1]
    sizes: dict[str, int] = {}
    collections: list[tuple[str | None, int]] = []
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            if len(collections) >= DEEPEST:
                _refuse_depth(f", {_place(event)}")
            collections.append((event.anchor, 1))
            continue
        anchor, size = None, 0
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in sizes:
                msg = f"{_place(event)}: there is no &{event.anchor} before *{event.anchor}"
                raise ConfigError(msg)
            size = sizes[event.anchor]
        elif isinstance(event, yaml.ScalarEvent):
            anchor, size = event.anchor, 1 + len(event.value)
            if "\0" in event.value:
                _refuse_characters()
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, size = collections.pop()
        if anchor is not None:
            sizes[anchor] = size
        if collections:
            outer, before = collections[-1]
            collections[-1] = outer, before + size
            if before + size > most:
                msg = f"its aliases (*) make it longer than {most} characters: write out what is meant"
                raise ConfigError(msg)


def _check_nesting(content: Any, *, texts: bool) -> None:
    """Refuse what is nested too deeply; where `texts`, also characters that no file or terminal takes."""
    level: list[Any] = [[content]]
    for _ in range(DEEPEST + 1):
        items = [
            x for outer in level for x in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if texts and any(_has_unusual(x) for x in items + [key for d in level for key in d]):
            _refuse_characters()
        level = [x for x in items if isinstance(x, dict | list)]
        if not level:
            return
    _refuse_depth()


def _has_unusual(item: Any) -> bool:
    return isinstance(item, str) and re.search("[\0\ud800-\udfff]", item) is not None


def _refuse_depth(where: str = "") -> NoReturn:
    msg = f"lists and mappings inside each other more than {DEEPEST} deep{where}"
    raise ConfigError(msg)


def _refuse_characters() -> NoReturn:
    msg = "a text holds the character NUL or half of a surrogate pair: leave it out"
    raise ConfigError(msg)


def _unique_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        ((key, _),) = Counter(key for key, _ in pairs).most_common(1)
        msg = f"the key {key!r} is there twice"
        raise ConfigError(msg)
    return content


def _whole_number(digits: str) -> int:
    return _in_range(int(digits[:_LONGEST_NUMBER]), digits)


def _in_range(number: int, digits: str) -> int:
    if len(digits) > _LONGEST_NUMBER or not -_LARGEST < number < _LARGEST:
        msg = f"a whole number of {len(digits)} digits: expected less than 2^64"
        raise ConfigError(msg)
    return number


def _place(of: Any) -> str:
    return f"line {of.start_mark.line + 1}"


def _short(node: yaml.ScalarNode) -> yaml.ScalarNode:
    if len(node.value) > _LONGEST_NUMBER:
        msg = f"{_place(node)}: a number of {len(node.value)} characters: expected at most {_LONGEST_NUMBER}"
        raise ConfigError(msg)
    return node


def _unambiguous(node: yaml.ScalarNode) -> yaml.ScalarNode:
    """Refuse numbers that people mean otherwise than YAML 1.1 reads them."""
    text = _short(node).value
    if (octal := _OCTAL.match(text)) and "." not in text:
        msg = (
            f"{_place(node)}: the number {text} begins with 0, which may mean base 8: write"
            f" {octal[1]}{octal[2]}, or '{text}' in quotes if it is a text"
        )
        raise ConfigError(msg)
    if ":" in text:
        msg = f"{_place(node)}: the number {text} is in base 60: write it in base 10"
        raise ConfigError(msg)
    return node
