"""A row's cells in plain words, as pages and reports quote the list."""

from typing import Any

from gateway.core.province import Province
from gateway.core.recognition import RowRef
from gateway.core.recognition.document import Cell, Row

CELL_NAMES = {
    "certificate": "电子证照名称",
    "issuers.sichuan": "四川签发单位",
    "issuers.chongqing": "重庆签发单位",
    "channels": "亮证渠道",
    "scenarios": "应用场景",
    "scope.sichuan": "四川试点范围",
    "scope.chongqing": "重庆试点范围",
}


def row_in_chinese(ref: RowRef) -> str:
    """Name a row of the list as departments do."""
    return f"第{ref.batch}批第{ref.row}行"


def cells_of(row: Row) -> dict[str, Cell[Any]]:
    """Return the cells that decisions rest on, by the names in ``CELL_NAMES``."""
    return {
        "certificate": row.certificate,
        "issuers.sichuan": row.issuers.of(Province.SICHUAN),
        "issuers.chongqing": row.issuers.of(Province.CHONGQING),
        "channels": row.channels,
        "scenarios": row.scenarios,
        "scope.sichuan": row.scope.of(Province.SICHUAN),
        "scope.chongqing": row.scope.of(Province.CHONGQING),
    }


def words_of(value: Any) -> list[str]:
    """Return a cell's value in plain words."""
    if value is None:
        return []
    if isinstance(value, str):
        return [value]
    if isinstance(value, list | tuple):
        return [word for each in value for word in words_of(each)]
    if hasattr(value, "code"):
        return [f"{value.code} {value.text}"]
    return list(value.units) if value.units else [value.text]
