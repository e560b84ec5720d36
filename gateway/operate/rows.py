"""Rows of the list as a person names them on the command line: ``1/5``, or ``5`` where only one batch has
that row."""

import re

from gateway.core.recognition import Recognition, RowRef
from gateway.errors import UsageError

_ROW = re.compile(r"(?:([0-9]{1,6})/)?([0-9]{1,6})")


def require_rows(option: str, recognition: Recognition, *texts: str) -> frozenset[RowRef]:
    """Find the rows that ``texts`` name, in any edition of the list. Raises UsageError naming ``option``."""
    known = {row.ref for edition in recognition.editions for row in edition.rows}
    return frozenset(_find(option, known, text) for text in texts)


def _find(option: str, known: set[RowRef], text: str) -> RowRef:
    match = _ROW.fullmatch(text)
    if match is None:
        raise UsageError(f"{option}: '{text}' is not a row, such as 1/5 (batch 1, row 5)", code="row_invalid")
    batch, row = match[1], int(match[2])
    candidates = sorted(ref for ref in known if ref.row == row and (batch is None or ref.batch == int(batch)))
    if not candidates:
        raise UsageError(f"{option}: the list has no row {text}", code="row_unknown")
    if len(candidates) > 1:
        message = f"{option}: several batches have a row {text}; say which: {', '.join(map(str, candidates))}"
        raise UsageError(message, code="row_ambiguous")
    return candidates[0]
