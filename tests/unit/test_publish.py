"""What `gateway publish` says of each line before it is sent, and what a mapping makes of a platform's own
records."""

import gzip
import hmac
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from gateway.core.province import Province
from gateway.errors import ConfigurationError
from gateway.operate.examples import display_event
from gateway.operate.publish import lines as publish_lines
from gateway.operate.publish import load_mapping
from gateway.operate.publish.checking import NotMappedError
from gateway.operate.publish.lines import read_lines
from tests.patience import PATIENCE_S

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples" / "mapping"


def publish(
    *arguments: str, stdin: bytes = b"", cwd: Path | None = None, command: Sequence[str] = ("publish",)
) -> "subprocess.CompletedProcess[str]":
    # Nothing answers at port 1: what is refused is refused before a broker is asked.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}
    done = subprocess.run(
        [sys.executable, "-m", "gateway", *command, *arguments], input=stdin, capture_output=True, check=False,
        cwd=cwd, env=environment | {"GATEWAY_BOOTSTRAP_SERVERS": "127.0.0.1:1"},
    )  # fmt: skip
    return subprocess.CompletedProcess(
        done.args, done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode()
    )


def event(province: Province = Province.SICHUAN, **changes: Any) -> bytes:
    return json.dumps(display_event(province) | changes, ensure_ascii=False).encode()


def unmasked() -> bytes:
    broken = display_event(Province.SICHUAN)
    broken["data"]["holder"]["name_masked"] = "没有脱敏的名字"
    del broken["data"]["display"]["region_code"]
    broken["data"]["display"]["phone"] = "13912345678"
    return json.dumps(broken, ensure_ascii=False).encode()


def test_invalid_lines_stop_publishing_and_show_no_values(tmp_path: Path) -> None:
    (tmp_path / "events.ndjson").write_bytes(
        b"\n".join([event(), b"", unmasked(), b"no json", event(Province.CHONGQING)])
    )
    done = publish("events.ndjson", "--province", "sichuan", "--invalid", "refuse", cwd=tmp_path)
    assert done.returncode == 1
    assert "events.ndjson:3: holder.name_masked: 姓名未脱敏 must be masked" in done.stderr
    assert "events.ndjson:3: display.region_code: 缺少必填字段 required, but missing (INVALID_EVENT)" in done.stderr
    assert "events.ndjson:3: display.phone: " in done.stderr
    assert "events.ndjson:4: event: " in done.stderr
    assert "(NOT_JSON)" in done.stderr
    assert "events.ndjson:5: source: " in done.stderr
    assert "(SOURCE_MISMATCH)" in done.stderr
    assert "3 of 4 lines are invalid; nothing was sent. Fix them" in done.stderr
    assert done.stdout == ""
    assert "没有脱敏的名字" not in done.stderr
    assert "13912345678" not in done.stderr


def test_json_names_every_line_and_ends_with_the_counts() -> None:
    done = publish(
        "-", "--province", "sichuan", "--invalid", "refuse", "--format", "json", stdin=b"\n".join([unmasked()] * 30)
    )
    *lines, last = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 1
    assert [line["line"] for line in lines] == list(range(1, 31))
    assert {problem["field"] for problem in lines[0]["problems"]} == {
        "holder.name_masked", "display.region_code", "display.phone",
    }  # fmt: skip
    assert last == {"topic": "sichuan.display", "lines": 30, "sent": 0, "invalid": 30, "refused": 30}


def test_many_invalid_lines_are_summed_up_in_text() -> None:
    done = publish("-", "--province", "sichuan", "--invalid", "refuse", stdin=b"\n".join([b"?"] * 30))
    assert "standard input:20: " in done.stderr
    assert "standard input:21: " not in done.stderr
    assert "… and 10 more lines" in done.stderr
    assert "30 × event (NOT_JSON)" in done.stderr


@pytest.mark.parametrize(
    ("invalid", "kept", "code"), [("skip", [0, 2], 1), ("send", [0, 1, 2], 0), (None, [0, 1, 2], 0)]
)
def test_invalid_lines_are_left_out_or_sent_as_asked(invalid: str | None, kept: list[int], code: int) -> None:
    lines = [event(), unmasked(), event(id="second")]
    asked = ["--invalid", invalid] if invalid else []
    done = publish("-", "--province", "sichuan", "--dry-run", *asked, stdin=b"\n".join(lines))
    assert done.returncode == code
    assert "standard input:2: holder.name_masked: " in done.stderr
    assert done.stdout.encode().splitlines() == [lines[index] for index in kept]


def test_invalid_option_combinations_are_reported() -> None:
    assert publish("-", "--province", "sichuan", "--dry-run", "--format", "json").returncode == 2
    missing = publish("nowhere.ndjson", "--province", "sichuan")
    assert (missing.returncode, missing.stdout) == (2, "")
    assert "nowhere.ndjson cannot be read" in missing.stderr
    assert publish("-", "--province", "sichuan", stdin=event()).returncode == 69


def test_piped_lines_are_published_at_once_until_interrupted() -> None:
    command = [
        sys.executable,
        "-m",
        "gateway",
        "publish",
        "-",
        "--province",
        "sichuan",
        "--dry-run",
        "--invalid",
        "skip",
    ]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for number in range(3):
            process.stdin.write(event(id=f"e{number}") + b"\n")
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["id"] == f"e{number}"  # while the pipe stays open
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_S) == 130


