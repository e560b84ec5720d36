"""Guesses in what encoding a text was saved that is not UTF-8: for a hint to whoever saved it, never to read
it."""

import codecs

_SAMPLE = 65_536
_BOMS = (
    (codecs.BOM_UTF32_LE, "UTF-32"), (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"), (codecs.BOM_UTF16_BE, "UTF-16"),
)  # fmt: skip


def describe_encoding(raw: bytes) -> str | None:
    """Return what encoding ``raw`` seems to have, as people call it; None where it is UTF-8, or nothing
    known.

    GBK stands for all of its family (GB 2312, GB 18030): the sample does not tell them apart.
    """
    sample = raw[:_SAMPLE]
    for bom, name in _BOMS:
        if sample.startswith(bom):
            return name
    if _decodes(sample, "utf-8"):
        return "UTF-16" if _is_wide(sample) else None
    if _is_wide(sample):
        return "UTF-16"
    return "GBK" if _decodes(sample, "gb18030") and not _is_mostly_utf8(sample) else None


def _is_mostly_utf8(sample: bytes) -> bool:
    """Tell whether more lines with more than ASCII are UTF-8 than not: then it is UTF-8 in which something
    went wrong."""
    lines = [_decodes(line, "utf-8") for line in sample.splitlines() if not line.isascii()]
    return sum(lines) * 2 > len(lines)


def _is_wide(sample: bytes) -> bool:
    """Tell whether every other byte is mostly zero: what is ASCII in JSON, YAML and CSV is so in UTF-16."""
    return max(sample[::2].count(0), sample[1::2].count(0)) * 8 > len(sample) > 1


def _decodes(sample: bytes, encoding: str) -> bool:
    # Incrementally: a sample may end within a character.
    try:
        codecs.getincrementaldecoder(encoding)().decode(sample)
    except UnicodeDecodeError:
        return False
    return True
