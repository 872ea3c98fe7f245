"""Pictures: each function takes arrays or result objects and gives a matplotlib figure.

Nothing here touches pyplot's global state or needs a display; `oddjet.analysis.report.figures.encode`
turns a figure into bytes or a data URI. Everywhere `label` is the text above the axes (or the first panel), and
`axis_label` names a quantity with its unit.
"""

from __future__ import annotations
