"""The functions of `import oddjet`: one call a step, for notebooks and scripts.

What they return shows itself in a notebook, and has `plot()` and `to_dict()`. Everything is blinded as
on the command line: the signal window of data stays hidden without `unblind=True`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, overload

from oddjet.analysis.config import (
    AnalysisConfig,
    DecorrelationConfig,
    DetectorConfig,
    load_config,
    make_config,
    read_settings,
)  # fmt: skip
from oddjet.analysis.hunt.histogram import FileHunt, hunt_spectrum
from oddjet.analysis.hunt.result import Hunt
from oddjet.analysis.pipeline.folder import Run
from oddjet.analysis.pipeline.run import run_chain
from oddjet.analysis.pipeline.steps import (
    UNUSED_BY_HUNT,
    UNUSED_BY_SKIM,
    hunt_scores,
    open_of_run,
    score_jets,
    skim_files,
    training_plan,
    unused_by_score,
    verdict_settings,
)
from oddjet.analysis.pipeline.train import train_detector
from oddjet.analysis.sculpting.judging import JudgeSettings
from oddjet.analysis.sculpting.scores import SculptingResult, judge_scores
from oddjet.analysis.statistics.background import DEFAULT
from oddjet.analysis.statistics.bumphunt.settings import ScanSettings
from oddjet.analysis.statistics.limits.inputs import LimitSettings
from oddjet.analysis.statistics.limits.spectrum import SignalModel, SpectrumLimit, limit_spectrum
from oddjet.analysis.statistics.spectrum import Histogram, Spectrum, Window
from oddjet.datasets.disk.validation import validate
from oddjet.datasets.files.dataset import Fileset, Kind
from oddjet.datasets.files.fileset import load_fileset
from oddjet.datasets.files.rootfiles import inspect_root
from oddjet.datasets.skims.skim import Skim, open_skim
from oddjet.errors import ConfigError, did_you_mean
from oddjet.faults import explained
from oddjet.ml.folds import FoldedDetector
from oddjet.processors.engine.progress import Reporter
from oddjet.processors.scores import Scores, open_scores

__all__ = ["hunt", "judge", "limit", "run", "score", "skim", "train"]

Settings = Mapping[str, Any]
"""Settings of an analysis by dotted key, such as ``{"hunt.bin_width": 4}``."""

OF_SCORES = ("config", "settings", "unblind", "pseudo_data")
OF_HISTOGRAM = ("window", "background")
"""Options of `hunt` in a scores table, and in a histogram."""

OF_VERDICT = ("datasets", "signals", "exclude", "judging")
OF_LIMIT = tuple(field.name for field in dataclasses.fields(LimitSettings))
"""Options of `judge`, and of `limit`."""


@explained
def run(
    config: Path | str | AnalysisConfig,
    *,
    settings: Settings | None = None,
    allow_missing: bool = False,
    reporter: Reporter | None = None,
) -> Run:
    """Run a whole analysis, as `oddjet run`; a second call redoes only what changed.

    Args:
        config: A YAML file, or settings that are checked already.
        settings: Settings that replace those of the file, by dotted key.
        allow_missing: Go on although files cannot be opened or chunks fail.
        reporter: Receives progress.

    Raises:
        OddjetError: Of the step that failed.
    """
    if not isinstance(config, AnalysisConfig):
        config = load_config(config, settings)
    elif settings:
        config = make_config(config.model_dump(), settings, where="settings")
    return run_chain(config, allow_missing=allow_missing, reporter=reporter)


@explained
def skim(
    files: str | Path | Iterable[str | Path] | Fileset,
    output: Path | str,
    *,
    kind: Kind | None = None,
    config: Path | None = None,
    settings: Settings | None = None,
    reporter: Reporter | None = None,
) -> Skim:
    """Select jets with their constituents out of NanoAOD, as `oddjet skim`.

    Args:
        files: ROOT files, folders, patterns, a fileset's file or ``catalog:NAME``; or a `Fileset`.
        output: The skim's folder.
        kind: What bare files are; by default data where the first has no generated quantities, else
            background.
        config: An analysis whose selection and images are used; the default ones without.
        settings: Settings by dotted key, such as ``{"selection.pt_min": 300}``.
        reporter: Receives progress.

    Raises:
        InputError: A file cannot be used.
        ConfigError: The files or settings are not valid.
    """
    output = Path(output)
    if not isinstance(files, Fileset):
        files = _load_files(files, kind)
    if kind is not None and "files" not in files.datasets:
        msg = "kind: of bare files alone; here the fileset says it"
        raise ConfigError(msg)
    unused = (*UNUSED_BY_SKIM, "fileset")
    analysis = read_settings(config, settings or {}, output=output, unused=unused)
    analysis = analysis.model_copy(update={"fileset": files})
    skim_files(analysis, output, reporter=reporter)
    return open_skim(output, verify=analysis.verify)


def _load_files(files: str | Path | Iterable[str | Path], kind: Kind | None) -> Fileset:
    sources = files if isinstance(files, str | Path) else [str(file) for file in files]
    fileset = load_fileset(sources, kind=kind or "background")
    bare = fileset.datasets.get("files")
    if kind is None and bare is not None and bare.files:
        path, tree = next(iter(bare.files.items()))
        if not inspect_root(path, tree, places=bare.places(path)).history.generated:
            return load_fileset(sources, kind="data")
    return fileset


@explained
def train(
    skim: Skim | Path | str,
    detector: str = "khanal",
    output: Path | str | None = None,
    *,
    label: str = "",
    decorrelation: Sequence[str] | Mapping[str, Mapping[str, Any]] = (),
    seed: int = 1,
    settings: Settings | None = None,
    reporter: Reporter | None = None,
    **hyper_parameters: Any,
) -> FoldedDetector:
    """Train a detector on the background of a skim, k-fold, or load it where nothing changed.

    Args:
        skim: A skim or its folder.
        detector: A name that `oddjet detectors` lists, or ``package.module:Class``.
        output: Its folder; by default named after the detector, in ``SKIM-models`` beside the skim.
        label: Prefix of its columns; by default the detector's name.
        decorrelation: Methods that make its scores independent of mass and pt, such as ``["ddt"]``.
        seed: Fixes everything random.
        settings: Settings by dotted key, such as ``{"training.on": "data"}``; by default the skim's run's.
        reporter: Receives progress.
        **hyper_parameters: As the detector takes them.

    Raises:
        DetectorError: The detector or a hyper-parameter is unknown, or the training diverges.
        TooFewJetsError: A fold has too few jets.
    """
    jets = _opened(skim)
    values = {"name": detector, "label": label, "hyper_parameters": hyper_parameters}
    chosen = validate(DetectorConfig, values, where=f"detector {detector!r}")
    methods = None
    if decorrelation:
        methods = validate(DecorrelationConfig, {"methods": decorrelation}, where="decorrelation")
    folder = Path(output) if output is not None else _beside(jets, "models") / chosen.key
    plan = training_plan(jets.folder, None, {**(settings or {}), "seed": seed}, output=folder)
    plan = dataclasses.replace(plan, decorrelation=methods)
    return train_detector(jets, chosen, folder, plan, reporter=reporter)


@explained
def score(
    source: Skim | Path | str,
    models: FoldedDetector | Path | str | Sequence[FoldedDetector | Path | str],
    output: Path | str | None = None,
    *,
    config: Path | None = None,
    settings: Settings | None = None,
    reporter: Reporter | None = None,
) -> Scores:
    """Score every jet of a skim or of files, as `oddjet score`.

    Args:
        source: A skim or its folder; or a ROOT file, a folder or pattern of them, or a fileset.
        models: One or more detectors that `train` gave, or their folders.
        output: Folder of the scores; by default ``SKIM-scores`` beside the skim.
        config: An analysis, for the settings of the histograms.
        settings: Settings by dotted key.
        reporter: Receives progress.

    Raises:
        DetectorError: A detector is not saved, or a folder holds none.
        ConfigError: There is no folder for the scores, or a setting is wrong.
    """
    several = [models] if isinstance(models, FoldedDetector | Path | str) else models
    if isinstance(source, Skim):
        output, source = output or _beside(source, "scores"), source.folder
    if output is None:
        msg = f"expected a folder for the scores of {source}: score(source, models, output)"
        raise ConfigError(msg)
    output = Path(output)
    unused = unused_by_score(source)
    analysis = read_settings(config, settings or {}, output=output, unused=unused)
    folders = [_folder_of(model) for model in several]
    score_jets(analysis, source, folders, output, reporter=reporter)
    return open_scores(output, verify=analysis.verify)


@overload
def hunt(
    source: Scores | Path | str,
    columns: str | Sequence[str],
    *,
    config: Path | None = None,
    settings: Settings | None = None,
    unblind: bool = False,
    pseudo_data: tuple[float, int] | None = None,
    workers: int = 1,
) -> Hunt: ...
@overload
def hunt(
    source: Histogram,
    *,
    window: Window | None = None,
    background: Histogram | None = None,
    workers: int = 1,
    **scan: Any,
) -> FileHunt: ...
def hunt(
    source: Any, columns: str | Sequence[str] = (), *, workers: int = 1, **options: Any
) -> Hunt | FileHunt:
    """Scan mass spectra for a bump: those after cuts on scores, or any histogram of numbers of events.

    Args:
        source: A scores table or its folder; or a histogram with one axis, of hist, boost-histogram or
            uproot, or (counts, edges).
        columns: Of a scores table: the scores to cut on, such as ``"kmeans_min_d"``.
        workers: Threads.
        **options: Of a scores table: `config`, an analysis; `settings` by dotted key; `unblind`;
            `pseudo_data`, luminosity [1/fb] and seed to draw from simulation. Of a histogram: `window`,
            where a signal is expected [GeV], for a fit of what is beside it; `background`, a
            histogram of the known background; and the fields of `ScanSettings`.

    Raises:
        ConfigError: There is nothing to hunt in, or an option is unknown.
        FitError: A histogram cannot be fitted.
    """
    if isinstance(source, str | Path):
        source = open_scores(source)
    if isinstance(source, Skim):
        _check_options(options, OF_SCORES, "hunt in a scores table")
        return _hunt_scores(source, columns, workers=workers, **options)
    if len(columns):
        msg = f"hunt: a histogram has no scores to cut on. Received: {columns!r}"
        raise ConfigError(msg)
    _check_options(options, (*OF_HISTOGRAM, *ScanSettings.model_fields), "hunt in a histogram")
    return _hunt_histogram(source, workers=workers, **options)


def _hunt_scores(
    scores: Skim,
    columns: str | Sequence[str],
    *,
    workers: int,
    config: Path | None = None,
    settings: Settings | None = None,
    unblind: bool = False,
    pseudo_data: tuple[float, int] | None = None,
) -> Hunt:
    changes = dict(settings or {})
    if unblind:
        changes["unblind"] = True
    if pseudo_data is not None:
        changes["pseudo_data"] = {"lumi_ifb": pseudo_data[0], "seed": pseudo_data[1]}
    analysis = read_settings(config, changes, output=scores.folder, unused=UNUSED_BY_HUNT)
    names = [columns] if isinstance(columns, str) else columns
    return hunt_scores(analysis, scores.folder, names, workers=workers)


def _hunt_histogram(
    histogram: Histogram,
    *,
    workers: int,
    window: Window | None = None,
    background: Histogram | None = None,
    **scan: Any,
) -> FileHunt:
    settings = validate(ScanSettings, scan, where="hunt")
    return hunt_spectrum(histogram, settings, background=background, window=window, workers=workers)


def judge(
    scores: Scores | Path | str,
    columns: str | Sequence[str],
    *,
    config: Path | None = None,
    settings: Settings | None = None,
    **choices: Any,
) -> SculptingResult:
    """Judge whether cuts on scores sculpt the mass of the background, as `oddjet sculpt`.

    Simulated background is judged, and data beside it, outside the signal window until their run is unblinded.

    Args:
        scores: A scores table or its folder.
        columns: Scores: raw, calibrated or decorrelated.
        config: An analysis, for mass, range, window and pt edges; by default the run's that the table
            belongs to, or the default settings.
        settings: Settings by dotted key, such as ``{"hunt.window": [60, 110]}``.
        **choices: Further arguments of `judge_scores`, such as `signals`.

    Raises:
        TooFewJetsError: There are too few jets.
        ConfigError: A dataset or setting is wrong.
    """
    folder = scores.folder if isinstance(scores, Skim) else Path(scores)
    names = [columns] if isinstance(columns, str) else columns
    _check_options(choices, OF_VERDICT, "judge")
    used = verdict_settings(folder, config, settings or {}, choices.get("datasets", ()))
    judging = choices.pop("judging", JudgeSettings()).of_analysis(**used.seen)
    return judge_scores(
        folder, names, settings=used.hunt, judging=judging, verify=used.verify, **choices
    )


def limit(
    histogram: Histogram,
    mass: float,
    width: float,
    *,
    background: Histogram | None = None,
    signal: Histogram | None = None,
    function: str = DEFAULT,
    **settings: Any,
) -> SpectrumLimit:
    """Set a CLs limit on a signal in a mass histogram, as `oddjet limit`.

    Args:
        histogram: The spectrum: any histogram with one axis.
        mass: Mass of the signal [GeV].
        width: Its standard deviation [GeV].
        background: Expected background in the same bins; fitted beside the signal without.
        signal: The signal's template in the same bins; a Gaussian without.
        function: Background function, a family, or ``auto``.
        **settings: Fields of `LimitSettings`, such as `unblind`, `lumi_ifb` and `efficiency`.

    Raises:
        FitError: The histogram is not fit for it, or a fit failed.
    """
    _check_options(settings, OF_LIMIT, "limit")
    template = None if signal is None else Spectrum.from_histogram(signal)
    (result,) = limit_spectrum(
        histogram,
        [SignalModel(mass, width, template)],
        background=background,
        settings=LimitSettings(function=function, **settings),
    )
    return result


def _check_options(options: Iterable[str], known: Sequence[str], where: str) -> None:
    for name in options:
        if name not in known:
            hint = did_you_mean(name, known)
            msg = f"{where}: unknown option {name!r}.{hint} Known: {', '.join(known)}"
            raise ConfigError(msg)


def _opened(skim: Skim | Path | str) -> Skim:
    return skim if isinstance(skim, Skim) else open_of_run(skim)


def _folder_of(model: FoldedDetector | Path | str) -> Path:
    if not isinstance(model, FoldedDetector):
        return Path(model)
    if model.folder is None:
        msg = f"detector '{model.label}' is not saved: save it into a folder named '{model.label}'"
        raise ConfigError(msg)
    return model.folder


def _beside(skim: Skim, what: str) -> Path:
    folder = skim.folder.absolute()
    return folder.with_name(f"{folder.name}-{what}")
