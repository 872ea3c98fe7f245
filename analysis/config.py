"""One YAML file for a whole analysis, validated once and passed on as typed, frozen objects."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from oddjet.analysis.statistics.bumphunt.settings import ScanSettings
from oddjet.bounds import (
    MOST_BINS,
    MOST_CELLS,
    MOST_TOYS,
    MOST_WINDOWS,
    FolderPath,
    Line,
    Luminosity,
    Name,
    Seed,
    refuse_more,
)
from oddjet.condor.site import Cluster
from oddjet.datasets.disk.changes import changed_at
from oddjet.datasets.disk.checksums import Verify
from oddjet.datasets.disk.validation import read_config, validate
from oddjet.datasets.files.fileset import Fileset, load_fileset
from oddjet.errors import ConfigError, OddjetError, shortened
from oddjet.ml.decorrelation import check_methods, method_name
from oddjet.problems import Settings
from oddjet.processors.events.selection import Selection

__all__ = [
    "AnalysisConfig",
    "DecorrelationConfig",
    "DetectorConfig",
    "HuntConfig",
    "ImageConfig",
    "InjectionConfig",
    "PseudoData",
    "load_config",
    "make_config",
    "read_settings",
]

NAMED_BY_USERS = ("datasets", "methods")
"""Keys below which the names are a user's own: what is not there cannot be changed in part."""

