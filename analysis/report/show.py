"""How each result is shown: its section, as HTML in notebooks and as single figures."""

from __future__ import annotations

import functools

from matplotlib.figure import Figure

from oddjet.analysis.hunt.histogram import FileHunt
from oddjet.analysis.hunt.ledger import Ledger
from oddjet.analysis.hunt.result import Hunt
from oddjet.analysis.injection.summary import InjectionResult
from oddjet.analysis.report.figures.encode import figure_bytes
from oddjet.analysis.report.page import Section, Table, templates
from oddjet.analysis.report.sections.hunt import histogram_section, scores_section
from oddjet.analysis.report.sections.injection import injection_section
from oddjet.analysis.report.sections.ledger import ledger_section
from oddjet.analysis.report.sections.limits import limits_section
from oddjet.analysis.report.sections.sculpting import sculpting_section
from oddjet.analysis.report.sections.skim import skim_section
from oddjet.analysis.sculpting.scores import SculptingResult
from oddjet.analysis.sculpting.verdict import Verdict
from oddjet.analysis.statistics.limits.spectrum import SpectrumLimit
from oddjet.datasets.skims.skim import Skim
from oddjet.errors import ConfigError
from oddjet.ml.folds import FoldedDetector

__all__ = ["figure_of", "html_of", "section_of"]


@functools.singledispatch
def section_of(result: object) -> Section:
    """Make the section of a result.

    Raises:
        ConfigError: There is no section for it.
    """
    msg = f"{type(result).__name__} has no section"
    raise ConfigError(msg)


section_of.register(Hunt, scores_section)
section_of.register(FileHunt, histogram_section)
section_of.register(Ledger, ledger_section)
section_of.register(SculptingResult, sculpting_section)
section_of.register(InjectionResult, injection_section)
section_of.register(Skim, skim_section)
section_of.register(SpectrumLimit, lambda result: limits_section([result]))


@section_of.register
def _(verdict: Verdict) -> Section:
    statements = (verdict.sentence, *verdict.notes)
    return Section(verdict.outcome.value, "verdict", statements=statements)


@section_of.register
def _(detector: FoldedDetector) -> Section:
    settings = detector.hyper_parameters.items()
    names = ", ".join(detector.learned_on) or "no dataset"
    rows = (
        ("detector", detector.detector),
        ("hyper-parameters", ", ".join(f"{name}={value}" for name, value in settings)),
        ("scores", ", ".join(detector.score_names)),
        ("folds", str(detector.k)),
        ("held out", f"{100 * detector.held_out:g} % of the events of {names}"),
        ("seed", str(detector.seed)),
    )
    return Section(f"detector {detector.label}", "detector", tables=(Table(("", ""), rows),))


def html_of(result: object) -> str:
    """Show a result as HTML: warnings, sentences, tables, and its first picture."""
    return templates().get_template("result.html.j2").render(section=section_of(result))


def figure_of(result: object, name: str = "") -> Figure:
    """Draw a picture of a result.

    `name` is the beginning of the picture's name or caption; the first picture by default.

    Raises:
        ConfigError: There is no such picture.
    """
    pictures = [p for p in section_of(result).pictures if not isinstance(p.source, str)]
    for picture in pictures:
        if picture.name.startswith(name) or picture.caption.startswith(name):
            assert not isinstance(picture.source, str)
            figure = picture.source()
            # Notebooks show figures of pyplot only, unless they say themselves what they look like.
            figure._repr_png_ = functools.partial(figure_bytes, figure)  # type: ignore[attr-defined]
            return figure
    known = "; ".join(picture.name or picture.caption for picture in pictures) or "none"
    msg = f"{type(result).__name__} has no picture {name!r}. Pictures: {known}"
    raise ConfigError(msg)
