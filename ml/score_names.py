"""Columns of scores: `{label}_{score}`, its calibrated form, and a decorrelated form a method."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from oddjet.errors import InputError, did_you_mean

__all__ = ["CALIBRATED", "ScoreName", "labelled"]

CALIBRATED = "calibrated"
"""The ending of calibrated columns; no decorrelation may be called so."""


def labelled(label: str, score: str) -> str:
    """Column of one of a detector's scores: `"kmeans"`, `"min_d"` → `"kmeans_min_d"`."""
    return f"{label}_{score}"


@dataclass(frozen=True)
class ScoreName:
    """A raw score, or a decorrelated form of it.

    Attributes:
        raw: Column of the raw score: `{label}_{score}`, or the score alone where there is no label.
        method: The decorrelation as it is called in columns; empty for the raw score.

    >>> ScoreName("kmeans_min_d").cut, ScoreName("kmeans_min_d", "ddt").cut
    ('kmeans_min_d_calibrated', 'kmeans_min_d_ddt')
    """

    raw: str
    method: str = ""

    @property
    def column(self) -> str:
        """Its own column; histograms, tables and legends call it by this name."""
        return f"{self.raw}_{self.method}" if self.method else self.raw

    @property
    def is_decorrelated(self) -> bool:
        """Whether it is a decorrelated form."""
        return self.method not in ("", CALIBRATED)

    @property
    def calibrated(self) -> str:
        """Column of the raw score's calibrated form."""
        return f"{self.raw}_{CALIBRATED}"

    @property
    def cut(self) -> str:
        """Column that is cut on: it holds −log10 of the background's survival."""
        return self.column if self.method else self.calibrated

    @classmethod
    def from_label(cls, label: str, scores: Iterable[str], methods: Sequence[str] = ()) -> Names:
        """Name the scores of one detector.

        Returns:
            The raw scores first, then each with every method.
        """
        raw = tuple(cls(labelled(label, score)) for score in scores)
        return raw + tuple(cls(name.raw, method) for name in raw for method in methods)

    @classmethod
    def find_all(cls, columns: Collection[str]) -> Names:
        """Find the scores among a table's columns: the raw ones first, in the table's order."""
        ending = f"_{CALIBRATED}"
        raw = [c.removesuffix(ending) for c in columns if c.endswith(ending)]
        # A decorrelated score is named after a raw one; of two that fit, after the longer.
        decorrelated = []
        for column in columns:
            bases = [name for name in raw if column.startswith(f"{name}_")]
            if bases and column not in raw and not column.endswith(ending):
                base = max(bases, key=len)
                decorrelated.append(cls(base, column[len(base) + 1 :]))
        return (*map(cls, raw), *decorrelated)

    @classmethod
    def find(cls, column: str, columns: Collection[str]) -> ScoreName:
        """Find one score among the columns of a table.

        Raises:
            InputError: There is no such score.

        >>> ScoreName.find("k_mse_ddt", ["k_mse", "k_mse_calibrated", "k_mse_ddt"])
        ScoreName(raw='k_mse', method='ddt')
        """
        names = cls.find_all(columns)
        raw = sorted(name.raw for name in names if not name.method)
        for name in (*names, *(cls(score, CALIBRATED) for score in raw)):
            if name.column == column:
                return name
        msg = (
            f"the scores table has no score {column!r} to cut on.{did_you_mean(column, columns)} Expected a "
            f"raw score ({', '.join(raw) or 'none'}), or a decorrelated one."
        )
        raise InputError(msg)


Names = tuple[ScoreName, ...]
