"""What background-only replicas show: whether the global p is uniform, and how often verdicts fail."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from oddjet.datasets.disk.state import read_state
from oddjet.shown import Shown

__all__ = ["FILE", "LEVEL", "Certificate", "Rate", "read_certificate"]

_log = logging.getLogger(__name__)

FILE = "certificate.json"
LEVEL = 0.05
"""The global p below which a replica counts as a discovery that is none."""
SMALLEST_KS_P = 0.01
"""Below it the global p are said not to be uniform."""


@dataclasses.dataclass(frozen=True)
class Rate:
    """How often something happened, with its 95 % interval.

    Attributes:
        n: Number of trials.
        count: How often it happened.
    """

    count: int
    n: int

    @property
    def value(self) -> float:
        """Share of the trials; NaN without any."""
        return self.count / self.n if self.n else float("nan")

    @property
    def interval(self) -> tuple[float, float]:
        """Central 95 % interval by Clopper and Pearson, Biometrika 26 (1934) 404."""
        if not self.n:
            return 0.0, 1.0
        low, high = stats.binomtest(self.count, self.n).proportion_ci(0.95, method="exact")
        return float(low), float(high)

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.count} of {self.n} ({100 * self.value:.1f} %, 95 %: {100 * low:.1f} to {100 * high:.1f} %)"

    def to_dict(self) -> dict[str, Any]:
        """Every number, ready for JSON."""
        return {"count": self.count, "n": self.n, "share": self.value, "interval": self.interval}


@dataclasses.dataclass(frozen=True)
class Certificate(Shown):
    """Background-only replicas of one configuration.

    Attributes:
        key: Hash of the jets, the settings and the code that all replicas follow from.
        replicas: What each found; see `run_replica`.
        n_planned: How many were asked for.
    """

    key: str
    replicas: tuple[dict[str, Any], ...]
    n_planned: int

    @property
    def global_p(self) -> tuple[float, ...]:
        """Global p of each replica that has one."""
        values = (replica["global_p"] for replica in self.replicas)
        return tuple(float(value) for value in values if value is not None)

    @property
    def without_p(self) -> tuple[str, ...]:
        """Why replicas have no global p, one entry each."""
        return tuple(
            str(replica["problem"]) for replica in self.replicas if replica["global_p"] is None
        )

    @property
    def cross_check_p(self) -> tuple[float, ...]:
        """That of the scan by functions beside each window, where it is a cross-check; empty where it is not."""
        values = (replica.get("cross_check_p") for replica in self.replicas)
        return tuple(float(value) for value in values if value is not None)

    @property
    def ks_p(self) -> float:
        """Probability that uniform numbers differ from uniform by as much (Kolmogorov and Smirnov)."""
        return _ks_p(self.global_p)

    @property
    def below(self) -> Rate:
        """How often the global p is `LEVEL` or less: one in twenty if it holds."""
        return _below(self.global_p)

    @property
    def cross_check(self) -> str:
        """The same two numbers of the cross-check, in words; empty where there is none."""
        if not self.cross_check_p:
            return ""
        return f"KS p = {_ks_p(self.cross_check_p):.2g}, {_below(self.cross_check_p)} at {LEVEL:g} or less"

    @property
    def verdicts(self) -> dict[str, dict[str, Rate]]:
        """Score → outcome of the verdict, or ``not judged`` → how often."""
        by_score: dict[str, list[str]] = {}
        for replica in self.replicas:
            for score, outcome in replica["verdicts"].items():
                by_score.setdefault(score, []).append(outcome)
        return {
            score: {name: Rate(those.count(name), len(those)) for name in sorted(set(those))}
            for score, those in by_score.items()
        }

    @property
    def holds(self) -> bool:
        """Whether nothing speaks against the global p: uniform, and not too often `LEVEL` or less."""
        return self.ks_p > SMALLEST_KS_P and self.below.interval[0] <= LEVEL

    def mean(self, number: str) -> float:
        """Mean of a number over the replicas that have it; NaN without any."""
        values = [replica[number] for replica in self.replicas if replica.get(number) is not None]
        return float(np.mean(values)) if values else float("nan")

    @property
    def conclusion(self) -> str:
        """The result in one sentence."""
        if not self.global_p:
            return f"None of {len(self.replicas)} replicas gave a global p: {self.without_p[0]}"
        uniform = f"KS p = {self.ks_p:.2g}, {self.below} at {LEVEL:g} or less"
        if self.holds:
            return f"On background alone the global p is uniform as far as {len(self.global_p)} replicas can tell: {uniform}."
        small = self.below.value > LEVEL or np.mean(self.global_p) < 0.5
        why = "too small: bumps are made by the chain" if small else "too large: power is lost"
        return f"On background alone the global p is not uniform, it is {why}. {uniform}."

    @property
    def shared(self) -> str:
        """What replicas have in common, in words."""
        return (
            "All replicas divide the same simulated events anew. Two of them have on average "
            f"{100 * self.mean('hunted_overlap'):.0f} % of their hunted jets in common, and "
            f"{100 * self.mean('learned_overlap'):.0f} % of those that they learn from: their p are correlated by about "
            "as much as the hunted jets, so the true error of a rate is larger than its interval says, and a fluctuation of "
            "the simulation itself is in all of them."
        )

    def to_dict(self) -> dict[str, Any]:
        """Every number, ready for JSON."""
        return {
            "key": self.key,
            "n_planned": self.n_planned,
            "holds": self.holds,
            "conclusion": self.conclusion,
            "ks_p": self.ks_p,
            "level": LEVEL,
            "below": self.below.to_dict(),
            "cross_check": self.cross_check,
            "mean_global_p": float(np.mean(self.global_p)) if self.global_p else None,
            "verdicts": {
                score: {name: rate.to_dict() for name, rate in rates.items()}
                for score, rates in self.verdicts.items()
            },
            "n_without_p": len(self.without_p),
            "shared": self.shared,
            "replicas": list(self.replicas),
        }


def _ks_p(values: tuple[float, ...]) -> float:
    return float(stats.kstest(values, "uniform").pvalue) if values else float("nan")


def _below(values: tuple[float, ...]) -> Rate:
    return Rate(sum(p <= LEVEL for p in values), len(values))


def read_certificate(folder: Path) -> Certificate | None:
    """Read what `oddjet certify` wrote; None where it was not called."""
    content = read_state(folder / FILE, dict[str, Any])
    if content is None:
        return None
    try:
        certificate = Certificate(content["key"], tuple(content["replicas"]), content["n_planned"])
        certificate.to_dict()
    except (KeyError, TypeError, AttributeError) as error:
        _log.warning(
            "%s is of another version of oddjet (%r) and counts as absent: repeat `oddjet certify`",
            folder / FILE,
            error,
        )
        return None
    return certificate
