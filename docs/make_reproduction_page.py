"""Put the outcome of `oddjet reproduce` into the documentation.

Copies the whole table to docs/reproduction.md, and the tables of chosen detectors, of all detectors on
all tasks and of the statements in print into docs/results.md, between its two markers.

    python docs/make_reproduction_page.py runs/reproduce/quick
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

BEGIN, END = "<!-- reproduction: begin -->", "<!-- reproduction: end -->"
DOCS = Path(__file__).parent
PICTURES = (
    "cms-collapse",
    "buss-mixtures-2",
    "buss-powers-aachen",
    "golling-sculpting",
    "khanal-contamination",
    "ene-reconstruction",
)


def main(folder: Path) -> None:
    """Write the pages.

    Args:
        folder: Of a finished reproduction: `reproduce.md` and `figures/`.
    """
    text = (folder / "reproduce.md").read_text(encoding="utf-8")
    (DOCS / "reproduction.md").write_text(text, encoding="utf-8")
    chapters = text.split("\n\n## ")
    head = chapters[0].split("\n\n", 2)[2]
    parts = [head]
    for chapter in chapters[1:]:
        title, *blocks = chapter.split("\n\n")
        wanted = [
            (blocks[i - 1] + "\n\n" if blocks[i - 1].startswith("**") else "") + block
            for i, block in enumerate(blocks)
            if block.startswith(("| training jets", "| statement", "| detector | score | merged W"))
        ]
        if wanted:
            parts += [f"### {title}", *wanted]
    results = DOCS / "results.md"
    page = results.read_text(encoding="utf-8")
    before, rest = page.split(BEGIN)
    after = rest.split(END)[1]
    middle = "\n\n".join(parts)
    results.write_text(f"{before}{BEGIN}\n\n{middle}\n\n{END}{after}", encoding="utf-8")
    for name in PICTURES:
        target = DOCS / "pictures" / f"reproduce-{name}.png"
        shutil.copyfile(folder / "figures" / f"{name}.png", target)
    numbers = json.loads((folder / "reproduce.json").read_text(encoding="utf-8"))
    rows = sum(len(section["rows"]) for section in numbers["sections"].values() if section)
    sys.stdout.write(f"{rows} rows\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
