"""scikit-learn, imported when something is fitted: scoring needs none of it."""

from __future__ import annotations

import contextlib
import importlib
import warnings
from collections.abc import Iterator
from typing import Any

__all__ = ["convergence_ignored", "import_sklearn"]


def import_sklearn(module: str) -> Any:
    """Import a module of scikit-learn, which takes a second, by its name within the package."""
    return importlib.import_module(f"sklearn.{module}")


@contextlib.contextmanager
def convergence_ignored() -> Iterator[None]:
    """Keep back scikit-learn's warnings that a fit has not converged."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", import_sklearn("exceptions").ConvergenceWarning)
        yield
