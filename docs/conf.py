"""How the documentation is built: Sphinx with MyST (Markdown) and Furo. ``make docs``; every warning is an
error."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

project = "Chuanyu display gateway"
author = "Chuanyu display gateway"
version = release = re.findall(r'"(.+)"', (ROOT / "gateway/__init__.py").read_text(encoding="utf-8"))[-1]
html_title = f"{project} {version}"

extensions = ["myst_parser"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3  # the anchors are those that a repository's page shows too: docs/runbook.md#lag-growing
exclude_patterns = ["_build", "pictures"]
language = "en"
nitpicky = True

html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["wide.css"]
html_show_sphinx = False
html_copy_source = False
html_show_copyright = False
pygments_style = "friendly"


def _in_place(app: object, docname: str, source: list[str]) -> None:
    """A page that is a file elsewhere in the repository is read from there; links hold there and here."""
    page = re.fullmatch(r"```\{include\} \.\./([\w/]+\.md)\n```\n", source[0])
    text = source[0]
    if page:
        file = ROOT / page[1]
        folder = "../" + "".join(f"{part}/" for part in file.parent.relative_to(ROOT).parts)
        text = re.sub(r"\]\((?!https?:|#)", f"]({folder}", file.read_text(encoding="utf-8"))
    text = re.sub(r"\]\(\.\./(SECURITY|CONTRIBUTING|CHANGELOG)\.md", lambda found: f"]({found[1].lower()}.md", text)
    text = re.sub(r"```mermaid\n.*?\n```\n(?:\n<!-- picture: (\S+), (.+?) -->\n)?", _picture, text, flags=re.DOTALL)
    source[0] = text.replace("](../docs/", "](")


def _picture(found: re.Match[str]) -> str:
    """A diagram that a repository's page draws by itself: here its picture, since nothing is fetched from
    outside."""
    return f"![{found[2]}]({found[1]})\n" if found[1] else ""


def setup(app: object) -> None:
    """Sphinx's entry."""
    app.connect("source-read", _in_place)  # type: ignore[attr-defined]
