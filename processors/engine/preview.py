"""What files hold, before anything is made of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from oddjet.datasets.balance import Balance
from oddjet.datasets.disk.remote import TIMEOUT, is_remote
from oddjet.datasets.files.doubts import describe_history
from oddjet.datasets.files.fileset import Fileset
from oddjet.datasets.files.rootfiles import inspect_root
from oddjet.datasets.readers.formats import find_readers
from oddjet.datasets.readers.peek import nearest_reader, peek
from oddjet.errors import BalanceError, MissingBranchError, NoConstituentsError, without_queries
from oddjet.processors.engine.balance import balance_notes, check_balance
from oddjet.processors.engine.plan import make_plan, planned_jet_id
from oddjet.processors.events.selection import Selection

__all__ = ["FilePreview", "preview_file", "preview_fileset"]


@dataclass(frozen=True)
class FilePreview:
    """The jets of one kind in one file.

    Attributes:
        jet: AK8 or AK4.
        reader: Name of the reader; empty if the file has no constituents of these jets.
        description: The reader in a few words.
        balance: How the constituents of the first events' jets add up to them; None without a reader.
    """

    jet: str
    reader: str = ""
    description: str = ""
    balance: Balance | None = None


def preview_fileset(
    fileset: Fileset, *, selection: Selection, chunk_size: int
) -> Iterator[tuple[bool | None, str]]:
    """Check all files of a fileset, and compare constituents with jets in the first one of each dataset.

    Args:
        fileset: With files everywhere.
        selection: What will be read.
        chunk_size: Most entries a chunk.

    Yields:
        Whether something is fine, None for what every later output has to say; and what it is.

    Raises:
        InputError: If a file cannot be used; its class gives the reason.
    """
    plan = make_plan(fileset, selection=selection, chunk_size=chunk_size)
    files = (
        f"{len(plan.files)} files with {plan.n_entries:,} events and every branch that is needed"
    )
    yield True, files
    for name, dataset in fileset.datasets.items():
        histories = [file.history for file in plan.files_of(name)]
        if text := describe_history(dataset, histories):
            yield True, f"dataset '{name}': {text}"
        yield from ((None, f"dataset '{name}': {text}") for text in plan.caveats[name])
    first = {chunk.dataset: chunk for chunk in reversed(plan.chunks) if len(chunk)}
    for name in (name for name in fileset.datasets if name in first):
        chunk, dataset = first[name], fileset.datasets[name]
        reader = chunk.reader
        path = next(path for path, file in plan.files.items() if file.uuid == chunk.file_uuid)
        read_as = f"dataset '{name}' is read as {reader.name} ({reader.description})"
        jet_id = planned_jet_id(plan.files[path].branches, reader, selection, dataset, path)
        if jet_id is not None:
            yield True, f"dataset '{name}': {jet_id.describe()}"
        if is_remote(chunk.file):
            yield True, f"{read_as}; constituents and jets are compared when it is processed"
            continue
        balance = peek(plan.files[path], reader, timeout=chunk.timeout)
        try:
            check_balance(path, balance, selection.constituents_tolerance)
        except BalanceError as error:
            yield False, str(error)
            continue
        seen = balance.describe() if balance.n_jets else "no jets among its first events"
        yield (
            None if balance_notes(balance) else True,
            f"{read_as}; {Path(without_queries(path)).name}: {seen}",
        )


def preview_file(path: str, *, tree: str = "Events") -> list[FilePreview]:
    """Look for the constituents of AK8 and AK4 jets in a file, and compare them with these jets.

    Raises:
        InputError: If the file cannot be read.
    """
    file = inspect_root(path, tree)
    previews = []
    for jet in ("AK8", "AK4"):
        try:
            readers = find_readers(file.branches, jet=jet, where=path, titles=file.titles)
        except (NoConstituentsError, MissingBranchError):
            previews.append(FilePreview(jet))
            continue
        reader = nearest_reader(readers, file, timeout=TIMEOUT)
        balance = peek(file, reader, timeout=TIMEOUT)
        previews.append(FilePreview(jet, reader.name, reader.description, balance))
    return previews
