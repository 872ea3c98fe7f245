"""Draw docs/pictures/simulation_*.png from freshly simulated samples.

    python docs/make_simulation_pictures.py WORK_FOLDER [--events 3000] [--workers 1]

Samples that are in WORK_FOLDER already are used as they are.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from oddjet.analysis.report.figures import draw
from oddjet.analysis.report.figures.encode import figure_bytes
from oddjet.analysis.report.figures.style import COLOURS, DATA, Histogram, PlotLabel, styled
from oddjet.datasets.simulation import PROCESSES, simulate, summary_path
from oddjet.datasets.simulation.spectra import jet_pt, matched_masses

PICTURES = Path(__file__).resolve().parent / "pictures"
SLICES = {100: 150, 120: 200, 350: 450, 450: 550}  # pt_hat_min: the jet cut it serves
MASSES: dict[str, tuple[str, int | None, tuple[float, float], float, float]] = {
    # process: title, pt_hat_min, jet pt window, mass expected, end of the axis
    "w": ("W", 350, (300, 600), 80.4, 160),
    "z": ("Z", 350, (300, 600), 91.2, 160),
    "top": ("top", 450, (500, 1000), 172.5, 300),
    "stealth80": ("stealth boson, 80 GeV", None, (500, 1200), 80, 160),
    "stealth400": ("stealth boson, 400 GeV", None, (500, 1200), 400, 600),
    "heidelberg": ("Heidelberg dark quark, 50 GeV", None, (150, 300), 50, 160),
}
FEWEST_ENTRIES = 8  # from the first bin with fewer on nothing is drawn
QCD_FOR = {350: 350, 450: 450, None: 450}  # the QCD slice drawn beside a sample's


class Samples:
    """Simulated samples, made when they are asked for."""

    def __init__(self, folder: Path, n_events: int, workers: int) -> None:
        self.folder, self.n_events, self.workers = folder, n_events, workers

    def get(self, process: str, pt_hat_min: int | None) -> Path:
        """The file of a process and slice."""
        path = self.folder / f"{process}-{pt_hat_min}.root"
        if not path.exists():
            simulate(
                process,
                self.n_events,
                seed=1,
                output=path,
                pt_hat_min=pt_hat_min,
                workers=self.workers,
            )
        return path


def cross_section_per_event(path: Path) -> float:
    """Weight of one event, pb."""
    summary = json.loads(summary_path(path).read_text(encoding="utf-8"))
    return float(summary["cross_section_pb"] / summary["sumw"])


def histogram(
    label: str, values: npt.NDArray[np.float64], edges: npt.NDArray[np.float64], weight: float
) -> Histogram:
    """Count values in bins."""
    counts = np.histogram(values, edges)[0].astype(float)
    return Histogram(label, edges, counts * weight, counts * weight**2)


@styled
def draw_spectra(samples: Samples) -> Figure:
    """Jet spectra of the four slices of QCD, from the selection's cut on and below it."""
    figure = draw.new_figure(7.6, 5.4)
    axes = figure.add_subplot()
    edges = np.concatenate([np.arange(150, 400, 25), np.arange(400, 1001, 50)]).astype(float)
    for (pt_hat_min, cut), colour in zip(SLICES.items(), COLOURS, strict=False):
        path = samples.get("qcd", pt_hat_min)
        name = f"$\\hat{{p}}_T$ > {pt_hat_min} GeV, for jets from {cut} GeV"
        filled = histogram(name, jet_pt(path), edges, cross_section_per_event(path))
        first = int(np.searchsorted(edges, cut))
        width = np.diff(edges)
        values, errors = filled.counts / width, np.sqrt(filled.variances) / width
        if first:
            below = {"color": colour, "lw": 1.2, "ls": ":", "baseline": None}
            axes.stairs(values[:first], edges[: first + 1], **below)
        # n entries of weight w: (n w)² / (n w²) = n
        enough = filled.counts**2 >= FEWEST_ENTRIES * filled.variances
        enough &= filled.variances > 0
        values[first:][~np.logical_and.accumulate(enough[first:])] = np.nan
        used = Histogram(name, edges[first:], filled.counts[first:], filled.variances[first:])
        draw.steps(axes, used, values[first:], errors[first:], color=colour)
    axes.set_yscale("log")
    axes.set_xlim(150, 1000)
    axes.set_xlabel("AK8 jet $p_T$ [GeV]")
    axes.set_ylabel("d$\\sigma$/d$p_T$ [pb/GeV]")
    axes.legend(title="QCD, |η| < 2; dotted: below the cut", loc="upper right")
    draw.title(axes, PlotLabel(right="13 TeV, Pythia 8"))
    return figure


@styled
def draw_masses(samples: Samples) -> Figure:
    """Soft-drop masses of the jets matched to the particle that made them, beside QCD's."""
    figure = draw.new_figure(12.0, 7.2)
    panels = figure.subplots(2, 3).ravel()
    for (process, row), axes in zip(MASSES.items(), panels, strict=True):
        title, pt_hat_min, (pt_min, pt_max), mass, end = row
        path = samples.get(process, pt_hat_min)
        qcd = samples.get("qcd", 100 if process == "heidelberg" else QCD_FOR[pt_hat_min])
        edges = np.linspace(0, end, 33)
        for label, source, truth, colour in (
            ("matched jets", path, PROCESSES[process].truth, COLOURS[1]),
            ("QCD", qcd, (), COLOURS[0]),
        ):
            masses = matched_masses(source, truth, pt_min=pt_min, pt_max=pt_max)
            filled = histogram(label, masses, edges, 1.0)
            values, errors = filled.density()
            draw.steps(axes, filled, values, errors, color=colour)
        axes.axvline(mass, color=DATA, lw=1.0, ls="--", label=f"{mass:g} GeV")
        axes.set_xlim(0, end)
        axes.set_ylim(0, 1.5 * axes.get_ylim()[1])
        axes.set_xlabel("soft-drop mass [GeV]")
        axes.set_ylabel("fraction per GeV")
        axes.set_title(f"{title}, {pt_min} < $p_T$ < {pt_max} GeV", loc="right", fontsize=10.5)
        axes.legend(loc="upper right")
    draw.title(panels[0], PlotLabel())
    return figure


def main() -> None:
    """Simulate what is missing and write the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--events", type=int, default=3000)
    parser.add_argument("--workers", type=int, default=1)
    arguments = parser.parse_args()
    samples = Samples(arguments.folder, arguments.events, arguments.workers)
    PICTURES.mkdir(exist_ok=True)
    for name, picture in (("spectra", draw_spectra), ("masses", draw_masses)):
        (PICTURES / f"simulation_{name}.png").write_bytes(figure_bytes(picture(samples), dpi=120))


if __name__ == "__main__":
    main()
