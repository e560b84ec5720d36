"""YAML files as people write them, read without YAML's habit of keeping the last of two equal keys."""

from collections.abc import Hashable, Iterable
from pathlib import Path
from typing import Any

import yaml


class NotYamlError(ValueError):
    """The file cannot be read as YAML; the message says where, and quotes nothing out of it."""


def read_yaml(file: Path) -> Any:
    """Return the content of ``file``. Raises NotYamlError."""
    try:
        return yaml.load(file.read_text(encoding="utf-8"), _Loader)  # noqa: S506 — a SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise NotYamlError(f"not readable YAML: {place}{error.problem}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise NotYamlError(f"not readable YAML: {type(error).__name__}") from None
    except OSError as error:
        raise NotYamlError(f"not readable: {error.strerror}") from None


def line_of(file: Path, steps: Iterable[str | int]) -> int:
    """Return the line, from 1 on, that ``steps`` (keys, list positions) lead to, or nearest to, in a YAML file."""
    node = yaml.compose(file.read_text(encoding="utf-8"), _Loader)
    line = 1
    for step in steps:
        if isinstance(node, yaml.MappingNode):
            found = next((pair for pair in node.value if pair[0].value == str(step)), None)
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            found = (node.value[step], node.value[step])
        else:
            found = None
        if found is None:
            break
        line, node = found[0].start_mark.line + 1, found[1]
    return line


class _Loader(yaml.SafeLoader):
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"{key} stands twice in one mapping", problem_mark=key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)
