"""A whole analysis: the blocks together, and how they are read."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator

from oddjet.analysis.config.blocks import (
    DecorrelationConfig,
    DetectorConfig,
    ImageConfig,
    InjectionConfig,
    PseudoData,
)
from oddjet.analysis.config.certificate import CertificateConfig
from oddjet.analysis.config.hunt import HuntConfig
from oddjet.analysis.config.training import TrainingConfig
from oddjet.analysis.config.unblinding import UnblindingConfig
from oddjet.bounds import FolderPath, Line, Luminosity, Seed
from oddjet.condor.site import Cluster
from oddjet.datasets.disk.changes import changed_at
from oddjet.datasets.disk.checksums import Verify
from oddjet.datasets.disk.validation import read_config, validate
from oddjet.datasets.files.fileset import Fileset, load_fileset
from oddjet.errors import ConfigError, shortened
from oddjet.problems import Settings
from oddjet.processors.events.selection import Selection

__all__ = ["CONFIG_FILE", "AnalysisConfig", "load_config", "make_config", "read_settings"]

CONFIG_FILE = "config.yaml"
"""The settings of a run, which make its folder one."""

NAMED_BY_USERS = ("datasets", "methods", "norms", "where")
"""Keys below which the names are a user's own: what is not there cannot be changed in part."""


class AnalysisConfig(Settings):
    """A whole analysis.

    Attributes:
        name: Title of the report.
        output: Folder of everything the run writes.
        samples: Folder of simulated built-in samples, shared between runs.
        fileset: A file, ``catalog:NAME``, or the datasets themselves.
        selection: Event and jet selection.
        image: Images kept in the skim; ``null`` for none.
        detectors: Detectors to train; the first one's cut goes into the mass fit.
        decorrelation: How scores are made independent of mass and pt; ``null`` for not at all.
        training: On what detectors, thresholds and maps are learned, and what is held out from it.
        folds: Number of folds, at least 2.
        seed: Seed of all trainings.
        hunt: Histogram, cut and scan.
        injection: What `oddjet inject` injects; ``null`` where nothing is.
        certificate: How often `oddjet certify` repeats the chain on background alone.
        lumi_ifb: Luminosity of the data [1/fb]; needed where simulation is drawn against data.
        pseudo_data: Drawn from simulation when there is no data.
        unblind: Look into the signal window of data; with stages, test what exploring wrote down.
        unblinding: Stages in which data are looked at; ``null`` for all at once.
        cluster: Where the work runs.
        chunk_size: Events a chunk.
        verify: When files that oddjet wrote are compared with their SHA-256: ``always``, ``first`` in a run, ``never``.
    """

    name: Line
    output: FolderPath
    samples: FolderPath = Path("runs/samples")
    fileset: Path | str | Fileset
    selection: Selection = Field(default_factory=Selection)
    image: ImageConfig | None = Field(default_factory=ImageConfig)
    detectors: tuple[DetectorConfig, ...] = Field(
        default=(DetectorConfig(name="khanal"),), max_length=100
    )
    decorrelation: DecorrelationConfig | None = None
    training: TrainingConfig = Field(default_factory=TrainingConfig)
    folds: int = Field(default=3, ge=2, le=100)
    seed: Seed = 1
    hunt: HuntConfig = Field(default_factory=HuntConfig)
    injection: InjectionConfig | None = None
    certificate: CertificateConfig = Field(default_factory=CertificateConfig)
    lumi_ifb: Luminosity | None = None
    pseudo_data: PseudoData | None = None
    unblind: bool = False
    unblinding: UnblindingConfig | None = None
    cluster: Cluster = Field(default_factory=Cluster)
    chunk_size: int = Field(default=100_000, ge=100, le=100_000_000)
    verify: Verify = "first"

    @field_validator("detectors")
    @classmethod
    def _labels_differ(cls, value: tuple[DetectorConfig, ...]) -> tuple[DetectorConfig, ...]:
        keys = [detector.key for detector in value]
        if not keys or len(set(keys)) != len(keys):
            msg = f"expected at least one detector, each with a label of its own, received {keys}"
            raise ValueError(msg)
        return value

    @property
    def explored(self) -> float | None:
        """Share of the events of data that may be seen, at all masses, while stages explore; else None."""
        return None if self.unblinding is None or self.unblind else self.unblinding.explore

    @property
    def seen(self) -> dict[str, Any]:
        """What of data may be seen at all masses: `unblind`, all; or `explored`, this share of the events."""
        share = self.explored
        return {"unblind": self.unblind or share is not None, "explored": share}

    def resolve_fileset(self) -> Fileset:
        """Give the fileset, loaded where only its place is named.

        Raises:
            ConfigError: The fileset cannot be read or is not valid.
        """
        return self.fileset if isinstance(self.fileset, Fileset) else load_fileset(self.fileset)


def load_config(path: Path | str, changes: Mapping[str, Any] | None = None) -> AnalysisConfig:
    """Read and validate an analysis configuration.

    A ``fileset:`` path is relative to the configuration's own folder; ``output:`` and
    ``samples:`` are relative to the working directory, as on the command line.

    Args:
        path: A YAML file.
        changes: Values by dotted key, such as ``hunt.bin_width``, that replace those of the file.

    Raises:
        ConfigError: The file is missing, is not YAML, or a key or value is wrong; all problems are listed.
    """
    path = Path(path)
    data = read_config(path)
    if not isinstance(data, dict):
        msg = f"{path}: expected a mapping of settings, received {type(data).__name__}"
        raise ConfigError(msg)
    fileset = data.get("fileset")
    if isinstance(fileset, str) and not fileset.startswith("catalog:"):
        data["fileset"] = str(path.parent / fileset)
    return make_config(data, changes, where=str(path))


def read_settings(
    config: Path | None,
    changes: Mapping[str, Any],
    *,
    output: Path,
    unused: Collection[str] = (),
) -> AnalysisConfig:
    """Read an analysis configuration, or give the default one where there is no file.

    Args:
        config: A YAML file; None for the default settings.
        changes: Values by dotted key that replace those of the file or the default.
        output: Folder that is written to; the samples of default settings are beside it.
        unused: Keys that the step does not look at.

    Raises:
        ConfigError: As `load_config`; or a change is of a key that the step does not look at.
    """
    for key in changes:
        if key.partition(".")[0] in unused:
            msg = f"{key}: this step does not look at it, so it would change nothing: leave it out"
            if key == "output":
                msg += ". The folder that it writes is an argument of its own"
            raise ConfigError(msg)
    if config is not None:
        return load_config(config, changes)
    default = {
        "name": shortened("".join(c if c.isprintable() else "?" for c in output.name), 200),
        "output": output,
        "samples": output.parent / "samples",
        "fileset": "",
    }
    return make_config(default, changes, where="settings")


def make_config(
    data: Mapping[str, Any], changes: Mapping[str, Any] | None = None, *, where: str
) -> AnalysisConfig:
    """Validate settings as an analysis configuration.

    Args:
        data: Nested settings.
        changes: Values by dotted key that replace those of `data`.
        where: Where the settings come from, for messages.

    Raises:
        ConfigError: A key or value is wrong; every problem is listed.
    """
    changed: Any = data
    for key, value in (changes or {}).items():
        changed = changed_at(changed, key, value, named_by_users=NAMED_BY_USERS)
    return validate(AnalysisConfig, changed, where=where)
