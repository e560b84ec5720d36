"""A local broker's access: open to everyone, or with principals and ACLs as config/kafka/broker.properties
has them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gateway.adapters.kafka import client_options
from gateway.adapters.setting_groups import KafkaSettings
from gateway.adapters.settings import Settings, packaged_config
from gateway.operate.secret_files import ADMIN

CA = "ca.pem"
_CERTIFICATE = "kafka.pem"
_PROTOCOLS = "listener.security.protocol.map"
_SECRETS = "${dir:/run/secrets:"
_SECURITY = ("sasl.", "listener.name.", "config.providers", "authorizer.", "allow.everyone.", "super.users")


def has_tls(passwords_dir: Path | None) -> bool:
    """Tell whether a certificate lies beside the passwords (``config/kafka/development-ca.sh`` makes
    one)."""
    return passwords_dir is not None and (passwords_dir / _CERTIFICATE).is_file()


def broker_properties(password_source: str | None) -> dict[str, str]:
    """Return the settings of config/kafka/broker.properties.

    ``password_source`` is where a config provider finds the admin's password, up to its name
    (``dir:/folder:``); None makes the broker open: no password, no ACL.
    """
    lines = (packaged_config() / "kafka" / "broker.properties").read_text(encoding="utf-8").splitlines()
    content = dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    if password_source is not None:
        return {key: value.replace(_SECRETS, f"${{{password_source}") for key, value in content.items()}
    kept = {key: value for key, value in content.items() if not key.startswith(_SECURITY)}
    return kept | {_PROTOCOLS: kept[_PROTOCOLS].replace("SASL_PLAINTEXT", "PLAINTEXT")}


def tls_properties(passwords_dir: Path) -> dict[str, str]:
    """Return the settings that give every listener TLS, with the certificate that lies beside the
    passwords."""
    return {
        _PROTOCOLS: broker_properties("")[_PROTOCOLS].replace("SASL_PLAINTEXT", "SASL_SSL"),
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(passwords_dir / _CERTIFICATE),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(passwords_dir / CA),
    }


def as_admin(settings: Settings, passwords_dir: Path) -> Settings:
    """Return the settings for the admin of a local broker whose passwords lie in ``passwords_dir``."""
    kafka = KafkaSettings(
        security_protocol="SASL_SSL" if has_tls(passwords_dir) else "SASL_PLAINTEXT",
        ca_file=passwords_dir / CA if has_tls(passwords_dir) else None,
        sasl_mechanism="PLAIN",
        username=ADMIN,
        password_file=passwords_dir / ADMIN,
    )
    access = settings.access.model_copy(update={"passwords_dir": passwords_dir})
    return settings.model_copy(update={"kafka": kafka, "access": access})


def admin_options(bootstrap_servers: str, passwords_dir: Path | None) -> Mapping[str, Any]:
    """Return what an aiokafka client needs to be the broker's admin; of an open broker, anybody."""
    options = {} if passwords_dir is None else client_options(as_admin(Settings(), passwords_dir))
    return {**options, "bootstrap_servers": bootstrap_servers}
