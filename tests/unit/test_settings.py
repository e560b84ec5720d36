"""A wrong setting names itself and its place, and never shows its value."""

from pathlib import Path

import pytest

from gateway.adapters.settings import Settings, load_settings, packaged_config
from gateway.errors import ConfigurationError


def test_shipped_file_says_what_the_code_has_as_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GATEWAY_BOOTSTRAP_SERVERS", raising=False)
    assert load_settings(packaged_config() / "gateway.yaml").model_dump() == Settings().model_dump()


def test_environment_wins_over_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text("relay: {max_records: 7}\nbootstrap_servers: file:1\n", encoding="utf-8")
    monkeypatch.setenv("GATEWAY_CONFIG", str(file))
    monkeypatch.setenv("GATEWAY_BOOTSTRAP_SERVERS", "environment:2")
    settings = load_settings()
    assert (settings.relay.max_records, settings.bootstrap_servers) == (7, "environment:2")
    assert load_settings(bootstrap_servers="option:3").bootstrap_servers == "option:3"
    monkeypatch.setenv("GATEWAY_RELAY__MAX_RECORDS", "9")
    assert load_settings().relay.max_records == 9


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
def test_wrong_setting_in_the_file_is_named_with_the_file(content: str, expected: str, tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(ConfigurationError) as caught:
        load_settings(file)
    assert expected in str(caught.value)
    assert str(file) in str(caught.value)


def test_wrong_setting_in_the_environment_is_named_without_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_WEB__PORT", "s3cret")
    with pytest.raises(ConfigurationError) as caught:
        load_settings(packaged_config() / "gateway.yaml")
    assert "environment variable GATEWAY_WEB__PORT: web.port" in str(caught.value)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("GATEWAY_BOOTSTRAP_SERVER", "GATEWAY_BOOTSTRAP_SERVERS"),
        ("GATEWAY_RELAY_MAX_RECORDS", "GATEWAY_RELAY__MAX_RECORDS"),
        ("GATEWAY_CONFG", "GATEWAY_CONFIG"),
    ],
)
def test_variable_that_is_nearly_a_setting_is_refused(
    variable: str, meant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "s3cret")
    with pytest.raises(ConfigurationError, match=f"{variable} is no setting; {meant} was meant") as caught:
        load_settings()
    assert "s3cret" not in str(caught.value)


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


def test_password_is_read_from_its_file_and_shown_nowhere(tmp_path: Path) -> None:
    from gateway.adapters.kafka import client_options

    (tmp_path / "password").write_text("hidden-word\n", encoding="utf-8")
    file = tmp_path / "gateway.yaml"
    file.write_text(
        "kafka: {security_protocol: SASL_PLAINTEXT, username: gateway, password_file: password}", encoding="utf-8"
    )
    settings = load_settings(file)
    assert client_options(settings)["sasl_plain_password"] == "hidden-word"
    assert "hidden-word" not in repr(settings)
    (tmp_path / "password").unlink()
    with pytest.raises(ConfigurationError, match=r"kafka\.password_file"):
        client_options(settings)
