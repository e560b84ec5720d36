"""The recognition list (互认实施清单): its documents, its editions over time, and what it says of a
display."""

from gateway.core.recognition.document import Amendment, Batch, Provenance, Row
from gateway.core.recognition.editions import Edition, RowRef
from gateway.core.recognition.listing import Comparison, Dimension, Match, RowIndex, Shown
from gateway.core.recognition.recognition import Listed, Listing, Nearest, Recognition, Unlisted

__all__ = [
    "Amendment",
    "Batch",
    "Comparison",
    "Dimension",
    "Edition",
    "Listed",
    "Listing",
    "Match",
    "Nearest",
    "Provenance",
    "Recognition",
    "Row",
    "RowIndex",
    "RowRef",
    "Shown",
    "Unlisted",
]
