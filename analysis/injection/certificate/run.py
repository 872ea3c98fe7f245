"""All replicas of a certificate: planned, run once each, and summed up."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from oddjet.analysis.config import AnalysisConfig
from oddjet.analysis.injection.certificate.replica import (
    Replica,
    chain_key,
    replica_key,
    run_replica,
)
from oddjet.analysis.injection.certificate.summary import Certificate
from oddjet.analysis.trials import Task, keep_json, read_json, run_tasks
from oddjet.datasets.luminosity.recorded import data_luminosity
from oddjet.datasets.skims.skim import Skim
from oddjet.errors import ConfigError
from oddjet.processors.engine.progress import Reporter

__all__ = ["certificate_key", "plan_replicas", "run_certificate"]


def plan_replicas(config: AnalysisConfig, skim: Skim) -> list[Replica]:
    """List the replicas of an analysis.

    Raises:
        ConfigError: The skim has no simulated background, or the luminosity is not known.
    """
    datasets = skim.manifest.datasets
    background = tuple(name for name, d in datasets.items() if d.kind == "background")
    if not background:
        msg = (
            "certify: the skim has no dataset of kind 'background': whether a bump is found where there is none can "
            "only be tried on simulation that has none. Add simulated background to the fileset"
        )
        raise ConfigError(msg)
    lumi_ifb = (
        config.pseudo_data.lumi_ifb
        if config.pseudo_data is not None
        else data_luminosity(datasets, config.lumi_ifb)
    )
    if lumi_ifb is None:
        msg = (
            "certify: the luminosity of what is hunted in is not known, so neither is the number of its jets: set "
            "lumi_ifb for data, or pseudo_data: {lumi_ifb: …}"
        )
        raise ConfigError(msg)
    certificate = config.certificate
    return [
        Replica(
            skim=skim.folder.absolute(),
            background=background,
            config=config,
            lumi_ifb=lumi_ifb,
            seed=certificate.seed + number,
        )
        for number in range(certificate.replicas)
    ]


def certificate_key(config: AnalysisConfig, skim: Skim) -> str:
    """Hash the jets, the settings and the code that all replicas of an analysis follow from.

    Raises:
        ConfigError: As of `plan_replicas`.
    """
    return chain_key(plan_replicas(config, skim)[0])


def run_certificate(
    config: AnalysisConfig, skim: Skim, output: Path, *, reporter: Reporter | None = None
) -> Certificate:
    """Run the replicas that were not run yet, and add up all of them.

    Each is kept under a key of jets, settings, code and seed, so a second call repeats nothing, an interrupted
    one continues, and more replicas add to those there are. A failure does not stop the others; all are named at
    the end.

    Raises:
        ConfigError: As of `plan_replicas`; or the analysis looks in stages.
        ProcessingError: Replicas failed; the results of the others are kept.
    """
    if config.unblinding is not None:
        msg = (
            "certify: the analysis looks at its data in stages, and replicas hunt in all events at once: certify that hunt, "
            "with --set unblinding=null. The p of both stages is not certified"
        )
        raise ConfigError(msg)
    replicas = plan_replicas(config, skim)
    folder = output.absolute() / "replicas"
    tasks = [_task(replica, folder / f"{replica_key(replica)}.json") for replica in replicas]
    results = run_tasks(
        tasks, cluster=config.cluster, step="certify", unit="replicas", reporter=reporter
    )
    return Certificate(chain_key(replicas[0]), tuple(results), len(replicas))


def _task(replica: Replica, file: Path) -> Task[dict[str, Any]]:
    return Task(
        replica.label,
        file,
        read=functools.partial(read_json, file),
        run=functools.partial(keep_json, run_replica, replica, file),
    )
