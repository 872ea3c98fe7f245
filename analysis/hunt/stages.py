"""Data in two stages: a share of the events explores and writes down windows and cuts; the rest tests these windows after these cuts.

What explores is scanned at once, as often as one likes: it only chooses. Windows with a local significance from
``z_cut`` on are written into ``frozen.json``, with a hash of all that it says. After unblinding they are tested in the
other events, which nobody has seen, with a p that is corrected for their number alone: each window after each cut, also of another window.

The p of both stages together orders their outcomes: first those where something was chosen, by the p of the test; then
the others, by the p of exploring. With π the probability that background alone chooses anything, it is π times the p
of the test, or the p of exploring, which then is above π. Both are uniform without a signal, so it is too.

References:
    C. Jennison and B. W. Turnbull, Group Sequential Methods (2000), section 8.4 (stage-wise ordering).
"""

from __future__ import annotations

import dataclasses
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from oddjet.analysis.config import UnblindingConfig
from oddjet.analysis.hunt.frozen import Chosen, Frozen
from oddjet.analysis.hunt.result import Hunt
from oddjet.analysis.statistics.bumphunt.pvalues import toy_p
from oddjet.analysis.statistics.bumphunt.result import BumpHunt, ChannelScan
from oddjet.datasets.disk.state import read_state, write_state
from oddjet.errors import ConfigError

__all__ = ["FROZEN", "choose", "freeze", "read_frozen"]

FROZEN = "frozen.json"
"""What exploring wrote down, beside the ledger."""

CONTRADICTED = 1e-3
"""Pseudo-experiments say that a window is not as rare as its formula has it, where this makes their number rarer."""


def choose(scan: BumpHunt, z_cut: float) -> tuple[Chosen, ...]:
    """Choose the windows with a local significance of at least `z_cut`, the most improbable first.

    Of windows that overlap, in whichever spectra, the most improbable counts. A window that pseudo-experiments
    contradict, because its local p is that of a sparse spectrum, is not chosen.
    """
    p_cut = float(stats.norm.sf(z_cut))
    candidates = [
        Chosen(channel.label, (float(table.low[i]), float(table.high[i])), float(table.local_p[i]))
        for channel in scan.channels
        for table in (channel.table,)
        for i in np.flatnonzero((table.local_p <= p_cut) & _believed(channel, p_cut))
    ]
    chosen: list[Chosen] = []
    for candidate in sorted(candidates, key=lambda c: (c.local_p, c.label, c.window)):
        low, high = candidate.window
        if all(high <= c.window[0] or low >= c.window[1] for c in chosen):
            chosen.append(candidate)
    return tuple(chosen)


def _believed(channel: ChannelScan, p_cut: float) -> Any:
    """Windows that pseudo-experiments do not show to be more frequent than `p_cut`, shape (n_windows,)."""
    n = channel.n_toys
    as_rare = np.rint(channel.table.local_p_toys * (n + 1)) - 1
    return stats.binom.sf(as_rare - 1, n, p_cut) >= CONTRADICTED


def freeze(
    path: Path, hunt: Hunt, settings: UnblindingConfig, look: dict[str, Any], *, keep: bool
) -> Frozen:
    """Write down what exploring chose.

    Args:
        path: Where.
        hunt: The hunt in what explores.
        settings: The stages.
        look: What explores, as in the ledger.
        keep: Whether the rest has been seen: then what was written down before is kept, whatever is explored now.

    Returns:
        What is written down now.

    Raises:
        ConfigError: Nothing was scanned; or the rest has been seen, and nothing usable was written down before.
    """
    if keep:
        return read_frozen(path, look)
    scan = hunt.bump_hunt
    if scan is None:
        msg = f"nothing can be chosen by exploring: {hunt.problem}: loosen the cuts, or explore more of the data"
        raise ConfigError(msg)
    p_cut, n = float(stats.norm.sf(settings.z_cut)), scan.n_toys
    best = min(channel.local_p for channel in scan.channels)
    smallest = np.min([channel.toy_min_p for channel in scan.channels], axis=0)
    chosen = choose(scan, settings.z_cut)
    as_small = toy_p(int(np.sum(smallest <= best)), n)
    passing = toy_p(int(np.sum(smallest <= p_cut)), n)
    frozen = Frozen(
        time=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        look=look,
        share=settings.explore,
        z_cut=settings.z_cut,
        chosen=chosen,
        p_explored=float(as_small),
        p_chosen=float(passing),
    )
    write_state(path, dataclasses.asdict(frozen))
    return frozen


def read_frozen(path: Path, look: dict[str, Any]) -> Frozen:
    """Read what exploring wrote down.

    Args:
        path: The file.
        look: What explores by the present settings.

    Raises:
        ConfigError: There is none, or it is not what was written; or other settings wrote it.
    """
    frozen = read_state(path, Frozen)
    if frozen is None:
        msg = (
            f"{path}: the rest of the data has been seen, and what exploring had written down before is not there or not "
            "what was written: put it back from a copy. Chosen now, windows would be tested in events that were seen"
        )
        raise ConfigError(msg)
    if frozen.look != look:
        differ = [name for name in look if frozen.look.get(name) != look[name]]
        msg = (
            f"{path} was written by exploring with other settings ({', '.join(differ)} differ), and the rest of the data "
            "has been seen: test what was written down with the settings that stand in it. To explore anew, take events that nobody "
            "has seen, in another folder of output"
        )
        raise ConfigError(msg)
    return frozen
