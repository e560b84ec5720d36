"""`gateway doctor`'s checks that need no broker: settings, secrets, list."""

import datetime
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.adapters.setting_groups import AccessSettings, KafkaSettings, SignatureSettings
from gateway.adapters.settings import Settings, load_settings
from gateway.operate.doctor.broker import _NEEDED_APIS, lacking_apis
from gateway.operate.doctor.here import check_configuration, check_list, check_secrets
from gateway.operate.doctor.keys import KeysSeen
from gateway.operate.doctor.neighbours import lists_side_by_side
from gateway.operate.doctor.result import CheckStatus, Installation, fine
from tests.unit.second_batch import second_batch_content
from tests.unit.test_cli import gateway
from tests.unit.test_turn import Record


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that everybody may enter, as pytest's own are not."""
    with tempfile.TemporaryDirectory(prefix="doctor-", dir="/tmp") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def chmod(path: Path, mode: int) -> None:
    path.chmod(mode)


def with_kafka(**changes: object) -> Installation:
    return Installation(load_settings().model_copy(update={"kafka": KafkaSettings.model_construct(**changes)}))


async def test_secret_files_that_are_missing_empty_or_everybodys(folder: Path) -> None:
    file = folder / "password"
    installation = with_kafka(password_file=file, username="gateway", security_protocol="SASL_SSL", ca_file=None)

    async def finding() -> tuple[CheckStatus, str]:
        (only,) = await check_secrets(installation)
        assert "hunter2" not in str(only)
        assert only.advice or only.status is CheckStatus.FINE
        return only.status, only.message.removeprefix(str(file))

    assert await finding() == (CheckStatus.PROBLEM, " cannot be read (No such file or directory)")
    file.write_text("\n")
    assert await finding() == (CheckStatus.PROBLEM, " is empty")
    file.write_text("hunter2")
    file.chmod(0o644)
    assert await finding() == (CheckStatus.PROBLEM, " can be read by everybody on this machine")
    chmod(folder, 0o700)  # as `gateway secrets` makes it: the file is open, and nobody gets to it
    assert (await finding())[0] is CheckStatus.FINE
    chmod(folder, 0o755)
    file.chmod(0o600)
    assert (await finding())[0] is CheckStatus.FINE
    file.write_bytes(b"\xff\xfe")
    assert await finding() == (CheckStatus.PROBLEM, " cannot be read (it is not UTF-8)")


async def test_a_principals_password_that_is_missing(folder: Path) -> None:
    settings = load_settings().model_copy(update={"access": AccessSettings(passwords_dir=folder)})
    assert {
        each.subject for each in await check_secrets(Installation(settings)) if each.status is CheckStatus.PROBLEM
    } == {f"access.passwords_dir: {role}" for role in ("sichuan", "chongqing", "gateway", "operator")}


@pytest.mark.parametrize(
    ("days", "status", "said"),
    [(400, CheckStatus.FINE, "is valid until"), (7, CheckStatus.PROBLEM, "only"), (-3, CheckStatus.PROBLEM, "only")],
)
async def test_an_authority_whose_certificate_ends(folder: Path, days: int, status: CheckStatus, said: str) -> None:
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "authority")])
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=30)).not_valid_after(now + datetime.timedelta(days=days))
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    file = folder / "ca.pem"
    file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (only,) = await check_secrets(with_kafka(password_file=None, ca_file=file))
    assert (only.status, said in only.message) == (status, True)
    file.write_text("no certificate")
    (only,) = await check_secrets(with_kafka(password_file=None, ca_file=file))
    assert (only.status, "not a PEM certificate" in only.message) == (CheckStatus.PROBLEM, True)


async def test_a_broken_or_future_list_is_a_problem(tmp_path: Path) -> None:
    def installation() -> Installation:
        return Installation(load_settings().model_copy(update={"recognition": tmp_path}))

    shipped = load_settings().recognition_dir / "batch-1.yaml"
    text = shipped.read_text(encoding="utf-8")
    good = await check_list(Installation(load_settings()))
    assert [each.status for each in good] == [CheckStatus.FINE, CheckStatus.NOTICE]
    assert good[1].message.startswith("38 待确认 in rows 1/6, 1/7, 1/10, 1/14, 1/16, 1/17, 1/19, 1/20:")
    assert good[1].advice
    (tmp_path / "batch-1.yaml").write_text(text.replace("effective_from", "from_when"), encoding="utf-8")
    broken = await check_list(installation())
    assert {each.status for each in broken} == {CheckStatus.PROBLEM}
    assert "batch-1.yaml: from_when" in str(broken)
    (tmp_path / "batch-1.yaml").write_text(
        text.replace("effective_from: 2022", "effective_from: 2222"), encoding="utf-8"
    )
    (later,) = await check_list(installation())
    assert (later.status, "no row is in force today" in later.message) == (CheckStatus.PROBLEM, True)


