"""Places as departments count them: Chongqing's districts and counties, Sichuan's cities and prefectures
(GB/T 2260)."""

import re
from functools import cache, lru_cache

from stdnum import numdb

from gateway.core.province import Province, province_of_region

ELSEWHERE = "000000"
"""Stands for all region codes outside both provinces, so that the number of areas is bounded whatever is
published."""

_ENDED = re.compile(r"\[[0-9]*-[0-9]+\][^\[]*$")
_NO_PLACE = {"", "市辖区", "县", "市", "省直辖县级行政单位"}  # levels of the code's tree, not places


@lru_cache(maxsize=4096)
def area_of(region_code: str | None) -> str:
    """Return the area's six-digit code: a district of Chongqing, a city or prefecture of Sichuan.

    A code that GB/T 2260 does not have counts for its province as a whole, or as ``ELSEWHERE``.
    """
    code = region_code or ""
    province = province_of_region(code)
    if province is Province.CHONGQING:
        return code if _name(code) else "500000"
    if province is Province.SICHUAN:
        city = code[:4] + "00"
        return city if _name(city) else "510000"
    return ELSEWHERE


@lru_cache(maxsize=4096)
def area_name(area: str) -> str:
    """Return the area's Chinese name."""
    whole = {"500000": "重庆市（未细分）", "510000": "四川省（未细分）", ELSEWHERE: "川渝以外"}
    return whole.get(area) or _name(area) or area


@cache
def region_names() -> dict[str, str]:
    """Return the full name of every place of both provinces, by its division code; takes a third of a
    second."""
    names = {}
    for province in Province:
        for prefecture in range(100):
            city = f"{province.region_prefix}{prefecture:02}00"
            if not _words(city):
                continue
            whole = _name(city) or _name(f"{province.region_prefix}0000") or ""
            for number in range(100):
                code = f"{city[:4]}{number:02}"
                if name := _name(code):
                    names[code] = name if code == city else f"{whole}{name}"
    return names


@cache
def areas_of(province: Province) -> tuple[str, ...]:
    """Return the areas that ``province`` has today, by code."""
    step = 1 if province is Province.CHONGQING else 100
    codes = (f"{province.region_prefix}{number:04}" for number in range(0, 10_000, step))
    whole = f"{province.region_prefix}0000"
    return tuple(code for code in codes if code != whole and _name(code) and not _ENDED.search(_words(code)))


@lru_cache(maxsize=4096)
def _name(code: str) -> str | None:
    name = _words(code).rpartition("]")[2]  # "[1997-2010]万盛区,[2011-]綦江区": what it has been called, and when
    return None if name in _NO_PLACE else name


def _words(code: str) -> str:
    parts = numdb.get("cn/loc").info(code)
    return str(parts[1][1].get("county", "")) if len(parts) == 2 else ""
