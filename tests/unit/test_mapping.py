"""What a mapping makes of a platform's own records, and how it says what it cannot."""

import hmac
import json
from pathlib import Path
from typing import Any

import pytest

from gateway.core.province import Province
from gateway.errors import ConfigurationError
from gateway.operate.examples import display_event
from gateway.operate.publish import load_mapping
from gateway.operate.publish.checking import NotMappedError
from tests.unit.test_publish import EXAMPLES, publish


def records() -> list[bytes]:
    return (EXAMPLES / "records.ndjson").read_bytes().splitlines()


def example(tmp_path: Path, **replaced: str) -> Path:
    """The shipped mapping with a key beside it, in which the lines of these fields are replaced."""
    text = (EXAMPLES / "sichuan-transport.yaml").read_text(encoding="utf-8")
    for field, line in replaced.items():
        (old,) = [each for each in text.splitlines() if each.strip().startswith(field.replace("__", ".") + ":")]
        text = text.replace(old, line)
    (tmp_path / "map.yaml").write_text(text, encoding="utf-8")
    (tmp_path / "holder-key").write_text("a key of the platform's own\n")
    return tmp_path / "map.yaml"


def test_the_shipped_mapping_makes_events_of_the_shipped_records(tmp_path: Path) -> None:
    done = publish(
        str(EXAMPLES / "records.ndjson"), "--province", "sichuan", "--mapping", str(example(tmp_path)), "--dry-run"
    )
    assert done.returncode == 0, done.stderr
    first, second = [json.loads(line) for line in done.stdout.splitlines()]
    reference = hmac.new(b"a key of the platform's own", b"91510100EXAMPLE000", "sm3").hexdigest()
    assert first == {
        "specversion": "1.0", "type": "cn.chuanyu.certificate.displayed.v1", "source": "urn:chuanyu:sichuan",
        "id": "ctsb-20261124-000317", "time": "2026-11-24T09:12:05+08:00", "datacontenttype": "application/json",
        "data": {
            "certificate": {
                "type_name": "道路运输证", "issuer_name": "四川省交通运输厅", "valid_from": "2024-01-01", "valid_until": "2028-01-01",
            },
            "holder": {"kind": "organisation", "ref": f"sm3:{reference}", "name_masked": "成**"},
            "display": {
                "channel": "天府通办", "scenario": "执法场景", "region_code": "500103", "verifier_name": "重庆市渝中区交通局",
            },
        },
    }  # fmt: skip
    assert second["data"]["holder"]["kind"] == "person"
    assert "verifier_name" not in second["data"]["display"]
    assert "91510100EXAMPLE000" not in done.stdout + done.stderr


def test_unmappable_record_names_the_rule_and_no_value(tmp_path: Path) -> None:
    record = json.loads(records()[0])
    record["持证人"]["类型"] = "法人"
    record["亮证时间"] = "24.11.2026 09:12"
    record["亮证地行政区划"] = "渝中区某路某号"
    del record["流水号"]
    lines = [
        json.dumps(record, ensure_ascii=False).encode(),
        b"[]",
        b'{"a":1,"a":2}',
        records()[0].replace(b"500103", b"5001"),
    ]
    done = publish(
        "-", "--province", "sichuan", "--mapping", str(example(tmp_path)), "--dry-run", "--invalid", "send",
        stdin=b"\n".join(lines),
    )  # fmt: skip
    assert done.returncode == 1
    place = f"[{tmp_path / 'map.yaml'}"
    assert (
        f"standard input:1: id: 原始记录没有字段“流水号” the record has no 流水号, or it is empty (MAPPING)  {place}:7]"
        in done.stderr
    )
    assert "standard input:1: time: 不符合格式“%Y-%m-%d %H:%M:%S” " in done.stderr
    assert (
        f"standard input:1: holder.kind: 取值不在 values 中 its value is none of those under `values` (MAPPING)  {place}:16]"
        in done.stderr
    )
    assert "standard input:2: record: " in done.stderr
    assert "standard input:3: record: " in done.stderr
    assert f"standard input:4: display.region_code: 格式不符 malformed (INVALID_EVENT)  {place}:22]" in done.stderr
    # An event that is not valid goes with --invalid send; a record that is not an event never does.
    assert [json.loads(line)["data"]["display"]["region_code"] for line in done.stdout.splitlines()] == ["5001"]
    assert not any(value in done.stderr for value in ("法人", "24.11.2026", "渝中区某路"))


