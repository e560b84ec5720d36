"""A page of the reports' style: no script, nothing from outside, everything escaped."""

from collections.abc import Iterable
from html import escape as escape_markup
from pathlib import Path

from gateway.feedback.report.words import shown

_STYLE = Path(__file__).with_name("report.css").read_text(encoding="utf-8")
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def escape(text: str) -> str:
    """Escape ``text`` for HTML; characters that cannot be seen, or that turn the text round, are shown."""
    return escape_markup(shown(text))


def page(title: str, parts: Iterable[str]) -> bytes:
    """Return a whole page of the reports' style; ``parts`` are markup, ``title`` is text."""
    return (
        f'<!doctype html>\n<html lang="zh-CN"><head><meta charset="utf-8"><title>{escape(title)}</title>\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        f'<meta name="color-scheme" content="light dark"><style>{_STYLE}</style></head>\n'
        f"<body><main>\n{chr(10).join(parts)}\n</main></body></html>\n"
    ).encode()
