"""The built-in physics processes, as Pythia 8 settings.

References:
    Khanal, Anomalous Jet Detection using Unsupervised Learning (W and QCD);
    Buss et al., arXiv:2202.00686 (Aachen and Heidelberg dark jets);
    Golling et al., The Mass-ive Issue (stealth bosons: Aguilar-Saavedra, arXiv:1705.07885);
    CMS, semivisible jets (arXiv:2112.11125).
"""

from __future__ import annotations

from dataclasses import dataclass

from oddjet.errors import look_up

__all__ = ["COMMON_SETTINGS", "PROCESSES", "Process", "get_process", "process_names"]

COMMON_SETTINGS: tuple[str, ...] = (
    "Beams:eCM=13000",
    "Tune:pp=14",
    "Print:quiet=on",
)


@dataclass(frozen=True, kw_only=True)
class Process:
    """One physics process that can be simulated.

    Attributes:
        number: Part of every event number; 1 to 15, never reused for another process.
        settings: Pythia settings beside `COMMON_SETTINGS`, in order.
        pt_hat_min: Default lower edge of the hard process's transverse momentum, GeV; None for
            the decay of one resonance (2 → 1 → 2), where Pythia knows no such cut.
        truth: The |pdgId|s a signal jet is matched to; empty for background.
        description: One line for people.
        source: The document the sample is after.
        dark_hadrons: |pdgId|s of the dark hadrons whose invisible fraction is counted.
    """

    number: int
    settings: tuple[str, ...]
    pt_hat_min: int | None
    truth: tuple[int, ...]
    description: str
    source: str
    dark_hadrons: tuple[int, ...] = ()


def _z_prime(mass: int) -> tuple[str, ...]:
    """Z' of a mass [GeV] and a width of 20 GeV, all its decays off."""
    return (
        "HiddenValley:ffbar2Zv=on",
        f"4900023:m0={mass}",
        "4900023:mWidth=20",
        f"4900023:mMin={mass - 400}",
        f"4900023:mMax={mass + 400}",
        "4900023:doForceWidth=on",
        "4900023:onMode=off",
    )


def _stealth(heavy: int, light: int) -> tuple[str, ...]:
    """Z'(2200) → S S, S → a a, a → b b̄; ``heavy`` and ``light`` are the masses of S and a."""
    return (
        *_z_prime(2200),
        # Added, not replaced: the production is through the Z' own couplings.
        "4900023:addChannel=1 0.5 103 9000035 9000035",
        f"9000035:all=S void 1 0 0 {heavy} 0.1 {heavy - 5} {heavy + 5} 0",
        "9000035:isResonance=on",
        "9000035:oneChannel=1 1.0 103 9000036 9000036",
        f"9000036:all=a void 1 0 0 {light} 0.05 {light - 2} {light + 2} 0",
        "9000036:isResonance=on",
        "9000036:oneChannel=1 1.0 103 5 -5",
    )


def _hadronic(boson: int) -> tuple[str, str]:
    return f"{boson}:onMode=off", f"{boson}:onIfAny=1 2 3 4 5"


def _dark_shower(colours: int, scale: float, pt_min: float) -> tuple[str, ...]:
    """Shower and hadronisation of the dark sector; Λ and the shower's least pt [GeV]."""
    return (
        f"HiddenValley:Ngauge={colours}",
        "HiddenValley:FSR=on",
        "HiddenValley:fragment=on",
        f"HiddenValley:Lambda={scale}",
        f"HiddenValley:pTminFSR={pt_min}",
    )


_DARK_PIONS_AND_RHOS = (4900111, 4900113, 4900211, 4900213)


def _dark_mesons(*settings: str) -> tuple[str, ...]:
    return tuple(f"{meson}:{text}" for text in settings for meson in _DARK_PIONS_AND_RHOS)


