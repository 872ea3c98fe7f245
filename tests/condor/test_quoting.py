"""What a user writes is read by HTCondor, Slurm and shells as it is; the pools themselves: test_names.py."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oddjet.condor.quoting import Form, problem_with, quoted
from oddjet.errors import ConfigError

LINES = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1)


@pytest.mark.parametrize(
    "text", ["a\nqueue 9", "a\rb", "a\0", "\x1b[2J", "a\x85b", "a\u2028b", "a\u2029b", "a\udcff"]
)
def test_what_is_not_one_line_is_refused_everywhere(text: str) -> None:
    for form in get_args(Form):
        with pytest.raises(ConfigError, match=r"image: expected single lines.*U\+") as refused:
            quoted(text, form, "image")
        str(refused.value).encode()  # can be printed
        assert "\n" not in str(refused.value)


def test_a_long_text_is_not_told_whole() -> None:
    assert len(problem_with("x" * 10**6 + "\n")) < 200


def test_tabs_are_for_lines_of_a_shell() -> None:
    assert problem_with("if x; then\ty", tabs=True) == ""
    assert "U+0009" in problem_with("if x; then\ty")
    assert "U+000A" in problem_with("\t\n", tabs=True)


@pytest.mark.parametrize("text", [" a", "a ", "a\\"])
@pytest.mark.parametrize("form", ["setting", "line"])
def test_what_htcondor_would_cut_or_continue_is_refused(form: Form, text: str) -> None:
    with pytest.raises(ConfigError, match="no blank at either end and no backslash"):
        quoted(text, form, "proxy")


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("setting", "a$$b"),
        ("argument", "a$$(Arch)"),
        ("command", "$$$"),
        ("command", "$$ENV(HOME)"),
    ],
)
def test_what_htcondor_reads_all_the_same_is_refused(form: Form, text: str) -> None:
    with pytest.raises(ConfigError, match="cannot be kept from reading"):
        quoted(text, form, "image")


def test_a_command_is_left_to_the_shell() -> None:
    said = quoted("x=$(id)\ty=$HOME/$$_$ENV(HOME)", "command", "prologue")
    assert said == "x=$(DOLLAR)(id)\ty=$(DOLLAR)HOME/$$_$(DOLLAR)ENV(HOME)"


@given(LINES)
def test_a_shell_reads_the_word(text: str) -> None:
    assert shlex.split(quoted(text, "shell", "image")) == [text]
    said = subprocess.run(
        ["/bin/sh", "-c", f"printf %s {quoted(text, 'shell', 'image')}"],
        capture_output=True,
        check=True,
    )
    assert said.stdout.decode() == text


@given(LINES.filter(lambda text: text == text.strip() and text[-1] != "\\" and "$$" not in text))
def test_a_setting_has_no_macro_left(text: str) -> None:
    written = quoted(text, "setting", "folder")
    assert "$" not in written.replace("$(DOLLAR)", "")
    assert written.replace("$(DOLLAR)", "$") == text


@given(LINES)
def test_slurm_reads_the_value(text: str) -> None:
    """As Slurm's `_get_next_opt` does: a backslash takes the next character as it is."""
    inside = quoted(text, "sbatch", "account")[1:-1]
    read, taken = "", iter(inside)
    for character in taken:
        assert character != '"'
        read += next(taken) if character == "\\" else character
    assert read == text
    if "\\" not in text:
        assert quoted(text, "pattern", "log_folder").replace("%%", "%") == quoted(
            text, "sbatch", ""
        ).replace("%%", "%")


def test_a_path_is_taken_too() -> None:
    assert quoted(Path("/a b"), "sbatch", "log_folder") == '"/a b"'
