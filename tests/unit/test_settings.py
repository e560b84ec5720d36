"""A wrong setting names itself and its place, and never shows its value."""

from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.adapters.settings import Settings, load_settings, packaged_config
from gateway.errors import ConfigurationError

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a settings file."""

    def write_file(content: str) -> Path:
        file = tmp_path / "gateway.yaml"
        file.write_text(content, encoding="utf-8")
        return file

    return write_file


def refusal_of(file: Path) -> str:
    """What is said of a file that is not valid."""
    with pytest.raises(ConfigurationError) as caught:
        load_settings(file)
    return str(caught.value)


def test_shipped_file_says_what_the_code_has_as_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GATEWAY_BOOTSTRAP_SERVERS", raising=False)
    assert load_settings(packaged_config() / "gateway.yaml").model_dump() == Settings().model_dump()


def test_environment_wins_over_the_file(monkeypatch: pytest.MonkeyPatch, write: Write) -> None:
    file = write("relay: {max_records: 7}\nbootstrap_servers: file:1\n")
    monkeypatch.setenv("GATEWAY_CONFIG", str(file))
    monkeypatch.setenv("GATEWAY_BOOTSTRAP_SERVERS", "environment:2")
    settings = load_settings()
    assert (settings.relay.max_records, settings.bootstrap_servers) == (7, "environment:2")
    assert load_settings(bootstrap_servers="option:3").bootstrap_servers == "option:3"
    monkeypatch.setenv("GATEWAY_RELAY__MAX_RECORDS", "9")
    assert load_settings().relay.max_records == 9


@pytest.mark.parametrize("off", ["off", '"off"'])
def test_off_needs_no_quotes(off: str, write: Write) -> None:
    file = write(f"relay: {{kernel: {off}}}\nsignatures: {{sichuan: {off}, chongqing: {off}, gateway: {off}}}\n")
    settings = load_settings(file)
    signatures = settings.signatures
    assert {settings.relay.kernel, signatures.sichuan, signatures.chongqing, signatures.gateway} == {"off"}


def test_recognition_folder_lies_beside_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert (load_settings().recognition_dir / "batch-1.yaml").is_file()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("relay: {max_records: many}", "relay.max_records"),
        ("relay: {max_record: 1}", "relay.max_record"),
        ("colour: red", "colour"),
        ("kafka: {security_protocol: SASL_SSL}", "needs username and password_file"),
        ("topics: {partitions: 0}", "topics.partitions"),
        ("- a list", "top level must be a mapping"),
        ("a: [", "not readable YAML"),
        ("log: {level: info}\nlog: {level: error}", "log stands twice"),
    ],
)
def test_wrong_setting_is_named_with_its_file(content: str, expected: str, write: Write) -> None:
    file = write(content)
    assert expected in refusal_of(file)
    assert str(file) in refusal_of(file)


def test_wrong_environment_setting_is_named_without_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_WEB__PORT", "s3cret")
    with pytest.raises(ConfigurationError) as caught:
        load_settings(packaged_config() / "gateway.yaml")
    assert "environment variable GATEWAY_WEB__PORT: web.port" in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_incomplete_group_names_the_variable_that_set_it(monkeypatch: pytest.MonkeyPatch, write: Write) -> None:
    file = write("kafka: {username: operator}")
    monkeypatch.setenv("GATEWAY_KAFKA__SECURITY_PROTOCOL", "SASL_SSL")
    assert f"variable GATEWAY_KAFKA__SECURITY_PROTOCOL or {file}: kafka: SASL_SSL needs" in refusal_of(file)


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("GATEWAY_BOOTSTRAP_SERVER", "GATEWAY_BOOTSTRAP_SERVERS"),
        ("GATEWAY_RELAY_MAX_RECORDS", "GATEWAY_RELAY__MAX_RECORDS"),
        ("GATEWAY_CONFG", "GATEWAY_CONFIG"),
        ("GATEWAY_RELEY__MAX_RECORDS", "GATEWAY_RELAY__MAX_RECORDS"),
    ],
)
def test_variable_that_is_nearly_a_setting_is_refused(
    variable: str, meant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "s3cret")
    with pytest.raises(
        ConfigurationError, match=f"{variable}: there is no such setting; did you mean {meant}"
    ) as caught:
        load_settings()
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("variable", ["GATEWAY_WEB_TLS_CERTIFICATE", "GATEWAY_NOTHING__OF_OURS"])
def test_variable_like_one_of_a_group_is_refused(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "x")
    with pytest.raises(ConfigurationError, match="parted by __, as in GATEWAY_WEB__PORT"):
        load_settings()


@pytest.mark.parametrize("variable", ["GATEWAY_WEB", "GATEWAY_ACCESS__PRINCIPALS"])
def test_variable_that_must_be_json_is_named(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "s3cret")
    with pytest.raises(ConfigurationError, match=f"environment variable {variable}: must be JSON") as caught:
        load_settings()
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("bootstrap_server: x", "bootstrap_server: there is no such field; did you mean bootstrap_servers?"),
        ("web: {prot: 80}", "web.prot: there is no such field; did you mean port?"),
        ("web: {port: http}", "web.port: must be a whole number"),
        ("web: {port: 99999}", "web.port: must be at most 65535"),
        ("web: {enabled: perhaps}", "web.enabled: must be true or false"),
        ("log: {level: loud}", "log.level: must be 'debug', 'info', 'warning' or 'error'"),
        ("relay: 5", "relay: must be a mapping of names to values"),
        ("topic_prefix: a b", "topic_prefix: may only have letters, digits, '.', '_' and '-'"),
        ("access: {mirrored: sichuan}", "access.mirrored: must be a list, in square brackets"),
    ],
)
def test_mistakes_are_said_in_our_own_words(written: str, words: str, write: Write) -> None:
    file = write(written)
    assert refusal_of(file).splitlines()[1:] == [f"  {file}: {words}"]


def test_other_peoples_variables_of_our_prefix_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_IMAGE", "registry/image:tag")
    monkeypatch.setenv("GATEWAY_SERVICE_HOST", "10.0.0.1")
    assert load_settings().log.level == "info"


def test_missing_file_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="--config names"):
        load_settings(tmp_path / "none.yaml")
    monkeypatch.setenv("GATEWAY_CONFIG", str(tmp_path / "none.yaml"))
    with pytest.raises(ConfigurationError, match="GATEWAY_CONFIG names"):
        load_settings()


def test_password_is_read_from_its_file_and_shown_nowhere(tmp_path: Path, write: Write) -> None:
    from gateway.adapters.kafka import client_options

    (tmp_path / "password").write_text("hidden-word\n", encoding="utf-8")
    file = write("kafka: {security_protocol: SASL_PLAINTEXT, username: gateway, password_file: password}")
    settings = load_settings(file)
    assert client_options(settings)["sasl_plain_password"] == "hidden-word"
    assert "hidden-word" not in repr(settings)
    (tmp_path / "password").unlink()
    with pytest.raises(ConfigurationError, match=r"kafka\.password_file"):
        client_options(settings)
