"""A local broker's access: open to everyone, or with principals and ACLs as config/kafka/broker.properties has them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gateway.adapters.settings import KafkaSettings, Settings, packaged_config

ADMIN = "admin"
_SECRETS = "${dir:/run/secrets:"
_SECURITY = ("sasl.", "listener.name.", "config.providers", "authorizer.", "allow.everyone.", "super.users")


def broker_properties(password_source: str | None) -> dict[str, str]:
    """The settings of config/kafka/broker.properties. ``password_source`` is where a config provider finds the admin's
    password, up to its name (``dir:/folder:``); None makes the broker open: no password, no ACL."""
    lines = (packaged_config() / "kafka" / "broker.properties").read_text(encoding="utf-8").splitlines()
    content = dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    if password_source is not None:
        return {key: value.replace(_SECRETS, f"${{{password_source}") for key, value in content.items()}
    kept = {key: value for key, value in content.items() if not key.startswith(_SECURITY)}
    protocols = kept["listener.security.protocol.map"].replace("SASL_PLAINTEXT", "PLAINTEXT")
    return kept | {"listener.security.protocol.map": protocols}


def admin_options(passwords_dir: Path | None) -> Mapping[str, Any]:
    """What an aiokafka client needs to be the broker's admin."""
    if passwords_dir is None:
        return {}
    return {
        "security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "PLAIN", "sasl_plain_username": ADMIN,
        "sasl_plain_password": (passwords_dir / ADMIN).read_text(encoding="utf-8"),
    }  # fmt: skip


def as_admin(settings: Settings, passwords_dir: Path) -> Settings:
    """The settings for the admin of a local broker whose passwords lie in ``passwords_dir``."""
    kafka = KafkaSettings(
        security_protocol="SASL_PLAINTEXT", sasl_mechanism="PLAIN", username=ADMIN, password_file=passwords_dir / ADMIN
    )
    access = settings.access.model_copy(update={"passwords_dir": passwords_dir})
    return settings.model_copy(update={"kafka": kafka, "access": access})
