"""Redraw the README's pictures from the quickstart, which is run first where it is not there yet."""

from __future__ import annotations

from pathlib import Path

from oddjet.analysis.cli.console import RichReporter
from oddjet.analysis.config import load_config
from oddjet.analysis.pipeline.run import run_chain
from oddjet.analysis.report.figures.bumps import p_value_scan
from oddjet.analysis.report.figures.fit import sideband_fit
from oddjet.analysis.report.sections.labels import mass_name, sample_label

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    """Draw the spectrum after the quickstart's cuts with the fit beside the window, and the scan."""
    config = load_config(ROOT / "analysis" / "quickstart.yaml")
    result = run_chain(config, reporter=RichReporter()).hunt
    fit = result.tightest.fit
    if fit is None:
        message = f"the quickstart has no fit to draw: {result.tightest.problem}"
        raise SystemExit(message)
    figure = sideband_fit(fit, axis_label=mass_name(result.mass), label=sample_label(result.sample))
    figure.savefig(ROOT / "docs" / "pictures" / "quickstart_fit.png", dpi=110)
    point = result.main_points[1]
    if result.bump_hunt is None or point.scan is None:
        raise SystemExit(f"the quickstart has no scan to draw: {result.problem}")  # noqa: EM102
    figure = p_value_scan(
        point.scan,
        result.bump_hunt,
        axis_label=mass_name(result.mass),
        label=sample_label(result.sample),
    )
    figure.savefig(ROOT / "docs" / "pictures" / "quickstart_scan.png", dpi=110)


if __name__ == "__main__":
    main()
