"""The block `certificate`: how the chain is tried where there is nothing to find."""

from __future__ import annotations

from pydantic import Field

from oddjet.bounds import MOST_TOYS, Seed
from oddjet.problems import Settings

__all__ = ["CertificateConfig"]


class CertificateConfig(Settings):
    """Repetitions of the whole chain on background alone, each with another division of its events.

    Attributes:
        replicas: Number of repetitions.
        n_toys: Pseudo-experiments of each scan.
        seed: Of the first repetition; the others follow.
    """

    replicas: int = Field(default=100, ge=2, le=100_000)
    n_toys: int = Field(default=200, ge=100, le=MOST_TOYS)
    seed: Seed = 1
