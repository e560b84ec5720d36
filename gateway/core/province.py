"""The two provinces, and what follows from being one of them."""

from enum import StrEnum


class Province(StrEnum):
    """Sichuan (四川) or Chongqing (重庆); the value is the name in topics and sources."""

    SICHUAN = "sichuan"
    CHONGQING = "chongqing"

    __hash__ = str.__hash__  # Enum's own is written in Python, and decisions look up by province

    @property
    def other(self) -> "Province":
        """The other side: where this province's certificates are shown."""
        return Province.CHONGQING if self is Province.SICHUAN else Province.SICHUAN

    @property
    def source(self) -> str:
        """The CloudEvents ``source`` of its platform."""
        return f"urn:chuanyu:{self.value}"

    @property
    def region_prefix(self) -> str:
        """The first two digits of its administrative division codes (GB/T 2260)."""
        return "51" if self is Province.SICHUAN else "50"

    @property
    def chinese(self) -> str:
        """Its short Chinese name."""
        return "四川" if self is Province.SICHUAN else "重庆"

    @property
    def platform(self) -> str:
        """Who publishes its events; the recipient of events that break the contract."""
        return f"{self.chinese}政务服务平台"


def province_of_region(code: str) -> Province | None:
    """Return the province that the administrative division ``code`` (GB/T 2260) lies in; None for any
    other."""
    return _BY_REGION_PREFIX.get(code[:2])


_BY_REGION_PREFIX = {province.region_prefix: province for province in Province}
SOURCES = {province.source: province for province in Province}
COORDINATING_CENTRES = ("四川省大数据中心", "重庆市人民政府电子政务中心")
