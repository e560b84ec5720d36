"""Reads the recognition list's files: one file per published document, amendments beside the batches."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from gateway.adapters.strict_yaml import NotYamlError, read_yaml
from gateway.core.recognition import Amendment, Batch, Recognition
from gateway.errors import RecognitionListError


def load_recognition(folder: Path) -> Recognition:
    """Compile every ``*.yaml`` of ``folder``. Raises RecognitionListError naming file, row and cell of each mistake."""
    files = sorted(folder.glob("*.yaml")) if folder.is_dir() else []
    if not files:
        raise RecognitionListError(
            [f"{folder}: holds no list file (*.yaml); point `recognition` or --list at the folder"]
        )
    # A list file under another name would be left out without a word.
    problems = [
        f"{file.name}: list files end with .yaml; rename it, or move it away" for file in sorted(folder.glob("*.yml"))
    ]
    batches: list[tuple[str, Batch]] = []
    amendments: list[tuple[str, Amendment]] = []
    for file in files:
        try:
            content = read_yaml(file)
        except NotYamlError as error:
            problems.append(f"{file.name}: {error}")
            continue
        kind: type[BaseModel] = Amendment if isinstance(content, dict) and "amends" in content else Batch
        try:
            document = kind.model_validate(content)
        except ValidationError as error:
            problems += _explain(error, file.name, content)
            continue
        if isinstance(document, Amendment):
            amendments.append((file.name, document))
        elif isinstance(document, Batch):
            batches.append((file.name, document))
    if problems:
        raise RecognitionListError(problems)
    return Recognition(batches, amendments)


def _explain(error: ValidationError, file: str, content: Any) -> list[str]:
    problems = []
    for problem in error.errors(include_url=False, include_context=False):
        steps = list(problem["loc"])
        place = file
        if len(steps) >= 2 and steps[0] in {"rows", "set"} and isinstance(steps[1], int):
            entry = content[steps[0]][steps[1]]
            number = entry.get("row", f"#{steps[1] + 1}") if isinstance(entry, dict) else f"#{steps[1] + 1}"
            place, steps = f"{file}: row {number}", steps[2:]
        cell = ".".join(str(step) for step in steps)
        # A check over several cells names them itself.
        message = problem["msg"].removeprefix("Value error, ")
        problems.append(": ".join(part for part in (place, cell, message) if part))
    return problems
