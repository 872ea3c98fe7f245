from __future__ import annotations

import itertools
import json
import time

import pytest

from oddjet.errors import ConfigError
from oddjet.parsing import DEEPEST, parse_json, parse_yaml

LETTERS = "abcdefghij"
BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n"
    for before, name in itertools.pairwise(LETTERS)
)
"""Ten lines that mean 10¹⁰ values."""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (BOMB, "aliases"),
        ("[" * 100_000, f"more than {DEEPEST} deep, line 1"),
        ("- " * 100_000, f"more than {DEEPEST} deep"),
        ("&a [*a]", "no &a before"),
        ("a: *b", "no &b before"),
        ("? [a, b]\n: c", "unhashable"),
        ("a: 2001-99-99", "month"),
        ("a: !!int ''", "its tag"),
        ("a: !!bool x", "its tag"),
        ("a: !!timestamp x", "its tag"),
        ("a: !!python/object/apply:os.system [ls]", "constructor"),
        (f"a: {'1' * 5000}", "a number of 5000"),
        (f"a: 0x{'f' * 5000}", "a number of 5002"),
        (f"a: 1{':59' * 300_000}", "a number of"),
        ("a: 18446744073709551616", "2^64"),
        ("\na: 0450", r"line 2: the number 0450 begins with 0.* write 450, or '0450' in quotes"),
        ("a: -010", "write -10,"),
        ("a: 0_1_0", "the number 0_1_0 .* write 1_0,"),
        ("a: 00", "write 0,"),
        ("a: !!int 1:40", "the number 1:40 is in base 60"),
        ("a: !!float 1:40.5", "base 60"),
        ('a: "\\0"', "NUL"),
        ("a: 1\nb: {x: 1, x: 2}", "'x' is there twice"),
        ("\ud800", "surrogates"),
    ],
    ids=lambda text: text[:20],
)
def test_hostile_yaml_is_refused_at_once(text: str, expected: str) -> None:
    begin = time.perf_counter()
    with pytest.raises(ConfigError, match=expected.replace("^", r"\^")):
        parse_yaml(text)
    assert time.perf_counter() - begin < 5


def test_what_people_write_is_read() -> None:
    text = "base: &base {n: 1e3, t: 12:00:00}\nmore: {<<: *base, x: [*base, 1_000, 0x10, .inf]}\n"
    base = {"n": 1000.0, "t": "12:00:00"}
    assert parse_yaml(text) == {
        "base": base,
        "more": {**base, "x": [base, 1000, 16, float("inf")]},
    }
    assert parse_yaml("") is None
    numbers = "[0, -0, 0.5, 00.5, 100_000, 1:40, 190:20:30.15, 1:75, 0o17, 09, 2001-12-14 21:59:43]"
    *read, moment = parse_yaml(numbers)
    assert read == [0, 0, 0.5, 0.5, 100_000, "1:40", "190:20:30.15", "1:75", "0o17", "09"]
    assert moment.hour == 21


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[" * 100_000, "deep"),
        ("[" * 500 + "]" * 500, "deep"),
        ('{"a":' * 500 + "1" + "}" * 500, "deep"),
        ("1" * 5000, "5000 digits"),
        (str(2**64), "20 digits"),
        ('{"a": 1, "a": 2}', "'a' is there twice"),
        ('[{"\\ud800": 1}]', "surrogate"),
        ('["\\u0000"]', "NUL"),
        ('{"a":', "Expecting value"),
    ],
    ids=lambda text: text[:20],
)
def test_hostile_json_is_refused(text: str, expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        parse_json(text)


def test_json_is_read_as_by_its_own_parser() -> None:
    deep: object = 1
    for _ in range(DEEPEST):
        deep = [deep]
    for content in (deep, {"a": [2**64 - 1, -1.5, None, True, "ü😀\\u0000"]}, "text", 3):
        for ascii_only in (True, False):
            assert parse_json(json.dumps(content, ensure_ascii=ascii_only)) == content
