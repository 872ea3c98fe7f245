"""The documents, one module each; `DOCUMENTS` names them."""

from __future__ import annotations

from oddjet.analysis.studies.reproduce.document import Document
from oddjet.analysis.studies.reproduce.documents.buss import BUSS
from oddjet.analysis.studies.reproduce.documents.cms import CMS
from oddjet.analysis.studies.reproduce.documents.comparison import COMPARISON
from oddjet.analysis.studies.reproduce.documents.ene import ENE
from oddjet.analysis.studies.reproduce.documents.golling import GOLLING
from oddjet.analysis.studies.reproduce.documents.khanal import KHANAL
from oddjet.errors import look_up

__all__ = ["DOCUMENTS", "get_document"]

DOCUMENTS: dict[str, Document] = {
    document.name: document for document in (KHANAL, ENE, GOLLING, CMS, BUSS, COMPARISON)
}
"""Every document by name; `comparison` is no document but all detectors on the same jets."""


def get_document(name: str) -> Document:
    """Look a document up; a `ConfigError` if there is none of that name."""
    return look_up(DOCUMENTS, name, "document")
