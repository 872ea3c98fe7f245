from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from oddjet.errors import ConfigError
from oddjet.processors.events.selection import Selection


def test_khanal_is_table_1() -> None:
    cuts = Selection.khanal()
    assert (cuts.pt_min, cuts.eta_max, cuts.lepton_pt_min) == (200, 2.0, 20)
    assert cuts.lepton_delta_r == cuts.gen_match_delta_r == cuts.truth_delta_r == 0.4
    assert cuts == Selection()


@pytest.mark.parametrize(
    "wrong",
    [
        {"pt_mim": 3},
        {"pt_min": 300, "pt_max": 200},
        {"jet": "AK15"},
        {"triggers": ["PFJet500"]},
        {"noise_filters": ["goodVertices"]},
        {"eta_max": 0},
        {"pt_min": float("nan")},
    ],
)
def test_what_cannot_be_meant_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Selection(**wrong)


def test_identity_is_of_the_masks_content(tmp_path: Path) -> None:
    first, copy, other = (tmp_path / f"{name}.json" for name in ("first", "copy", "other"))
    first.write_text('{"1": [[1, 2]]}')
    copy.write_text('{"1": [[1, 2]]}')
    other.write_text('{"1": [[1, 3]]}')
    identities = [Selection(lumi_mask=path).identity() for path in (first, copy, other)]
    assert identities[0] == identities[1] != identities[2]
    assert Selection().identity() != Selection(pt_min=201).identity()


def test_a_missing_mask_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.json"):
        Selection(lumi_mask=tmp_path / "nowhere.json").identity()
