"""Reads the recognition list's files: one file per published document, amendments beside the batches."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel, ValidationError

from gateway.adapters.encodings import describe_encoding
from gateway.adapters.strict_yaml import NotYamlError, YamlFile, open_yaml
from gateway.core.mistakes import words_of
from gateway.core.recognition import Amendment, Batch, Recognition
from gateway.errors import RecognitionListError

_ENDING = ".yaml"
_NAMED_LIKE_A_LIST = re.compile(r"ya?ml", re.IGNORECASE)


def load_recognition(folder: Path) -> Recognition:
    """Compile every ``*.yaml`` of ``folder``. Raises RecognitionListError naming file, row and cell of each
    mistake."""
    names = _names_in(folder)
    files = [name for name in names if _is_list_file(name)]
    problems = [problem for name in names for problem in _name_problems(name)]
    if not files and not problems:
        problems = [f"{folder}: holds no list file (*.yaml); point `recognition` or --list at the folder"]
    batches: list[tuple[str, Batch]] = []
    amendments: list[tuple[str, Amendment]] = []
    for name in files:
        shown = printable_name(name)
        try:
            file = open_yaml(folder / name)
        except NotYamlError as error:
            problems.append(f"{shown}: {error}")
            continue
        is_amendment = isinstance(file.content, dict) and "amends" in file.content
        kind: type[BaseModel] = Amendment if is_amendment else Batch
        try:
            document = kind.model_validate(file.content)
        except ValidationError as error:
            problems += _explain(error, shown, file)
            continue
        if isinstance(document, Amendment):
            amendments.append((shown, document))
        elif isinstance(document, Batch):
            batches.append((shown, document))
    if problems:
        raise RecognitionListError(problems)
    return Recognition(batches, amendments)


def list_files(folder: Path) -> list[Path]:
    """Return all that an edit of the list may change: list files, and files that are refused for their
    names."""
    return [folder / name for name in _names_in(folder) if _is_list_file(name) or _is_misnamed(name)]


def other_files(folder: Path) -> list[str]:
    """Return the names of what else stands in the folder and is not read; hidden files and editors' copies
    left out."""
    return [printable_name(name) for name in _names_in(folder) if not _is_list_file(name) and not _is_misnamed(name)]


def printable_name(name: str) -> str:
    """Return a file's name as it can be printed: bytes that are not UTF-8 as escapes."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _names_in(folder: Path) -> list[str]:
    """Return the names in the folder, sorted, without hidden files and editors' copies. Raises
    RecognitionListError."""
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        reason = "does not exist"
    except NotADirectoryError:
        reason = "is not a folder"
    except OSError as error:
        reason = f"cannot be read ({error.strerror})"
    else:
        return sorted(name for name in names if not name.startswith((".", "#")) and not name.endswith("~"))
    raise RecognitionListError([f"{folder}: {reason}; point `recognition` or --list at the folder of list files"])


def _is_list_file(name: str) -> bool:
    return name.endswith(_ENDING)


def _is_misnamed(name: str) -> bool:
    """Tell whether a file is surely meant as a list file, and would be left out without a word."""
    return not _is_list_file(name) and _NAMED_LIKE_A_LIST.search(name) is not None


def _name_problems(name: str) -> Iterator[str]:
    """Say what is wrong with a file's name; nothing of files that are not list files by any reading."""
    if _is_misnamed(name):
        yield f"{printable_name(name)}: list files end with {_ENDING}; rename it, or move it away"
    elif not _is_list_file(name):
        return
    try:
        name.encode()
    except UnicodeEncodeError:
        raw = os.fsencode(name)
        encoding = describe_encoding(raw)
        seems = f" but seems to be {encoding} ({raw.decode('gb18030')})" if encoding == "GBK" else ""
        yield f"{printable_name(name)}: the file's name is not UTF-8{seems}; rename it"


def _explain(error: ValidationError, name: str, file: YamlFile) -> list[str]:
    """Explain each mistake in one line: file, row and cell, the error, the line."""
    problems = []
    for problem in error.errors(include_url=False):
        steps = [step for step in problem["loc"] if step != "[key]"]
        place, line = name, file.line_of(steps)
        if len(steps) >= 2 and steps[0] in {"rows", "set", "add"} and isinstance(steps[1], int):
            entry = file.content[steps[0]][steps[1]]
            number = entry.get("row", f"#{steps[1] + 1}") if isinstance(entry, dict) else f"#{steps[1] + 1}"
            place, steps = f"{place}: row {number}", steps[2:]
        cell = ".".join(str(step) for step in steps)
        # A check over several cells names them itself.
        message = words_of(problem)
        problems.append(": ".join(part for part in (place, cell, message) if part) + f" (line {line})")
    return problems
