"""What `oddjet check` says of roles before and after there is a skim."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from oddjet.analysis.config import AnalysisConfig
from oddjet.analysis.pipeline.check import check_config, check_pseudo_data
from oddjet.datasets.skims.manifest import (
    CutStep,
    DatasetSummary,
    Manifest,
    read_manifest,
    write_manifest,
)
from oddjet.errors import ConfigError

SIMULATE = {"process": "qcd", "n_events": 10, "seed": 1}
DATA = {"kind": "data", "files": ["/none.root"]}
QCD = {"kind": "background", "simulate": SIMULATE}


def check(folder: Path, datasets: dict[str, Any], **changes: Any) -> tuple[list[str], list[str]]:
    settings = {"name": "a", "output": str(folder / "run"), "fileset": {"datasets": datasets}}
    path = folder / "analysis.yaml"
    path.write_text(yaml.safe_dump(settings | changes))
    wrong, _, right = check_config(path)
    return wrong, right


def write_skim(folder: Path, events: dict[str, int]) -> None:
    kinds = {"q": "background", "d": "data"}
    datasets = {
        name: DatasetSummary(
            kind=kinds[name], n_events=n, sumw=n, sumw2=n, sumw_runs=n, cross_section_pb=1.0
        )
        for name, n in events.items()
    }
    cutflow = {n: (CutStep(name="pt", n_events=k, n_jets=k, sumw=k),) for n, k in events.items()}
    write_manifest(
        folder / "run" / "skim", Manifest(kind="skim", datasets=datasets, cutflow=cutflow)
    )


def test_the_sentence_and_the_ratio(tmp_path: Path) -> None:
    drawn = {"pseudo_data": {"lumi_ifb": 0.1, "seed": 1}}
    _, right = check(tmp_path, {"q": QCD}, **drawn)
    sentence = "Detectors and thresholds are learned on simulation (q). 50 % of the events of q are held out"
    assert any(text.startswith(sentence) for text in right)
    assert not any("hunted in for each" in text for text in right)
    write_skim(tmp_path, {"q": 400})  # 100 events of 1 pb are drawn, 200 are learned on
    _, right = check(tmp_path, {"q": QCD}, **drawn)
    (ratio,) = [text for text in right if "hunted in for each" in text]
    assert ratio.startswith("0.5 events of the skim in")
    write_skim(tmp_path, {"q": 400, "d": 1000})
    for on, expected in (("simulation", "1000 / 200"), ("data", "400 / 600")):
        training = {"on": on, "held_out": 0.5 if on == "simulation" else 0.4}
        _, right = check(tmp_path, {"q": QCD, "d": DATA}, training=training, unblind=True)
        (ratio,) = [text for text in right if "hunted in for each" in text]
        hunted, learned = map(float, expected.split("/"))
        assert ratio.startswith(f"{hunted / learned:.2g} events")
    # Less what the histograms of blinded data show, it would be the number in the window.
    _, right = check(tmp_path, {"q": QCD, "d": DATA})
    (ratio,) = [text for text in right if "hunted in for each" in text]
    assert ratio.startswith("how many events")


def test_what_cannot_be_learned_is_known_before(tmp_path: Path) -> None:
    wrong, _ = check(tmp_path, {"d": DATA}, decorrelation={"methods": ["ddt"]})
    assert any(
        "ddt cannot be continued" in text and "quantile_polynomial" in text for text in wrong
    )
    wrong, _ = check(tmp_path, {"d": DATA}, training={"where": {"msoftdop": [0, 60]}})
    assert any("'msoftdop'" in text and "msoftdrop" in text for text in wrong)
    wrong, _ = check(tmp_path, {"d": DATA}, training={"where": {"tau1": [0, 1], "pt": [300, 500]}})
    assert not any("column" in text for text in wrong)
    wrong, _ = check(tmp_path, {"d": DATA}, training={"maps": {"on": "simulation"}})
    assert any("maps are learned on datasets of kind background" in text for text in wrong)


def test_a_luminosity_that_events_cannot_stand_for_is_refused_after_the_skim(
    tmp_path: Path,
) -> None:
    # 1 pb and 400 events of weight 1: one stands for 0.8 at 0.32/fb, and for twice that where half is held out.
    write_skim(tmp_path, {"q": 400})
    manifest = read_manifest(tmp_path / "run" / "skim")
    settings = {"name": "a", "output": "o", "fileset": "f"}

    def analysis(lumi_ifb: float) -> AnalysisConfig:
        return AnalysisConfig.model_validate(settings | {"pseudo_data": {"lumi_ifb": lumi_ifb}})

    check_pseudo_data(manifest, analysis(0.19))
    with pytest.raises(ConfigError, match=r"'q'.*stands for 1\.6 events.*at most 0\.2/fb"):
        check_pseudo_data(manifest, analysis(0.32))


def test_what_known_peaks_lack_is_known_before(tmp_path: Path) -> None:
    w = {"kind": "peaking", "files": ["/none.root"]}
    wrong, right = check(tmp_path, {"q": QCD, "d": DATA, "w": w})
    assert any("how many jets w should give in data is not known: set lumi_ifb" in t for t in wrong)
    assert any("'w' is peaking and has no cross_section_pb" in text for text in wrong)
    settings = {"hunt": {"peaks": {"norms": {"wqq": 0.1}}}, "lumi_ifb": 1.0}
    wrong, right = check(
        tmp_path, {"q": QCD, "d": DATA, "w": w | {"cross_section_pb": 2}}, **settings
    )
    (unknown,) = [text for text in wrong if "hunt.peaks.norms" in text]
    assert unknown.startswith("hunt.peaks.norms: 'wqq' is no dataset of kind peaking; there are w.")
    # Nothing is learned on a peak, and without another background that is said.
    wrong, right = check(tmp_path, {"w": {"kind": "peaking", "simulate": SIMULATE}})
    assert any("learned on datasets of kind background" in text for text in wrong)
    drawn = {"pseudo_data": {"lumi_ifb": 0.1, "seed": 1}}
    wrong, right = check(
        tmp_path, {"q": QCD, "w": {"kind": "peaking", "simulate": SIMULATE}}, **drawn
    )
    assert not wrong
    assert any(text.startswith("known peaks: w are expected") for text in right)
    assert any("of the events of q are held out" in text for text in right)