async def test_unresolved_rows_are_named_with_their_batch(tmp_path: Path) -> None:
    first = (load_settings().recognition_dir / "batch-1.yaml").read_text(encoding="utf-8")
    second = second_batch_content() | {"effective_from": "2022-11-01"}
    cell = {"provenance": "missing", "value": None}
    second["rows"][2]["channels"] = cell  # row 6, which is unresolved in the first batch too
    (tmp_path / "batch-1.yaml").write_text(first, encoding="utf-8")
    (tmp_path / "batch-2.yaml").write_text(yaml.safe_dump(second, allow_unicode=True), encoding="utf-8")
    result = await check_list(Installation(load_settings().model_copy(update={"recognition": tmp_path})))
    assert result[1].message.startswith("39 待确认 in rows 1/6, 1/7, 1/10, 1/14, 1/16, 1/17, 1/19, 1/20, 2/6:")


async def test_signatures_without_keys() -> None:
    settings: Settings = load_settings().model_copy(update={"signatures": SignatureSettings(sichuan="required")})
    found = {each.subject: each for each in await check_configuration(Installation(settings))}
    assert found["signatures"].status is CheckStatus.PROBLEM
    assert "signatures.keys" in found["signatures"].message


async def test_invalid_or_readable_own_key_is_a_problem(folder: Path) -> None:
    (folder / "key.pem").write_text("no key")
    (folder / "key.pem").chmod(0o644)
    own = SignatureSettings(own_key=folder / "key.pem", own_key_id="gateway-2026")
    settings: Settings = load_settings().model_copy(update={"signatures": own})
    found = {finding.subject: finding for finding in await check_configuration(Installation(settings))}
    assert found["signatures"].status is CheckStatus.PROBLEM
    assert "signatures.own_key" in found["signatures"].message
    secrets = {finding.subject: finding for finding in await check_secrets(Installation(settings))}
    assert secrets["signatures.own_key"].status is CheckStatus.PROBLEM


def test_a_broker_that_knows_too_little() -> None:
    offers = dict.fromkeys(_NEEDED_APIS, (0, 1))
    assert lacking_apis(offers) == []
    del offers[28]
    assert lacking_apis(offers) == ["TxnOffsetCommit"]


def test_settings_that_are_wrong_are_a_finding_and_78() -> None:
    done = gateway("doctor", "--format", "json", GATEWAY_TOPICS__PARTITIONS="many")
    assert done.returncode == 78
    (finding,) = [json.loads(line) for line in done.stdout.splitlines()]
    assert finding["check"] == "configuration"
    assert finding["status"] == "problem"
    assert "GATEWAY_TOPICS__PARTITIONS: topics.partitions" in finding["message"]
    assert finding["advice"]


def test_text_problems_are_bilingual_and_give_advice() -> None:
    done = gateway("doctor", "--bootstrap-servers", "127.0.0.1:1")
    assert done.returncode == 69
    lines = done.stdout.decode().splitlines()
    (place,) = [number for number, line in enumerate(lines) if "cannot reach Kafka at 127.0.0.1:1" in line]
    assert lines[place].startswith("问题 problem")
    assert "Kafka（消息系统）" in lines[place]
    assert lines[place + 1].strip().startswith("→ see that the broker runs")
    assert "问题 problem 1" in done.stderr.decode()
    assert [line.split()[1] for line in lines if not line.startswith(" ")] == [
        *("notice", "problem", "unchecked"), *["fine"] * 4,
    ]  # fmt: skip
    assert "transactions 事务" in next(line for line in lines if line.startswith("未查"))


def test_what_is_fine_needs_no_advice() -> None:
    with pytest.raises(TypeError):
        fine("subject", "message", "advice")  # type: ignore[call-arg]


def test_only_lists_used_side_by_side_are_problems() -> None:
    minute = 60_000
    assert lists_side_by_side({"a": [0, 10 * minute]}) == []
    assert lists_side_by_side({"a": [0, 5 * minute], "b": [4 * minute + 1, 9 * minute]}) == []  # workers look every 2 s
    assert lists_side_by_side(
        {"a": [0, 7 * minute], "b": [4 * minute, 9 * minute], "c": [9 * minute, 12 * minute]}
    ) == [
        "a",
        "b",
    ]


def test_misplaced_keys_are_counted_by_topic() -> None:
    key = b"sm3:" + b"5c" * 32  # of 4 partitions it belongs in 1
    seen = KeysSeen()
    seen.see(1, [Record(10, b"{}", key), Record(11, b"{}", None)], 4)
    assert (seen.judge("x").status, seen.judge("x").advice) == (CheckStatus.FINE, "")
    assert "2 records of the last day looked at" in seen.judge("x").message
    seen.see(2, [Record(7, b"{}", key)], 4)
    seen.see(2, [Record(8, b"{}", key), Record(9, b"{}", key)], 4)
    found = seen.judge("x")
    assert found.status is CheckStatus.PROBLEM
    assert found.message.startswith("of the newest 5 records of the last day 3 are in a partition")
    assert "x/2/8, which belongs in partition 1" in found.message
    assert "murmur2_random" in found.advice
    assert "5c5c" not in str(found)
