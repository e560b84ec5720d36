"""The recognition list (互认实施清单): its documents, its editions over time, and what it says of a display."""

from gateway.core.recognition.document import Amendment, Batch, Provenance, Row
from gateway.core.recognition.editions import Edition
from gateway.core.recognition.listing import Dimension, Finding, RowIndex, Shown, Verdict
from gateway.core.recognition.recognition import Listing, Recognition

__all__ = [
    "Amendment",
    "Batch",
    "Dimension",
    "Edition",
    "Finding",
    "Listing",
    "Provenance",
    "Recognition",
    "Row",
    "RowIndex",
    "Shown",
    "Verdict",
]
