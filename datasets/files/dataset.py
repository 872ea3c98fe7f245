"""Datasets and filesets as typed objects: their files and what is known of them."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from oddjet.bounds import MOST_EVENTS, Line, Name, Seed
from oddjet.datasets.disk.remote import TIMEOUT, alternatives
from oddjet.datasets.disk.secrets import is_hidden
from oddjet.datasets.disk.validation import is_safe_name, require_safe_name, validate
from oddjet.errors import ConfigError, did_you_mean
from oddjet.problems import Settings

__all__ = ["Accepted", "Dataset", "Fileset", "Kind", "Listed", "Simulate", "require_files"]

logger = logging.getLogger(__name__)

_CHECKSUM = re.compile(r"adler32:[0-9a-f]{8}|sha256:[0-9a-f]{64}")

Kind: TypeAlias = Literal["data", "background", "peaking", "signal"]
"""``peaking`` is a background whose mass spectrum has a known peak, such as W, Z, top or H: nothing is learned on it."""

Accepted: TypeAlias = Literal[
    "unknown_history", "repeated_events", "simulation_as_data", "unknown_luminosity", "other_year"
]
"""What a dataset can be told to accept; the first two of simulation, the others of data."""

_ACCEPTED = {
    "data": ("simulation_as_data", "unknown_luminosity", "other_year"),
    "simulation": ("unknown_history", "repeated_events"),
}

_FILES_SCHEMA = {
    "anyOf": [
        {"type": "object", "additionalProperties": {"type": "string"}},
        {"type": "array", "items": {"type": "string"}},
    ]
}

_NUMBERS_AS_TEXTS = ConfigDict(coerce_numbers_to_str=True)


def _check_name(name: str) -> str:
    if not is_safe_name(name):
        msg = (
            "expected letters, digits, '.', '_' and '-' only, at most 200, not beginning with '.', "
            "without '..'"
        )
        raise ValueError(msg)
    return name


DatasetName: TypeAlias = Annotated[str, AfterValidator(_check_name)]


class Simulate(Settings):
    """A sample to be simulated when it is needed.

    Attributes:
        process: Name of a process of `oddjet.datasets.simulation`.
        n_events: Events to generate.
        seed: Of the generator.
        pt_hat_min: Least transverse momentum of the hard process [GeV], None for the process' own.
        pt_hat_max: Greatest one [GeV], None for no limit.
    """

    model_config = _NUMBERS_AS_TEXTS

    process: Name
    n_events: int = Field(gt=0, le=MOST_EVENTS)
    seed: Seed
    pt_hat_min: float | None = Field(default=None, ge=0, le=100_000)
    pt_hat_max: float | None = Field(default=None, gt=0, le=100_000)


class Listed(Settings):
    """What a list of files that was made earlier, as by coffea's preprocessing, says of one file.

    Attributes:
        n_entries: Entries of its tree.
        uuid: The file's own.
    """

    model_config = _NUMBERS_AS_TEXTS

    n_entries: int | None = Field(default=None, ge=0, le=MOST_EVENTS)
    uuid: str | None = None


class Dataset(Settings):
    """One dataset: a list of files, or how to come by them, and what is known of them.

    Exactly one of `files`, `das` and `simulate` is given.

    Attributes:
        files: Path or URL to the tree's name; a list is taken with `tree`.
        das: Name in CMS' Data Aggregation System, to be turned into files before use.
        simulate: What to simulate.
        tree: Name of the tree in files given as a list.
        checksums: Path or URL to `adler32:…` or `sha256:…` in hexadecimal digits, for any of the
            files; a file that differs is refused before anything of it is used.
        listed: Path or URL to entries and uuid that the file is expected to have, for any of the files.
        redirectors: Servers (root://host/) behind which files are looked for in this order, after
            the file's own server. Files may then be logical names, /store/….
        timeout: Seconds a server has for an answer.
        kind: data, background, peaking (a known peak, as of W, Z, top or H) or signal.
        cross_section_pb: Cross section [pb]; for simulation. None leaves it to the simulation or
            unnormalised.
        k_factor: Multiplies the cross section.
        year: Data-taking era.
        label: For legends.
        truth: |pdgId| of the generated resonances that jets of a signal, or of a peak, are matched to.
        lumi_table: For data, recorded luminosity by luminosity block: CSV as `brilcalc lumi --byls`
            writes it. With it the manifest states the luminosity of what was processed.
        sumw: For simulation, Σ genWeight of all events that were generated, where the files do not tell.
        n_events: Their number; enough where all have one weight.
        accept: What is known to be odd about the files and taken as it is; every output then says so.
            Of simulation: `unknown_history` (nobody knows what was filtered before, or the sums do not fit: the cross
            section is taken to belong to the events that are left) and `repeated_events` (different events with
            the same numbers, as in some private samples). Of data: `simulation_as_data`,
            `unknown_luminosity` (a `lumi_table` without the tree of luminosity blocks), `other_year`.
    """

    model_config = _NUMBERS_AS_TEXTS

    files: Annotated[dict[str, str], WithJsonSchema(_FILES_SCHEMA)] = Field(default_factory=dict)
    das: str | None = None
    simulate: Simulate | None = None
    tree: str = "Events"
    checksums: dict[str, str] = Field(default_factory=dict)
    listed: dict[str, Listed] = Field(default_factory=dict)
    redirectors: tuple[str, ...] = Field(default=(), max_length=20)
    timeout: float = Field(default=TIMEOUT, gt=0, le=86400)
    kind: Kind
    cross_section_pb: float | None = Field(default=None, gt=0, le=1e15)
    k_factor: float = Field(default=1.0, gt=0, le=1e6)
    year: Line | None = None
    label: Line | None = None
    truth: tuple[Annotated[int, Field(gt=0, lt=2**31)], ...] = Field(default=(), max_length=100)
    lumi_table: Path | None = None
    sumw: float | None = Field(default=None, gt=0)
    n_events: int | None = Field(default=None, gt=0, le=10**15)
    accept: tuple[Accepted, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _name_trees(cls, data: Any) -> Any:
        if isinstance(data, Mapping) and isinstance(data.get("files"), list | tuple):
            files = [str(file) for file in data["files"]]
            if repeated := sorted(file for file, n in Counter(files).items() if n > 1):
                msg = f"files given twice: {', '.join(repeated)}"
                raise ValueError(msg)
            return {**data, "files": dict.fromkeys(files, data.get("tree", "Events"))}
        return data

    @field_validator("das")
    @classmethod
    def _check_das(cls, das: str | None) -> str | None:
        if das is not None and (not das.startswith("/") or das.count("/") != 3):
            msg = "expected a DAS name /primary/processing/TIER"
            raise ValueError(msg)
        return das

    @field_validator("checksums")
    @classmethod
    def _check_checksums(cls, checksums: dict[str, str]) -> dict[str, str]:
        checksums = {path: value.lower() for path, value in checksums.items()}
        for path, value in checksums.items():
            if not _CHECKSUM.fullmatch(value):
                msg = f"{path}: expected adler32: and 8 or sha256: and 64 hexadecimal digits; received {value!r}"
                raise ValueError(msg)
        return checksums

    @field_validator("redirectors")
    @classmethod
    def _check_redirectors(cls, redirectors: tuple[str, ...]) -> tuple[str, ...]:
        for server in redirectors:
            if not re.fullmatch(r"[a-z]+://[^/\s]+/*", server):
                msg = f"expected servers such as root://xrootd-cms.infn.it/; received {server!r}"
                raise ValueError(msg)
        return redirectors

    @model_validator(mode="after")
    def _check(self) -> Dataset:
        given = [name for name in ("files", "das", "simulate") if getattr(self, name)]
        if len(given) != 1:
            msg = f"expected exactly one of files (not empty), das, simulate; got {', '.join(given) or 'none'}"
            raise ValueError(msg)
        for key in ("checksums", "listed"):
            if unknown := sorted(set(getattr(self, key)) - set(self.files)):
                msg = f"{key} of files that are not among `files`: {', '.join(unknown[:3])}"
                raise ValueError(msg)
        if self.lumi_table is not None and self.kind != "data":
            msg = f"{self.kind} cannot have lumi_table: simulation has a cross section instead"
            raise ValueError(msg)
        simulated = ("simulate", "cross_section_pb", "truth", "sumw", "n_events")
        wrong = [name for name in simulated if getattr(self, name)]
        if self.kind == "data" and wrong:
            msg = f"data cannot have {', '.join(wrong)}"
            raise ValueError(msg)
        stated = [name for name in ("simulate", "sumw", "n_events") if getattr(self, name)]
        if len(stated) > 1:
            msg = f"expected one of {', '.join(stated)}: each says how many events were generated"
            raise ValueError(msg)
        known = _ACCEPTED["data" if self.kind == "data" else "simulation"]
        if wrong := [name for name in self.accept if name not in known]:
            msg = f"accept: {self.kind} can accept {', '.join(known)}; received {', '.join(wrong)}"
            raise ValueError(msg)
        return self

    def places(self, path: str) -> tuple[str, ...]:
        """Give the paths or URLs to read one of `files` from, in the order of trying."""
        return alternatives(path, self.redirectors)

    def with_files(self, files: Iterable[Path | str], **known: Any) -> Dataset:
        """Give the dataset files in place of `das` or `simulate`, and other fields that are `known`.

        Raises:
            ConfigError: If the result is not a valid dataset.
        """
        fields = {
            **self.model_dump(),
            "das": None,
            "simulate": None,
            "checksums": {},
            **known,
        }
        fields["files"] = [str(file) for file in files]
        return validate(Dataset, fields, "dataset")


class Fileset(Settings):
    """Datasets by name.

    Attributes:
        datasets: The datasets; names are of letters, digits, '.', '_' and '-'.
        verified: False if nobody has checked the entries against their source; using it then warns.
        note: Where the entries come from.
    """

    model_config = _NUMBERS_AS_TEXTS

    datasets: dict[DatasetName, Dataset] = Field(min_length=1)
    verified: bool = True
    note: str | None = None

    def only(self, names: Iterable[str]) -> Fileset:
        """Keep the datasets of these names, in their order.

        Raises:
            ConfigError: If there is no such dataset.
        """
        names = list(names)
        for name in names:
            if name not in self.datasets:
                hint = did_you_mean(name, self.datasets)
                msg = f"no dataset {name!r}; there are {', '.join(self.datasets)}.{hint}"
                raise ConfigError(msg)
        return self.model_copy(update={"datasets": {name: self.datasets[name] for name in names}})

    def replace(self, name: str, dataset: Dataset) -> Fileset:
        """Put another dataset in place of one, in the same order.

        Raises:
            ConfigError: If the name is not safe.
        """
        require_safe_name(name, "dataset")
        return self.model_copy(update={"datasets": {**self.datasets, name: dataset}})


def require_files(fileset: Fileset) -> None:
    """Check that every dataset has its files.

    Raises:
        ConfigError: If datasets are still DAS names or are still to be simulated, or URLs are not
            whole any more; the message says what to do.
    """
    for name, dataset in fileset.datasets.items():
        if hidden := next(filter(is_hidden, dataset.files), None):
            msg = (
                f"dataset {name}: {hidden}: the query or password of this URL was not stored, since it may be a token:"
                " use the configuration or fileset that you wrote, where it is"
            )
            raise ConfigError(msg)
        if dataset.das is not None:
            msg = (
                f"dataset {name} is a DAS name, not files yet. On a machine with a grid certificate list them:\n"
                f'  dasgoclient -query="file dataset={dataset.das}"\n'
                "and put each line behind a redirector into the fileset in place of das:\n"
                "  files: [root://cms-xrd-global.cern.ch//store/…, …]\n"
                "(root://cmsxrootd.fnal.gov/ in the Americas, root://xrootd-cms.infn.it/ in Europe)"
            )
            raise ConfigError(msg)
        if dataset.simulate is not None:
            msg = (
                f"dataset {name} is still to be simulated: use the fileset in `oddjet run`, or simulate it with"
                f" `oddjet simulate {dataset.simulate.process}` and list the files"
            )
            raise ConfigError(msg)
    if not fileset.verified:
        logger.warning(
            "the fileset is marked as not verified: %s", fileset.note or "no reason given"
        )