@pytest.mark.parametrize(
    ("replaced", "complaint"),
    [
        ({"time": '  time: {from: t, format: "%Y"}'}, "map.yaml:8: event.time: a time needs its offset"),
        ({"id": "  certificate.number: {from: x}"}, "map.yaml:7: event.certificate.number: no field of an event"),
        ({"id": ""}, "event.id: an event must have it, and no rule makes it"),
        ({"id": "  id: {from: x, optional: true}"}, "map.yaml:7: event.id: an event must have it, so it cannot be optional"),
        ({"id": "  id: {}"}, "map.yaml:7: event.id: needs either `from`"),
        ({"id": "  id: {value: x, prefix: y}"}, "map.yaml:7: event.id: `value` stands alone"),
        ({"id": "  id: {from: x, fro: y}"}, "map.yaml:7: event.id.fro: there is no such field"),
        ({"id": "  id: {from: x, mask: true}"}, "map.yaml:7: event.id: `mask` is for holder.name_masked"),
        ({"province": "province: yunnan"}, "map.yaml:4: province: must be 'sichuan' or 'chongqing'"),
        ({"province": "province: chongqing"}, "map.yaml:4: province: it maps chongqing's records, but --province is sichuan"),
        ({"time": '  time: {from: t, format: "%Y-%m-%d", zone: "+08:00"}'}, "event.time: format: it does not say the hour, minute"),
        ({"time": '  time: {from: t, format: "%Y-%m-%d %X", zone: "+08:00"}'}, "event.time: format: %X is not supported"),
        ({"time": '  time: {from: t, format: "%Y-%m-%d %I:%M", zone: "+08:00"}'}, "event.time: format: %I (1 to 12) and %p"),
        ({"certificate__valid_until": '  certificate.valid_until: {from: t, format: "%Y-%m"}'}, "format: it does not say the day"),
        ({"certificate__valid_until": '  certificate.valid_until: {from: t, format: "%Y-%y-%m-%d"}'}, "it says the year twice"),
        ({"id": "  id: {from: x, values: {01: y}}"}, "event.id.values: YAML may take this for a number"),
        ({"holder__ref": "  holder.ref: {from: x, hmac_sm3: other}"}, "event.holder.ref.hmac_sm3: "),
        ({"id": "  id: [from"}, "map.yaml is not readable YAML: line 8"),
    ],
)  # fmt: skip
def test_a_wrong_mapping_names_line_and_field(tmp_path: Path, replaced: dict[str, str], complaint: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_mapping(example(tmp_path, **replaced), Province.SICHUAN)
    assert complaint in str(caught.value)


@pytest.mark.parametrize(
    "key", [b"a key of the platform's own", b"\x00\xff of 16 bytes \x00", b"\xef\xbb\xbf with a mark before"]
)
@pytest.mark.parametrize(("before", "after"), [(b"", b""), (b"", b"\n"), (b" \t", b"\r\n"), (b"\n", b"\n\n")])
def test_reference_ignores_width_case_and_surrounding_blanks(
    tmp_path: Path, key: bytes, before: bytes, after: bytes
) -> None:
    file = example(tmp_path)
    (tmp_path / "holder-key").write_bytes(before + key + after)
    mapping = load_mapping(file, Province.SICHUAN)
    record = json.loads(records()[0])
    made = set()
    for number in (
        "99999919900307008X",
        "99999919900307008x",
        "９９９９９９１９９００３０７００８ｘ",
        "　99999919900307008Ｘ ",
    ):
        record["持证人"]["证件号码"] = number
        made.add(json.loads(mapping.apply(json.dumps(record).encode()))["data"]["holder"]["ref"])
    assert made == {"sm3:" + hmac.new(key, b"99999919900307008X", "sm3").hexdigest()}


def test_a_key_that_can_be_guessed_is_refused(tmp_path: Path) -> None:
    file = example(tmp_path)
    (tmp_path / "holder-key").write_text("short")
    with pytest.raises(ConfigurationError, match="such a key can be guessed") as caught:
        load_mapping(file, Province.SICHUAN)
    assert "short" not in str(caught.value).replace("shorter", "")


def dated(tmp_path: Path, rule: str, found: object) -> dict[str, Any]:
    """The certificate that is made where the rule of its last day reads ``found``."""
    mapping = load_mapping(
        example(tmp_path, certificate__valid_until=f"  certificate.valid_until: {rule}"), Province.SICHUAN
    )
    record = json.loads(records()[0]) | {"t": found}
    certificate: dict[str, Any] = json.loads(mapping.apply(json.dumps(record).encode()))["data"]["certificate"]
    return certificate


@pytest.mark.parametrize(
    "form", ['{from: t, format: "%Y%m%d"}', "{from: t}", '{from: t, format: "%Y年%-m月%-d日", optional: true}']
)
@pytest.mark.parametrize("found", ["长期", " 永久 ", "长期有效", "永久有效"])
def test_certificate_without_an_end_has_no_end_date(form: str, found: str, tmp_path: Path) -> None:
    assert "valid_until" not in dated(tmp_path, form, found)


@pytest.mark.parametrize(
    ("rule", "found", "made"),
    [
        ('{from: t, format: "%Y%m%d"}', "20280101", "2028-01-01"),
        ('{from: t, format: "%Y%m%d"}', 20280101, "2028-01-01"),
        ('{from: t, format: "%Y%m%d"}', "99991231", None),
        ("{from: t}", "9999-12-31", None),
        ("{from: t}", "2028-01-01", "2028-01-01"),
        ('{from: t, format: "%Y-%-m-%-d"}', "2028-1-9", "2028-01-09"),
        ('{from: t, format: "%Y年%-m月%-d日"}', "9999年12月31日", None),
        ('{from: t, format: "%Y/%m/%d %H:%M:%S"}', "2028/01/01 00:00:00", "2028-01-01"),
        ('{from: t, format: epoch_s, zone: "+08:00"}', 1830268800, "2028-01-01"),
    ],
)
def test_real_dates_stand_beside_no_end(rule: str, found: object, made: str | None, tmp_path: Path) -> None:
    assert dated(tmp_path, rule, found).get("valid_until") == made


@pytest.mark.parametrize(
    ("rule", "found", "shape"),
    [
        ('{from: t, format: "%Y%m%d"}', "2028111", "written YYYYMMDD"),
        ('{from: t, format: "%Y%m%d"}', "20280230", "written YYYYMMDD"),
        ('{from: t, format: "%Y%m%d"}', "2028-01-01", "written YYYYMMDD"),
        ('{from: t, format: "%Y%m%d"}', "２０２８０１０１", "written YYYYMMDD"),
        ('{from: t, format: "%Y-%m-%d"}', "2028-1-1", "written YYYY-MM-DD"),
        ('{from: t, format: "%Y-%m-%d"}', "2028-01-01 ", "written YYYY-MM-DD"),
        ('{from: t, format: "%Y %m %d"}', "2028  01 01", "written YYYY MM DD"),
        ("{from: t}", "20280101", "must be a calendar date, YYYY-MM-DD"),
        ("{from: t}", "2028-02-30", "must be a calendar date, YYYY-MM-DD"),
        ("{from: t, format: epoch_s}", "1_795_482_725", "epoch_s"),
        ("{from: t, format: epoch_s}", " 1795482725", "epoch_s"),
    ],
)  # fmt: skip
def test_date_that_is_read_only_leniently_is_refused(rule: str, found: str, shape: str, tmp_path: Path) -> None:
    with pytest.raises(NotMappedError) as caught:
        dated(tmp_path, rule, found)
    (problem,) = caught.value.problems
    assert (problem.field, problem.rule) == ("certificate.valid_until", f"{tmp_path}/map.yaml:14")
    assert shape in problem.en
    assert found.strip() not in str(problem)


def test_malformed_event_date_gets_the_expected_form() -> None:
    broken = display_event(Province.SICHUAN)
    broken["data"]["certificate"] |= {"valid_from": "20240101", "valid_until": "2028-02-30"}
    broken["time"] = "2026-11-27 08:00:00"
    done = publish("-", "--province", "sichuan", "--dry-run", stdin=json.dumps(broken).encode())
    for field in ("valid_from", "valid_until"):
        assert f"certificate.{field}: 应为存在的日期（YYYY-MM-DD） must be a calendar date, YYYY-MM-DD" in done.stderr
    assert (
        "time: 应为带时区的有效时间（RFC 3339） must be an existing date-time with an offset, RFC 3339" in done.stderr
    )


@pytest.mark.parametrize(
    ("rule", "found", "made"),
    [
        ('{from: t, format: epoch_ms}', 1_795_482_725_250, "2026-11-24T01:12:05.250000+00:00"),
        ('{from: t, format: epoch_s, zone: "+08:00"}', "1795482725", "2026-11-24T09:12:05+08:00"),
        ('{from: t, format: "%d.%m.%Y %H:%M %z"}', "24.11.2026 09:12 +0800", "2026-11-24T09:12:00+08:00"),
        ('{from: t}', "2026-11-24T09:12:05+08:00", "2026-11-24T09:12:05+08:00"),
    ],
)  # fmt: skip
def test_times_as_platforms_write_them(tmp_path: Path, rule: str, found: object, made: str) -> None:
    mapping = load_mapping(example(tmp_path, time=f"  time: {rule}"), Province.SICHUAN)
    record = json.loads(records()[0]) | {"t": found}
    assert json.loads(mapping.apply(json.dumps(record).encode()))["time"] == made
    with pytest.raises(NotMappedError):
        mapping.apply(json.dumps(record | {"t": [1]}).encode())
