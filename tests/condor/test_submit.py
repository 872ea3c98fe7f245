from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from oddjet.condor.events import JobState, read_events, tail
from oddjet.condor.site import Site
from oddjet.condor.submit import pack_package, submit_jobs, write_submission
from oddjet.errors import ConfigError, ProcessingError

ECHO = 'import sys; print(open(sys.argv[1]).read()); open(sys.argv[2] + "/done", "w")'


def lines_of(path: Path) -> dict[str, str]:
    *lines, queue = path.read_text().splitlines()
    assert queue == "queue 2"
    return dict(line.split(" = ", 1) for line in lines)


def test_shared_files_are_named_and_not_transferred(tmp_path: Path) -> None:
    site = Site(memory="2 GiB", disk="1 GiB", submit_lines={"request_cpus": "3"})
    lines = lines_of(write_submission(tmp_path, site, module="m", n_jobs=2))
    assert lines["request_memory"] == "2048"
    assert lines["request_disk"] == str(2**20)
    assert lines["request_cpus"] == "3"
    assert lines["should_transfer_files"] == "IF_NEEDED"
    assert lines["arguments"].startswith(f"\"'{tmp_path}/jobs/$(Process)/job.json'")
    assert "transfer_input_files" not in lines


def test_files_are_transferred_where_none_are_shared(tmp_path: Path) -> None:
    site = Site(shared_files=False, python="python3", image="docker://a")
    path = write_submission(tmp_path, site, module="m", n_jobs=2, inputs=["inputs.tar"])
    lines = lines_of(path)
    assert lines["transfer_input_files"] == "job.json, ../../oddjet.tar.gz, inputs.tar"
    assert lines["transfer_output_files"] == "parts"
    assert (lines["universe"], lines["arguments"]) == ("container", "job.json parts")


def unquoted(arguments: str) -> list[str]:
    """Arguments as HTCondor's manual reads them: doubled quotes are quotes, single ones hold blanks."""
    assert arguments[0] == arguments[-1] == '"'
    text = arguments[1:-1].replace('""', '"').replace("''", "\0")
    parts = [part.replace("\0", "'") for part in text.split("'")]
    assert set(parts[::2]) <= {"", " "}
    return parts[1::2]


@pytest.mark.parametrize("name", ["it's, a folder", 'a "b" (c)', "cost: 5$(Process) #1", "α;&|<>"])
@pytest.mark.parametrize("shared", [True, False])
def test_any_folder_is_named_as_it_is(tmp_path: Path, name: str, shared: bool) -> None:
    folder = tmp_path / name
    folder.mkdir()
    site = Site(shared_files=shared, python="python3", proxy=folder / "proxy")
    path = write_submission(folder, site, module="m", n_jobs=2, inputs=["inputs.tar"])
    lines = {k: v.replace("$(DOLLAR)", "$") for k, v in lines_of(path).items()}
    assert lines["executable"] == f"{folder}/run.sh"
    assert lines["initialdir"] == f"{folder}/jobs/$(Process)"
    assert lines["log"] == f"{folder}/jobs.log"
    assert lines["x509userproxy"] == f"{folder}/proxy"
    if shared:
        job = f"{folder}/jobs/$(Process)"
        assert unquoted(lines["arguments"]) == [f"{job}/job.json", f"{job}/parts"]
    else:  # a list of files has no way to write a comma
        assert lines["transfer_input_files"].count(",") == 2
    macros = [line for line in path.read_text().splitlines() if name in line and "$(" in name]
    assert macros == []


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("two\nlines", "single lines"),
        ("backslash\\", "no backslash at the end"),
        ("blank ", "no blank at either end"),
        ("bytes\udcff", "single lines"),
    ],
)
def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path, name: str, told: str) -> None:
    with pytest.raises(ConfigError, match=f"folder of the jobs: .*{told}"):
        write_submission(tmp_path / name, Site(), module="m", n_jobs=2)
    assert list(tmp_path.iterdir()) == []
    if told != "single lines":
        with pytest.raises(ConfigError, match=f"proxy: .*{told}"):
            write_submission(tmp_path, Site(proxy=tmp_path / name), module="m", n_jobs=2)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("setting", ["image", "account"])
