"""Words for people that go with a code, in both languages."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What a code means, and what its recipient is to do, in Chinese and English."""

    zh: str
    en: str
    advice_zh: str
    advice_en: str
