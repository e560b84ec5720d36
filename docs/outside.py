"""Looks through the built pages for anything that a browser would fetch from outside: ``make docs`` fails on
it."""

import re
import sys
from html.parser import HTMLParser
from pathlib import Path

_FETCHED = {
    "script": "src",
    "img": "src",
    "link": "href",
    "iframe": "src",
    "source": "src",
    "video": "src",
    "object": "data",
}
_LINKED = {"canonical", "next", "prev", "search", "index", "author", "license"}
"""What a link of these kinds names is fetched only when somebody follows it."""
_ADDRESS = re.compile(r"(?:https?:)?//", re.IGNORECASE)
_IN_STYLE = re.compile(r"""(?:url\(|@import)\s*["']?((?:https?:)?//[^"')]*)""", re.IGNORECASE)


class _Fetches(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        address = attributes.get(_FETCHED.get(tag, ""), "") or ""
        if _ADDRESS.match(address) and attributes.get("rel") not in _LINKED:
            self.found.append(address)


def outside(folder: Path) -> list[str]:
    """Each address that a page or style of ``folder`` fetches, with the file."""
    found = []
    for path in sorted(folder.rglob("*")):
        if path.suffix == ".html":
            parser = _Fetches()
            parser.feed(path.read_text(encoding="utf-8"))
            found += [f"{path}: {address}" for address in parser.found]
        elif path.suffix == ".css":
            found += [f"{path}: {address}" for address in _IN_STYLE.findall(path.read_text(encoding="utf-8"))]
    return found


if __name__ == "__main__":
    pages = Path(sys.argv[1])
    if not (pages / "index.html").is_file():
        sys.exit(f"docs.outside: {pages} holds no pages")
    if fetched := outside(pages):
        sys.exit("these would be fetched from outside:\n" + "\n".join(fetched))
