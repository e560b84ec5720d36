"""Folders of list files, changed from the shipped one, and what is said of them."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.adapters.list_files import load_recognition
from gateway.adapters.settings import packaged_config
from gateway.errors import RecognitionListError

SHIPPED_TEXT = (packaged_config() / "recognition" / "batch-1.yaml").read_text(encoding="utf-8")
SHIPPED = yaml.safe_load(SHIPPED_TEXT)
AMENDMENT = {
    "amends": 1,
    "document": {"number": "测试1号", "title": "说明", "issued_by": ["四川省人民政府办公厅"], "signed": "2026-11-01"},
    "effective_from": "2026-12-01",
    "set": [{"row": 19, "cell": "scope.chongqing", "value": {"text": "重庆全市范围内", "whole": True}}],
}


def write(folder: Path, **files: Any) -> Path:
    for name, content in files.items():
        text = content if isinstance(content, str) else yaml.safe_dump(content, allow_unicode=True)
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    return folder


def problems_of(folder: Path) -> list[str]:
    with pytest.raises(RecognitionListError) as caught:
        load_recognition(folder)
    return caught.value.problems