Efficiency = Annotated[float, Field(ge=1e-9, lt=1)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
Mass = Annotated[float, Field(ge=0, le=100_000)]
"""Or a transverse momentum [GeV]."""


def _distinct(value: tuple[float, ...]) -> tuple[float, ...]:
    if not value or len(set(value)) != len(value):
        msg = f"expected at least one, none twice, received {list(value)}"
        raise ValueError(msg)
    return tuple(sorted(value))


class ImageConfig(Settings):
    """Pixels of the images a skim keeps beside the constituents.

    Attributes:
        pixels: Pixels along each of Δη and Δφ.
        half_width: Half the side of the image [radians].
    """

    pixels: int = Field(default=32, ge=2, le=512)
    half_width: float = Field(default=0.8, gt=0, le=10)


class DetectorConfig(Settings):
    """One detector to train and apply.

    Attributes:
        name: Registered name, or ``their_package.module:Class``.
        label: Prefix of its columns in the scores table; by default the name.
        hyper_parameters: Passed to the detector as they are.
        cut: The score that is cut on; by default the detector's first.
    """

    name: Name
    label: str = Field(default="", pattern=r"^[A-Za-z0-9_-]*$", max_length=64)
    hyper_parameters: dict[str, Any] = Field(default_factory=dict, max_length=100)
    cut: Name | None = None

    @property
    def key(self) -> str:
        """The label, or the name where none is given, made fit for a folder and a column."""
        return self.label or self.name.rpartition(":")[2].replace(".", "_")


class DecorrelationConfig(Settings):
    """How scores are made independent of mass and pt.

    Attributes:
        methods: Registered name, or ``their_package.module:Class``, to hyper-parameters; or a list of names.
        cut: The method whose scores are cut on; by default the first.
        mass: Column of the mass; by default the one that is hunted in.
    """

    methods: dict[str, dict[str, Any]] = Field(
        default={"quantile_map": {}}, min_length=1, max_length=20
    )
    cut: Name | None = None
    mass: Literal["msoftdrop", "mass"] | None = None

    @field_validator(
        "methods",
        mode="before",
        json_schema_input_type=dict[str, dict[str, Any] | None] | list[str],
    )
    @classmethod
    def _names_alone(cls, value: Any) -> Any:
        if isinstance(value, list | tuple) and all(isinstance(name, str) for name in value):
            return {name: {} for name in value}
        if isinstance(value, dict):  # `ddt:` without more is null in YAML
            return {name: {} if given is None else given for name, given in value.items()}
        return value

    @model_validator(mode="after")
    def _known(self) -> DecorrelationConfig:
        try:
            check_methods(self.methods)
        except OddjetError as error:
            raise ValueError(str(error)) from error
        if self.cut is not None and self.cut not in self.methods:
            msg = f"cut: expected one of {', '.join(self.methods)}, received {self.cut!r}"
            raise ValueError(msg)
        return self

    @property
    def cut_method(self) -> str:
        """The method whose scores are cut on, as it is called in columns."""
        return method_name(self.cut or next(iter(self.methods)))


class PseudoData(Settings):
    """Pseudo-data drawn from simulation, where there is no data to hunt in.

    Attributes:
        lumi_ifb: Integrated luminosity drawn [1/fb].
        seed: Seed of the drawing.
    """

    lumi_ifb: Luminosity
    seed: Seed = 1


class HuntConfig(ScanSettings):
    """The mass histogram, the cut and the scan.

    Attributes:
        mass: Column that is hunted in [GeV].
        range: Lowest and highest mass [GeV].
        bin_width: Width of a bin [GeV]; divides the range.
        window: Signal window [GeV], masked in the fit and blinded in data.
        working_points: Background efficiencies of the anomaly cuts.
        pt_edges: Edges of the pt axis of the histograms [GeV].
        jets: ``leading`` takes the leading selected jet of each event, ``all`` every one.
    """

    mass: Literal["msoftdrop", "mass"] = "msoftdrop"
    range: tuple[Mass, Mass] = (50.0, 250.0)
    bin_width: float = Field(default=5.0, ge=0.001, le=100_000)
    window: tuple[Mass, Mass] = (65.0, 105.0)
    working_points: tuple[Efficiency, ...] = Field(default=(0.1, 0.01), max_length=50)
    pt_edges: tuple[Mass, ...] = Field(
        default=(200.0, 300.0, 450.0, 650.0, 1000.0, 13000.0), max_length=1000
    )
    jets: Literal["leading", "all"] = "leading"
    n_toys: int = Field(default=1000, ge=100, le=MOST_TOYS)

    @field_validator("range", "window")
    @classmethod
    def _ordered(cls, value: tuple[float, float]) -> tuple[float, float]:
        if not 0 <= value[0] < value[1]:
            msg = f"expected two masses, the lower first, received {list(value)}"
            raise ValueError(msg)
        return value

    @field_validator("pt_edges")
    @classmethod
    def _increasing(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if len(value) < 2 or any(b <= a for a, b in itertools.pairwise(value)):
            msg = f"expected at least two increasing edges, received {list(value)}"
            raise ValueError(msg)
        return value

    @field_validator("working_points")
    @classmethod
    def _from_loose_to_tight(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        return _distinct(value)[::-1]

    @model_validator(mode="after")
    def _consistent(self) -> HuntConfig:
        low, high = self.range
        refuse_more(self.n_bins, MOST_BINS, f"bins of mass, by bin_width {self.bin_width}")
        n_cells = self.n_bins * len(self.pt_edges) * (len(self.working_points) + 1)
        refuse_more(n_cells, MOST_CELLS, "bins, by bin_width, pt_edges and working_points")
        if not low < self.window[0] < self.window[1] < high:
            msg = (
                f"the window {list(self.window)} must lie inside the range {list(self.range)}, "
                "with a sideband on either side"
            )
            raise ValueError(msg)
        if abs(round((high - low) / self.bin_width) * self.bin_width - (high - low)) > 1e-6:
            msg = f"bin_width {self.bin_width} does not divide the range {list(self.range)}"
            raise ValueError(msg)
        if not 1 <= self.widths[0] <= self.widths[1] <= self.n_bins:
            msg = (
                f"widths must be two increasing numbers of bins up to {self.n_bins}, "
                f"received {list(self.widths)}"
            )
            raise ValueError(msg)
        n_windows = self.n_bins * (self.widths[1] - self.widths[0] + 1)
        refuse_more(n_windows, MOST_WINDOWS, "windows, by bin_width and widths")
        return self

    @property
    def n_bins(self) -> int:
        """Number of mass bins."""
        return round((self.range[1] - self.range[0]) / self.bin_width)


class InjectionConfig(Settings):
    """Signal injected into background, as if both were data.

    A fraction is the number of injected signal jets over that of background jets, both counted among
    the jets that are hunted in (in the mass range, before any cut on a score). 0 injects nothing: there a
    bump would be one that the chain made.

    Attributes:
        signal: Dataset that is injected.
        fractions: Fractions of signal.
        seeds: One experiment each: they draw other events and train from other beginnings.
        background_share: Share of the background's events in one experiment. Below 1, so that
            seeds have different backgrounds; those of two seeds still share this share of theirs.
        n_toys: Pseudo-experiments of each scan.
    """

    signal: Line
    fractions: tuple[Fraction, ...] = Field(
        default=(0.0, 0.0025, 0.005, 0.01, 0.02), max_length=100
    )
    seeds: tuple[Seed, ...] = Field(default=(1, 2, 3), max_length=1000)
    background_share: float = Field(default=0.5, gt=0, le=1)
    n_toys: int = Field(default=200, ge=100, le=MOST_TOYS)

    _rising = field_validator("fractions", "seeds")(_distinct)


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
        folds: Number of folds, at least 3.
        seed: Seed of all trainings.
        hunt: Histogram, cut and scan.
        injection: What `oddjet inject` injects; ``null`` where nothing is.
        lumi_ifb: Luminosity of the data [1/fb]; needed where simulation is drawn against data.
        pseudo_data: Drawn from simulation when there is no data.
        unblind: Look into the signal window of data.
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
    folds: int = Field(default=3, ge=3, le=100)
    seed: Seed = 1
    hunt: HuntConfig = Field(default_factory=HuntConfig)
    injection: InjectionConfig | None = None
    lumi_ifb: Luminosity | None = None
    pseudo_data: PseudoData | None = None
    unblind: bool = False
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