async def test_lines_are_whole_whatever_the_chunks(tmp_path: Path) -> None:
    words = [b"x" * length for length in (1, 70_000, 3, 200_000)]
    (tmp_path / "a").write_bytes(b"\r\n".join([*words, b"", b"last"]))
    (tmp_path / "b").write_bytes(b"\n\nonly\n")
    found = [line for lines in [part async for part in read_lines([str(tmp_path / n) for n in "ab"])] for line in lines]
    assert [line.raw for line in found] == [*words, b"last", b"only"]
    assert [line.number for line in found] == [1, 2, 3, 4, 6, 3]


async def test_line_beyond_all_bounds_is_not_held_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publish_lines, "LONGEST_LINE", 100_000)
    (tmp_path / "a").write_bytes(b"x" * 250_000 + b"\nlast")
    found = [line for lines in [part async for part in read_lines([str(tmp_path / "a")])] for line in lines]
    assert [(line.number, len(line.raw), line.size) for line in found] == [(1, 100_000, 250_000), (2, 4, 4)]


def test_byte_order_mark_before_an_event_is_ignored(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(b"\xef\xbb\xbf" + event(id=name) + b"\r\n" + event(id=name + "2"))
    done = publish("a", "b", "--province", "sichuan", "--dry-run", cwd=tmp_path)
    assert (done.returncode, [json.loads(line)["id"] for line in done.stdout.splitlines()]) == (
        0,
        ["a", "a2", "b", "b2"],
    )
    assert done.stderr == "4 events written, none sent\n"


def test_byte_order_mark_is_known_in_pieces() -> None:
    for text, expected in ((b"\xef\xbb\xbf{}\n[]", [b"{}", b"[]"]), (b"\xef\xbb", [b"\xef\xbb"]), (b"\xef", [b"\xef"])):
        collector = publish_lines._Collector("a pipe")
        lines = [line for number in range(len(text)) for line in collector.add(text[number : number + 1])]
        assert [line.raw for line in (*lines, *collector.end())] == expected


TWO = [event(id="one"), event(id="two")]
OTHER_FORMATS = {
    "CSV": "编号,名称,时间\n1,某公司,2026-11-27\n".encode(),
    "CSV (docs/provinces.md": b"id\tname\n1\tx\n",
    "CSV ": b'"a";"b,c"\n"d";"e"\n',
    "pretty-printed JSON (jq -c . FILE)": json.dumps(json.loads(TWO[0]), indent=2).encode(),
    "a JSON array": b"[\n" + b",\n".join(TWO) + b"\n]",
    "a JSON array (jq -c '.[]' FILE)": b"[" + b",".join(TWO) + b"]\n",
    "UTF-16": TWO[0].decode().encode("utf-16"),
    "UTF-16 text (iconv": TWO[0].decode().encode("utf-16-le"),
    "GBK text (iconv -f GBK -t UTF-8 FILE)": b"\n".join(TWO).decode().encode("gbk"),
    "GBK": "编号,名称\n1,某公司\n".encode("gbk"),
    "an Excel workbook or a zip archive (save it as CSV": b"PK\x03\x04\x14\x00\x06\x00",
    "compressed by gzip": gzip.compress(TWO[0]),
    "XML": b"<?xml version='1.0'?><a/>\n",
}


@pytest.mark.parametrize("seems", OTHER_FORMATS)
def test_file_of_another_kind_is_refused_whole(seems: str, tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(OTHER_FORMATS[seems])
    (tmp_path / "events").write_bytes(b"\n".join(TWO))
    done = publish("other", "events", "--province", "sichuan", "--dry-run", cwd=tmp_path)
    assert done.returncode == 1
    assert f"the file seems to be {seems}" in done.stderr
    assert "other: 每行应为一个 JSON 对象" in done.stderr
    assert "2 events written, none sent; 1 whole file was refused" in done.stderr
    assert done.stdout.encode().splitlines() == TWO


def test_kind_of_file_is_said_in_json_too() -> None:
    options = ("--province", "sichuan", "--format", "json", "--invalid", "refuse")
    first, guess, second, counts = map(json.loads, publish("-", *options, stdin=b"a,b\n1,2\n").stdout.splitlines())
    assert [(each["file"], each["line"]) for each in (first, second)] == [("standard input", 1), ("standard input", 2)]
    assert (guess["file"], guess["guess"]["en"]) == ("standard input", "CSV")
    assert counts == {"topic": "sichuan.display", "lines": 2, "sent": 0, "invalid": 2, "refused": 2}


@pytest.mark.parametrize("broken", [b"{", b"no event", b'"text"', b"{}", '{"名称":"某公司"}'.encode("gbk")])
def test_lines_that_are_not_events_are_refused(broken: bytes) -> None:
    lines = [TWO[0], broken, TWO[1]]
    done = publish("-", "--province", "sichuan", "--dry-run", stdin=b"\n".join(lines))
    assert (done.returncode, done.stdout.encode().splitlines()) == (1, TWO)
    assert "standard input:2: event: " in done.stderr
    assert "2 events written, none sent; 1 line was refused" in done.stderr
    everything = publish("-", "--province", "sichuan", "--dry-run", "--invalid", "send", stdin=b"\n".join(lines))
    assert everything.returncode == 0


@pytest.mark.parametrize("command", [["publish", "--province", "sichuan"], ["check"]])
def test_standard_input_is_not_read_twice(command: list[str]) -> None:
    done = publish("-", "-", command=command, stdin=TWO[0])
    assert (done.returncode, done.stdout) == (2, "")
    assert "- is named twice, but standard input can be read only once" in done.stderr


# The mapping


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
