"""Where work runs, as settings: a batch pool's profile in a small YAML file, and the keys of `cluster:`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, ValidationInfo, field_validator, model_validator

from oddjet.bounds import MOST_PROCESSES, MOST_WORKERS, FolderPath, refuse_more
from oddjet.condor.quoting import problem_with
from oddjet.errors import ConfigError, did_you_mean, shortened
from oddjet.parsing import parse_yaml
from oddjet.problems import MOST_SHOWN, Settings, describe_problem, with_value

__all__ = ["SITES", "Cluster", "Site", "read_site"]

SITES = Path(__file__).resolve().parent / "sites"
"""Folder of the profiles that come with the package."""
LARGEST = 2**20
"""Length of a profile that is read [bytes]."""

# Names of lines; the words that begin something else in HTCondor's submit files are none.
_NAME = re.compile(
    r"(?!(queue|include|use|if|elif|else|endif)$)\+?[a-z_][a-z0-9_.-]*", re.IGNORECASE
)
_HOST = r"^[A-Za-z0-9_.:\[\]-]+$"


class Site(Settings):
    """A site profile.

    Attributes:
        cores: Cores of a job; each is one worker.
        memory: Memory of a job, such as ``2 GB``.
        disk: Disk of a job, such as ``4 GB``.
        wall_time: Longest run of a job, ``HH:MM:SS`` or seconds; None for what the pool gives.
        image: Container image of the jobs: of HTCondor's container universe, of apptainer under
            Slurm.
        job_flavour: Class of wall times, at sites that have them.
        proxy: File of the grid proxy that jobs need.
        queue: Slurm's partition.
        account: Slurm's account, or HTCondor's accounting group.
        submit_lines: Further lines of the submit file, name to value; for Slurm name to value of an
            option without its dashes. They win over all others.
        python: Interpreter in the job; the one that submits by default.
        prologue: Shell lines before it, such as those that set up an environment.
        log_folder: Where jobs leave what they print, and HTCondor its event log.
        shared_files: Whether workers see the folders of the machine that submits.
        package: Wheel of oddjet to ship where they do not; the installed package by default.
        scheduler_host: Address on which Dask's scheduler listens; all, with TLS, by default.
        worker_ports: Port or ``first:last`` on which Dask's workers may listen.
    """

    cores: int = Field(default=1, ge=1, le=1024)
    memory: str = "2 GB"
    disk: str = "4 GB"
    wall_time: int | None = Field(default=None, gt=0, le=366 * 86400)
    image: str | None = None
    job_flavour: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_-]+$")
    proxy: Path | None = None
    queue: str | None = None
    account: str | None = None
    submit_lines: dict[str, str] = Field(default_factory=dict, max_length=100)
    python: str | None = None
    prologue: tuple[str, ...] = Field(default=(), max_length=1000)
    log_folder: FolderPath = Path("logs")
    shared_files: bool = True
    package: Path | None = None
    scheduler_host: str | None = Field(default=None, pattern=_HOST)
    worker_ports: str | None = Field(default=None, pattern=r"^\d+(:\d+)?$")

    @field_validator("memory", "disk")
    @classmethod
    def _is_size(cls, value: str) -> str:
        try:
            size = _bytes_of(value)
        except (ValueError, OverflowError):
            size = 0
        if not 1e6 <= size <= 1e15:
            msg = f"expected a size of at least 1 MB, at most 1 PB, such as '2 GB', received {value!r}"
            raise ValueError(msg)
        return value

    @field_validator("wall_time", mode="before")
    @classmethod
    def _is_time(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        parts = value.split(":")
        if len(parts) != 3 or not all(re.fullmatch("[0-9]{1,5}", part) for part in parts):
            msg = f"expected HH:MM:SS or seconds, received {value!r}"
            raise ValueError(msg)
        hours, minutes, seconds = map(int, parts)
        return 3600 * hours + 60 * minutes + seconds

    @field_validator("proxy", "log_folder", "package", "python")
    @classmethod
    def _expand(cls, value: Path | str | None) -> Path | str | None:
        if value is None or (isinstance(value, str) and not value.startswith("~")):
            return value
        try:
            return type(value)(Path(value).expanduser())
        except RuntimeError as error:
            msg = f"there is no home to put in place of ~ ({error}): write the whole path"
            raise ValueError(msg) from error

    @field_validator("submit_lines", mode="before")
    @classmethod
    def _as_text(cls, value: Any) -> Any:
        return {k: str(v) for k, v in value.items()} if isinstance(value, dict) else value

    @field_validator("submit_lines")
    @classmethod
    def _are_names(cls, value: dict[str, str]) -> dict[str, str]:
        if odd := [name for name in value if not _NAME.fullmatch(name) and not problem_with(name)]:
            msg = f"expected names of lines of a submit file, such as requirements, received {odd[0]!r}"
            raise ValueError(msg)
        return value

    @field_validator("*")
    @classmethod
    def _is_one_line(cls, value: Any, info: ValidationInfo) -> Any:
        """Nothing that ends up in a file of HTCondor, Slurm or a shell begins another line of it."""
        if isinstance(value, str | Path):
            texts = [str(value)]
        elif isinstance(value, Mapping):
            texts = [*value.keys(), *value.values()]
        else:
            texts = list(value) if isinstance(value, tuple) else []
        tabs = info.field_name == "prologue"
        if problem := next(filter(None, (problem_with(text, tabs=tabs) for text in texts)), ""):
            raise ValueError(problem)
        return value

    @property
    def memory_mb(self) -> int:
        """Memory of a job [MB, 2²⁰ bytes]."""
        return _bytes_of(self.memory) // 2**20

    @property
    def disk_kb(self) -> int:
        """Disk of a job [kB, 2¹⁰ bytes]."""
        return _bytes_of(self.disk) // 2**10


class Cluster(Site):
    """Where chunks run: how, and the keys of a site profile, which may be named or given here.

    Attributes:
        executor: ``iterative`` in this process; ``futures`` in a pool of processes; ``dask`` in the
            workers of a Dask cluster on this machine; ``htcondor`` and ``slurm`` in Dask workers
            that are jobs of a batch pool; ``address`` in the workers of a Dask scheduler that runs.
        workers: Workers, one core each; ignored by ``iterative`` and ``address``.
        retries: How often a failing chunk is tried again, for files read over a network.
        site: Name or path of a site profile; other keys that are given win.
        adaptive: Replace jobs that are lost.
        start_timeout: Longest wait for the first worker [s].
        dashboard: Show Dask's dashboard on loopback, where every user of the machine can look at it.
        address: Of the scheduler, ``tls://HOST:PORT``.
        tls_ca: Certificate of the authority; temporary certificates by default.
        tls_cert: Our certificate.
        tls_key: Its key.
    """

    executor: Literal["iterative", "futures", "dask", "htcondor", "slurm", "address"] = "iterative"
    workers: int = Field(default=1, ge=1, le=MOST_WORKERS)
    retries: int = Field(default=0, ge=0, le=100)
    site: str | None = None
    adaptive: bool = True
    start_timeout: float = Field(default=3600.0, gt=0, le=30 * 86400)
    dashboard: bool = False
    address: str | None = None
    tls_ca: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_site(cls, data: Any) -> Any:
        """Fill in the keys of the site."""
        if not isinstance(data, dict) or not isinstance(data.get("site"), str):
            return data
        try:
            return {**read_site(data["site"]), **data}
        except ConfigError as error:
            raise ValueError(str(error)) from error

    @field_validator("address")
    @classmethod
    def _speaks_tls(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith("tls://"):
            msg = (
                f"expected tls://HOST:PORT, received {value!r}: without TLS every user of the machine it is on,"
                " or of the network, could run code there; docs/batch.md says how to start a scheduler with TLS"
            )
            raise ValueError(msg)
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Cluster:
        if (self.executor == "address") != (self.address is not None):
            msg = "expected an address with executor: address, and with no other"
            raise ValueError(msg)
        if self.executor in ("futures", "dask"):
            refuse_more(self.workers, MOST_PROCESSES, f"workers of executor {self.executor}")
        given = [name for name in ("tls_ca", "tls_cert", "tls_key") if getattr(self, name)]
        if given and len(given) < 3:
            msg = f"expected tls_ca, tls_cert and tls_key together, received {', '.join(given)}"
            raise ValueError(msg)
        return self


def _bytes_of(size: str) -> int:
    from dask.utils import parse_bytes  # noqa: PLC0415 (checking a configuration stays quick)

    return int(parse_bytes(size))


def read_site(site: str) -> dict[str, Any]:
    """Read a site profile.

    Args:
        site: Name of one that comes with the package, or path of a YAML file.

    Raises:
        ConfigError: If there is none, or it is not valid; every problem is listed.
    """
    known = sorted(path.stem for path in SITES.glob("*.yaml"))
    is_path = "/" in site or site.endswith((".yaml", ".yml"))
    try:
        path = Path(site).expanduser() if is_path else SITES / f"{site}.yaml"
    except RuntimeError as error:
        msg = f"site: {site}: there is no home to put in place of ~ ({error}): write the whole path"
        raise ConfigError(msg) from error
    if not is_path and site not in known:
        msg = (
            f"site: no profile {site!r}.{did_you_mean(site, known)} There are {', '.join(known)}; or give the path"
            " of a .yaml file"
        )
        raise ConfigError(msg)
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
        if len(content) > LARGEST:
            msg = f"longer than {LARGEST} bytes"
            raise ConfigError(msg)
        data = parse_yaml(content.decode())
    except (OSError, UnicodeDecodeError, ConfigError) as error:
        msg = f"site: cannot read {path}: {error}"
        raise ConfigError(msg) from error
    if not isinstance(data, dict):
        msg = f"site: {path}: expected a mapping of settings, received {type(data).__name__}"
        raise ConfigError(msg)
    try:
        Site.model_validate(data)
    except ValidationError as error:
        problems = error.errors(include_url=False)
        lines = [_describe(problem) for problem in problems[:MOST_SHOWN]]
        if (more := len(problems) - MOST_SHOWN) > 0:
            lines.append(f"and {more} more")
        raise ConfigError(
            "\n".join([f"site: {path}:", *(f"  {line}" for line in lines)])
        ) from error
    return data


def _describe(problem: Any) -> str:
    key, told = shortened(".".join(map(str, problem["loc"]))), describe_problem(problem)
    if problem["type"] == "extra_forbidden":
        return f"{key}: {told}.{did_you_mean(key, Site.model_fields)}"
    return f"{key}: {with_value(told, problem)}"
