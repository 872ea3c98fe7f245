"""`Run`: one analysis and its output folder; every other module asks it where things are."""

from __future__ import annotations

import json
import logging
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from oddjet.analysis.config import CONFIG_FILE, AnalysisConfig, load_config
from oddjet.analysis.hunt.hunt import Hunt
from oddjet.analysis.hunt.ledger import Ledger, ledger_of, read_ledger
from oddjet.analysis.hunt.limit import limit_hunt
from oddjet.analysis.hunt.spectra import HuntedSpectra, ScoreHistograms, read_histograms
from oddjet.analysis.hunt.templates import signal_templates
from oddjet.analysis.injection.summary import InjectionResult, read_injection
from oddjet.analysis.pipeline.looks import look, staged
from oddjet.analysis.pipeline.report_key import ReportKey
from oddjet.analysis.scores.blinding import blinding_of
from oddjet.analysis.scores.columns import ScoreName, main_scores
from oddjet.analysis.scores.sample import (
    choose_sample,
    dataset_scales,
    histogram_settings,
    peak_scales,
)
from oddjet.analysis.sculpting.fakes import HuntedIn
from oddjet.analysis.sculpting.judging import JudgeSettings
from oddjet.analysis.sculpting.scores import SculptingResult, judge_scores
from oddjet.analysis.statistics.limits.spectrum import SpectrumLimit
from oddjet.datasets.disk.atomic import write_text
from oddjet.datasets.disk.checksums import Verify, fits
from oddjet.datasets.disk.secrets import without_secrets
from oddjet.datasets.disk.state import read_state
from oddjet.datasets.luminosity.recorded import data_luminosity
from oddjet.datasets.skims.manifest import (
    MANIFEST,
    DatasetSummary,
    describe_place,
    read_manifest,
)
from oddjet.datasets.skims.skim import Skim, open_skim
from oddjet.errors import ConfigError, InputError, SkimError, TooFewJetsError
from oddjet.ml.folds import FoldedDetector
from oddjet.ml.plugins import allow_classes, named_in
from oddjet.ml.representations.jet_image import JetImage
from oddjet.processors.blinding import Blinding
from oddjet.processors.histograms import HistogramSettings
from oddjet.processors.sample import HeldOut
from oddjet.processors.scores import Scores, describe_strangers, open_scores
from oddjet.shown import Shown
from oddjet.typing import Bools, Table

__all__ = ["UNFINISHED", "Run"]

_logger = logging.getLogger(__name__)

UNFINISHED = ".unfinished"
"""Ends the name of the folder, beside a detector's, of a training that is not finished."""


