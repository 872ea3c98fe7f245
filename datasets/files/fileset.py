"""Filesets: from YAML, coffea's JSON, a folder, a pattern or a list of files to checked files."""

from __future__ import annotations

import functools
import glob
import itertools
import logging
import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from oddjet.datasets.catalog import catalog_path
from oddjet.datasets.disk.garbage import collect_garbage
from oddjet.datasets.disk.remote import is_remote, server_of
from oddjet.datasets.disk.validation import read_config, validate
from oddjet.datasets.files.dataset import Dataset, Fileset, Kind, Listed, Simulate, require_files
from oddjet.datasets.files.rootfiles import RootFile, inspect_root
from oddjet.errors import (
    BadFileError,
    ConfigError,
    DuplicateFileError,
    InputError,
    UnreachableError,
    did_you_mean,
)

__all__ = ["Dataset", "Fileset", "Kind", "Simulate", "check_fileset", "load_fileset", "to_coffea"]

logger = logging.getLogger(__name__)

_CONFIG_ENDINGS = (".yaml", ".yml", ".json", ".yaml.gz", ".yml.gz", ".json.gz")
_CATALOG = "catalog:"
# What coffea's DatasetSpec and preprocessing write; only the first two and the format matter here.
_COFFEA_KEYS = {"files", "metadata", "format", "form", "compressed_form", "did"}
_REMOTE_THREADS = 8
_SILENCES = 2
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_SHOWN = 20


def load_fileset(
    source: Path | str | Iterable[Path | str], *, kind: Kind = "background"
) -> Fileset:
    """Load a fileset.

    Args:
        source: One of

            - a YAML or JSON file, also compressed (.json.gz): oddjet's form (`datasets: {name: {files, kind,
              …}}`), coffea's (`{name: {"files": {path: tree}, "metadata": {…}}}`, also as its `DataGroupSpec`
              and its preprocessing write it) or `{name: [files]}`; paths and patterns in it are relative to
              its folder, and environment variables are not expanded;
            - `catalog:NAME`, one of `catalog_names()`;
            - a folder (every .root file below it), a .root file, a URL or a pattern;
            - a list of these; files listed directly make one dataset called `files`.
        kind: Kind of datasets that do not state it: bare files and coffea's form.

    Returns:
        The fileset, with paths made absolute and patterns replaced by the files they match, sorted.

    Raises:
        ConfigError: If the source is of none of these forms, a key is unknown, or a pattern or
            folder matches nothing.
        DuplicateFileError: If a path is there twice.
    """
    if isinstance(source, str | Path):
        fileset = _load_one(str(source), kind)
    else:
        fileset = _load_list([str(item) for item in source], kind)
    _refuse_same_paths(fileset)
    return fileset


def check_fileset(
    fileset: Fileset, *, problems: dict[str, InputError] | None = None
) -> dict[str, RootFile]:
    """Open every file of a fileset, and refuse a file that is there twice.

    Args:
        fileset: With files everywhere.
        problems: Takes path to error of the files that cannot be used, which are then left out; None
            raises instead.

    Returns:
        Path to what the file is.

    Raises:
        BadFileError: If files are missing, damaged or without their tree; the message lists all.
        UnreachableError: If that is all because servers do not answer.
        DuplicateFileError: If two paths, in one dataset or two, lead to the same file or to copies
            of it (same uuid): its events would count twice.
        ConfigError: If a dataset has no files yet.
    """
    require_files(fileset)
    _refuse_same_paths(fileset)
    listed = [(name, path) for name, d in fileset.datasets.items() for path in d.files]
    silent: Counter[str] = Counter()
    inspect = functools.partial(_inspect, fileset=fileset, silent=silent)
    with collect_garbage():
        if any(is_remote(place) for n, p in listed for place in fileset.datasets[n].places(p)):
            with ThreadPoolExecutor(_REMOTE_THREADS) as threads:
                looked = list(threads.map(inspect, listed))
        else:
            looked = [inspect(item) for item in listed]
    bad = {
        path: file
        for (_, path), file in zip(listed, looked, strict=True)
        if isinstance(file, InputError)
    }
    if problems is None:
        _raise_all(bad)
    else:
        problems.update(bad)
    inspected: dict[str, RootFile] = {}
    owners: dict[str, tuple[str, str]] = {}
    for (name, path), file in zip(listed, looked, strict=True):
        if isinstance(file, InputError):
            continue
        if file.uuid in owners:
            other, other_path = owners[file.uuid]
            msg = (
                f"{path} (dataset {name}) and {other_path} (dataset {other}) are the same file (uuid {file.uuid});"
                " its events would count twice: remove one"
            )
            raise DuplicateFileError(msg)
        owners[file.uuid] = (name, path)
        inspected[path] = file
    return inspected


