"""A second batch of the list, made up: it has row numbers of the first one, and other certificates. For any
test of (batch, row)."""

import copy
from typing import Any

import yaml

from gateway.adapters.settings import packaged_config
from gateway.core.province import Province
from gateway.core.recognition import Batch, Recognition
from gateway.operate.examples import display_event

CERTIFICATES = {1: "食品经营许可证", 5: "公共场所卫生许可证", 6: "川渝人才服务证"}
"""The second batch's rows: each number is one of the first batch too."""


def second_batch_content() -> dict[str, Any]:
    """The second batch as its file would say it, in force from 2026-11-01."""
    return {
        "batch": 2,
        "document": {
            "number": "测试函〔2026〕2号",
            "title": "第二批川渝电子证照亮证互认实施清单（测试）",
            "issued_by": ["四川省人民政府办公厅", "重庆市人民政府办公厅"],
            "signed": "2026-10-20",
        },
        "effective_from": "2026-11-01",
        "rows": [_row(number, certificate) for number, certificate in CERTIFICATES.items()],
    }


def second_batch() -> Batch:
    """The second batch, as a model."""
    return Batch.model_validate(second_batch_content())


def recognition_of_two() -> Recognition:
    """The shipped list and the second batch beside it."""
    shipped = yaml.safe_load((packaged_config() / "recognition" / "batch-1.yaml").read_text(encoding="utf-8"))
    first = Batch.model_validate(shipped)
    return Recognition([("batch-1.yaml", first), ("batch-2.yaml", second_batch())], [])


def second_batch_event(province: Province, row: int = 5) -> dict[str, Any]:
    """A display that the second batch's ``row`` recognises."""
    event = copy.deepcopy(display_event(province))
    event["id"] = f"second-{province.value}-{row}"
    event["data"]["certificate"] = {
        "type_name": CERTIFICATES[row],
        "issuer_name": issuer_of(province, row),
        "valid_from": "2024-01-01",
        "valid_until": "2028-01-01",
    }
    event["data"]["display"] |= {"channel": "天府通办", "scenario": f"{row:02d}-1", "verifier_name": None}
    return event


def issuer_of(province: Province, row: int) -> str:
    """The one issuing unit of ``province`` in the second batch's ``row``."""
    return f"{province.chinese}第二批第{row}行签发单位"


def _row(number: int, certificate: str) -> dict[str, Any]:
    def read(value: Any) -> dict[str, Any]:
        return {"provenance": "read", "value": value}

    return {
        "row": number,
        "certificate": read(certificate),
        "issuers": {province.value: read([issuer_of(province, number)]) for province in Province},
        "channels": read(["天府通办", "渝快办"]),
        "scenarios": read([{"code": f"{number:02d}-1", "text": "监督检查"}]),
        "matters": read([]),
        "scope": {province.value: read({"text": "全域", "whole": True}) for province in Province},
    }
