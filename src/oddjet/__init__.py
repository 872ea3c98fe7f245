"""oddjet: from NanoAOD to a bump in jet mass, with an anomaly score shown not to have made it.

Everything here is imported when it is used first, so that `import oddjet` itself takes no time.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from oddjet.caches import ensure_caches

if TYPE_CHECKING:
    from oddjet.analysis.pipeline.folder import Run
    from oddjet.analysis.pipeline.interactive import hunt, judge, limit, run, score, skim, train
    from oddjet.datasets.jets import Truth, make_jets
    from oddjet.datasets.skims.skim import Skim, open_skim
    from oddjet.processors.scores import open_scores

    __version__: str

__all__ = [
    "Run",
    "Skim",
    "Truth",
    "__version__",
    "hunt",
    "judge",
    "limit",
    "make_jets",
    "open_scores",
    "open_skim",
    "run",
    "score",
    "skim",
    "train",
]

ensure_caches()

_STEPS = ("hunt", "judge", "limit", "run", "score", "skim", "train")
_HOMES = dict.fromkeys(_STEPS, "analysis.pipeline.interactive") | {
    "Run": "analysis.pipeline.folder",
    "Skim": "datasets.skims.skim",
    "Truth": "datasets.jets",
    "make_jets": "datasets.jets",
    "open_scores": "processors.scores",
    "open_skim": "datasets.skims.skim",
}
_ROOMS = {"analysis", "condor", "datasets", "errors", "ml", "processors", "typing"}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(import_module(f"oddjet.{_HOMES[name]}"), name)
    elif name in _ROOMS:
        value = import_module(f"oddjet.{name}")
    elif name == "__version__":
        value = import_module("importlib.metadata").version("oddjet")
    else:
        msg = f"module 'oddjet' has no attribute {name!r}"
        raise AttributeError(msg)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
