"""The groups of settings, each a mapping of the settings file: what each setting may be, and its default."""

import hashlib
from pathlib import Path
from typing import Annotated, Any, Literal, Self, cast
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from gateway.adapters.addresses import problem_with_url


def _off(value: Any) -> Any:
    return "off" if value is False else value


_OFF = BeforeValidator(_off)
"""YAML reads ``off`` without quotes as false."""


class _Group(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class KafkaSettings(_Group):
    """How to reach the broker. The password is read from its file when a client is made, and kept nowhere
    else."""

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


class AccessSettings(_Group):
    """The broker's principals: what each role is called there, and the folder that holds a file with each
    one's password.

    ``gateway topics apply`` makes SCRAM users of them where the folder is given; it must be run as the
    broker's admin. ``mirrored`` are the provinces with a Kafka of their own, whose MirrorMaker logs in here
    as the province.
    """

    passwords_dir: Path | None = None
    principals: dict[Literal["sichuan", "chongqing", "gateway", "operator"], str] = {}
    mirrored: tuple[Literal["sichuan", "chongqing"], ...] = ()

    def name_of(self, role: str) -> str:
        """Return the principal's name, without ``User:``; a role's own name unless ``principals`` says
        otherwise."""
        return cast("dict[str, str]", self.principals).get(role, role)


class SignatureSettings(_Group):
    """Whether a province's events must be signed, may be, or are not looked at; and the file of the public
    keys.

    ``gateway`` is what ``gateway audit`` asks of the gateway's own records; with ``own_key`` (PEM) the
    gateway signs them.
    """

    sichuan: Annotated[Literal["off", "optional", "required"], _OFF] = "off"
    chongqing: Annotated[Literal["off", "optional", "required"], _OFF] = "off"
    gateway: Annotated[Literal["off", "optional", "required"], _OFF] = "off"
    keys: Path | None = None
    own_key: Path | None = None
    own_key_id: str | None = Field(None, pattern=r"^[A-Za-z0-9._-]{1,64}$")


class TopicSettings(_Group):
    """What ``gateway topics apply`` creates."""

    partitions: int = Field(12, ge=1, le=1000)
    replication_factor: int = Field(1, ge=1, le=9)
    retention_hours: float = Field(168, gt=0)


class RelaySettings(_Group):
    """The lanes; times in the unit of their name."""

    group_id: str = Field("chuanyu-gateway", min_length=1, pattern=r"^[A-Za-z0-9._-]+$")
    max_records: int = Field(1000, ge=1, le=100_000)
    session_timeout_ms: int = Field(10_000, ge=6_000, le=300_000)
    transaction_timeout_ms: int = Field(30_000, ge=1_000, le=900_000)
    drain_timeout_s: float = Field(8, gt=0, le=300)
    log_forwards: bool = False
    kernel: Annotated[Literal["auto", "off", "verify"], _OFF] = "auto"


class DuplicateSettings(_Group):
    """How far back an id is remembered, in hours of broker time, and how many by one lane."""

    horizon_hours: float = Field(72.1, gt=0)
    max_ids: int = Field(1_000_000, ge=1)

    @property
    def horizon_ms(self) -> int:
        """The horizon in milliseconds."""
        return round(self.horizon_hours * 3_600_000)


class LedgerSettings(_Group):
    """Which digest chains the ledger: SM3 (GB/T 32905) or SHA-256."""

    digest: Literal["sm3", "sha256"] = "sm3"

    @model_validator(mode="after")
    def _available(self) -> Self:
        if self.digest not in hashlib.algorithms_available:
            raise ValueError(f"this Python's OpenSSL has no {self.digest}; set ledger.digest to sha256")
        return self


class WebSettings(_Group):
    """The Faust app's web server. With an operator's token (in a file), cases can be marked on the page."""

    enabled: bool = False
    host: str = "127.0.0.1"
    port: int = Field(6066, ge=1, le=65535)
    operator_token_file: Path | None = None


class FeedbackSettings(_Group):
    """The feedback app and its reports; times in the unit of their name.

    A department's report asks for an answer to ``answer_to`` within ``answer_days``; ``reports_dir`` is the
    folder of reports that the page links to.
    """

    group_id: str = Field("chuanyu-feedback", min_length=1, pattern=r"^[A-Za-z0-9._-]+$")
    session_timeout_ms: int = Field(10_000, ge=6_000, le=300_000)
    announce_s: float = Field(2, gt=0, le=3600)
    digest_s: float = Field(3600, gt=0)
    answer_to: str | None = Field(None, min_length=1, max_length=200)
    answer_days: int = Field(15, ge=1, le=366)
    reports_dir: Path | None = None
    overdue_days: int = Field(10, ge=1, le=400)

    @property
    def answer(self) -> tuple[str, int] | None:
        """To whom departments answer, and within how many days; None where that is not set."""
        return None if self.answer_to is None else (self.answer_to, self.answer_days)


class ArchiveSettings(_Group):
    """Where the archive lies, and when a segment of it is written, at the latest; and whether inputs are
    kept with their bytes."""

    place: str | None = Field(None, min_length=1)
    segment_minutes: float = Field(360, gt=0, le=1440)
    segment_entries: int = Field(20_000, ge=1, le=1_000_000)
    segment_megabytes: float = Field(64, gt=0, le=1024)
    input_bytes: bool = False

    @field_validator("place")
    @classmethod
    def _place(cls, value: str | None) -> str | None:
        if value is not None and "@" in urlsplit(value).netloc:
            raise ValueError("an address holds no credentials: they are AWS_… variables or a file (docs/archive.md)")
        return value


class TracingSettings(_Group):
    """OpenTelemetry's spans of turns and events, which need the extra ``otel``; ``endpoint``: a collector's
    (OTLP over HTTP)."""

    enabled: bool = False
    endpoint: str | None = Field(None, pattern=r"^https?://")
    events: Literal["sampled", "all", "none"] = "sampled"

    @field_validator("endpoint")
    @classmethod
    def _url(cls, value: str | None) -> str | None:
        if value is not None and (problem := problem_with_url(value)):
            raise ValueError(problem)
        return value


class LogSettings(_Group):
    """How the log is written: to stderr, by structlog."""

    format: Literal["auto", "json", "pretty"] = "auto"
    level: Literal["debug", "info", "warning", "error"] = "info"
    rejections_per_s: float = Field(100, gt=0)
    rejections_burst: int = Field(10_000, ge=1)
