"""The ledger of the looks at data: what was hunted in, with what, when, and what came out.

Every hunt in data adds a line to ``ledger.jsonl`` in the folder of its run, and so does an unblinding.
A global p is corrected for all that was scanned in one hunt. What was tried in others, and dropped, is in
the ledger alone: the p of all looks together is corrected for their number.
"""

from __future__ import annotations

import dataclasses
import logging
import math
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from oddjet.analysis.config import CONFIG_FILE, AnalysisConfig, HuntConfig
from oddjet.analysis.hunt.result import Hunt
from oddjet.analysis.scores.sample import blinded_range
from oddjet.datasets.disk.chain import add_line, read_chain
from oddjet.datasets.disk.digest import content_key
from oddjet.datasets.disk.documents import read_json
from oddjet.datasets.skims.manifest import Manifest
from oddjet.errors import ConfigError
from oddjet.shown import Shown

__all__ = [
    "LEDGER",
    "Entry",
    "Event",
    "Ledger",
    "Together",
    "jets_key",
    "ledger_of",
    "look_of",
    "read_ledger",
    "record",
    "record_damage",
    "record_hunt",
    "record_unblinding",
    "together",
]

_log = logging.getLogger(__name__)

LEDGER = "ledger.jsonl"
"""The ledger, in the folder of a run; of scores without a run, in theirs."""

REPORT = "report.json"
"""The report beside it names the last line: so it shows when lines are cut off."""

Event = Literal["hunt", "explore", "test", "blinded", "unblinding", "limit", "damaged"]
"""What happened: all jets were scanned; a part explored; the rest tested what had been written down; only what is
beside the window was fitted; the window may be seen from now on; a limit looked under a signal; the
ledger was found not to be what was written."""

_FOUND = "found on"
"""What the problems begin with that an earlier report met."""

COUNTED: tuple[Event, ...] = ("hunt", "test")
"""Those whose p may be quoted as a result."""

_NOT_A_LOOK = {"n_toys", "max_toys", "seed", "pt_edges"}
"""Settings of a hunt that change how well a p is known, not what is looked at."""


@dataclasses.dataclass(frozen=True)
class Entry:
    """A line of the ledger.

    Attributes:
        event: What happened.
        time: When, UTC.
        look: What was looked at with what; the same look twice counts once.
        p: Its global p; None where nothing was scanned.
        is_bound: Whether the p is an upper bound.
    """

    event: str
    time: str
    look: dict[str, Any]
    p: Annotated[float, Field(ge=0, le=1)] | None = None
    is_bound: bool = False

    @property
    def key(self) -> str:
        """The look's own name."""
        return content_key(self.look)


_ENTRY: TypeAdapter[Entry] = TypeAdapter(Entry)


@dataclasses.dataclass(frozen=True)
class Together:
    """The p of several looks.

    Attributes:
        n_looks: Distinct looks.
        smallest: The smallest p among them.
        p: 1 − (1 − smallest)ⁿ, that any of n independent looks gives as small a p without a signal. Looks that
            share jets depend on each other: for them it is too large, so it never claims too much.
    """

    n_looks: int
    smallest: float
    p: float


@dataclasses.dataclass(frozen=True)
class Ledger(Shown):
    """The looks at the data of a run.

    Attributes:
        path: The file.
        entries: Its lines, in order.
        problems: What is wrong with the file; none where it is as it was written.
        head: Hash of its last line.
    """

    path: Path
    entries: tuple[Entry, ...] = ()
    problems: tuple[str, ...] = ()
    head: str = ""

    @property
    def looks(self) -> Together | None:
        """All hunts and tests together; None where there was none."""
        return together(self.entries, COUNTED)

    @property
    def explorations(self) -> Together | None:
        """All explorations together. They choose what is tested in other jets, and are no result."""
        return together(self.entries, ("explore",))

    @property
    def n_limits(self) -> int:
        """Distinct limits that looked under a signal. Their local p are in none of the others."""
        return len({entry.key for entry in self.entries if entry.event == "limit"})

    @property
    def unblindings(self) -> tuple[Entry, ...]:
        """When data were unblinded."""
        return tuple(entry for entry in self.entries if entry.event == "unblinding")

    def to_dict(self) -> dict[str, Any]:
        """Every line and number, ready for JSON."""
        groups = {"looks": self.looks, "explorations": self.explorations}
        return {
            **{name: p and dataclasses.asdict(p) for name, p in groups.items()},
            "entries": [dataclasses.asdict(entry) for entry in self.entries],
            "problems": list(self.problems),
            "n_limits": self.n_limits,
            "n_lines": len(self.entries),
            "head": self.head,
        }


def together(entries: tuple[Entry, ...], events: tuple[str, ...]) -> Together | None:
    """Take looks together: identical ones count once, with the smaller p.

    Args:
        entries: Lines of a ledger.
        events: Which of them.

    >>> looks = tuple(Entry("hunt", "", {"n": n % 3}, 0.05) for n in range(6))
    >>> round(together(looks, ("hunt",)).p, 4)  # three looks: 1 − 0.95³
    0.1426
    """
    p_values: dict[str, float] = {}
    for entry in entries:
        if entry.event in events and entry.p is not None:
            p_values[entry.key] = min(entry.p, p_values.get(entry.key, 1.0))
    if not p_values:
        return None
    smallest, n = min(p_values.values()), len(p_values)
    return Together(n, smallest, -math.expm1(n * math.log1p(-smallest)) if smallest < 1 else 1.0)


def ledger_of(scores: Path | str) -> Path:
    """Where looks at a scores table are written down: in the folder of its run, else in its own."""
    folder = Path(scores).absolute()
    return (folder.parent if (folder.parent / CONFIG_FILE).is_file() else folder) / LEDGER


