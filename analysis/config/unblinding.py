"""The block `unblinding`: stages, in which a part of the data explores and the rest tests."""

from __future__ import annotations

from pydantic import Field

from oddjet.problems import Settings

__all__ = ["UnblindingConfig"]


class UnblindingConfig(Settings):
    """How data are looked at in two stages.

    A share of the events, by their hash, is scanned at once. Windows that are improbable enough there
    are written down, with their cuts; `unblind` then tests each of these windows after each of these cuts, in the other events.

    Attributes:
        explore: Share of the events that explores.
        z_cut: Local significance from which a window is written down [σ].
    """

    explore: float = Field(default=0.25, ge=0.01, le=0.9)
    z_cut: float = Field(default=3.0, ge=0, le=10)
