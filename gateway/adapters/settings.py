"""Settings: the YAML file, then the environment (``GATEWAY_…``), each mistake named with its place."""

import hashlib
import os
from difflib import get_close_matches
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, Self, cast

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from gateway.adapters.strict_yaml import NotYamlError, read_yaml
from gateway.contract.topics import Topics
from gateway.errors import ConfigurationError

DEFAULT_FILE = "config/gateway.yaml"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class KafkaSettings(_Part):
    """How to reach the broker. The password is read from its file when a client is made, and kept nowhere else."""

    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    username: str | None = None
    password_file: Path | None = None
    ca_file: Path | None = None

    @model_validator(mode="after")
    def _credentials(self) -> Self:
        if self.security_protocol.startswith("SASL") and not (self.username and self.password_file):
            raise ValueError(f"{self.security_protocol} needs username and password_file")
        return self


class AccessSettings(_Part):
    """The broker's principals: what each role is called there, and the folder that holds a file with each one's password.

    ``gateway topics apply`` makes SCRAM users of them where the folder is given; it must be run as the broker's admin.
    ``mirrored`` are the provinces with a Kafka of their own, whose MirrorMaker logs in here as the province.
    """

    passwords_dir: Path | None = None
    principals: dict[Literal["sichuan", "chongqing", "gateway", "operator"], str] = {}
    mirrored: tuple[Literal["sichuan", "chongqing"], ...] = ()

    def name_of(self, role: str) -> str:
        """Return the principal's name, without ``User:``; a role's own name unless ``principals`` says otherwise."""
        return cast("dict[str, str]", self.principals).get(role, role)


class SignatureSettings(_Part):
    """Whether a province's events must be signed, may be, or are not looked at; and the file of the public keys.

    ``gateway`` is what ``gateway audit`` asks of the gateway's own records; with ``own_key`` (PEM) the gateway signs them.
    """

    sichuan: Literal["off", "optional", "required"] = "off"
    chongqing: Literal["off", "optional", "required"] = "off"
    gateway: Literal["off", "optional", "required"] = "off"
    keys: Path | None = None
    own_key: Path | None = None
    own_key_id: str | None = Field(None, pattern=r"^[A-Za-z0-9._-]{1,64}$")


class TopicSettings(_Part):
    """What ``gateway topics apply`` creates."""

    partitions: int = Field(12, ge=1, le=1000)
    replication_factor: int = Field(1, ge=1, le=9)
    retention_hours: float = Field(168, gt=0)


class RelaySettings(_Part):
    """The lanes; times in the unit of their name."""

    group_id: str = Field("chuanyu-gateway", min_length=1, pattern=r"^[A-Za-z0-9._-]+$")
    max_records: int = Field(1000, ge=1, le=100_000)
    session_timeout_ms: int = Field(10_000, ge=6_000, le=300_000)
    transaction_timeout_ms: int = Field(30_000, ge=1_000, le=900_000)
    drain_timeout_s: float = Field(8, gt=0, le=300)
    log_forwards: bool = False


class DuplicateSettings(_Part):
    """How far back an id is remembered, in hours of broker time, and how many by one lane."""

    horizon_hours: float = Field(72.1, gt=0)
    max_ids: int = Field(1_000_000, ge=1)

    @property
    def horizon_ms(self) -> int:
        """The horizon in milliseconds."""
        return round(self.horizon_hours * 3_600_000)


class LedgerSettings(_Part):
    """Which digest chains the ledger: SM3 (GB/T 32905) or SHA-256."""

    digest: Literal["sm3", "sha256"] = "sm3"

    @model_validator(mode="after")
    def _available(self) -> Self:
        if self.digest not in hashlib.algorithms_available:
            raise ValueError(f"this Python's OpenSSL has no {self.digest}; set ledger.digest to sha256")
        return self


class WebSettings(_Part):
    """The Faust app's web server. With an operator's token (in a file), cases can be marked on the page."""

    enabled: bool = False
    host: str = "127.0.0.1"
    port: int = Field(6066, ge=1, le=65535)
    operator_token_file: Path | None = None


