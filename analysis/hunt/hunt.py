"""The hunt: spectra after cuts on anomaly scores, fitted beside a window, and scanned together."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Sequence

from oddjet.analysis.config import HuntConfig
from oddjet.analysis.hunt.calibration import (
    PeakCalibration,
    calibrate,
    expected_peaks,
    with_errors,
)
from oddjet.analysis.hunt.result import Hunt, WorkingPoint
from oddjet.analysis.hunt.spectra import HuntedSpectra
from oddjet.analysis.statistics.background.fit import fit_sidebands
from oddjet.analysis.statistics.background.functions import FAMILIES
from oddjet.analysis.statistics.background.methods import compare_methods
from oddjet.analysis.statistics.bumphunt.joint import JointTable
from oddjet.analysis.statistics.bumphunt.result import BumpHunt
from oddjet.analysis.statistics.bumphunt.scan import scan, scan_table
from oddjet.analysis.statistics.bumphunt.settings import ScanSettings
from oddjet.analysis.statistics.conditional.scan import scan_conditionally
from oddjet.analysis.statistics.spectrum import Histogram, Spectrum, Window, overlaps
from oddjet.errors import ConfigError, FitError
from oddjet.typing import Floats

__all__ = ["Hunt", "WorkingPoint", "hunt", "hunt_histogram"]

_log = logging.getLogger(__name__)

BLINDED = "blinded: not scanned"


def hunt(
    spectra: HuntedSpectra, settings: HuntConfig, *, unblind: bool = False, workers: int = 1
) -> Hunt:
    """Fit and scan the spectra at every working point of every score.

    All spectra are scanned together, so that the global p is corrected for having looked at all of
    them. After cuts on decorrelated scores jets that pass are compared with jets that fail
    (`statistics.conditional`), and functions fitted beside each window are a cross-check of their own; else they
    are the scan. A fit that fails is reported with its reason, and its spectrum is not scanned so.

    Args:
        spectra: The spectra: numbers of jets.
        settings: Signal window, background function, scan.
        unblind: Look into the window of data. Pseudo-data are never blinded.
        workers: Threads of the scan.
    """
    blinded = spectra.sample.kind == "data" and not unblind
    if not blinded:
        _check_whole(spectra)
    window = settings.window if blinded else None
    whole = joint = with_errors(spectra.joint, settings.peaks)
    if window is not None:
        # Nothing that follows knows the counts in the window.
        joint = joint.hide(overlaps(joint.edges, window))
    joint, peaks, peaks_problem = _with_peaks(joint, spectra, settings)
    points = [
        _fit_one(spectrum, point, settings)
        for spectrum, point in zip(_spectra(joint, window), spectra.points, strict=True)
    ]
    points = [_with_methods(point, points[0], settings, blinded=blinded) for point in points]
    bumps, check, problem = None, None, BLINDED
    by_share = _by_share(spectra, settings)
    if not blinded:
        bumps, problem = _scan(joint, points, settings, workers, spectra)
        if by_share and spectra.tested != ():
            check = bumps
            bumps, problem = _scan_passing(joint, settings, workers, spectra)
    return Hunt(
        spectra.scores,
        spectra.mass,
        spectra.sample,
        blinded,
        _with_scans(points, bumps, check),
        bumps,
        problem,
        cross_check=check,
        n_calibration=spectra.n_calibration,
        n_replicas=0 if joint.imprint is None else joint.imprint.n_replicas,
        peaks=peaks,
        peaks_problem=peaks_problem,
        joint=dataclasses.replace(joint, peaks=whole.peaks),  # what is expected is no data
        by_share=by_share and len(points) > 1,
        simulated=spectra.simulated,
    )


def _check_whole(spectra: HuntedSpectra) -> None:
    """Refuse to look at histograms in which the window is not."""
    if spectra.blinding is not None and spectra.blinding.window is not None:
        msg = (
            f"the histograms are blinded, {spectra.blinding.what} are not in them: hunt in the scores table with "
            "--unblind (unblind=True in Python), which fills them again"
        )
        raise ConfigError(msg)


def _by_share(spectra: HuntedSpectra, settings: HuntConfig) -> bool:
    """Whether jets that pass are compared with jets that fail."""
    auto = settings.method == "auto" and spectra.decorrelated
    return auto or settings.method == "conditional"


def _with_peaks(
    joint: JointTable, spectra: HuntedSpectra, settings: HuntConfig
) -> tuple[JointTable, PeakCalibration | None, str]:
    """Find known peaks with the cuts on the main score, so that functions are fitted on top of them.

    Where they cannot be found, as expected; and the reason.
    """
    if not joint.peaks:
        return joint, None, ""
    cut = {score for score, _ in spectra.points if score}
    # Of stages, the main score may not be among those that are tested.
    first = next((score for score in spectra.scores if score in cut), spectra.scores[0])
    main = [k for k, (score, _) in enumerate(spectra.points) if score in {"", first}]
    try:
        calibration = calibrate(joint, main, settings.peaks, settings.orders)
    except FitError as error:
        _log.warning("known peaks are taken as expected: %s", error)
        return dataclasses.replace(joint, given=expected_peaks(joint, str(error))), None, str(error)
    return dataclasses.replace(joint, given=calibration.jets), calibration, ""


def hunt_histogram(
    histogram: Histogram,
    settings: ScanSettings,
    *,
    background: Spectrum | Floats | None = None,
    workers: int = 1,
) -> BumpHunt:
    """Scan a mass histogram of numbers of events, of any origin.

    Args:
        histogram: A `Spectrum`, or any UHI histogram of numbers of events.
        settings: How to scan; its range is not applied here.
        background: Expected events: a spectrum, of which Σw² counts as error, or numbers of shape (n_bins,)
            that are known exactly; a function is fitted beside each window without.
        workers: Threads.

    Raises:
        FitError: The histogram is not fit for it: see `Spectrum.checked`; or nothing can be fitted.
        ConfigError: A background and a signal width are given: one of them; or the conditional method.
    """
    if settings.method == "conditional":
        msg = (
            "a histogram holds no jets that fail a cut to compare with: use method: function, or hunt in a "
            "table of scores"
        )
        raise ConfigError(msg)
    if background is None:
        return scan_table(JointTable.from_histogram(histogram), settings, workers=workers)
    if settings.signal_width is not None:
        msg = "a signal is fitted with a function of the background: give no --background"
        raise ConfigError(msg)
    return scan(histogram, background, settings, workers=workers)


def _spectra(joint: JointTable, window: Window | None) -> list[Spectrum]:
    """Take the spectra, with known peaks on top of which functions are fitted."""
    given: Sequence[Floats | None] = [None] * len(joint.labels)
    if joint.given is not None:
        given = [*(joint.members @ joint.given.mean(axis=0))]
    return [
        Spectrum(joint.edges, counts, blind_window=window, given=own)
        for counts, own in zip(joint.spectra, given, strict=True)
    ]


def _fit_one(spectrum: Spectrum, point: tuple[str, float], settings: HuntConfig) -> WorkingPoint:
    """Fit a spectrum beside the signal window."""
    edges, counts = spectrum.edges, spectrum.counts
    try:
        fit = fit_sidebands(spectrum, window=settings.window, function=settings.function)
    except FitError as error:
        score, efficiency = point
        _log.warning("%s at %g: no fit: %s", score or "all jets", efficiency, error)
        return WorkingPoint(*point, edges, counts, None, None, f"no fit: {error}")
    problem = BLINDED if spectrum.blind_window else ""
    return WorkingPoint(*point, edges, counts, fit, None, problem)


def _with_methods(
    point: WorkingPoint, everything: WorkingPoint, settings: HuntConfig, *, blinded: bool
) -> WorkingPoint:
    """Add other families and, after a cut, the transfer from the jets that fail it."""
    if point.fit is None:
        return point
    families = [name for name in FAMILIES if not settings.function.startswith(name)]
    window = settings.window if blinded else None
    failing = Spectrum(point.edges, everything.counts - point.counts, blind_window=window)
    # A cut passes other shares of known peaks than of the rest, and the transfer factor knows of none.
    with_failing = point.column and point.fit.data.given is None
    try:
        methods = compare_methods(
            point.fit.data,
            window=settings.window,
            functions=(settings.function, *families),
            failing=failing if with_failing else None,
        )
    except FitError as error:
        _log.info("%s: methods are not compared: %s", point.name, error)
        return point
    return dataclasses.replace(point, methods=methods)


def _scan(
    joint: JointTable,
    points: Sequence[WorkingPoint],
    settings: HuntConfig,
    workers: int,
    spectra: HuntedSpectra,
) -> tuple[BumpHunt | None, str]:
    """Scan all spectra that could be fitted and are to be tested; or give the reason why there is no scan."""
    tested = spectra.tested
    if tested is not None and not tested:
        return None, "no scan: exploring wrote nothing down to test"
    fitted = [
        place
        for place, point in enumerate(points)
        if point.fit is not None and (tested is None or point.name in tested)
    ]
    if not fitted:
        return None, "no scan: no spectrum could be fitted"
    table, simulated = joint.select(fitted).checked(), spectra.simulated
    return _try(lambda: scan_table(table, settings, simulated=simulated, workers=workers))


def _scan_passing(
    joint: JointTable, settings: HuntConfig, workers: int, spectra: HuntedSpectra
) -> tuple[BumpHunt | None, str]:
    """Compare jets that pass with jets that fail, after single cuts and in score bins."""
    ladders, tested = spectra.ladders, spectra.tested
    return _try(
        lambda: scan_conditionally(joint, settings, ladders=ladders, tested=tested, workers=workers)
    )


def _try(scanned: Callable[[], BumpHunt]) -> tuple[BumpHunt | None, str]:
    """Scan, or give the reason why there is no scan."""
    try:
        return scanned(), ""
    except FitError as error:
        _log.warning("no scan: %s", error)
        return None, f"no scan: {error}"


def _with_scans(
    points: Sequence[WorkingPoint], bumps: BumpHunt | None, check: BumpHunt | None
) -> tuple[WorkingPoint, ...]:
    scans, checks = (
        {} if of is None else {channel.label: channel for channel in of.channels}
        for of in (bumps, check)
    )
    return tuple(
        dataclasses.replace(p, scan=scans.get(p.name), cross_check=checks.get(p.name))
        for p in points
    )
