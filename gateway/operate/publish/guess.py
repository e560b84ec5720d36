"""Guesses what a file is that does not begin with an event: a word and an advice for whoever named it."""

import csv
from typing import NamedTuple

from gateway.adapters.encodings import describe_encoding

_SAMPLE = 4096
_SAVE = "save it as CSV in UTF-8; docs/provinces.md shows how to go on from there"
_MAGIC = (
    (b"PK\x03\x04", "一个 Excel 工作簿或压缩包", "an Excel workbook or a zip archive", _SAVE),
    (b"\xd0\xcf\x11\xe0", "一个旧版 Excel 工作簿", "an old Excel workbook", _SAVE),
    (b"\x1f\x8b", " gzip 压缩文件", "compressed by gzip", "gunzip -c FILE | gateway publish -"),
)


class Guess(NamedTuple):
    """What a file seems to be, in both languages, and how to make events of it; ``advice`` may be empty."""

    zh: str
    en: str
    advice: str


_ARRAY = Guess("一个 JSON 数组", "a JSON array", "jq -c '.[]' FILE")
_PRETTY = Guess("分行书写的 JSON", "pretty-printed JSON", "jq -c . FILE")
_XML = Guess(" XML 或 HTML", "XML or HTML", "")
_CSV = Guess(
    " CSV 表格", "CSV", "docs/provinces.md shows how to make each row a JSON object with names; then use --mapping"
)


def guess_format(head: bytes) -> Guess | None:
    """Guess from a file's beginning what it is; its first line is known not to be a JSON object. None: a
    line gone wrong."""
    for magic, *words in _MAGIC:
        if head.startswith(magic):
            return Guess(*words)
    encoding = describe_encoding(head)
    if encoding is not None:
        return Guess(f" {encoding} 编码", f"{encoding} text", f"iconv -f {encoding} -t UTF-8 FILE")
    return _guess_text(head[:_SAMPLE].decode("utf-8", "replace").lstrip())


def _guess_text(text: str) -> Guess | None:
    if text.startswith("["):
        return _ARRAY
    if text.startswith("<"):
        return _XML
    if text.startswith("{"):
        # A line that is broken is no reason to take the file for something else.
        return _PRETTY if text.partition("\n")[0].rstrip().endswith(("{", ",", "[")) else None
    return _CSV if _is_csv(text) else None


def _is_csv(text: str) -> bool:
    """Tell whether the first lines have equally many cells, two at least."""
    lines = text.splitlines()[:3]
    for delimiter in ",;\t|":
        try:
            widths = {len(cells) for cells in csv.reader(lines, delimiter=delimiter)}
        except csv.Error:
            continue
        if len(widths) == 1 and widths.pop() > 1:
            return True
    return False