class FeedbackSettings(_Part):
    """The feedback app; times in the unit of their name."""

    group_id: str = Field("chuanyu-feedback", min_length=1, pattern=r"^[A-Za-z0-9._-]+$")
    session_timeout_ms: int = Field(10_000, ge=6_000, le=300_000)
    announce_s: float = Field(2, gt=0, le=3600)
    digest_s: float = Field(3600, gt=0)


class TracingSettings(_Part):
    """OpenTelemetry's spans of turns and events, which need the extra ``otel``; ``endpoint``: a collector's (OTLP over HTTP)."""

    enabled: bool = False
    endpoint: str | None = Field(None, pattern=r"^https?://")
    events: Literal["sampled", "all", "none"] = "sampled"


class LogSettings(_Part):
    """How the log is written: to stderr, by structlog."""

    format: Literal["auto", "json", "pretty"] = "auto"
    level: Literal["debug", "info", "warning", "error"] = "info"
    rejections_per_s: float = Field(100, gt=0)
    rejections_burst: int = Field(10_000, ge=1)


class Settings(BaseSettings):
    """Everything that can be set. Made by ``load_settings``; frozen."""

    model_config = SettingsConfigDict(
        env_prefix="GATEWAY_", env_nested_delimiter="__", extra="forbid", frozen=True, env_ignore_empty=True
    )

    bootstrap_servers: str = Field("localhost:9092", min_length=1)
    recognition: Path = Path("recognition")
    recognition_poll_s: float = Field(2, gt=0, le=3600)
    topic_prefix: str = Field("", pattern=r"^[A-Za-z0-9._-]*$", max_length=100)
    kafka: KafkaSettings = KafkaSettings()
    access: AccessSettings = AccessSettings()
    signatures: SignatureSettings = SignatureSettings()
    topics: TopicSettings = TopicSettings()
    relay: RelaySettings = RelaySettings()
    duplicates: DuplicateSettings = DuplicateSettings()
    ledger: LedgerSettings = LedgerSettings()
    feedback: FeedbackSettings = FeedbackSettings()
    web: WebSettings = WebSettings()
    log: LogSettings = LogSettings()
    tracing: TracingSettings = TracingSettings()

    _file: Path = PrivateAttr(default=Path(DEFAULT_FILE))

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Put the environment over the file: the file's content comes in as init arguments."""
        return env_settings, init_settings

    @property
    def file(self) -> Path:
        """The file these settings were read from."""
        return self._file

    @property
    def recognition_dir(self) -> Path:
        """The folder of list files, absolute."""
        return (self._file.parent / self.recognition).resolve()

    @property
    def topic_names(self) -> Topics:
        """The contract's topics by name, with the prefix."""
        return _topics(self.topic_prefix)

    @property
    def groups(self) -> tuple[str, str]:
        """The consumer groups: the relay's and feedback's; transactional ids begin with them."""
        return self.topic_prefix + self.relay.group_id, self.topic_prefix + self.feedback.group_id

    @property
    def changelogs(self) -> tuple[str, str]:
        """The topics of feedback's tables: cases' shares and days' shares."""
        return f"{self.groups[1]}-shares-changelog", f"{self.groups[1]}-days-changelog"

    def acting_as(self, role: str) -> Self:
        """Return the settings for another principal, with its password; without SASL they are the same."""
        folder = self.access.passwords_dir
        if folder is None or not self.kafka.security_protocol.startswith("SASL"):
            return self
        changed = {
            "sasl_mechanism": "SCRAM-SHA-512", "username": self.access.name_of(role), "password_file": folder / role,
        }  # fmt: skip
        return self.model_copy(update={"kafka": self.kafka.model_copy(update=changed)})

    def as_environment(self) -> dict[str, str]:
        """Return the environment in which another ``gateway`` process uses this file, this broker and these topics."""
        parts = {"KAFKA": self.kafka, "SIGNATURES": self.signatures, "TRACING": self.tracing}
        changed = {
            f"GATEWAY_{part}__{name.upper()}": str(value)
            for part, content in parts.items()
            for name, value in content.model_dump(exclude_defaults=True).items()
        }
        return {
            "GATEWAY_CONFIG": str(self._file),
            "GATEWAY_BOOTSTRAP_SERVERS": self.bootstrap_servers,
            "GATEWAY_TOPIC_PREFIX": self.topic_prefix,
            **changed,
        }

    def beside_file(self, path: Path) -> Path:
        """Return ``path`` as meant in the settings file: relative to that file's folder."""
        return (self._file.parent / path).resolve()


