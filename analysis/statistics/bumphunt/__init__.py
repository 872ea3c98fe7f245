"""The bump hunt: the most improbable excess anywhere, and how often chance makes one.

`scan.scan_jointly` tests every window of spectra that share jets, each against a fit of everything
beside it; `scan.scan_signals` fits a signal of given shape at a ladder of masses; `scan.scan` takes a
background that is given. All count pseudo-experiments that do as well anywhere, so the global p is
corrected for every window, working point and detector that was looked at.

References:
    G. Choudalakis, arXiv:1101.0390 (BumpHunter); pyBumpHunter, https://github.com/scikit-hep/pyBumpHunter.
"""
