"""Injection: signal put into background before anything is trained, and the whole chain repeated.

`settings.py` says what is injected, `mixture.py` draws the jets of one experiment, `trial.py` takes
them through the chain (train → calibrate → decorrelate → cut → fit → scan), `run.py` does all
trials once each, `summary.py` adds them up over seeds.
"""

from __future__ import annotations
