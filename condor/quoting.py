"""Names and settings as a submit file, a job script or a shell reads them: whole, and as nothing else."""

from __future__ import annotations

import re
import shlex
import unicodedata
from pathlib import Path
from typing import Literal

from oddjet.errors import ConfigError, shortened

__all__ = ["Form", "problem_with", "quoted"]

Form = Literal["setting", "line", "argument", "command", "sbatch", "pattern", "shell"]
"""Where a text is written.

- setting: the value of a line of HTCondor's submit file, nothing of which is expanded;
- line: such a value in which the user's own `$(…)` and quotes mean what they mean to HTCondor;
- argument: a part of an argument, inside HTCondor's single quotes in double quotes;
- command: lines of a shell in which HTCondor expands nothing;
- sbatch: the value of an option of Slurm;
- pattern: the same, of a file's name, in which Slurm replaces `%` and a character;
- shell: a word of a shell.
"""

# New lines and their like in any character set, and what is no character: bytes that are not UTF-8.
_REFUSED = {"Cc", "Cs", "Zl", "Zp"}
# $(DOLLAR) twice is read as something else; two signs themselves stay, but before a bracket.
_TWICE = {
    "setting": re.compile(r"\$\$"),
    "argument": re.compile(r"\$\$"),
    "command": re.compile(r"\$\$(\$|\w*[(\[])"),
}


def problem_with(text: str, *, tabs: bool = False) -> str:
    """Say what keeps a text from being one line of a file, empty if nothing does.

    Args:
        text: Any.
        tabs: Whether tabs are fine, as in lines of a shell.
    """
    fine = "\t" if tabs else ""
    odd = next((c for c in text if unicodedata.category(c) in _REFUSED and c != fine), None)
    if odd is None:
        return ""
    shown = repr(text if len(text) <= 60 else f"{text[:60]}…")
    return f"expected single lines without control characters (U+{ord(odd):04X}), received {shown}"


def quoted(text: str | Path, form: Form, what: str) -> str:
    r"""Write a text for HTCondor, Slurm or a shell so that it is read as it is.

    Every name and setting of a user that reaches a submit file or a job script goes through here.

    Args:
        text: Path or setting.
        form: Where it is written.
        what: The setting, or what the path is of; for messages.

    Raises:
        ConfigError: If it cannot be written there.

    >>> quoted("/data/it's $5", "setting", "folder"), quoted("/data/it's $5", "argument", "folder")
    ("/data/it's $(DOLLAR)5", "/data/it''s $(DOLLAR)5")
    >>> quoted('5% of "it"', "pattern", "log_folder"), quoted("a b", "shell", "image")
    ('"5%% of \\"it\\""', "'a b'")
    """
    text = str(text)
    problem = problem_with(text, tabs=form == "command")
    if not problem and form in ("setting", "line") and (text != text.strip() or text[-1:] == "\\"):
        problem = f"expected no blank at either end and no backslash at the end, received {shortened(text)!r}"
    if not problem and form in _TWICE and (match := _TWICE[form].search(text)):
        problem = f"expected no {match[0]!r}, which HTCondor cannot be kept from reading, in {shortened(text)!r}"
    if not problem and form == "pattern" and "\\" in text:
        problem = f"expected no backslash in a folder of Slurm's logs, received {shortened(text)!r}"
    if problem:
        msg = f"{what}: {problem}; use another name or value"
        raise ConfigError(msg)
    if form in ("setting", "argument"):
        text = text.replace("$", "$(DOLLAR)")
    if form == "command":
        text = re.sub(r"\$\$|\$", lambda sign: sign[0] if sign[0] == "$$" else "$(DOLLAR)", text)
    if form == "argument":
        return text.replace("'", "''").replace('"', '""')
    if form == "shell":
        return shlex.quote(text)
    if form in ("sbatch", "pattern"):
        text = re.sub(r'([\\"])', r"\\\1", text)
        return '"{}"'.format(text.replace("%", "%%") if form == "pattern" else text)
    return text