def read_ledger(path: Path | str) -> Ledger:
    """Read a ledger; one that is not there has no lines. The report beside it has to know its last line.

    Raises:
        ConfigError: It cannot be read.
    """
    chain = read_chain(path)
    entries, problems = [], list(chain.problems)
    for number, line in enumerate(chain.lines, start=1):
        try:
            entries.append(_ENTRY.validate_python(line))
        except ValidationError:
            problems.append(f"line {number} is of another version of oddjet, and not counted")
    if (head := _reported(Path(path))) and head not in chain.seals:
        problems.append(
            f"the last line that {REPORT} names is not there: the end was cut off, or the file replaced"
        )
    damages = [entry for entry in entries if entry.event == "damaged"]
    problems += [f"{_FOUND} {e.time}: {text}" for e in damages for text in e.look["problems"]]
    return Ledger(Path(path), tuple(entries), tuple(problems), chain.last)


def _reported(path: Path) -> str:
    """Hash of the last line when the report beside it was written; empty without one."""
    try:
        told = read_json(path.with_name(REPORT))["sections"]["ledger"]["head"]
    except (ConfigError, KeyError, TypeError):
        return ""
    return str(told)


def jets_key(manifest: Manifest) -> str:
    """Name the jets of data of a scores table or skim: by their files, entries and selection."""
    data = [name for name, dataset in manifest.datasets.items() if dataset.kind == "data"]
    parts = sorted(
        (c.dataset, c.file_uuid, c.tree, c.entry_start, c.entry_stop)
        for c in manifest.chunks
        if c.dataset in data
    )
    skim = manifest.config.get("skim_config") or manifest.config
    return content_key([parts, skim.get("selection")])


def look_of(config: AnalysisConfig, manifest: Manifest, columns: tuple[str, ...]) -> dict[str, Any]:
    """Describe a look: jets, scores, the detectors behind them, and what is scanned how.

    Args:
        config: The analysis.
        manifest: Of the scores table.
        columns: The scores that are cut on.
    """
    known = {d["label"]: d["fingerprint"] for d in manifest.config.get("detectors", ())}
    used = {k: v for k, v in known.items() if any(c.startswith(f"{k}_") for c in columns)}
    stages = config.unblinding
    return {
        "jets": jets_key(manifest),
        "datasets": [name for name, d in manifest.datasets.items() if d.kind == "data"],
        "scores": list(columns),
        "detectors": used,
        "hunt": config.hunt.model_dump(mode="json", exclude=_NOT_A_LOOK),
        "stages": None if stages is None else stages.model_dump(mode="json"),
    }


def record(
    path: Path,
    event: Event,
    look: dict[str, Any],
    *,
    p: float | None = None,
    is_bound: bool = False,
) -> None:
    """Add a line.

    Raises:
        ConfigError: It cannot be written: a look that nothing records is not to be.
    """
    time = datetime.now(timezone.utc).isoformat(timespec="seconds")
    entry = Entry(event, time, look, p, is_bound)
    try:
        add_line(path, dataclasses.asdict(entry))
    except OSError as error:
        msg = (
            f"{path}: the look at the data cannot be recorded ({error.strerror}): let the folder be written, or work in "
            "a copy of it"
        )
        raise ConfigError(msg) from error


def record_damage(path: Path) -> None:
    """Write down what is wrong with a ledger, before a report names its new end: so it is not forgotten.

    Raises:
        ConfigError: It cannot be read or written.
    """
    ledger = read_ledger(path)
    told = {text for e in ledger.entries if e.event == "damaged" for text in e.look["problems"]}
    if new := [text for text in ledger.problems if text not in told and _FOUND not in text]:
        record(path, "damaged", {"problems": new})


def record_unblinding(path: Path, look: dict[str, Any]) -> None:
    """Record that data may be seen from now on, where that is not in the ledger yet."""
    about = {
        "jets": look["jets"],
        "datasets": look["datasets"],
        "mass": look["hunt"]["mass"],
        "window": look["hunt"]["window"],
        "stages": look["stages"],
    }
    if all(entry.look != about for entry in read_ledger(path).unblindings):
        record(path, "unblinding", about)


def record_hunt(path: Path, event: Event, look: dict[str, Any], hunt: Hunt) -> None:
    """Record what a hunt in data gave; one that saw nothing of the window may go unrecorded, with a warning.

    A blinded hunt that hides other masses than one before shows what that one hid: that is an unblinding of it.
    """
    scan = hunt.bump_hunt
    if hunt.blinded:
        for shown in _shown_now(read_ledger(path), look):
            record_unblinding(path, shown)
        try:
            record(path, "blinded", look)
        except ConfigError as error:
            _log.warning("%s", error)
    elif scan is None:
        record(path, event, look)
    else:
        record(path, event, look, p=scan.global_p, is_bound=scan.global_p_is_bound)


def _shown_now(ledger: Ledger, look: dict[str, Any]) -> list[dict[str, Any]]:
    """The looks before that hid what a blinded one shows: another window, or the events that do not explore."""
    before = [entry for entry in ledger.entries if entry.event in ("blinded", "explore")]
    mass, low, high = _hidden(look)
    shown = []
    for entry in before:
        if not set(entry.look.get("datasets", ())) & set(look["datasets"]):
            continue
        other, *window = _hidden(entry.look)
        is_inside = other == mass and low <= window[0] and window[1] <= high
        if entry.event == "explore" or not is_inside:
            shown.append(entry.look)
    return shown


def _hidden(look: dict[str, Any]) -> tuple[str, float, float]:
    """The mass, and the range of whole bins [GeV], that a blinded look hides."""
    hunt = HuntConfig.model_validate(look["hunt"])
    return hunt.mass, *blinded_range(hunt)
