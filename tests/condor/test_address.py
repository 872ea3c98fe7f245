from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from distributed import LocalCluster, Security
from pydantic import ValidationError

from oddjet.condor import Cluster, open_executor
from oddjet.errors import ConfigError, ProcessingError

ROLES = {"ca": "tls_ca_file", "cert": "tls_client_cert", "key": "tls_client_key"}


def one_more(x: int) -> dict[str, int]:
    return {"sum": x + 1}


def write_keys(folder: Path) -> dict[str, str]:
    """Certificates as a site would hand them out."""
    folder.mkdir()
    temporary = Security.temporary()
    for name, attribute in ROLES.items():
        (folder / f"{name}.pem").write_text(getattr(temporary, attribute))
        (folder / f"{name}.pem").chmod(0o600)
    return {f"tls_{name}": str(folder / f"{name}.pem") for name in ROLES}


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return write_keys(tmp_path_factory.mktemp("keys") / "ours")


@pytest.fixture(scope="module")
def address(keys: dict[str, str]) -> Iterator[str]:
    """A scheduler with one worker that somebody else runs, with TLS."""
    sides = {
        f"tls_{side}_{name}": keys[f"tls_{name}"]
        for side in ("client", "scheduler", "worker")
        for name in ("cert", "key")
    }
    security = Security(tls_ca_file=keys["tls_ca"], require_encryption=True, **sides)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).resolve().parents[2]))
        with LocalCluster(
            n_workers=1,
            threads_per_worker=1,
            processes=False,
            host="127.0.0.1",
            protocol="tls://",
            security=security,
            dashboard_address=None,
        ) as cluster:
            yield cluster.scheduler_address


def test_work_is_done_where_a_scheduler_runs_and_it_goes_on(
    address: str, keys: dict[str, str]
) -> None:
    assert address.startswith("tls://127.0.0.1:")
    for _ in range(2):
        with open_executor(Cluster(executor="address", address=address, **keys)) as executor:
            assert executor([1, 2], one_more, None) == ({"sum": 5}, 0)


def test_other_certificates_are_refused(address: str, tmp_path: Path) -> None:
    cluster = Cluster(
        executor="address", address=address, start_timeout=5, **write_keys(tmp_path / "theirs")
    )
    with pytest.raises(ProcessingError, match="no Dask scheduler answers"), open_executor(cluster):
        pass


def test_nobody_there(keys: dict[str, str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens
        address = f"tls://127.0.0.1:{taken.getsockname()[1]}"
        cluster = Cluster(executor="address", address=address, start_timeout=1, **keys)
        with pytest.raises(ProcessingError, match=re.escape(address)), open_executor(cluster):
            pass


@pytest.mark.parametrize(
    "address",
    [
        "tcp://pool.example.org:8786",
        "pool.example.org:1",
        "ws://1.2.3.4:1",
        "tcp://localhost.example.org:1",
        "tcp://127.0.0.1:8786",  # open to every user of this machine
        "localhost:8786",
        "inproc://127.0.0.1/1/1",
    ],
)
def test_no_scheduler_without_tls(address: str) -> None:
    with pytest.raises(ValidationError, match="expected tls://"):
        Cluster(executor="address", address=address)


def test_a_key_that_others_can_read_is_no_key(address: str, tmp_path: Path) -> None:
    keys = write_keys(tmp_path / "keys")
    key = Path(keys["tls_key"])
    for mode in (0o640, 0o604, 0o666):
        key.chmod(mode)
        with (
            pytest.raises(ConfigError, match=f"mode {mode:o}.*chmod 600 {re.escape(str(key))}"),
            open_executor(Cluster(executor="address", address=address, **keys)),
        ):
            pass
    key.unlink()
    with (
        pytest.raises(ConfigError, match="tls_key: cannot read"),
        open_executor(Cluster(executor="address", address=address, **keys)),
    ):
        pass


def test_no_certificates_are_no_way_in(address: str) -> None:
    with (
        pytest.raises(ConfigError, match="expected tls_ca, tls_cert and tls_key"),
        open_executor(Cluster(executor="address", address=address)),
    ):
        pass


@pytest.mark.parametrize("executor", ["htcondor", "slurm"])
def test_dask_needs_shared_files(executor: str) -> None:
    cluster = Cluster(executor=executor, shared_files=False)
    with pytest.raises(ConfigError, match="oddjet submit"), open_executor(cluster):
        pass
