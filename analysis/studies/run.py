"""Running a study on a skim and writing what it found."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from oddjet.analysis.config import DetectorConfig
from oddjet.analysis.report.figures.style import PlotLabel
from oddjet.analysis.report.page import Section
from oddjet.analysis.report.write import write_section
from oddjet.analysis.studies import describe_studies, get_study
from oddjet.analysis.studies.jets import read_jets
from oddjet.analysis.studies.study import Setting, StudyResult
from oddjet.datasets.disk.logs import write_log
from oddjet.datasets.skims.skim import Skim
from oddjet.errors import ConfigError, did_you_mean
from oddjet.processors.engine.progress import Reporter, SilentReporter

__all__ = ["StudyRun", "detectors_with", "run_study"]

RESUME_FOLDER = "training"


@dataclasses.dataclass(frozen=True)
class StudyRun:
    """A study that was run and written.

    Attributes:
        result: What it found.
        section: Its table, figures and numbers.
        files: What was written: the JSON file, then the figures.
    """

    result: StudyResult
    section: Section
    files: tuple[Path, ...]


def run_study(
    name: str,
    skim: Skim,
    output: Path,
    *,
    background: str,
    signals: Sequence[str],
    detectors: Sequence[DetectorConfig],
    options: Mapping[str, Any] | None = None,
    k: int = 3,
    max_jets: int | None = None,
    seed: int = 1,
    reporter: Reporter | None = None,
) -> StudyRun:
    """Run a study on jets of a skim and write its numbers and figures.

    An interrupted study that is run again goes on with the training it was in.

    Args:
        name: The study.
        skim: The jets.
        output: Folder of what is written.
        background: Dataset that is taken for ordinary.
        signals: Datasets to find.
        detectors: Which detectors.
        options: Of the study, by name.
        k: Number of folds; one is for testing.
        max_jets: At most so many jets of each dataset.
        seed: Fixes everything random.
        reporter: Receives progress.

    Raises:
        ConfigError: There is no such study or option, or a value is not allowed.
        SkimError: The skim has no such dataset.
        DetectorError: A detector is unknown, cannot do what the study asks, or its training fails.
    """
    options = dict(options or {})
    _check_options(name, options)
    jets = read_jets(skim, background=background, signals=signals, k=k, max_jets=max_jets)
    resume_in = output / RESUME_FOLDER
    setting = Setting(tuple(detectors), seed, resume_in, reporter or SilentReporter())
    with write_log(output):
        result = cast("StudyResult", get_study(name)(jets, setting, **options))
    is_data = skim.manifest.datasets[background].kind == "data"
    section = result.section(label=PlotLabel("data" if is_data else "simulation"))
    files = write_section(output, section)
    shutil.rmtree(resume_in, ignore_errors=True)
    return StudyRun(result, section, tuple(files))


def detectors_with(
    names: Sequence[str], hyper_parameters: Mapping[str, Any]
) -> tuple[DetectorConfig, ...]:
    """Give hyper-parameters to the detectors that have them.

    Args:
        names: Of the detectors.
        hyper_parameters: Name → value.

    Raises:
        UnknownDetectorError: There is no such detector.
        ConfigError: None of the detectors has such a hyper-parameter.
    """
    from oddjet.ml import detector_class  # noqa: PLC0415 (slow import)

    known = {
        name: (*detector_class(name).hyper_parameter_defaults(), "representation") for name in names
    }
    for parameter in hyper_parameters:
        if not any(parameter in each for each in known.values()):
            everything = sorted({each for found in known.values() for each in found})
            msg = (
                f"{' and '.join(names)}: no hyper-parameter {parameter!r}."
                f"{did_you_mean(parameter, everything)} Known: {', '.join(everything)}."
            )
            raise ConfigError(msg)
    return tuple(
        DetectorConfig(
            name=name,
            hyper_parameters={k: v for k, v in hyper_parameters.items() if k in known[name]},
        )
        for name in names
    )


def _check_options(name: str, options: Mapping[str, Any]) -> None:
    get_study(name)  # refuses unknown studies
    known = next(each.options for each in describe_studies() if each.name == name)
    for option in options:
        if option not in known:
            has = f"it has {', '.join(known)}" if known else "it has none"
            msg = f"study {name} has no option {option!r}; {has}.{did_you_mean(option, known)}"
            raise ConfigError(msg)
