"""What the tests need to know of a PromQL expression: which metrics it names."""

import re
from pathlib import Path

import yaml

_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_LABELS = re.compile(r"\{[^}]*\}")
_GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)")
_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_WORDS = {"and", "or", "unless", "by", "on", "offset", "group_left", "group_right", "ignoring", "without", "bool"}


def metrics_of(expression: str) -> set[str]:
    """The names in ``expression`` that are neither functions, keywords, labels nor durations."""
    bare = re.sub(r"\[[^\]]*\]", "", _GROUPING.sub(" ", _LABELS.sub("", _STRING.sub("", expression))))
    bare = re.sub(r"\boffset\s+\w+", "", bare)
    return {
        found.group()
        for found in _NAME.finditer(bare)
        if found.group() not in _WORDS and not bare[found.end() :].lstrip().startswith("(")
        and not (found.start() and bare[found.start() - 1].isdigit())
    }  # fmt: skip


def recorded_by(rules: Path) -> set[str]:
    """The names of the recording rules in a file."""
    groups = yaml.safe_load(rules.read_text())["groups"]
    return {rule["record"] for group in groups for rule in group["rules"] if "record" in rule}
