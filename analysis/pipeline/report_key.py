"""What a written report follows from: the key by which the next call knows that nothing changed."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from oddjet.analysis.config import CONFIG_FILE
from oddjet.datasets.disk.checksums import Verify, file_sha256, fits
from oddjet.datasets.disk.state import write_state

__all__ = ["ReportKey"]


@dataclass(frozen=True)
class ReportKey:
    """What a written report follows from, its headline, and its files.

    Attributes:
        key: Hash of all that it follows from.
        summary: Name and value of the headline results.
        hashes: Suffix to SHA-256 of the HTML and the JSON file, and name to that of the settings.
    """

    key: str
    summary: tuple[tuple[str, str], ...]
    hashes: dict[str, str]

    @classmethod
    def write(cls, path: Path, report: Path, key: str, summary: list[tuple[str, str]]) -> None:
        """Write the key of a report whose files are written."""
        hashes = {suffix: file_sha256(report.with_suffix(suffix)) for suffix in (".html", ".json")}
        hashes[CONFIG_FILE] = file_sha256(report.with_name(CONFIG_FILE))
        write_state(path, asdict(cls(key, tuple(summary), hashes)))

    def damaged(self, report: Path, verify: Verify = "always") -> list[Path]:
        """List the files of a report that are not there, or not what was written."""
        paths = [report.with_suffix(suffix) for suffix in (".html", ".json")]
        return [
            p
            for p in paths
            if not p.is_file() or not fits(p, self.hashes.get(p.suffix, ""), verify)
        ]