def test_settings_of_a_site_are_read_as_they_are(tmp_path: Path, setting: str) -> None:
    site = Site(**{setting: "it's $(HOME) $ENV(HOME), 5% #1"})
    text = write_submission(tmp_path, site, module="m", n_jobs=2).read_text()
    assert "= it's $(DOLLAR)(HOME) $(DOLLAR)ENV(HOME), 5% #1\n" in text
    for value in ("a ", "a\\"):  # the second would swallow the line after it
        with pytest.raises(ConfigError, match=setting):
            write_submission(tmp_path, Site(**{setting: value}), module="m", n_jobs=2)
    with pytest.raises(ConfigError, match="submit_lines: requirements"):
        write_submission(tmp_path, Site(submit_lines={"requirements": "a\\"}), module="m", n_jobs=2)


def test_the_wrapper_runs_the_module_after_the_prologue(tmp_path: Path) -> None:
    (tmp_path / "echo_job.py").write_text(ECHO)
    (tmp_path / "job.json").write_text("the job")
    site = Site(prologue=[f"export PYTHONPATH={tmp_path}", "cd /"])
    write_submission(tmp_path, site, module="echo_job", n_jobs=1)
    folder = tmp_path / "a folder's parts"
    said = subprocess.run(
        [tmp_path / "run.sh", tmp_path / "job.json", folder],
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout == "the job\n"
    assert (folder / "done").exists()


def test_a_job_imports_nothing_from_its_folder(tmp_path: Path) -> None:
    """Files that were transferred, a detector's for one, are beside the package and not on the path."""
    site = Site(shared_files=False, python=sys.executable)
    write_submission(tmp_path, site, module="echo_job", n_jobs=1)
    (tmp_path / "echo_job.py").write_text(
        f"import colorsys, sys\n{ECHO}\nprint(sys.argv[1:], sys.path)"
    )
    with tarfile.open(tmp_path / "oddjet.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "echo_job.py", "echo_job.py")
    job = tmp_path / "jobs" / "0"
    job.mkdir(parents=True)
    for name in ("colorsys", "runpy", "echo_job", "sitecustomize"):
        (job / f"{name}.py").write_text("open('mark', 'w').close()")
    (job / "job.json").write_text("the job")
    (tmp_path / "oddjet.tar.gz").rename(job / "oddjet.tar.gz")
    said = subprocess.run(
        [tmp_path / "run.sh", "job.json", "parts"],
        capture_output=True,
        text=True,
        check=True,
        cwd=job,
        env={"PATH": "/usr/bin:/bin"},
    )
    assert "['job.json', 'parts']" in said.stdout
    assert (job / "parts" / "done").exists()
    assert not (job / "mark").exists()


def test_the_package_travels_as_it_is_installed(tmp_path: Path) -> None:
    with tarfile.open(pack_package(tmp_path)) as archive:
        names = archive.getnames()
        archive.extractall(tmp_path / "there", filter="data")
    assert not any("__pycache__" in name for name in names)
    code = "import oddjet.condor.site as s; print(s.__file__, len(list(s.SITES.glob('*.yaml'))))"
    said = subprocess.run(
        [sys.executable, "-c", code],
        cwd="/",
        env={"PYTHONPATH": str(tmp_path / "there")},
        capture_output=True,
        text=True,
        check=True,
    )
    path, n_sites = said.stdout.split()
    assert path == str(tmp_path / "there" / "oddjet" / "condor" / "site.py")
    assert int(n_sites) >= 2


def test_a_wheel_is_shipped_instead(tmp_path: Path) -> None:
    wheel = tmp_path / "oddjet.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("oddjet/__init__.py", "this = 'wheel'")
    with tarfile.open(pack_package(tmp_path, wheel)) as packed:
        assert "oddjet/__init__.py" in packed.getnames()
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("other/__init__.py", "")
    with pytest.raises(ConfigError, match="holds no oddjet"):
        pack_package(tmp_path, wheel)
    with pytest.raises(ConfigError, match="cannot read"):
        pack_package(tmp_path, tmp_path / "none.whl")


def put_on_path(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    folder.mkdir(exist_ok=True)
    command = folder / "condor_submit"
    command.write_text(f"#!/bin/sh\n{script}\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def test_condor_submit_is_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_on_path(tmp_path / "bin", monkeypatch, 'echo "2 job(s) submitted to cluster 17."')
    assert submit_jobs(tmp_path / "jobs.sub") == 17
    put_on_path(tmp_path / "bin", monkeypatch, "echo no schedd >&2; exit 1")
    with pytest.raises(ProcessingError, match="no schedd"):
        submit_jobs(tmp_path / "jobs.sub")
    put_on_path(tmp_path / "bin", monkeypatch, "echo fine")
    with pytest.raises(ProcessingError, match="expected the number"):
        submit_jobs(tmp_path / "jobs.sub")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="--dry-run"):
        submit_jobs(tmp_path / "jobs.sub")


# As HTCondor 23.9 writes it.
LOG = """\
000 (017.000.000) 2026-01-01 10:00:00 Job submitted from host: <127.0.0.1:9618>
...
000 (017.001.000) 2026-01-01 10:00:00 Job submitted from host: <127.0.0.1:9618>
...
000 (017.002.000) 2026-01-01 10:00:00 Job submitted from host: <127.0.0.1:9618>
...
000 (017.003.000) 2026-01-01 10:00:00 Job submitted from host: <127.0.0.1:9618>
...
000 (017.004.000) 2026-01-01 10:00:00 Job submitted from host: <127.0.0.1:9618>
...
001 (017.000.000) 2026-01-01 10:00:01 Job executing on host: <127.0.0.1:9618?alias=vm>
\tSlotName: slot1_1@vm
...
006 (017.000.000) 2026-01-01 10:00:02 Image size of job updated: 1915284
\t353  -  MemoryUsage of job (MB)
...
005 (017.001.000) 2026-01-01 10:00:03 Job terminated.
\t(1) Normal termination (return value 3)
\t\tUsr 0 00:00:05, Sys 0 00:00:00  -  Run Remote Usage
...
012 (017.002.000) 2026-01-01 10:00:04 Job was held.
\tvia condor_hold (by user physicist)
\tCode 1 Subcode 0
...
009 (017.003.000) 2026-01-01 10:00:05 Job was aborted.
\tvia condor_rm (by user physicist)
...
005 (017.004.000) 2026-01-01 10:00:06 Job terminated.
\t(0) Abnormal termination (signal 9)
...
"""


def test_the_event_log_tells_what_became_of_each_job(tmp_path: Path) -> None:
    (tmp_path / "log").write_text(LOG)
    assert read_events(tmp_path / "log") == {
        (17, 0): JobState("running"),
        (17, 1): JobState("done", "ended with exit code 3", 3),
        (17, 2): JobState("held", "via condor_hold (by user physicist)"),
        (17, 3): JobState("removed", "via condor_rm (by user physicist)"),
        (17, 4): JobState("done", "was killed by signal 9", 137),
    }
    # cut anywhere, as while it is written, it still reads
    for end in range(0, len(LOG), 50):
        (tmp_path / "log").write_text(LOG[:end])
        read_events(tmp_path / "log")
    assert read_events(tmp_path / "none") == {}


def test_the_last_lines_of_the_first_file_that_has_any(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "full").write_text("\n".join(map(str, range(100))) + "\n\n")
    paths = [tmp_path / "none", tmp_path / "empty", tmp_path / "full"]
    assert tail(paths, lines=2) == "98\n99"
    assert tail(paths[:2]) == ""
