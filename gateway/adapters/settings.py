"""Settings: the YAML file, then the environment (``GATEWAY_…``), each mistake named with its place."""

import os
import re
from collections.abc import Iterator
from difflib import get_close_matches
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Self, cast

from pydantic import BaseModel, Field, PrivateAttr, ValidationError, field_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

from gateway.adapters.addresses import problem_with_servers
from gateway.adapters.setting_groups import (
    AccessSettings,
    ArchiveSettings,
    DuplicateSettings,
    FeedbackSettings,
    KafkaSettings,
    LedgerSettings,
    LogSettings,
    RelaySettings,
    SignatureSettings,
    TopicSettings,
    TracingSettings,
    WebSettings,
)
from gateway.adapters.strict_yaml import NotYamlError, read_yaml
from gateway.contract.topics import Topics
from gateway.core.mistakes import words_of
from gateway.errors import ConfigurationError

DEFAULT_FILE = "config/gateway.yaml"


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
    archive: ArchiveSettings = ArchiveSettings()

    @field_validator("bootstrap_servers")
    @classmethod
    def _servers(cls, value: str) -> str:
        if problem := problem_with_servers(value):
            raise ValueError(problem)
        return value

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
    def archive_place(self) -> str | None:
        """Where the archive lies: a folder, absolute, or an address; None where the settings name none."""
        place = self.archive.place
        return place if place is None or "://" in place else str(self.beside_file(Path(place)))

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
        """Return the environment in which another ``gateway`` process uses this file, this broker and these
        topics."""
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
    """Read the settings from ``config``, else ``$GATEWAY_CONFIG``, else ``config/gateway.yaml``, else the
    package's own.

    ``overrides`` are a command's options (``bootstrap_servers=…``) and win over everything.
    Raises ConfigurationError naming file, setting and mistake.
    """
    named = config or (Path(value) if (value := os.environ.get("GATEWAY_CONFIG")) else None)
    _refuse_near_misses()
    _check_options(overrides)
    path = named or (Path(DEFAULT_FILE) if Path(DEFAULT_FILE).is_file() else packaged_config() / "gateway.yaml")
    content = _read_yaml(path, named=config is not None)
    try:
        settings = Settings(**content)
        if chosen := {name: value for name, value in overrides.items() if value is not None}:
            settings = settings.model_copy(update=chosen)
    except ValidationError as error:
        raise ConfigurationError(_explain(error, path, content)) from None
    except SettingsError as error:
        raise ConfigurationError(_explain_variable(error)) from None
    settings._file = path.resolve()
    return settings


def _check_options(overrides: dict[str, Any]) -> None:
    """Refuse a broker's address given as an option that cannot be one: it replaces the setting, and is
    checked as that is."""
    if (servers := overrides.get("bootstrap_servers")) is not None and (problem := problem_with_servers(servers)):
        raise ConfigurationError(f"--bootstrap-servers: {problem}")


def _refuse_near_misses() -> None:
    """Refuse variables that were surely meant for us; others of our prefix are somebody else's (Compose,
    Kubernetes)."""
    variables = {"GATEWAY_CONFIG", *_variables(Settings, "GATEWAY_")}
    groups = {f"GATEWAY_{name}".upper() for name, field in Settings.model_fields.items() if _group(field) is not None}
    for variable in os.environ:
        name = variable.upper()
        if not name.startswith("GATEWAY_") or name in variables | groups:
            continue
        group, is_nested, _ = name.removeprefix("GATEWAY_").partition("__")
        if is_nested and f"GATEWAY_{group}" in groups:
            continue  # what is wrong within a group is found with the rest
        close = next(iter(get_close_matches(name, variables, 1, 0.85)), None)
        if close or is_nested or any(name.startswith(f"{each}_") for each in groups):
            hint = (
                f"did you mean {close}?"
                if close
                else "a group and its setting are parted by __, as in GATEWAY_WEB__PORT."
            )
            raise ConfigurationError(
                f"environment variable {variable}: there is no such setting; {hint} Correct or unset it."
            )


def _group(field: FieldInfo) -> type[BaseModel] | None:
    """Return the model of a setting that is a group of settings."""
    kind = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _variables(model: type[BaseModel], prefix: str) -> Iterator[str]:
    """Yield the environment variables of all settings in ``model``."""
    for name, field in model.model_fields.items():
        variable, group = prefix + name.upper(), _group(field)
        if group is None:
            yield variable
        else:
            yield from _variables(group, f"{variable}__")


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
    """Explain each mistake in one line: setting, where it was set, the error. Never the value: it may be a
    secret."""
    lines = []
    for problem in error.errors(include_url=False, include_input=False):
        steps = [str(step) for step in problem["loc"] if step != "[key]"]
        variable = "GATEWAY_" + "__".join(steps).upper()
        # What the settings of a group must have together may be set by a variable of one, and by the file.
        found = sorted(each for each in os.environ if re.fullmatch(rf"{re.escape(variable)}(?:__.*)?", each.upper()))
        places = [f"environment variable {each}" for each in found]
        if variable not in map(str.upper, found) and (content or not found):
            places.append(str(path) if content else "the built-in default")
        lines.append(f"{' or '.join(places)}: {'.'.join(steps) or 'settings'}: {words_of(problem, _beside(steps))}")
    return "the configuration is not valid:\n" + "\n".join(f"  {line}" for line in lines)


def _beside(steps: list[str]) -> list[str]:
    """Return the names of the settings that stand beside the one at ``steps``."""
    model: type[BaseModel] = Settings
    for step in steps[:-1]:
        group = _group(model.model_fields[step]) if step in model.model_fields else None
        if group is None:
            return []
        model = group
    return list(model.model_fields)


def _explain_variable(error: SettingsError) -> str:
    """Explain that a variable's value, which is to be JSON, is not. The error names the setting's first
    step, no value."""
    found = re.search(r'field "(\w+)"', str(error))
    name = found[1].upper() if found else ""
    variables = sorted(each for each in os.environ if re.fullmatch(rf"GATEWAY_{name}(?:__.*)?", each.upper()))
    return (
        f'environment variable {" or ".join(variables)}: must be JSON, such as ["sichuan"] or {{"gateway": "gw"}}; '
        "the single settings of a group have variables of their own, such as GATEWAY_WEB__PORT"
    )