# A cached property would go along into a copy that has another prefix.
_topics = lru_cache(maxsize=64)(Topics)


def packaged_config() -> Path:
    """Return the configuration folder of the package (an installed wheel), or the checkout's ``config``."""
    installed = Path(str(files("gateway") / "_config"))
    return installed if installed.is_dir() else Path(__file__).resolve().parents[2] / "config"


def load_settings(config: Path | None = None, **overrides: Any) -> Settings:
    """Read the settings from ``config``, else ``$GATEWAY_CONFIG``, else ``config/gateway.yaml``, else the package's own.

    ``overrides`` are a command's options (``bootstrap_servers=…``) and win over everything.
    Raises ConfigurationError naming file, setting and mistake.
    """
    named = config or (Path(value) if (value := os.environ.get("GATEWAY_CONFIG")) else None)
    _refuse_near_misses()
    path = named or (Path(DEFAULT_FILE) if Path(DEFAULT_FILE).is_file() else packaged_config() / "gateway.yaml")
    content = _read_yaml(path, named=config is not None)
    try:
        settings = Settings(**content)
        if chosen := {name: value for name, value in overrides.items() if value is not None}:
            settings = settings.model_copy(update=chosen)
    except ValidationError as error:
        raise ConfigurationError(_explain(error, path, content)) from None
    settings._file = path.resolve()
    return settings


def _refuse_near_misses() -> None:
    """Refuse variables that were surely meant for us; others of our prefix are somebody else's (Compose, Kubernetes)."""
    known = {"GATEWAY_CONFIG", *(f"GATEWAY_{name}".upper() for name in Settings.model_fields)}
    parts = tuple(
        f"GATEWAY_{name}_".upper() for name, field in Settings.model_fields.items() if field.default_factory is None
    )
    for variable in os.environ:
        name = variable.upper()
        if not name.startswith("GATEWAY_") or name in known or "__" in name:
            continue
        meant = next((part for part in parts if name.startswith(part)), None)
        close = (
            f"{meant}_{name.removeprefix(meant)}"
            if meant
            else next(iter(get_close_matches(name, known, 1, 0.85)), None)
        )
        if close:
            raise ConfigurationError(
                f"environment variable {variable} is no setting; {close} was meant? Correct or unset it."
            )


def _read_yaml(path: Path, *, named: bool) -> dict[str, Any]:
    if not path.is_file():
        origin = "--config" if named else "GATEWAY_CONFIG"
        raise ConfigurationError(f"{origin} names {path}, which is not a file. Create it, or leave the setting out.")
    try:
        content = read_yaml(path) or {}
    except NotYamlError as error:
        raise ConfigurationError(f"{path} is {error}") from None
    if not isinstance(content, dict):
        raise ConfigurationError(f"{path}: the file's top level must be a mapping of settings")
    return cast("dict[str, Any]", content)


def _explain(error: ValidationError, path: Path, content: dict[str, Any]) -> str:
    """Explain each mistake in one line: setting, where it was set, the error. Never the value: it may be a secret."""
    lines = []
    for problem in error.errors(include_url=False, include_context=False, include_input=False):
        steps = [str(step) for step in problem["loc"]]
        variable = "GATEWAY_" + "__".join(steps).upper()
        place = f"environment variable {variable}" if variable in os.environ else str(path)
        if not content and variable not in os.environ:
            place = "the built-in default"
        lines.append(f"{place}: {'.'.join(steps) or 'settings'}: {problem['msg']}")
    return "the configuration is not valid:\n" + "\n".join(f"  {line}" for line in lines)
