"""Cycles made in the block are gone at its end; others are left to Python."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from oddjet.datasets.disk.garbage import collect_garbage


class Node:
    """Refers to itself, so that only the collector frees it."""

    def __init__(self) -> None:
        self.me = self


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def test_what_the_block_makes_is_freed_and_nothing_else(no_collector: None) -> None:
    older = weakref.ref(Node())
    kept: list[Node] = []
    with collect_garbage():
        younger = weakref.ref(Node())
        kept.append(Node())
    assert younger() is None
    assert kept[0].me is kept[0]
    assert older() is not None  # nobody looked at it
    gc.collect()
    assert older() is None  # nothing stays set aside


def test_after_an_error_too(no_collector: None) -> None:
    frozen = gc.get_freeze_count()
    with pytest.raises(KeyError), collect_garbage():
        raise KeyError
    assert gc.get_freeze_count() == frozen == 0
