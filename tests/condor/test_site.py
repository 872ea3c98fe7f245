from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from oddjet.condor import Cluster
from oddjet.condor.site import SITES, Site, read_site
from oddjet.condor.submit import site_lines
from oddjet.errors import ConfigError


@pytest.mark.parametrize("path", sorted(SITES.glob("*.yaml")), ids=lambda path: path.stem)
def test_packaged_profiles_are_valid(path: Path) -> None:
    cluster = Cluster(executor="htcondor", site=path.stem)
    assert cluster.model_dump(include=set(read_site(path.stem))) == Site(
        **read_site(path.stem)
    ).model_dump(include=set(read_site(path.stem)))


def test_keys_of_the_block_win_over_the_site(tmp_path: Path) -> None:
    (tmp_path / "pool.yaml").write_text("memory: 3 GB\ncores: 4\nwall_time: 10:30:00\n")
    cluster = Cluster(site=str(tmp_path / "pool.yaml"), cores=2)
    assert (cluster.memory, cluster.cores, cluster.wall_time) == ("3 GB", 2, 37800)
    # what the command line does: read again what was written out
    assert Cluster(**cluster.model_dump()) == cluster


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("memroy: 2 GB", "Did you mean 'memory'"),
        ("memory: much", "expected a size of at least 1 MB"),
        ("memory: 2 kB", "expected a size of at least 1 MB"),
        ("wall_time: 8 hours", "expected HH:MM:SS"),
        ("job_flavour: 'a\"b'", "job_flavour"),
        ('prologue: ["a\\nqueue 100"]', "single lines"),
        ('submit_lines: {"a": "b\\nqueue 100"}', "single lines"),
        ('submit_lines: {"a\\nb": "c"}', "single lines"),
        ("submit_lines: {queue: 1000}", "names of lines"),
        ('submit_lines: {"a = b, c": "d"}', "names of lines"),
        ('submit_lines: {"include": "/etc/passwd"}', "names of lines"),
        ('image: "docker://a\\nqueue 100"', "image: .*single lines"),
        ('account: "a\\nexecutable = /bin/false"', "account: .*single lines"),
        ('proxy: "/tmp/x\\rqueue"', "proxy: .*single lines"),
        ('queue: "debug\\n#SBATCH --array=0-999"', "queue: .*single lines"),
        ('python: "python3\\nrm -r x"', "python: .*single lines"),
        ('log_folder: "logs\\x01"', "log_folder: .*control characters"),
        ('scheduler_host: "a; rm -r x"', "scheduler_host"),
        ("memory: 1e400 GB", "expected a size"),
        ("- memory", "expected a mapping"),
        ("proxy: ''", "proxy: expected a path, not an empty text"),
        ("cores: true", "cores: expected a number, not true or false"),
        ("cores: 010", "number 010 begins with 0"),
        ("wall_time: 99999999999", "wall_time: expected at most 31622400; received 99999999999"),
        ("worker_ports: x", "worker_ports: expected a number, or two as first:last; received 'x'"),
        ("a: [", "cannot read"),
    ],
)
def test_what_cannot_be_meant_is_refused(text: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "pool.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=told) as error:
        read_site(str(path))
    assert str(path) in str(error.value)
    with pytest.raises(ValidationError, match=told):
        Cluster(site=str(path))


def test_python_may_be_in_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Site(python="~/env/bin/python").python == f"{tmp_path}/env/bin/python"
    assert Site(python="./python").python == "./python"


def test_an_unknown_site_is_told_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"Did you mean 'cern'\? There are cern, generic"):
        read_site("cren")
    with pytest.raises(ConfigError, match="cannot read"):
        read_site(str(tmp_path / "none.yaml"))


def test_lines_of_a_site() -> None:
    lines = site_lines(Cluster(site="cern", account="group_cms", wall_time=60))
    assert lines["MY.JobFlavour"] == '"workday"'
    assert lines["MY.MaxRuntime"] == "60"
    assert lines["accounting_group"] == "group_cms"
    assert lines["x509userproxy"].endswith("/private/x509up")
    assert not lines["x509userproxy"].startswith("~")
    assert lines["getenv"] == "False"
    image = site_lines(Site(image="docker://a", submit_lines={"universe": "docker"}))
    assert image == {"universe": "docker", "container_image": "docker://a"}


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"executor": "address"}, "expected an address"),
        ({"executor": "dask", "address": "tls://a:1"}, "expected an address"),
        ({"tls_ca": "ca.pem"}, "together"),
    ],
)
def test_inconsistent_clusters_are_refused(settings: dict[str, str], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        Cluster(**settings)


def test_an_unknown_home_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"site: ~nosuchuser/x\.yaml: there is no home"):
        read_site("~nosuchuser/x.yaml")
