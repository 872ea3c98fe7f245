"""Estimates of the background under a signal window, their spread, and the tests they must pass."""

from __future__ import annotations

__all__ = ["DEFAULT"]

DEFAULT = "exppoly6"
"""What hunts and limits use unless told otherwise. Of the functions here it is the one that passes the
spurious-signal test on simulated QCD jets of pt > 450 and of pt > 500 GeV; `oddjet spurious` tests functions
on other selections. It is not chosen by the data."""
