"""Injection: signal put into background before anything is trained, and the whole chain repeated.

`mixture.py` draws the jets of one experiment, `trial.py` takes them through the chain (train → calibrate
→ decorrelate → cut → fit → scan), `run.py` does all trials once each, `summary.py` adds them up over
seeds. What is injected is in the configuration, `injection:`.
"""

from __future__ import annotations
