from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import awkward as ak
import numpy as np
import pytest

import oddjet
from oddjet.analysis.report.show import section_of
from oddjet.datasets.skims.manifest import CutStep, Manifest, write_manifest
from oddjet.datasets.skims.parts import write_part
from oddjet.errors import ConfigError
from oddjet.processors.scores import Scores

EDGES = np.linspace(50.0, 150.0, 21)
COUNTS = np.round(1000 * np.exp(-EDGES[:-1] / 40))


def test_a_hunt_shows_its_tables_and_draws_its_pictures() -> None:
    hunt = oddjet.hunt(
        (COUNTS, EDGES), window=(80, 100), function="exppoly2", widths=(2, 3), n_toys=20
    )
    page = hunt._repr_html_()
    for words in ("global p over", "in 80–100 GeV", "<table>", "data:image/png"):
        assert words in page
    assert hunt.plot().get_axes()
    picture = hunt.plot("p_values")._repr_png_()  # type: ignore[attr-defined]
    assert picture.startswith(b"\x89PNG")
    with pytest.raises(ConfigError, match=r"no picture 'masses'. Pictures: fit; p_values; toys"):
        hunt.plot("masses")
    assert hunt.to_dict()["fit"]["window"] == [80, 100]


def test_what_has_no_section_is_refused() -> None:
    with pytest.raises(ConfigError, match="int has no section"):
        section_of(3)


def test_skims_and_scores_have_pictures(small_table: Path) -> None:
    scores = oddjet.open_scores(small_table)
    assert scores.plot().get_axes()[0].get_xlabel() == "Jet $p_T$ [GeV]"
    steps = (("all", 9), ("pt", 4))
    flow = tuple(CutStep(name=name, n_events=n, n_jets=n, sumw=n) for name, n in steps)
    cutflow = dict.fromkeys(scores.datasets, flow)
    skim = oddjet.Skim(small_table, scores.manifest.model_copy(update={"cutflow": cutflow}))
    assert skim.plot().get_axes()[0].get_xlabel() == "Fraction left"
    assert skim.plot("pt").get_axes()
    assert "data:image/png" in skim._repr_html_()


def with_scores(source: Scores, folder: Path, names: Sequence[str]) -> Scores:
    """Write some datasets of a table again, with a score and its calibrated form."""
    records = []
    for record in source.manifest.chunks:
        if record.dataset not in names:
            continue
        jets = source.jets(record.dataset)
        jets["s"], jets["s_calibrated"] = jets["blind"], abs(jets["blind"])
        jets["dataset"] = ak.str.to_categorical(ak.Array([record.dataset] * len(jets)))
        part = write_part(folder, record.dataset, record.key, jets, images=None, record=record)
        records.append(part)
    datasets = {name: source.manifest.datasets[name] for name in names}
    write_manifest(folder, Manifest(kind="scores", datasets=datasets, chunks=tuple(records)))
    return oddjet.open_scores(folder)


def test_scores_show_their_distributions_but_those_of_data(
    small_table: Path, tmp_path: Path
) -> None:
    source = oddjet.open_scores(small_table)
    scores = with_scores(source, tmp_path / "both", ["qcd", "data"])
    figure = scores.plot("s")
    assert [axes.get_xlabel()[:5] for axes in figure.get_axes()] == ["s", "Calib"]
    legend = figure.get_axes()[0].get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["qcd"]
    only_data = with_scores(source, tmp_path / "data", ["data"])
    with pytest.raises(ConfigError, match=r"no picture 's'\. Pictures: pt"):
        only_data.plot("s")
