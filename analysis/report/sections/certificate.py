"""The section of the certificate: what the chain finds where there is nothing."""

from __future__ import annotations

from functools import partial

from oddjet.analysis.injection.certificate.summary import LEVEL, Certificate
from oddjet.analysis.report.figures.certificate import global_p_distribution
from oddjet.analysis.report.figures.style import PlotLabel
from oddjet.analysis.report.page import Cell, Picture, Section, Table

__all__ = ["certificate_section"]


def certificate_section(
    certificate: Certificate, *, key: str = "", label: PlotLabel | None = None
) -> Section:
    """Show the global p and the verdicts of background-only replicas.

    Args:
        certificate: The replicas.
        key: That of the analysis whose report this is; a certificate of another one is named as such. Empty
            where it is not compared.
        label: For the picture.
    """
    warnings = []
    if key and key != certificate.key:
        warnings.append(
            "This certificate is not of this analysis: jets, settings or code have changed since. Repeat `oddjet "
            "certify` with this configuration."
        )
    if not certificate.holds:
        warnings.append(certificate.conclusion)
    if certificate.n_planned > len(certificate.replicas):
        warnings.append(
            f"{len(certificate.replicas)} of {certificate.n_planned} replicas are done: repeat `oddjet certify` to go on."
        )
    if certificate.without_p:
        warnings.append(
            f"{len(certificate.without_p)} of {len(certificate.replicas)} replicas have no global p and are left out. The "
            f"first: {certificate.without_p[0]}"
        )
    pictures = (
        Picture(
            partial(global_p_distribution, certificate, label=label),
            "Share of the replicas whose global p is at most a given one. Uniform numbers follow the diagonal and "
            "leave the band in one of twenty cases.",
            hint="a curve above the diagonal finds bumps that are none; one below it loses power.",
            alt="Global p of background-only replicas",
            name="certificate_global_p",
        ),
    )
    return Section(
        title="Certificate: background alone",
        anchor="certificate",
        paragraphs=(
            (
                "The whole chain was repeated on background alone: the simulated events divided anew, detectors trained, "
                "thresholds and maps learned, the cuts judged, and a bump hunted in events that nothing was learned on, as "
                "many as in the analysis. A global p that holds is uniform."
            ),
            certificate.shared,
        ),
        statements=(certificate.conclusion,),
        warnings=tuple(warnings),
        tables=(_numbers(certificate), *_verdicts(certificate)),
        pictures=pictures if certificate.global_p else (),
        numbers=certificate.to_dict(),
    )


def _numbers(certificate: Certificate) -> Table:
    rows: tuple[tuple[Cell, ...], ...] = (
        ("replicas with a global p", f"{len(certificate.global_p)} of {certificate.n_planned}"),
        ("KS p against uniform", f"{certificate.ks_p:.2g}"),
        (f"global p ≤ {LEVEL:g}", str(certificate.below)),
        *(
            [("the cross-check by functions", certificate.cross_check)]
            if certificate.cross_check
            else []
        ),
        ("hunted jets a replica", f"{certificate.mean('n_hunted'):,.0f}"),
        ("jets that thresholds and maps are learned on", f"{certificate.mean('n_learned'):,.0f}"),
        ("pseudo-experiments a scan", f"{certificate.mean('n_toys'):,.0f}"),
        (
            "hunted jets that two replicas share",
            f"{100 * certificate.mean('hunted_overlap'):.0f} %",
        ),
    )
    return Table(("", "result"), rows)


def _verdicts(certificate: Certificate) -> tuple[Table, ...]:
    rows: list[tuple[Cell, ...]] = [
        (score, outcome, str(rate))
        for score, rates in certificate.verdicts.items()
        for outcome, rate in rates.items()
    ]
    caption = "Verdicts on the cuts, on the jets that are hunted in"
    return (Table(("Score", "Verdict", "How often"), tuple(rows), caption),) if rows else ()
