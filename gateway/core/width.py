"""Folds the compatible forms of a character, such as full-width digits, into one (Unicode NFKC), in linear
time."""

import unicodedata

_PIECE = 128


def fold_width(text: str) -> str:
    """Return ``text`` after NFKC, made in pieces of a bounded length and put together again.

    NFKC sorts the combining marks behind a letter in quadratic time: 200 kB of marks in one string took half
    a minute. A piece's end may part a letter from its marks, which are then not composed; no digit and no
    separator has a composed form.
    """
    if len(text) <= _PIECE or text.isascii():
        return unicodedata.normalize("NFKC", text)
    pieces = (text[start : start + _PIECE] for start in range(0, len(text), _PIECE))
    return "".join([unicodedata.normalize("NFKC", piece) for piece in pieces])
