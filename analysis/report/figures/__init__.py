"""Pictures: each function takes arrays or result objects and gives a matplotlib figure.

Nothing here touches pyplot's global state or needs a display; `oddjet.analysis.report.figures.encode`
turns a figure into bytes or a data URI.
"""

from __future__ import annotations
