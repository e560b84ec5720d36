"""What `gateway publish` says of each line before it is sent, and what a mapping makes of a platform's own records."""

import hmac
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gateway.core.province import Province
from gateway.errors import ConfigurationError
from gateway.operate.examples import display_event
from gateway.operate.publish import load_mapping
from gateway.operate.publish.checking import NotMappedError
from gateway.operate.publish.lines import read_lines

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples" / "mapping"


def publish(*arguments: str, stdin: bytes = b"", cwd: Path | None = None) -> "subprocess.CompletedProcess[str]":
    # Nothing answers at port 1: what is refused is refused before a broker is asked.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "publish", *arguments], input=stdin, capture_output=True, check=False,
        cwd=cwd, env=environment | {"GATEWAY_BOOTSTRAP_SERVERS": "127.0.0.1:1"},
    )  # fmt: skip
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def event(province: Province = Province.SICHUAN, **changes: Any) -> bytes:
    return json.dumps(display_event(province) | changes, ensure_ascii=False).encode()


def unmasked() -> bytes:
    broken = display_event(Province.SICHUAN)
    broken["data"]["holder"]["name_masked"] = "没有脱敏的名字"
    del broken["data"]["display"]["region_code"]
    broken["data"]["display"]["phone"] = "13912345678"
    return json.dumps(broken, ensure_ascii=False).encode()


def test_one_invalid_line_stops_all_and_is_named_without_its_value(tmp_path: Path) -> None:
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
    assert "3 of 4 lines are no valid events, and nothing was sent" in done.stderr
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


def test_usage_that_does_not_fit_is_said() -> None:
    assert publish("-", "--province", "sichuan", "--dry-run", "--format", "json").returncode == 2
    missing = publish("nowhere.ndjson", "--province", "sichuan")
    assert (missing.returncode, missing.stdout) == (2, "")
    assert "nowhere.ndjson cannot be read" in missing.stderr
    assert publish("-", "--province", "sichuan", stdin=event()).returncode == 69


def test_a_pipe_is_passed_on_as_it_speaks_and_left_when_asked() -> None:
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
        assert process.wait(120) == 130


async def test_lines_are_whole_whatever_the_chunks(tmp_path: Path) -> None:
    words = [b"x" * length for length in (1, 70_000, 3, 200_000)]
    (tmp_path / "a").write_bytes(b"\r\n".join([*words, b"", b"last"]))
    (tmp_path / "b").write_bytes(b"\n\nonly\n")
    found = [line for lines in [part async for part in read_lines([str(tmp_path / n) for n in "ab"])] for line in lines]
    assert [line.raw for line in found] == [*words, b"last", b"only"]
    assert [line.number for line in found] == [1, 2, 3, 4, 6, 3]


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


def test_a_record_that_does_not_fit_names_the_rule_and_no_value(tmp_path: Path) -> None:
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
    # An event that is not valid goes with --invalid send; a record that is no event at all never does.
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
        ({"id": "  id: {from: x, fro: y}"}, "map.yaml:7: event.id.fro: Extra inputs are not permitted"),
        ({"id": "  id: {from: x, mask: true}"}, "map.yaml:7: event.id: `mask` is for holder.name_masked"),
        ({"province": "province: yunnan"}, "map.yaml:4: province: Input should be 'sichuan' or 'chongqing'"),
        ({"province": "province: chongqing"}, "map.yaml:4: province: it maps chongqing's records, but --province is sichuan"),
        ({"holder__ref": "  holder.ref: {from: x, hmac_sm3: other}"}, "event.holder.ref.hmac_sm3: "),
        ({"id": "  id: [from"}, "map.yaml is not readable YAML: line 8"),
    ],
)  # fmt: skip
def test_a_wrong_mapping_names_line_and_field(tmp_path: Path, replaced: dict[str, str], complaint: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_mapping(example(tmp_path, **replaced), Province.SICHUAN)
    assert complaint in str(caught.value)


def test_a_key_that_can_be_guessed_is_refused(tmp_path: Path) -> None:
    file = example(tmp_path)
    (tmp_path / "holder-key").write_text("short")
    with pytest.raises(ConfigurationError, match="such a key can be guessed") as caught:
        load_mapping(file, Province.SICHUAN)
    assert "short" not in str(caught.value).replace("shorter", "")


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
