"""What is selected: the cuts on events and jets, as a configuration says them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from oddjet.bounds import Line
from oddjet.errors import ConfigError
from oddjet.problems import Settings
from oddjet.processors.events.triggers import Triggers

__all__ = ["DEFAULT_TOLERANCE", "Selection"]

DEFAULT_TOLERANCE = 0.02
"""How far the median of Σ constituents / raw pt may be from 1."""


class Selection(Settings):
    """Cuts on events, then on jets; in the order in which `oddjet.processors.events.select` applies them.

    The defaults are those of table 1 of D. Khanal, Anomalous Jet Detection using Unsupervised
    Learning (2023), with the tight jet ID that CMS analyses apply in addition.

    Attributes:
        jet: Jet collection: AK8 (R = 0.8) or AK4 (R = 0.4). AK4CHS and AK4PUPPI say how pile-up is
            removed, which AK4 takes from the file: from its titles, or from what adds up.
        lumi_mask: Certified luminosity (JSON), for data only; None for none.
        noise_filters: Event filters that must all have passed, such as Flag_goodVertices.
        triggers: HLT paths of which one must have fired, none for no trigger; a list, or
            `{paths: […], missing: not_fired}` where files may lack some.
        pt_min: Least jet pt [GeV], excluded.
        pt_max: Greatest jet pt [GeV], excluded; None for no limit.
        eta_max: Greatest |η| of the jet, excluded.
        jet_id: Whether to apply the tight jet ID, that of the dataset's `year`.
        lepton_pt_min: Leptons above this pt [GeV] …
        lepton_delta_r: … within this ΔR of a jet remove it; None keeps all jets.
        gen_match_delta_r: In simulation, ΔR within which a generated jet must be; None for no match.
        truth_delta_r: In signal, ΔR within which the generated resonance must be for the label.
        merged_delta_r: ΔR to the jet axis within which all decay quarks of the resonance must be
            for the label "merged".
        leading_only: Keep the hardest selected jet of each event alone.
        on_bad_jet: What to do with a jet of which a number, or one of a constituent, is NaN or infinite:
            `refuse` the file, or `mask` the jet and count it in the cut flow.
        constituents_tolerance: How far the median over a dataset's jets of Σ constituents / raw pt may be
            from 1; None lets any be, and is told with it. Without rawFactor in the file ten times as far.
    """

    jet: Literal["AK8", "AK4", "AK4CHS", "AK4PUPPI"] = "AK8"
    lumi_mask: Path | None = None
    noise_filters: tuple[Line, ...] = Field(default=(), max_length=1000)
    triggers: Triggers = Field(default_factory=Triggers)
    pt_min: float = Field(default=200.0, ge=0, le=1e6)
    pt_max: float | None = Field(default=None, gt=0, le=1e6)
    eta_max: float = Field(default=2.0, gt=0)
    jet_id: bool = True
    lepton_pt_min: float = Field(default=20.0, ge=0)
    lepton_delta_r: float | None = Field(default=0.4, gt=0)
    gen_match_delta_r: float | None = Field(default=0.4, gt=0)
    truth_delta_r: float = Field(default=0.4, gt=0)
    merged_delta_r: float = Field(default=0.6, gt=0)
    leading_only: bool = False
    on_bad_jet: Literal["refuse", "mask"] = "refuse"
    constituents_tolerance: float | None = Field(default=DEFAULT_TOLERANCE, gt=0)

    @classmethod
    def khanal(cls) -> Selection:
        """The selection of Khanal's table 1: the defaults."""
        return cls()

    @field_validator("triggers", mode="before", json_schema_input_type=Triggers | tuple[str, ...])
    @classmethod
    def _paths_alone(cls, value: Any) -> Any:
        return {"paths": value} if isinstance(value, list | tuple) else value

    @field_validator("noise_filters")
    @classmethod
    def _check_names(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if not name.startswith("Flag_"):
                msg = f"expected names that begin with Flag_; received {name!r}"
                raise ValueError(msg)
        return names

    @model_validator(mode="after")
    def _check_window(self) -> Selection:
        if self.pt_max is not None and self.pt_max <= self.pt_min:
            msg = f"expected pt_min < pt_max; received {self.pt_min} and {self.pt_max}"
            raise ValueError(msg)
        return self

    def identity(self) -> dict[str, Any]:
        """Say what the selection is, in JSON types; the luminosity mask by its content.

        Returns:
            Equal for selections that keep the same jets.

        Raises:
            ConfigError: If the luminosity mask cannot be read.
        """
        identity = self.model_dump(mode="json", exclude={"constituents_tolerance"})
        if self.lumi_mask is not None:
            try:
                content = self.lumi_mask.read_bytes()
            except OSError as error:
                msg = f"lumi_mask: cannot read {self.lumi_mask}: {error}"
                raise ConfigError(msg) from error
            identity["lumi_mask"] = hashlib.sha256(content).hexdigest()
        return identity
