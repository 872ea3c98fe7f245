"""The verdict on constituents and jets: which difference is an error, and where it may come from."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from oddjet.datasets.balance import Balance
from oddjet.datasets.skims.manifest import ChunkRecord
from oddjet.errors import BalanceError
from oddjet.processors.events.selection import DEFAULT_TOLERANCE

__all__ = ["balance_notes", "balances_by_file", "check_balance", "check_balances"]

_UNKNOWN_CORRECTIONS = 10
"""The median of jets whose corrections are unknown may be this much further away."""
_FAR = {True: 0.1, False: 0.5}
"""A tail is told from this difference on, by whether jets are without corrections."""
_FEW = 20
"""Files with fewer jets are judged with their dataset alone."""
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


def balances_by_file(records: Iterable[ChunkRecord]) -> dict[str, Balance]:
    """Add up the ratios of each file, by its path; only of files with enough jets for a median."""
    parts = defaultdict(list)
    for record in records:
        parts[record.file, record.file_uuid].append(record.balance)
    names = Counter(file for file, _ in parts)
    added = {
        file if names[file] == 1 else f"{file} ({uuid})": Balance.add_up(listed)
        for (file, uuid), listed in parts.items()
    }
    return {file: balance for file, balance in added.items() if balance and balance.n_jets >= _FEW}


def check_balances(dataset: str, records: Iterable[ChunkRecord], tolerance: float | None) -> None:
    """Refuse a dataset whose constituents do not add up to its jets, on the whole or in one of its files.

    Raises:
        BalanceError: See `check_balance`.
    """
    listed = list(records)
    check_balance(dataset, Balance.add_up(record.balance for record in listed), tolerance)
    for file, balance in balances_by_file(listed).items():
        check_balance(f"{dataset}, {file}", balance, tolerance)


def _is_off(balance: Balance) -> bool:
    unknown = 1 if balance.is_raw else _UNKNOWN_CORRECTIONS
    return abs(balance.median - 1) > DEFAULT_TOLERANCE * unknown


def balance_notes(
    balance: Balance | None, files: Mapping[str, Balance] = MappingProxyType({})
) -> list[str]:
    """Note what is odd about constituents though it was not refused, for every later output.

    Args:
        balance: Of a dataset.
        files: What `balances_by_file` gave of it.
    """
    if balance is None:
        return []
    if _is_off(balance):
        return [f"the constituents of jets do not add up to their jets: {balance.describe()}"]
    if off := [file for file, of_file in files.items() if _is_off(of_file)]:
        note = (
            f"the constituents of jets do not add up to their jets in {len(off)} of {len(files)} files, such as {off[0]}:"
            f" {files[off[0]].describe()}"
        )
        return [note]
    low, high = balance.tails
    far = _FAR[balance.is_raw]
    if low >= 1 - far and high <= 1 + far:
        return []
    note = (
        f"more than 1 % of the jets are off by more than {far:.0%}, {balance.describe()}: constituents of a part of"
        " them are missing or not theirs"
    )
    return [note]