def _inspect(
    item: tuple[str, str], *, fileset: Fileset, silent: Counter[str]
) -> RootFile | InputError:
    """Look at one file; a server that was silent twice is not asked again for the others."""
    name, path = item
    dataset = fileset.datasets[name]
    places = [p for p in dataset.places(path) if silent[server_of(p)] < _SILENCES]
    if not places:
        return UnreachableError(f"{path}: its servers did not answer for other files")
    try:
        file = inspect_root(path, dataset.files[path], places=places, timeout=dataset.timeout)
    except UnreachableError as error:
        silent.update(server_of(place) for place in places)
        return error
    except BadFileError as error:
        return error
    silent[server_of(file.place)] = 0
    return _differs(file, dataset.listed.get(path, Listed())) or file


def _differs(file: RootFile, listed: Listed) -> BadFileError | None:
    """Compare a file with what a list that was made earlier says of it."""
    pairs = (("entries", listed.n_entries, file.n_entries), ("uuid", listed.uuid, file.uuid))
    wrong = [(what, a, b) for what, a, b in pairs if a is not None and a != b]
    if not wrong:
        return None
    told = ", ".join(f"{what} {a}, and the file has {b}" for what, a, b in wrong)
    return BadFileError(
        f"{file.path} is not the file, or not the whole file, that its fileset lists: expected {told};"
        " make the fileset anew, or list the file by its tree's name alone"
    )


def _raise_all(bad: Mapping[str, InputError]) -> None:
    if not bad:
        return
    if len(bad) == 1:
        raise next(iter(bad.values()))
    lines = [str(error) for error in list(bad.values())[:_SHOWN]]
    if len(bad) > _SHOWN:
        lines.append(f"and {len(bad) - _SHOWN} more files")
    silent = all(isinstance(error, UnreachableError) for error in bad.values())
    raise (UnreachableError if silent else BadFileError)("\n".join(lines))


def to_coffea(fileset: Fileset) -> dict[str, dict[str, Any]]:
    """Give a fileset in the plain form that coffea's Runner takes.

    Args:
        fileset: With files everywhere.

    Returns:
        Name to {"files": {path: tree}, "metadata": {kind, cross_section_pb, k_factor, year, label,
        truth}}.

    Raises:
        ConfigError: If a dataset has no files yet.
    """
    require_files(fileset)
    fields = {"kind", "cross_section_pb", "k_factor", "year", "label", "truth"}
    return {
        name: {
            "files": dict(dataset.files),
            "metadata": dataset.model_dump(mode="json", include=fields),
        }
        for name, dataset in fileset.datasets.items()
    }


def _load_one(source: str, kind: Kind) -> Fileset:
    if source.startswith(_CATALOG):
        return _load_config(catalog_path(source.removeprefix(_CATALOG)), kind)
    path = Path(source)
    if _is_config(source):
        return _load_config(path, kind)
    name = path.resolve().name if not is_remote(source) and path.is_dir() else "files"
    return _from_files({name: [source]}, kind, base=Path(), where=source)


def _is_config(source: str) -> bool:
    return source.endswith(_CONFIG_ENDINGS) and not is_remote(source)


