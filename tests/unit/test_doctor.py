"""`gateway doctor`'s checks that need no broker: settings, secrets, list."""

import datetime
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.adapters.settings import AccessSettings, KafkaSettings, Settings, SignatureSettings, load_settings
from gateway.operate.doctor.broker import _NEEDED_APIS, lacking_apis
from gateway.operate.doctor.here import check_configuration, check_list, check_secrets
from gateway.operate.doctor.result import Installation, Status
from tests.unit.test_cli import gateway


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

    async def finding() -> tuple[Status, str]:
        (only,) = await check_secrets(installation)
        assert "hunter2" not in str(only)
        assert only.advice or only.status is Status.FINE
        return only.status, only.message.removeprefix(str(file))

    assert await finding() == (Status.PROBLEM, " cannot be read (No such file or directory)")
    file.write_text("\n")
    assert await finding() == (Status.PROBLEM, " is empty")
    file.write_text("hunter2")
    file.chmod(0o644)
    assert await finding() == (Status.PROBLEM, " can be read by everybody on this machine")
    chmod(folder, 0o700)  # as `gateway secrets` makes it: the file is open, and nobody gets to it
    assert (await finding())[0] is Status.FINE
    chmod(folder, 0o755)
    file.chmod(0o600)
    assert (await finding())[0] is Status.FINE
    file.write_bytes(b"\xff\xfe")
    assert await finding() == (Status.PROBLEM, " cannot be read (it is not UTF-8)")


async def test_a_principals_password_that_is_missing(folder: Path) -> None:
    settings = load_settings().model_copy(update={"access": AccessSettings(passwords_dir=folder)})
    assert {each.subject for each in await check_secrets(Installation(settings)) if each.status is Status.PROBLEM} == {
        f"access.passwords_dir: {role}" for role in ("sichuan", "chongqing", "gateway", "operator")
    }


@pytest.mark.parametrize(
    ("days", "status", "said"),
    [(400, Status.FINE, "is valid until"), (7, Status.PROBLEM, "only"), (-3, Status.PROBLEM, "only")],
)
async def test_an_authority_whose_certificate_ends(folder: Path, days: int, status: Status, said: str) -> None:
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
    assert (only.status, "no PEM certificate" in only.message) == (Status.PROBLEM, True)


async def test_a_broken_list_and_one_that_is_not_in_force(tmp_path: Path) -> None:
    def installation() -> Installation:
        return Installation(load_settings().model_copy(update={"recognition": tmp_path}))

    shipped = load_settings().recognition_dir / "batch-1.yaml"
    text = shipped.read_text(encoding="utf-8")
    good = await check_list(Installation(load_settings()))
    assert [each.status for each in good] == [Status.FINE, Status.FINE]
    assert good[1].message.startswith("38 待定 in rows 6, 7, 10, 14, 16, 17, 19, 20")
    assert good[1].advice
    (tmp_path / "batch-1.yaml").write_text(text.replace("effective_from", "from_when"), encoding="utf-8")
    broken = await check_list(installation())
    assert {each.status for each in broken} == {Status.PROBLEM}
    assert "batch-1.yaml: from_when" in str(broken)
    (tmp_path / "batch-1.yaml").write_text(
        text.replace("effective_from: 2022", "effective_from: 2222"), encoding="utf-8"
    )
    (later,) = await check_list(installation())
    assert (later.status, "no row is in force today" in later.message) == (Status.PROBLEM, True)


async def test_signatures_without_keys() -> None:
    settings: Settings = load_settings().model_copy(update={"signatures": SignatureSettings(sichuan="required")})
    found = {each.subject: each for each in await check_configuration(Installation(settings))}
    assert found["signatures"].status is Status.PROBLEM
    assert "signatures.keys" in found["signatures"].message


async def test_an_own_key_that_is_none_and_is_everybodys(folder: Path) -> None:
    (folder / "key.pem").write_text("no key")
    (folder / "key.pem").chmod(0o644)
    own = SignatureSettings(own_key=folder / "key.pem", own_key_id="gateway-2026")
    settings: Settings = load_settings().model_copy(update={"signatures": own})
    found = {finding.subject: finding for finding in await check_configuration(Installation(settings))}
    assert found["signatures"].status is Status.PROBLEM
    assert "signatures.own_key" in found["signatures"].message
    secrets = {finding.subject: finding for finding in await check_secrets(Installation(settings))}
    assert secrets["signatures.own_key"].status is Status.PROBLEM


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


def test_in_text_a_problem_is_said_in_chinese_and_english_with_what_to_do() -> None:
    done = gateway("doctor", "--bootstrap-servers", "127.0.0.1:1")
    assert done.returncode == 69
    lines = done.stdout.decode().splitlines()
    (place,) = [number for number, line in enumerate(lines) if "no Kafka answers at 127.0.0.1:1" in line]
    assert lines[place].startswith("问题 problem")
    assert "消息集群" in lines[place]
    assert lines[place + 1].strip().startswith("→ see that the broker runs")
    assert "问题 problem 1" in done.stderr.decode()
