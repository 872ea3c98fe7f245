"""Results that show themselves, in a notebook or as figures."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Shown"]

PRESENTATION = "oddjet.analysis.report.show"
"""Where sections are made of results; imported when one is shown, since it draws."""


class Shown:
    """A result with a section in reports: tables, sentences and pictures, made in one place."""

    _section_module: ClassVar[str] = PRESENTATION

    def _repr_html_(self) -> str:
        return str(self._presentation().html_of(self))

    def plot(self, name: str = "") -> Figure:
        """Draw a picture of the result.

        Args:
            name: The beginning of the picture's name or caption; the first picture by default.

        Raises:
            ConfigError: There is no such picture.
        """
        figure: Figure = self._presentation().figure_of(self, name)
        return figure

    def _presentation(self) -> Any:
        import_module(self._section_module)
        return import_module(PRESENTATION)
