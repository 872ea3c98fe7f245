"""Messages of errors."""

from __future__ import annotations

import pickle

import pytest

from oddjet.errors import BadFileError, without_queries


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://a.org/b.root?token=x", "https://a.org/b.root"),
        ("(root://a.org:1094//b.root?authz=x%20y&z=1, root://c//d.root?e)", "(root://a.org:1094//b.root, root://c//d.root)"),
        ("https://a.org/b.root?token=x: cannot be read", "https://a.org/b.root: cannot be read"),
        ("https://a.org/b.root?token=x. Repeat", "https://a.org/b.root. Repeat"),
        ("https://a.org/b.root?token=a.b:c, entries [0, 3)", "https://a.org/b.root, entries [0, 3)"),
        ('{"https://a.org/b.root?token=x":"Events"}', '{"https://a.org/b.root":"Events"}'),
        ("https://a.org/b?sig=a,b;c=(d)&e: no", "https://a.org/b: no"),
        ("HTTPS://me:word@a.org/b?x=y", "HTTPS://me@a.org/b"),
        ("root://me@a.org//b and https://a.org:80/c@d", "root://me@a.org//b and https://a.org:80/c@d"),
        ("is a/b.root there? https://a.org is", "is a/b.root there? https://a.org is"),
    ],
)  # fmt: skip
def test_queries_of_urls_may_hold_tokens_and_are_not_shown(text: str, shown: str) -> None:
    assert without_queries(text) == shown
    error = BadFileError(text)
    assert str(error) == str(pickle.loads(pickle.dumps(error))) == shown


def test_a_message_has_no_value_longer_than_a_line() -> None:
    names = ", ".join(f"detector{n}" for n in range(60))
    assert str(BadFileError(names)) == names
    for value in ("x" * 10**6, "x y " * 10**6, "x\n" * 10**6, [0.5] * 10**5):
        said = str(BadFileError(f"expected a name, received {value}: write another"))
        assert said.startswith("expected a name, received ")
        assert max(map(len, said.splitlines())) <= 1200
        assert said.count("\n") <= 200
    assert str(BadFileError("x" * 10**6 + ": write another")).endswith(": write another")