def _load_list(sources: list[str], kind: Kind) -> Fileset:
    if not sources:
        msg = "fileset: expected at least one file, received an empty list"
        raise ConfigError(msg)
    described = [s for s in sources if s.startswith(_CATALOG) or _is_config(s)]
    files = [source for source in sources if source not in described]
    parts = [_load_one(source, kind) for source in described]
    if files:
        parts.append(_from_files({"files": files}, kind, base=Path(), where="list of files"))
    datasets: dict[str, Dataset] = {}
    for part in parts:
        if common := sorted(datasets.keys() & part.datasets.keys()):
            msg = f"dataset {', '.join(common)} is in more than one of {', '.join(sources)}; rename one"
            raise ConfigError(msg)
        datasets.update(part.datasets)
    notes = [part.note for part in parts if part.note]
    verified = all(part.verified for part in parts)
    return Fileset(datasets=datasets, verified=verified, note=" ".join(notes) or None)


def _load_config(path: Path, kind: Kind) -> Fileset:
    content = read_config(path)
    if not isinstance(content, Mapping):
        msg = f"{path}: expected datasets by name, received {type(content).__name__}"
        raise ConfigError(msg)
    where = str(path)
    if "datasets" not in content and content and all(_is_coffea(v) for v in content.values()):
        content = {
            "datasets": {str(n): _from_coffea(str(n), v, kind, where) for n, v in content.items()}
        }
    datasets = content.get("datasets")
    if isinstance(datasets, Mapping):
        expanded = {
            str(n): _expand_dataset(str(n), d, path.parent, where) for n, d in datasets.items()
        }
        content = {**content, "datasets": expanded}
    return validate(Fileset, content, where)


def _from_files(files: dict[str, list[str]], kind: Kind, *, base: Path, where: str) -> Fileset:
    datasets = {
        name: _expand_dataset(name, {"files": listed, "kind": kind}, base, where)
        for name, listed in files.items()
    }
    return validate(Fileset, {"datasets": datasets}, where)


def _is_coffea(value: Any) -> bool:
    if isinstance(value, list):
        return all(isinstance(item, str) for item in value)
    return isinstance(value, Mapping) and "files" in value and "kind" not in value


def _from_coffea(name: str, value: Any, kind: Kind, where: str) -> dict[str, Any]:
    """Bring one dataset of coffea's form into ours; warn of metadata that is not used."""
    if isinstance(value, list):
        return {"files": value, "kind": kind}
    if unknown := sorted(set(value) - _COFFEA_KEYS):
        msg = f"{where}: {name}: unknown key {', '.join(unknown)}; coffea's form has files and metadata"
        raise ConfigError(msg)
    if (written := value.get("format") or "root") != "root":
        msg = f"{where}: {name}: its files are of the format {written!r}; ROOT files are expected"
        raise ConfigError(msg)
    dataset: dict[str, Any] = {"files": value["files"], "kind": kind}
    known = set(Dataset.model_fields) - {"files", "das", "simulate", "tree"}
    for key, item in (value.get("metadata") or {}).items():
        if key in known:
            dataset[key] = item
        else:
            hint = did_you_mean(str(key), known)
            logger.warning("%s: %s: metadata %r is not used.%s", where, name, key, hint)
    return dataset


def _expand_dataset(name: str, dataset: Any, base: Path, where: str) -> Any:
    """Replace folders and patterns by files; the validation refuses what is no dataset."""
    if not isinstance(dataset, Mapping) or not isinstance(
        dataset.get("files"), list | Mapping | str
    ):
        return dataset
    files = dataset["files"]
    files = [files] if isinstance(files, str) else files
    tree = dataset.get("tree", "Events")
    items = files.items() if isinstance(files, Mapping) else [(file, tree) for file in files]
    expanded: dict[str, Any] = {}
    listed: dict[str, Any] = {}
    redirected = bool(dataset.get("redirectors"))
    for pattern, tree_name in items:
        for path in _matches(str(pattern), base, f"{where}: {name}", redirected=redirected):
            if path in expanded:
                msg = f"{where}: {name}: {path} is listed twice or matched by two patterns; list it once"
                raise ConfigError(msg)
            expanded[path], known = _read_entry(tree_name, path, f"{where}: {name}")
            if known:
                listed[path] = known
    others = _expand_others(dataset, base, redirected)
    if listed:
        others["listed"] = listed
    return {**dataset, "files": expanded, **others}


