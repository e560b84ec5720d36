"""The reasons: their order is the contract's, each has words and advice in both languages, and units that
can put it right."""

import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.adapters.list_files import load_recognition
from gateway.adapters.settings import packaged_config
from gateway.contract.rejection import build_rejection
from gateway.core.dead_letter_codes import DeadLetterCode, DeadLetterRecipient
from gateway.core.decision import Reject
from gateway.core.province import COORDINATING_CENTRES, Province
from gateway.core.reasons import Code, Recipient
from gateway.core.recognition import Listed
from gateway.core.signature import SignatureStatus
from gateway.core.words import Words
from gateway.decide import decide_bytes
from gateway.operate.examples import display_event

LIST = load_recognition(packaged_config() / "recognition")
RECEIVED = 1_795_392_003_000

PLATFORM, CENTRES, ISSUERS, ISSUER = (
    Recipient.PLATFORM, Recipient.CENTRES, Recipient.ROW_ISSUERS, Recipient.ROW_ISSUER_OF_ORIGIN,
)  # fmt: skip
CONTRACT = {
    "INVALID_EVENT": PLATFORM,
    "SOURCE_MISMATCH": PLATFORM,
    "SIGNATURE_MISSING": PLATFORM,
    "SIGNATURE_INVALID": PLATFORM,
    "SIGNATURE_KEY_UNKNOWN": PLATFORM,
    "ID_REUSED": PLATFORM,
    "FUTURE_EVENT": PLATFORM,
    "STALE_EVENT": PLATFORM,
    "NOT_CROSS_PROVINCE": PLATFORM,
    "CERTIFICATE_NOT_LISTED": CENTRES,
    "LIST_ROW_UNRESOLVED": CENTRES,
    "LIST_NOT_IN_EFFECT": CENTRES,
    "IDENTIFIER_INVALID": ISSUER,
    "ISSUER_NOT_RECOGNISED": CENTRES,
    "CHANNEL_NOT_RECOGNISED": ISSUERS,
    "SCENARIO_NOT_RECOGNISED": ISSUERS,
    "OUT_OF_PILOT_SCOPE": ISSUERS,
    "CERTIFICATE_NOT_YET_VALID": ISSUER,
    "CERTIFICATE_EXPIRED": ISSUER,
}
"""The contract's table: the order in which codes become the primary reason, and whom each goes back to."""


def test_codes_have_the_contracts_order_and_recipients() -> None:
    assert [(code.value, code.entry.recipient) for code in Code] == list(CONTRACT.items())
    for code in Code:
        assert code.entry.code == code.name == code.value == str(code)


def test_each_code_except_invalid_event_has_a_check() -> None:
    checks = {code: code.entry.check for code in Code}
    assert checks.pop(Code.INVALID_EVENT) is None  # the reader of events finds it
    assert None not in checks.values()
    found = [check.find for check in checks.values() if check]
    assert len(set(found)) == len(found)
    assert [check.__name__ for check in found] == [code.value.lower() for code in checks]


def test_dead_letter_codes() -> None:
    assert {code.value for code in DeadLetterCode} >= {"TOO_LARGE", "NOT_UTF8", "NOT_JSON", "NOT_A_CLOUDEVENT"}
    for code in DeadLetterCode:
        assert code.entry.code == code.name == code.value == str(code)
        assert code.entry.recipient in DeadLetterRecipient


@pytest.mark.parametrize("code", [*Code, *DeadLetterCode], ids=str)
def test_every_code_has_words_and_advice_in_both_languages(code: Code | DeadLetterCode) -> None:
    words: Words = code.entry
    for chinese in (words.zh, words.advice_zh):
        assert any("\u4e00" <= character <= "\u9fff" for character in chinese)
    for english in (words.en, words.advice_en):
        assert english
        assert not any("\u4e00" <= character <= "\u9fff" for character in english)
    # A message goes on with its detail; advice is whole sentences.
    assert not words.zh.endswith(("。", "："))
    assert not words.en.endswith((".", ":"))
    assert words.advice_zh.endswith("。")
    assert words.advice_en.endswith(".")


def test_no_two_codes_have_the_same_words() -> None:
    for codes in (Code, DeadLetterCode):
        for name in ("zh", "en", "advice_zh", "advice_en"):
            words = [getattr(code.entry, name) for code in codes]
            assert len(set(words)) == len(words)


WRONG: dict[str, tuple[str, Any]] = {
    "SOURCE_MISMATCH": ("source", None),
    "FUTURE_EVENT": ("time", "2026-11-23T09:00:00+08:00"),
    "NOT_CROSS_PROVINCE": ("display.region_code", "310101"),
    "IDENTIFIER_INVALID": ("certificate.identifier", "x"),
    "ISSUER_NOT_RECOGNISED": ("certificate.issuer_name", "某市某局"),
    "CHANNEL_NOT_RECOGNISED": ("display.channel", "微信小程序"),
    "SCENARIO_NOT_RECOGNISED": ("display.scenario", "网上购物"),
    "CERTIFICATE_EXPIRED": ("certificate.valid_until", "2025-01-01"),
    "INVALID_EVENT": ("holder.name_masked", "赵钱孙"),
    "CERTIFICATE_NOT_LISTED": ("certificate.type_name", "居民户口簿"),
    "LIST_ROW_UNRESOLVED": ("certificate.type_name", "矿产资源勘查许可证"),
}


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(Province),
    st.sets(st.sampled_from(sorted(WRONG)), min_size=1),
    st.sampled_from(SignatureStatus),
)
def test_responsible_units_are_the_union_over_reasons(
    province: Province, wrong: set[str], signature: SignatureStatus
) -> None:
    event = copy.deepcopy(display_event(province))
    for code in sorted(wrong):
        section, _, name = WRONG[code][0].rpartition(".")
        (event["data"][section] if section else event)[name] = WRONG[code][1] or province.other.source
    decision = decide_bytes(json.dumps(event).encode(), province, RECEIVED, LIST, signature=signature)
    assert isinstance(decision, Reject)
    # Two changes of one field leave the later one.
    assert {code.value for code in decision.codes} & wrong
    for reason in decision.reasons:
        row = decision.listing.row if isinstance(decision.listing, Listed) else None
        issuers = row.issuing_units(province, province.other) if row else ()
        own = row.issuing_units(province) if row else ()
        assert (
            reason.units
            == {
                Recipient.PLATFORM: (province.platform,),
                Recipient.CENTRES: COORDINATING_CENTRES,
                Recipient.ROW_ISSUERS: issuers or COORDINATING_CENTRES,
                Recipient.ROW_ISSUER_OF_ORIGIN: own or COORDINATING_CENTRES,
            }[reason.code.entry.recipient]
        )
    data = json.loads(build_rejection(decision))["data"]
    named = [unit for reason in data["reasons"] for unit in reason["responsible_units"]]
    assert data["responsible_units"] == list(dict.fromkeys(named))
    assert [reason["responsible_units"] for reason in data["reasons"]] == [
        list(reason.units) for reason in decision.reasons
    ]
    assert [reason["code"] for reason in data["reasons"]] == sorted(
        (reason["code"] for reason in data["reasons"]), key=list(CONTRACT).index
    )


def test_events_of_unknown_origin_go_to_the_centres() -> None:
    event = display_event(Province.SICHUAN) | {"source": "urn:x"}
    decision = decide_bytes(json.dumps(event).encode(), None, RECEIVED, LIST)
    assert isinstance(decision, Reject)
    assert decision.units == COORDINATING_CENTRES