@dataclass(eq=False)
class Run(Shown):
    """An analysis: its settings, the places of its outputs, and the outputs, read when asked for.

    Nothing is read or written when one is made; an output that does not exist yet raises the error of
    the function that opens it.

    Attributes:
        config: The settings; its `output` is the folder.
    """

    _section_module = "oddjet.analysis.pipeline.report"

    config: AnalysisConfig

    def __post_init__(self) -> None:
        """Let saved detectors be of the classes that the configuration names."""
        allow_classes(self.named_classes)

    @property
    def named_classes(self) -> tuple[str, ...]:
        """Classes of other packages that the configuration names, as `package.module:Class`."""
        given = [(detector.name, detector.hyper_parameters) for detector in self.config.detectors]
        methods = self.config.decorrelation.methods if self.config.decorrelation else {}
        return tuple(dict.fromkeys(named_in([*given, methods])))

    @classmethod
    def open(cls, folder: Path | str, *, unblind: bool = False) -> Run:
        """Open the output folder of `oddjet run`, wherever it was moved.

        Raises:
            ConfigError: The folder is not of a run.
        """
        path = Path(folder) / CONFIG_FILE
        if not path.is_file():
            msg = f"{folder} is not the output of a run: it {describe_place(folder, f'holds no {CONFIG_FILE}')}"
            raise ConfigError(msg)
        config = load_config(path, {"unblind": True} if unblind else None)
        run = cls(config.model_copy(update={"output": path.parent}))
        kept = read_state(run.report_key_file, ReportKey)
        if kept is not None and not fits(path, kept.hashes.get(CONFIG_FILE), config.verify):
            _logger.warning("%s is not what it was when the report was written", path)
        return run

    @property
    def folder(self) -> Path:
        """Folder of all outputs."""
        return self.config.output

    @property
    def config_file(self) -> Path:
        """The settings as they were resolved."""
        return self.folder / CONFIG_FILE

    @property
    def skim_folder(self) -> Path:
        """Folder of the selected jets."""
        return self.folder / "skim"

    @property
    def scores_folder(self) -> Path:
        """Folder of the scores table and the histograms."""
        return self.folder / "scores"

    @property
    def injection_folder(self) -> Path:
        """Folder of `oddjet inject`."""
        return self.folder / "injection"

    @property
    def models(self) -> dict[str, Path]:
        """Folder of each detector by its label, trained or not."""
        return {d.key: self.folder / "models" / d.key for d in self.config.detectors}

    @property
    def seconds_file(self) -> Path:
        """Wall time of each step."""
        return self.folder / "seconds.json"

    @property
    def report(self) -> Path:
        """The HTML report; its numbers are in the JSON file beside it."""
        return self.folder / "report.html"

    @property
    def report_key_file(self) -> Path:
        """What the report follows from, and the headline."""
        return self.folder / "report.key.json"

    @property
    def command(self) -> str:
        """The command line that makes the same again."""
        return f"oddjet run {shlex.quote(str(self.config_file))}"

    @property
    def settings(self) -> dict[str, Any]:
        """The settings in JSON types, for what is stored: without the secrets of URLs."""
        return dict(without_secrets(self.config.model_dump(mode="json")))

    def write_config(self) -> None:
        """Write the settings into the folder."""
        content = yaml.safe_dump(self.settings, sort_keys=False, allow_unicode=True)
        write_text(self.config_file, content)

    @property
    def image(self) -> JetImage | None:
        """The representation whose images the skim keeps, None for none."""
        image = self.config.image
        return None if image is None else JetImage(**image.model_dump())

    @cached_property
    def skim(self) -> Skim:
        """The selected jets."""
        skim = open_skim(self.skim_folder, verify=self.config.verify)
        if self.image is not None:
            skim.check_representation(self.image.identity())
        return skim

    @property
    def datasets(self) -> Mapping[str, DatasetSummary]:
        """What the skim knows of each dataset."""
        return self.skim.manifest.datasets

    @property
    def labels(self) -> dict[str, str]:
        """Names of the datasets in legends."""
        return {name: dataset.label or name for name, dataset in self.datasets.items()}

    @property
    def lumi_ifb(self) -> float | None:
        """Luminosity of the data, or that pseudo-data are drawn for [1/fb]; None if unknown."""
        if self.config.pseudo_data is not None:
            return self.config.pseudo_data.lumi_ifb
        return data_luminosity(self.datasets, self.config.lumi_ifb)

    def scales(self, unknown_lumi_ifb: float | None = None) -> dict[str, float]:
        """Give the factor on the weights of each dataset; 1 without cross sections.

        Args:
            unknown_lumi_ifb: Luminosity to scale to where none is known [1/fb]; None for factors 1.
        """
        simulated = [d for d in self.datasets.values() if d.kind != "data"]
        is_known = all(dataset.cross_section_pb for dataset in simulated)
        lumi_ifb = self.lumi_ifb or unknown_lumi_ifb
        return dataset_scales(self.datasets, lumi_ifb if is_known else None)

    @cached_property
    def detectors(self) -> dict[str, FoldedDetector]:
        """Trained detectors by label."""
        return {label: FoldedDetector.load(folder) for label, folder in self.models.items()}

    def check_scores(self) -> None:
        """Check that the scores are of the jets of the run's skim, and of its detectors.

        Raises:
            SkimError: If they are not, or there are none.
            DetectorError: If a detector is damaged.
        """
        if "detectors" in vars(self):
            known = {label: model.fingerprint for label, model in self.detectors.items()}
        else:
            known = {
                k: FoldedDetector.fingerprint_of(f) for k, f in self.models.items() if f.is_dir()
            }
        skim = read_manifest(self.skim_folder) if (self.skim_folder / MANIFEST).is_file() else None
        used = {label: known.get(label) for label in self.models}
        if problem := describe_strangers(read_manifest(self.scores_folder), skim, used):
            msg = (
                f"{self.scores_folder} does not belong to the run in {self.folder}: {problem}. Repeat"
                f" `{self.command}`: it makes what does not fit"
            )
            raise SkimError(msg)

    @cached_property
    def scores(self) -> Scores:
        """The scores table, one row a jet; see `check_scores`."""
        self.check_scores()
        return open_scores(self.scores_folder, verify=self.config.verify)

    @cached_property
    def table(self) -> Table:
        """All columns of the scores table in memory, (n_jets,) each."""
        return self.scores.columns()

    @property
    def main_scores(self) -> list[ScoreName]:
        """The score of each detector that is cut on, decorrelated where that is asked for."""
        raw_scores = {label: model.raw_score_names for label, model in self.detectors.items()}
        return main_scores(self.config.detectors, self.config.decorrelation, raw_scores)

    @property
    def histogram_settings(self) -> HistogramSettings:
        """The histograms that the second processor fills; without jets to hunt in where there are none."""
        if self.config.pseudo_data is None and all(
            d.kind != "data" for d in self.datasets.values()
        ):
            return histogram_settings(self.config.hunt)
        return self._hunted_histograms

    @cached_property
    def blinding(self) -> Blinding | None:
        """What of the data is hidden; None where nothing is."""
        return blinding_of(self.config, self.datasets)

    @cached_property
    def visible(self) -> Bools:
        """Jets of the scores table that may be seen, (n_jets,): those of data that are not blinded, and all others."""
        if self.blinding is not None:
            return self.blinding.visible(self.table)
        return np.ones(len(self.table["rank"]), np.bool_)

    @property
    def _hunted_histograms(self) -> HistogramSettings:
        used = [(model.held_out, model.learned_in_json) for model in self.detectors.values()]
        sample = choose_sample(
            self.datasets,
            pseudo_data=self.config.pseudo_data,
            lumi_ifb=self.lumi_ifb,
            held_out=HeldOut.from_detectors(used),
        )
        scores, sample = [name.column for name in self.main_scores], staged(sample, self.config)
        peaks = peak_scales(self.datasets, sample)
        return histogram_settings(
            self.config.hunt, scores, sample, blinding=self.blinding, peaks=peaks
        )

    @cached_property
    def histograms(self) -> ScoreHistograms:
        """The histograms of mass, of every score and of what is hunted in; see `check_scores`."""
        self.check_scores()
        return read_histograms(
            self.scores_folder, self._hunted_histograms, verify=self.config.verify
        )

    @cached_property
    def hunt(self) -> Hunt:
        """The bump hunt with the main scores; one in data is written into the ledger."""
        wanted = self._hunted_histograms

        def read(settings: HistogramSettings) -> HuntedSpectra:
            if settings == wanted:
                return self.histograms.hunted(wanted)
            filled = read_histograms(self.scores_folder, settings, verify=self.config.verify)
            return filled.hunted(settings)

        workers = self.config.cluster.workers
        return look(self.config, self.scores_folder, wanted, read, workers=workers)

    @property
    def ledger(self) -> Ledger:
        """The looks at the data of the run, from its folder."""
        return read_ledger(ledger_of(self.scores_folder))

    @property
    def sculpting(self) -> SculptingResult | None:
        """Verdicts on the main scores and their raw forms; None where there is nothing to judge on."""
        return self._sculpting[0]

    @property
    def sculpting_problem(self) -> str:
        """Why there are no verdicts; empty where there are."""
        return self._sculpting[1]

    @cached_property
    def _sculpting(self) -> tuple[SculptingResult | None, str]:
        names = [ScoreName.find(name.column, self.table) for name in self.main_scores]
        columns = [name.cut for name in names]
        if self.config.decorrelation is not None:
            columns += [ScoreName(name.raw).cut for name in names]
        datasets = self.scores.manifest.datasets
        signals = [name for name, dataset in datasets.items() if dataset.kind == "signal"]
        hunt, jets = self.config.hunt, None
        if self.histogram_settings.sample is not None:
            spectra = self.histograms.hunted(self._hunted_histograms)
            jets = spectra.jets_by_mass(hunt.window, unblind=self.config.seen["unblind"])
        seed, seen = self.config.seed, self.config.seen
        judging = JudgeSettings(hunted=HuntedIn(jets=jets), seed=seed, **seen)
        how: dict[str, Any] = {"settings": hunt, "judging": judging, "verify": self.config.verify}
        try:
            return judge_scores(self.scores_folder, columns, signals=signals, **how), ""
        except (InputError, TooFewJetsError, ConfigError) as error:
            return None, str(error)

    @property
    def limits(self) -> tuple[SpectrumLimit, ...]:
        """The upper limit at the tightest cut; none where it cannot be set."""
        return self._limits[0]

    @property
    def limit_problems(self) -> tuple[str, ...]:
        """Why there is no limit; empty where there is."""
        return self._limits[1]

    @cached_property
    def _limits(self) -> tuple[tuple[SpectrumLimit, ...], tuple[str, ...]]:
        of = (self.histograms, self.hunt, self.datasets, self.scales(unknown_lumi_ifb=1.0))
        return limit_hunt(self.hunt, self.config.hunt, partial(signal_templates, *of))

    @property
    def injection(self) -> InjectionResult | None:
        """What `oddjet inject` found, where it was run."""
        return read_injection(self.injection_folder)

    @property
    def seconds(self) -> dict[str, float]:
        """Wall time of each step of the last complete run [s]."""
        return read_state(self.seconds_file, dict[str, float]) or {}

    def to_dict(self) -> dict[str, Any]:
        """Every number of the report.

        Raises:
            InputError: If there is no report, or its files are not what was written.
        """
        self._known_report("always")
        return dict(json.loads(self.report.with_suffix(".json").read_text(encoding="utf-8")))

    @property
    def summary(self) -> list[tuple[str, str]]:
        """Name and value of the headline results, as in the report."""
        return list(self._known_report("never").summary)

    def _known_report(self, verify: Verify) -> ReportKey:
        kept = read_state(self.report_key_file, ReportKey)
        if kept is None or kept.damaged(self.report, verify):
            msg = (
                f"{self.report}: there is no report, or it or its key are not what was written: repeat"
                f" `oddjet report {shlex.quote(str(self.folder))}`"
            )
            raise InputError(msg)
        return kept