def _expand_others(dataset: Mapping[str, Any], base: Path, redirected: bool) -> dict[str, Any]:
    """Make other paths of a dataset absolute, as those of its files are."""
    others: dict[str, Any] = {}
    for name in ("checksums", "listed"):
        if isinstance(by_path := dataset.get(name), Mapping):
            others[name] = {
                p if redirected or is_remote(p) else os.path.abspath(base / p): value  # noqa: PTH100
                for p, value in ((str(key), value) for key, value in by_path.items())
            }
    if isinstance(table := dataset.get("lumi_table"), str):
        others["lumi_table"] = os.path.abspath(base / table)  # noqa: PTH100
    return others


def _read_entry(tree: Any, path: str, where: str) -> tuple[Any, dict[str, Any]]:
    """The tree's name, also out of the form that coffea's preprocessing writes; what that says of the file."""
    if not isinstance(tree, Mapping):
        return tree, {}
    steps = tree.get("steps")
    n_entries = tree.get("num_entries")
    if steps:
        whole = steps[0][0] == 0 and all(a[1] == b[0] for a, b in itertools.pairwise(steps))
        if not whole or n_entries not in (None, steps[-1][1]):
            msg = f"{where}: {path}: its steps leave out entries; whole files are expected here"
            raise ConfigError(msg)
        n_entries = steps[-1][1]
    # What is no uuid at all was put there by hand.
    uuid = tree.get("uuid") if _UUID.fullmatch(str(tree.get("uuid"))) else None
    known = {"n_entries": n_entries, "uuid": uuid}
    return tree.get("object_path") or "Events", {k: v for k, v in known.items() if v is not None}


def _matches(pattern: str, base: Path, where: str, *, redirected: bool) -> list[str]:
    """The files of a path, folder or pattern: absolute, sorted."""
    if redirected and not is_remote(pattern):
        if not pattern.startswith("/") or glob.has_magic(pattern):
            msg = f"{where}: {pattern}: expected a URL or a logical name (/store/…) beside redirectors"
            raise ConfigError(msg)
        return [pattern]
    if is_remote(pattern):
        if glob.has_magic(urlsplit(pattern).path):  # a query is no pattern
            msg = f"{where}: {pattern}: patterns are not expanded in URLs; list the files"
            raise ConfigError(msg)
        return [pattern]
    path = os.path.abspath(base / pattern)  # noqa: PTH100 - Path.resolve would follow links
    if Path(path).is_dir():
        paths = sorted(str(file) for file in Path(path).rglob("*.root") if file.is_file())
        what = "folder has no .root file"
    elif glob.has_magic(pattern) and not Path(path).exists():
        paths = sorted(file for file in glob.glob(path, recursive=True) if Path(file).is_file())  # noqa: PTH207
        what = "pattern matches no file"
    else:
        return [path]  # a missing file is reported when it is looked at
    if not paths:
        literal = (
            " (environment variables and ~ are not expanded)" if set("$~") & set(pattern) else ""
        )
        msg = f"{where}: {pattern}: the {what}{literal}; looked for {path}"
        raise ConfigError(msg)
    return paths


def _refuse_same_paths(fileset: Fileset) -> None:
    """Refuse a path that is there twice, also through links or another spelling.

    Raises:
        DuplicateFileError: If there is one.
    """
    owners: dict[str, tuple[str, str]] = {}
    for name, dataset in fileset.datasets.items():
        for path in dataset.files:
            real = path if is_remote(path) else os.path.realpath(path)
            if real in owners:
                other, other_path = owners[real]
                msg = (
                    f"{path} (dataset {name}) and {other_path} (dataset {other}) are the same file; its events"
                    " would count twice: remove one"
                )
                raise DuplicateFileError(msg)
            owners[real] = (name, path)
