"""Which skim and which detectors a scores table is of."""

from __future__ import annotations

from typing import Any

import pytest

from oddjet.datasets.skims.manifest import ChunkRecord, Manifest
from oddjet.processors.scores import describe_strangers


def manifest(kind: Any, config: dict[str, Any], n_jets: int = 4, name: str = "a") -> Manifest:
    part = ChunkRecord(
        key=f"{kind}{n_jets}", dataset=name, file="a.root", file_uuid="u", tree="Events", entry_start=0,
        entry_stop=10, n_events=10, n_jets=n_jets, sumw=5.0, sumw2=2.5,
    )  # fmt: skip
    return Manifest(kind=kind, config=config, chunks=(part,))


SETTINGS = {"selection": {"pt_min": 200.0}}
SKIM = manifest("skim", SETTINGS)
CONFIG = {
    "skim": "run/skim",
    "skim_config": SETTINGS,
    "detectors": [{"label": "d", "fingerprint": "1"}],
}


@pytest.mark.parametrize(
    ("scored", "skim", "detectors", "differs"),
    [
        (CONFIG, SKIM, {"d": "1"}, ""),
        (CONFIG, None, {"d": None}, ""),
        (CONFIG, manifest("skim", {}), {"d": "1"}, "the jets of another skim"),
        (CONFIG, manifest("skim", SETTINGS, 5), {"d": "1"}, "the jets of another skim"),
        (CONFIG, manifest("skim", SETTINGS, name="b"), {"d": "1"}, "the jets of another skim"),
        (CONFIG, SKIM, {"d": "2"}, "another training of d"),
        (CONFIG, SKIM, {"e": "1"}, "the detectors d, not of e"),
        ({"detectors": CONFIG["detectors"]}, SKIM, {"d": "1"}, "files of events"),
    ],
)
def test_strangers(
    scored: dict[str, Any], skim: Manifest | None, detectors: dict[str, Any], differs: str
) -> None:
    said = describe_strangers(manifest("scores", scored), skim, detectors)
    assert differs in said
    assert bool(said) == bool(differs)
