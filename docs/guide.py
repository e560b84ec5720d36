"""The guide for clerks as the operators' page shows it: ``make reference`` makes it from
docs/clerks.zh-CN.md."""

import re
from pathlib import Path

from markdown_it import MarkdownIt

SOURCE = Path(__file__).with_name("clerks.zh-CN.md")
_PICTURE = re.compile(r"^!\[.*\]\(.*\)\n\n", re.MULTILINE)
_OTHER_PAGE = re.compile(r"\[([^\]]*)\]\([^)]*\.md[^)]*\)")
_LINE_BREAK = re.compile(r"(?<=[\u3000-\u9fff\uff00-\uffef*”])\n *(?=[\u3000-\u9fff\uff00-\uffef*“])")
_PAGE = """<!DOCTYPE html>
<!-- Written by `make reference` from docs/clerks.zh-CN.md: edit that. -->
<html lang="zh-CN">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title} · 川渝电子证照亮证互认网关</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/static/style.css">
<link rel="stylesheet" href="/static/print.css" media="print">
</head>
<body>
<header><p class="brand">川渝电子证照亮证互认网关</p><nav aria-label="主要内容"><a href="/">返回页面</a></nav></header>
<main><article class="card guide">
{content}</article></main>
</body>
</html>
"""


def render_guide() -> str:
    """Render the guide as one page: without the pictures, as the page itself is there, and without links
    into the repository."""
    text = SOURCE.read_text(encoding="utf-8")
    title = text.partition("\n")[0].removeprefix("# ")
    # In HTML a line's end is a space; between Chinese letters none belongs.
    text = _LINE_BREAK.sub("", _OTHER_PAGE.sub(r"“\1”", _PICTURE.sub("", text)))
    content = MarkdownIt("commonmark").enable("table").render(text)
    return _PAGE.format(
        title=title,
        content=content.replace("<table>", '<div class="scroll"><table>').replace("</table>", "</table></div>"),
    )
