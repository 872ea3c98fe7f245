"""The verdict on constituents and jets: which difference is an error, and where it may come from."""

from __future__ import annotations

from oddjet.datasets.balance import Balance
from oddjet.errors import BalanceError
from oddjet.processors.events.selection import DEFAULT_TOLERANCE

__all__ = ["balance_notes", "check_balance"]

_UNKNOWN_CORRECTIONS = 10
"""Jets whose corrections are unknown may be this much further away."""
_FAR = 0.1
"""A tail is told from this difference on."""
_TOO_MUCH = (
    "AK4 jets of Run 3 are PUPPI jets and were read without weights (selection.jet: AK4PUPPI);"
    " PUPPI weights are all 1 or those of another jet collection; links are those of other jets"
)
_TOO_LITTLE = (
    "weights were applied to CHS jets (selection.jet: AK4CHS), or twice: candidates are weighted already;"
    " PUPPI weights are stale; candidates were dropped when the file was slimmed; links are those of other jets;"
    " jets were padded with empty ones"
)


def check_balance(dataset: str, balance: Balance | None, tolerance: float | None) -> None:
    """Refuse jets whose constituents do not add up to them.

    `tolerance` is how far the median may be from 1, None for as far as it is; without jets nothing
    is judged.

    Raises:
        BalanceError: If it is further; the message names likely causes.
    """
    if balance is None or not balance.n_jets or tolerance is None:
        return
    allowed = tolerance * (1 if balance.is_raw else _UNKNOWN_CORRECTIONS)
    if abs(balance.median - 1) <= allowed:
        return
    causes = _TOO_MUCH if balance.median > 1 else _TOO_LITTLE
    msg = (
        f"{dataset}: the constituents of jets do not add up to their jets. {balance.describe()}; expected a median"
        f" of 1 within {allowed:g}. Likely causes: {causes}. If these jets are meant, set"
        " selection.constituents_tolerance to a greater number, or to null for any; every output then has the ratio"
    )
    raise BalanceError(msg)


def balance_notes(balance: Balance | None) -> list[str]:
    """Note what is odd about constituents though it was not refused, for every later output."""
    if balance is None:
        return []
    unknown = 1 if balance.is_raw else _UNKNOWN_CORRECTIONS
    if abs(balance.median - 1) > DEFAULT_TOLERANCE * unknown:
        return [f"the constituents of jets do not add up to their jets: {balance.describe()}"]
    low, high = balance.tails
    far = _FAR * unknown
    if low >= 1 - far and high <= 1 + far:
        return []
    note = (
        f"more than 1 % of the jets are off by more than {far:.0%}, {balance.describe()}: constituents of a part of"
        " them are missing or not theirs"
    )
    return [note]
