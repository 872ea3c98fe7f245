"""Everything the documents report, trained and measured again: `oddjet reproduce`.

`windows` says where the jets come from, `settings` how each detector is trained, `documents` what
each document trains, prints and draws; `run` runs the trials, and `table`, `choose` and `report` present the results.
"""

from __future__ import annotations

from oddjet.analysis.studies.reproduce.reproduction import Reproduction, reproduce

__all__ = ["Reproduction", "reproduce"]
