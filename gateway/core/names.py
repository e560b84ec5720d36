"""How names are compared: the notice, the apps and the departments write the same words in different
ways."""

import re
import unicodedata

# Quotation marks of Chinese and Western typography, and what PDFs leave between characters (zero-width, BOM,
# soft hyphen).
_DROPPED = re.compile("[\\s\"'`´‘’‚‛“”„‟«»‹›「」『』﹁﹂﹃﹄〝〞〟\u00ad\u200b-\u200f\u2060\ufeff]+")
_APP_SUFFIX = re.compile(r"(?:APP|移动端|客户端)$", re.IGNORECASE)
_STATE_PREFIX = "中华人民共和国"


def normalise(name: str) -> str:
    """Return ``name`` as it is compared: NFKC, without spaces, quotes and a trailing APP/移动端/客户端.

    A name that is nothing but such a suffix keeps it.
    """
    text = _DROPPED.sub("", unicodedata.normalize("NFKC", name))
    while (shorter := _APP_SUFFIX.sub("", text)) != text and shorter:
        text = shorter
    return text


def normalise_certificate(name: str) -> str:
    """Normalise a certificate's name, without the leading 中华人民共和国, which is optional on a
    certificate's name."""
    text = normalise(name)
    return text.removeprefix(_STATE_PREFIX) or text
