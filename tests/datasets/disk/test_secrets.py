"""Tokens and passwords of URLs are in no file that others may read, and come back whole where they are needed."""

from __future__ import annotations

import logging
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oddjet.datasets.disk.logs import write_log
from oddjet.datasets.disk.secrets import (
    hide_secrets,
    is_hidden,
    private_file,
    read_with_secrets,
    without_secrets,
    write_with_secrets,
)
from oddjet.datasets.disk.state import unseal
from oddjet.datasets.files.dataset import Dataset, Fileset, require_files
from oddjet.errors import ConfigError

URLS = [
    "root://eos.org//a.root?authz=s3cret",
    "https://a.org/a.root?sig=s3cret,s3cret;x=(s3cret)'s3cret\"s3cret s3cret",
    "HTTPS://a.org/a.root?s3cret?s3cret",
    "https://me:s3cret@a.org:80/a.root?id=s3cret2",
    "https://a.org/get?file=s3cret1",
    "https://a.org/get?file=s3cret2",
]
PLAIN = ["/store/a.root?x", "root://eos.org//a.root", "root://me@eos.org//a.root", "what? no://"]


def test_nothing_secret_is_left_and_all_comes_back(tmp_path: Path) -> None:
    content = {"files": dict.fromkeys([*URLS, *PLAIN], "Events"), "n": [1, None, {"file": URLS[0]}]}
    path = tmp_path / "job.json"
    assert write_with_secrets(path, content)
    assert "s3cret" not in path.read_text()
    assert private_file(path).name == "job.secrets.json"
    assert stat.S_IMODE(private_file(path).stat().st_mode) == 0o600
    assert read_with_secrets(path) == content
    hidden = unseal(path)
    assert set(PLAIN) <= set(hidden["files"])
    assert len(hidden["files"]) == len(content["files"])  # the query may be all that differs
    private_file(path).unlink()
    assert read_with_secrets(path) == hidden == without_secrets(content)
    assert hide_secrets(hidden) == (hidden, {})  # to hide again changes nothing
    assert all(is_hidden(url) for url in list(hidden["files"])[: len(URLS)])
    assert not any(map(is_hidden, [*URLS, *PLAIN]))


def test_nothing_is_written_where_there_is_no_secret(tmp_path: Path) -> None:
    path = tmp_path / "job.json"
    write_with_secrets(path, {"files": URLS})
    assert not write_with_secrets(path, {"files": PLAIN})
    assert [p.name for p in tmp_path.iterdir()] == ["job.json"]
    assert read_with_secrets(path) == {"files": PLAIN}


@given(st.recursive(st.text() | st.sampled_from(URLS), lambda inner: st.lists(inner, max_size=3)))
def test_to_hide_again_changes_nothing(content: object) -> None:
    hidden, _ = hide_secrets(content)
    assert "s3cret" not in str(hidden)
    assert hide_secrets(hidden)[0] == hidden


def test_a_url_that_is_not_whole_is_refused_before_it_is_opened() -> None:
    (url,) = without_secrets([URLS[0]])
    fileset = Fileset(datasets={"a": Dataset(files=[url], kind="data")})
    with pytest.raises(ConfigError, match=r"a.root: the query or password .* was not stored"):
        require_files(fileset)


def test_logs_hold_no_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["oddjet", "skim", *URLS[:1], URLS[3]])

    def run() -> None:
        with write_log(tmp_path):
            logging.getLogger("oddjet.x").warning("%s: cannot be read", URLS[0])
            msg = f"no such file: {URLS[3]}"
            raise OSError(msg)

    with pytest.raises(OSError, match="no such file"):
        run()
    text = (tmp_path / "oddjet.log").read_text()
    assert text.count("root://eos.org//a.root") == 2
    assert text.count("https://me@a.org:80/a.root") == 2
    assert "s3cret" not in text
