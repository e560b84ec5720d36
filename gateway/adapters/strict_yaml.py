"""Reads YAML files as people write them, without YAML's habit of guessing: whatever could be meant in two
ways is refused.

Of two equal keys YAML keeps the last; it takes ``010`` for eight and ``12:30`` for 750. A date is left as
its text: what reads the file says what a date is.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from gateway.adapters.encodings import describe_encoding

MAX_BYTES = 16_000_000
_MAX_DEPTH = 40
"""Mappings and lists within one another; a list file has eight. A fixed bound, because Python's own differs
by caller."""
_MAX_NODES = 1_000_000
"""Values of a file with each alias written out: a few lines of aliases of aliases would be billions."""

Step = str | int


class NotYamlError(ValueError):
    """The file cannot be read as YAML; the message says where, and quotes no value out of it."""


class YamlFile:
    """A YAML file that was read: its ``content``, and on which line of it something stands."""

    def __init__(self, content: Any, node: yaml.Node | None) -> None:
        self.content = content
        self._node = node

    def line_of(self, steps: Iterable[Step]) -> int:
        """Return the line, from 1 on, that ``steps`` (keys, list positions) lead to, or nearest to."""
        node, line = self._node, 1
        for step in steps:
            found = _child(node, step)
            if found is None:
                break
            line, node = found[0].start_mark.line + 1, found[1]
        return line


def read_yaml(file: Path) -> Any:
    """Return the content of ``file``. Raises NotYamlError."""
    return open_yaml(file).content


def open_yaml(file: Path) -> YamlFile:
    """Read ``file``. Raises NotYamlError."""
    text = _read_text(file)
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return YamlFile(None, None)
            _refuse_ambiguities(node)
            return YamlFile(loader.construct_document(node), node)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise NotYamlError(f"not readable YAML: {place}{error.problem}") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise NotYamlError(f"not readable YAML: line {line}: a control character, which YAML does not allow") from None
    except yaml.YAMLError as error:
        raise NotYamlError(f"not readable YAML: {type(error).__name__}") from None


def _read_text(file: Path) -> str:
    try:
        if file.exists() and not file.is_file():
            raise NotYamlError("not a file")
        with file.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise NotYamlError(f"not readable: {error.strerror}") from None
    if len(raw) > MAX_BYTES:
        raise NotYamlError(f"larger than {MAX_BYTES:,} bytes")
    encoding = describe_encoding(raw)
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        seems = f"it seems to be {encoding}: save it as UTF-8" if encoding else "save the file as UTF-8"
        raise NotYamlError(f"not UTF-8: line {line}: {seems}") from None
    if encoding is not None:
        raise NotYamlError(f"not UTF-8: it seems to be {encoding}: save it as UTF-8")
    return text


class _Place(NamedTuple):
    node: yaml.Node
    steps: tuple[Step, ...]
    within: tuple[int, ...]
    """The identities of the nodes that it is in."""


def _refuse_ambiguities(root: yaml.Node) -> None:
    """Raise MarkedYAMLError at the first value that could be meant in two ways, or that cannot be held at
    all."""
    count = 0
    open_places = [_Place(root, (), ())]
    while open_places:
        node, steps, within = open_places.pop()
        count += 1
        if count > _MAX_NODES:
            raise _error(node, steps, f"more than {_MAX_NODES:,} values, with the aliases written out")
        if id(node) in within:
            raise _error(node, steps, "holds itself, by an alias")
        if len(within) >= _MAX_DEPTH:
            raise _error(node, steps, f"nested more than {_MAX_DEPTH} deep, with the aliases written out")
        _refuse_tag(node, steps)
        if isinstance(node, yaml.MappingNode):
            _refuse_bad_keys(node, steps)
        inner = (*within, id(node))
        open_places += [_Place(child, (*steps, step), inner) for step, child in _children(node)][::-1]


def _refuse_bad_keys(node: yaml.MappingNode, steps: tuple[Step, ...]) -> None:
    seen: set[str] = set()
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise _error(key, steps, "a key has to be one word, not a list or a mapping")
        _refuse_tag(key, steps)
        if key.value in seen:
            raise _error(key, steps, f"{key.value} stands twice in one mapping")
        seen.add(key.value)


def _refuse_tag(node: yaml.Node, steps: tuple[Step, ...]) -> None:
    if node.tag == _MERGE:
        raise _error(node, steps, "`<<` is not supported: write the keys out")
    if node.tag == _AMBIGUOUS:
        raise _error(
            node, steps, "YAML may take this for a number in base 2, 8, 16 or 60, or with _ between its digits: write it "
            "as a plain decimal number without a leading 0, or in quotes where it is text",
        )  # fmt: skip
    if node.tag not in _TAGS:
        raise _error(node, steps, "tags (`!…`) are not supported")


def _error(node: yaml.Node, steps: tuple[Step, ...], problem: str) -> yaml.MarkedYAMLError:
    # A list position counts from 1, as people do.
    place = ".".join(f"#{step + 1}" if isinstance(step, int) else step for step in steps)
    return yaml.MarkedYAMLError(problem=f"{place}: {problem}" if place else problem, problem_mark=node.start_mark)


def _children(node: yaml.Node) -> Iterator[tuple[Step, yaml.Node]]:
    if isinstance(node, yaml.MappingNode):
        yield from ((key.value, value) for key, value in node.value)
    elif isinstance(node, yaml.SequenceNode):
        yield from enumerate(node.value)


def _child(node: yaml.Node | None, step: Step) -> tuple[yaml.Node, yaml.Node] | None:
    """Return the node that names the child (its key, or itself in a list), and the child."""
    if isinstance(node, yaml.MappingNode):
        return next((pair for pair in node.value if pair[0].value == str(step)), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step], node.value[step]
    return None


_CORE = "tag:yaml.org,2002:"
_TAGS = frozenset(_CORE + kind for kind in ("map", "seq", "str", "int", "float", "bool", "null"))
_MERGE = _CORE + "merge"
_AMBIGUOUS = "!ambiguous"
_INT = re.compile(r"^[-+]?(?:0|[1-9][0-9]*)$")
# Octal, binary, hexadecimal, sexagesimal: by YAML 1.1, by YAML 1.2, or by both. Some say 08 is text, and
# some that it is 8; so with 1_9, which YAML 1.1 takes for 19.
_AMBIGUOUS_NUMBER = re.compile(
    r"^[-+]?(?:0[0-9_]+|0b[01_]+|0o[0-7]+|0x[0-9a-fA-F_]+|[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?"
    r"|[0-9][0-9.]*_[0-9_.]*(?:[eE][-+]?[0-9]+)?)$"
)


def _resolvers() -> dict[Any, list[tuple[str, re.Pattern[str]]]]:
    """Return PyYAML's patterns of values, by first character, without its dates and with our numbers before
    its own."""
    left_out = {_CORE + "timestamp", _CORE + "int"}
    known = {
        first: [(tag, pattern) for tag, pattern in patterns if tag not in left_out]
        for first, patterns in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    for first in "-+0123456789":
        known[first] = [(_AMBIGUOUS, _AMBIGUOUS_NUMBER), (_CORE + "int", _INT), *known.get(first, [])]
    return known


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers = _resolvers()

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self._depth += 1
        try:
            if self._depth > _MAX_DEPTH:
                mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
                raise yaml.MarkedYAMLError(problem=f"nested more than {_MAX_DEPTH} deep", problem_mark=mark)
            node: yaml.Node | None = super().compose_node(parent, index)
            return node
        finally:
            self._depth -= 1

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except yaml.YAMLError:
            raise
        except Exception:  # noqa: BLE001 — PyYAML's constructors raise whatever comes up
            # An explicit tag that its text is not (`!!int x`), or more digits than Python converts.
            raise yaml.MarkedYAMLError(problem="not a value of its kind", problem_mark=node.start_mark) from None
