"""Options that several commands share, and reading of ``--set KEY=VALUE``."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from oddjet.analysis.config import AnalysisConfig
from oddjet.bounds import LARGEST_SEED, MOST_WORKERS
from oddjet.errors import ConfigError
from oddjet.parsing import parse_yaml

__all__ = [
    "AllowMissing",
    "ConfigFile",
    "ConfigOption",
    "HyperParameters",
    "MassRange",
    "OfScores",
    "OtherSkim",
    "Output",
    "OutputFile",
    "PerformanceReport",
    "PseudoData",
    "Running",
    "Seed",
    "Settings",
    "SkimFolder",
    "Unblind",
    "assignments",
    "chosen",
    "refuse_given",
    "spread_options",
]

Output = Annotated[Path, typer.Option("-o", "--output", help="Where to write.")]
OutputFile = Annotated[
    Path | None, typer.Option("-o", "--output", help="Write every number as JSON.")
]
ConfigFile = Annotated[Path, typer.Argument(help="The analysis, a YAML file.")]
ConfigOption = Annotated[Path | None, typer.Option(help="Take the settings of this analysis.")]
SkimFolder = Annotated[Path, typer.Argument(metavar="SKIM", help="A skim.")]
OtherSkim = Annotated[
    Path | None, typer.Option("--skim", help="A skim to use instead of the analysis' own.")
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="A setting, such as `hunt.bin_width=4`; repeatable."
    ),
]
HyperParameters = Annotated[
    list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A hyper-parameter.")
]
Seed = Annotated[int, typer.Option(min=0, max=LARGEST_SEED, help="Fixes everything random.")]
AllowMissing = Annotated[
    bool,
    typer.Option("--allow-missing", help="Finish with what can be read, and list what is missing."),
]
PerformanceReport = Annotated[
    Path | None, typer.Option(help="HTML file for Dask's report of what each worker did when.")
]
Unblind = Annotated[bool, typer.Option("--unblind", help="Look into the signal window of data.")]
PseudoData = Annotated[
    tuple[float, int] | None,
    typer.Option(metavar="LUMI SEED", help="Draw pseudo-data: luminosity [1/fb] and seed."),
]
MassRange = Annotated[
    tuple[float, float] | None,
    typer.Option("--range", metavar="LOW HIGH", help="Of a histogram: use these masses alone."),
]


@dataclasses.dataclass(frozen=True)
class Running:
    """Settings of a single step, and where it runs.

    Attributes:
        config: An analysis; the default settings without one.
        settings: Settings that replace those of the analysis, ``KEY=VALUE``.
        executor: ``iterative``, ``futures`` or ``dask``.
        workers: Worker processes.
    """

    config: ConfigOption = None
    settings: Settings = None
    executor: Annotated[str | None, typer.Option(help="`iterative`, `futures` or `dask`.")] = None
    workers: Annotated[
        int | None,
        typer.Option("-j", "--workers", min=1, max=MOST_WORKERS, help="Worker processes."),
    ] = None

    def changes(self, **others: Any) -> dict[str, Any]:
        """Give what differs from the analysis, by dotted key; ``__`` is a dot, None is left out."""
        cluster = {"cluster.executor": self.executor, "cluster.workers": self.workers}
        changes = chosen(self.settings, cluster | others)
        executor = changes.get("cluster.executor")
        if self.workers is not None and self.workers > 1 and executor in ("iterative", "address"):
            msg = (
                f"-j/--workers: the executor {executor} starts no workers of its own: leave it out"
            )
            raise ConfigError(msg)
        return changes

    def placed(self, analysis: AnalysisConfig) -> AnalysisConfig:
        """Give the analysis in worker processes where workers are asked for and it is in none."""
        workers = self.workers or 1
        if workers == 1 or analysis.cluster.executor != "iterative":
            return analysis
        cluster = analysis.cluster.model_copy(update={"executor": "futures"})
        return analysis.model_copy(update={"cluster": cluster})


def chosen(texts: Sequence[str] | None, flags: dict[str, Any]) -> dict[str, Any]:
    """Give the settings chosen with ``--set`` and with flags, by dotted key.

    Args:
        texts: What ``--set`` was given, ``KEY=VALUE``.
        flags: Settings by flags, which win; those that are None or False were not given.

    Raises:
        ConfigError: If a text is no such pair.
    """
    given = {key: value for key, value in flags.items() if value not in (None, False)}
    if (drawn := given.get("pseudo_data")) is not None:
        given["pseudo_data"] = {"lumi_ifb": drawn[0], "seed": drawn[1]}
    return assignments(texts or ()) | given


def assignments(texts: Sequence[str]) -> dict[str, Any]:
    """Read ``NAME=VALUE`` pairs, the value as YAML.

    Raises:
        ConfigError: If a text is no such pair.
    """
    values = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            msg = f"expected --set NAME=VALUE, received {text!r}"
            raise ConfigError(msg)
        try:
            values[name] = parse_yaml(value)
        except ConfigError as error:
            msg = f"--set {name}: expected a value as in YAML, received {value!r}: {error}"
            raise ConfigError(msg) from error
    return values


def spread_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give every field of a parameter that is a dataclass an option of its own.

    Typer sees the fields, and the command gets the dataclass.
    """
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, Any] = {
        name: hint for name, hint in hints.items() if dataclasses.is_dataclass(hint)
    }
    parameters: list[inspect.Parameter] = []
    for parameter in inspect.signature(command).parameters.values():
        if parameter.name in groups:
            parameters += _fields(groups[parameter.name])
        else:
            hint = hints[parameter.name]
            parameters.append(parameter.replace(annotation=hint, kind=parameter.KEYWORD_ONLY))

    @functools.wraps(command)
    def call(**values: Any) -> None:
        for name, group in groups.items():
            names = [field.name for field in dataclasses.fields(group)]
            values[name] = group(**{field: values.pop(field) for field in names})
        command(**values)

    call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    call.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return call


def _fields(group: Any) -> list[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    return [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=(
                inspect.Parameter.empty if field.default is dataclasses.MISSING else field.default
            ),
            annotation=hints[field.name],
        )
        for field in dataclasses.fields(group)
    ]


@dataclasses.dataclass(frozen=True)
class OfScores:
    """What is asked of a scores table."""

    columns: Annotated[
        list[str] | None,
        typer.Option("--column", help="Of a scores table: a score to cut on; repeatable."),
    ] = None
    config: ConfigOption = None
    settings: Settings = None
    pseudo_data: PseudoData = None


def refuse_given(options: Any, what: str, instead: str) -> None:
    """Refuse options of the other kind of source, which would change nothing.

    Raises:
        ConfigError: One is given.
    """
    for field in dataclasses.fields(options):
        if getattr(options, field.name) not in (field.default, []):
            (option,) = get_type_hints(type(options), include_extras=True)[field.name].__metadata__
            names = [n for n in (option.default, *option.param_decls) if isinstance(n, str)]
            flag = names[0] if names else f"--{field.name.replace('_', '-')}"
            msg = f"{flag} is an option of {what}: {instead}"
            raise ConfigError(msg)
