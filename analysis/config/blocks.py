"""Images, detectors, decorrelation, pseudo-data and injection: one class a block."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from oddjet.analysis.config.types import Fraction, distinct
from oddjet.bounds import MOST_TOYS, Line, Luminosity, Name, Seed
from oddjet.errors import OddjetError
from oddjet.ml.decorrelation import check_methods, method_name
from oddjet.problems import Settings

__all__ = ["DecorrelationConfig", "DetectorConfig", "ImageConfig", "InjectionConfig", "PseudoData"]


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
        default={"quantile_polynomial": {}}, min_length=1, max_length=20
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
            seeds have different backgrounds; those of two seeds still share this share of theirs. What is
            learned on simulation is learned on the others.
        n_toys: Pseudo-experiments of each scan.
    """

    signal: Line
    fractions: tuple[Fraction, ...] = Field(
        default=(0.0, 0.0025, 0.005, 0.01, 0.02), max_length=100
    )
    seeds: tuple[Seed, ...] = Field(default=(1, 2, 3), max_length=1000)
    background_share: float = Field(default=0.5, gt=0, le=1)
    n_toys: int = Field(default=200, ge=100, le=MOST_TOYS)

    _rising = field_validator("fractions", "seeds")(distinct)
