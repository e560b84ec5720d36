"""A list in which two rows list each certificate: what one has for the whole province or city, the other has
for units, or the reverse."""

import copy
from typing import Any

import yaml

from gateway.adapters.settings import packaged_config
from gateway.core.recognition import Batch, Recognition

UNITS = {
    "sichuan": ["四川省图书馆", "成都市蜀都公证处", "四川省政府政务服务和公共资源交易服务中心"],
    "chongqing": ["重庆图书馆", "重庆市渝中公证处", "重庆市体育局"],
}
"""The second row's, where the first is for a whole side."""


def crossed_list() -> Recognition:
    """The shipped list, and a batch of the same certificates in other scopes that is in force from
    2026-11-21."""
    shipped = yaml.safe_load((packaged_config() / "recognition" / "batch-1.yaml").read_text(encoding="utf-8"))
    second = copy.deepcopy(shipped) | {"batch": 2, "effective_from": "2026-11-21"}
    for row in second["rows"]:
        row["scope"] = {side: _other_kind(side, cell) for side, cell in row["scope"].items()}
        row["channels"] = {"provenance": "read", "value": ["天府通办", "渝快办", "川渝通办"]}
    batches = [("batch-1.yaml", shipped), ("batch-2.yaml", second)]
    return Recognition([(name, Batch.model_validate(content)) for name, content in batches], [])


def _other_kind(side: str, cell: dict[str, Any]) -> dict[str, Any]:
    is_whole = (cell.get("value") or {}).get("whole")
    value = {"text": "所列单位", "units": UNITS[side]} if is_whole else {"text": "全域", "whole": True}
    return {"provenance": "read", "value": value}
