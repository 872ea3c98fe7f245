"""Running a study and writing its result."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from oddjet.analysis.config import DetectorConfig
from oddjet.analysis.report.figures.style import PlotLabel
from oddjet.analysis.report.page import Section
from oddjet.analysis.report.write import write_section
from oddjet.analysis.studies import describe_studies, get_study
from oddjet.analysis.studies.jets import StudyJets
from oddjet.analysis.studies.study import Setting, StudyResult
from oddjet.analysis.trials import resumable
from oddjet.datasets.disk.logs import write_log
from oddjet.errors import look_up
from oddjet.ml import detector_class
from oddjet.processors.engine.progress import Reporter, SilentReporter

__all__ = ["StudyRun", "detectors_with", "run_study"]

RESUME_FOLDER = "training"


@dataclasses.dataclass(frozen=True)
class StudyRun:
    """A study that was run and written.

    Attributes:
        section: Its table, figures and numbers.
        files: What was written: the JSON file, then the figures.
    """

    result: StudyResult
    section: Section
    files: tuple[Path, ...]


def run_study(
    name: str,
    jets: StudyJets,
    output: Path,
    *,
    detectors: Sequence[DetectorConfig],
    options: Mapping[str, Any] | None = None,
    seed: int = 1,
    reporter: Reporter | None = None,
) -> StudyRun:
    """Run a study and write its numbers and figures.

    An interrupted study that is run again continues with the training it was in.

    Raises:
        ConfigError: There is no such study or option, or a value is not allowed.
        DetectorError: A detector is unknown, cannot do what the study asks, or its training fails.
    """
    options = dict(options or {})
    _check_options(name, options)
    with write_log(output), resumable(output / RESUME_FOLDER) as resume_in:
        setting = Setting(tuple(detectors), seed, resume_in, reporter or SilentReporter())
        result = cast("StudyResult", get_study(name)(jets, setting, **options))
        section = result.section(label=PlotLabel("data" if jets.is_data else "simulation"))
        statements = (*section.statements, *jets.caveats)
        section = dataclasses.replace(section, statements=statements)
        files = write_section(output, section)
    return StudyRun(result, section, tuple(files))


def detectors_with(
    names: Sequence[str], hyper_parameters: Mapping[str, Any]
) -> tuple[DetectorConfig, ...]:
    """Give hyper-parameters to the detectors that have them.

    Raises:
        UnknownDetectorError: There is no such detector.
        ConfigError: None of the detectors has such a hyper-parameter.
    """
    known = {
        name: (*detector_class(name).hyper_parameter_defaults(), "representation") for name in names
    }
    everything = dict.fromkeys(sorted(set().union(*known.values())))
    for parameter in hyper_parameters:
        look_up(everything, parameter, f"hyper-parameter of {' and '.join(names)}")
    return tuple(
        DetectorConfig(
            name=name,
            hyper_parameters={k: v for k, v in hyper_parameters.items() if k in known[name]},
        )
        for name in names
    )


def _check_options(name: str, options: Mapping[str, Any]) -> None:
    get_study(name)  # refuses unknown studies
    known = next(study.options for study in describe_studies() if study.name == name)
    for option in options:
        look_up(known, option, f"option of study {name}")