PROCESSES: dict[str, Process] = {
    "qcd": Process(
        number=1,
        settings=("HardQCD:all=on",),
        pt_hat_min=100,
        truth=(),
        description="QCD jets, all 2 → 2 processes",
        source="background of every document",
    ),
    "w": Process(
        number=2,
        settings=(
            "WeakBosonAndParton:qqbar2Wg=on",
            "WeakBosonAndParton:qg2Wq=on",
            *_hadronic(24),
        ),
        pt_hat_min=120,
        truth=(24,),
        description="W + jet, W → q q̄'",
        source="Khanal, Anomalous Jet Detection using Unsupervised Learning",
    ),
    "z": Process(
        number=3,
        settings=(
            "WeakBosonAndParton:qqbar2gmZg=on",
            "WeakBosonAndParton:qg2gmZq=on",
            "WeakZ0:gmZmode=2",
            *_hadronic(23),
        ),
        pt_hat_min=120,
        truth=(23,),
        description="Z + jet, Z → q q̄",
        source="companion of w",
    ),
    "top": Process(
        number=4,
        settings=(
            "Top:gg2ttbar=on",
            "Top:qqbar2ttbar=on",
            *_hadronic(24),
        ),
        pt_hat_min=450,
        truth=(6,),
        description="t t̄, both W hadronic",
        source="Ene, Anomalies in Hadronic Resonances using Autoencoders",
    ),
    "aachen": Process(
        number=5,
        settings=(
            *_z_prime(2000),
            "4900023:onIfAny=4900101",
            *_dark_shower(3, 5, 5.5),
            "HiddenValley:nFlav=2",
            "HiddenValley:probVector=0.5",
            "4900101:m0=0.5",
            "4900111:m0=4",
            "4900211:m0=4",
            "4900113:m0=5",
            "4900213:m0=5",
            "4900111:onMode=off",
            "4900211:onMode=off",
            "4900213:onMode=off",
            "4900113:oneChannel=1 1.0 91 -1 1",
        ),
        pt_hat_min=None,
        truth=(4900101,),
        description="Z'(2 TeV) → dark quarks, three quarters of the dark mesons invisible",
        source="Buss et al., arXiv:2202.00686, Aachen sample",
        dark_hadrons=_DARK_PIONS_AND_RHOS,
    ),
    "heidelberg": Process(
        number=6,
        settings=(
            "HiddenValley:gg2DvDvbar=on",
            "HiddenValley:qqbar2DvDvbar=on",
            *_dark_shower(3, 5, 5.5),
            "4900001:m0=50",
            "4900101:m0=5",
            *_dark_mesons("m0=10", "oneChannel=1 1.0 91 -3 3"),
        ),
        pt_hat_min=100,
        truth=(4900001,),
        description="heavy coloured dark quarks (50 GeV), dark mesons → s s̄",
        source="Buss et al., arXiv:2202.00686, Heidelberg sample",
        dark_hadrons=_DARK_PIONS_AND_RHOS,
    ),
    "stealth80": Process(
        number=7,
        settings=_stealth(80, 30),
        pt_hat_min=None,
        truth=(9000035,),
        description="Z'(2.2 TeV) → S S, S(80) → a(30) a(30) → 4 b",
        source="Golling et al., The Mass-ive Issue, StealthB(80)",
    ),
    "stealth400": Process(
        number=8,
        settings=_stealth(400, 80),
        pt_hat_min=None,
        truth=(9000035,),
        description="Z'(2.2 TeV) → S S, S(400) → a(80) a(80) → 4 b",
        source="Golling et al., The Mass-ive Issue, StealthB(400)",
    ),
    "svj": Process(
        number=9,
        settings=(
            *_z_prime(2100),
            "4900023:onIfAny=4900101",
            *_dark_shower(2, 10, 11),
            "HiddenValley:nFlav=2",
            "HiddenValley:probVector=0.75",
            "4900101:m0=10",
            "51:m0=9",
            "51:isVisible=off",
            *_dark_mesons("m0=20", "oneChannel=1 0.7 91 -3 3", "addChannel=1 0.3 0 51 -51"),
        ),
        pt_hat_min=None,
        truth=(4900101,),
        description="Z'(2.1 TeV) → dark quarks, 30 % of the dark mesons invisible (semivisible jets)",
        source="CMS, Advanced anomaly detection … semivisible jets",
        dark_hadrons=_DARK_PIONS_AND_RHOS,
    ),
}
"""Every process by name."""


def process_names() -> tuple[str, ...]:
    """The names that `simulate` knows, in the order of `PROCESSES`."""
    return tuple(PROCESSES)


def get_process(name: str) -> Process:
    """Look a process up by its name; a `ConfigError` if none has it."""
    return look_up(PROCESSES, name, "process")
