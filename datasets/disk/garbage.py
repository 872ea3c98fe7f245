"""Letting go of open files: uproot's objects refer to each other, so that only the collector frees them."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["collect_garbage"]


@contextmanager
def collect_garbage() -> Iterator[None]:
    """Collect the garbage that the block makes, at its end, and look at nothing else.

    What describes a file with a thousand baskets a branch is tens of MB in few objects, made anew for
    every chunk. Left to itself the collector comes after hundreds of MB; a whole collection takes a
    tenth of a second and more, since libraries have a million objects. Those are set aside here.

    Yields:
        Nothing.
    """
    gc.freeze()
    try:
        yield
    finally:
        gc.collect()
        gc.unfreeze()
