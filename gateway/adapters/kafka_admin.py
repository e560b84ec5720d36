"""What aiokafka's admin client does not know: ACLs and SCRAM users, by confluent-kafka's (librdkafka)."""

from collections.abc import Iterable, Mapping
from typing import Any

from gateway.adapters import kafka
from gateway.adapters.access import CLUSTER, Grant, Kind, Role
from gateway.adapters.settings import Settings
from gateway.errors import ConfigurationError, GatewayError

_TIMEOUT_S = 15
_ITERATIONS = 8192  # of PBKDF2 in SCRAM (RFC 5802 asks for 4096 at the least)


class AccessAdmin:
    """The broker's grants and passwords. It blocks: call it from a thread. Every method raises
    GatewayError."""

    def __init__(self, settings: Settings) -> None:
        from confluent_kafka.admin import AdminClient  # noqa: PLC0415 — 20 MB, needed by few

        self._settings = settings
        self._client = AdminClient(_options(settings))

    def has_authorizer(self) -> bool:
        """Tell whether the broker asks who may do what; if not, everyone may do everything."""
        from confluent_kafka import KafkaException  # noqa: PLC0415
        from confluent_kafka import admin as api  # noqa: PLC0415

        try:
            broker = next(iter(self._client.list_topics(timeout=_TIMEOUT_S).brokers))
            (future,) = self._client.describe_configs(
                [api.ConfigResource(api.ResourceType.BROKER, str(broker))], request_timeout=_TIMEOUT_S
            ).values()
            return bool(future.result()["authorizer.class.name"].value)
        except KafkaException as error:
            raise self._refused("ACLs", error) from None

    def find_grants(self) -> set[Grant]:
        """Return the grants of our principals."""
        from confluent_kafka import KafkaException  # noqa: PLC0415
        from confluent_kafka import admin as api  # noqa: PLC0415

        anyone: Any = None  # as its documentation says, if not its types
        everything = api.AclBindingFilter(
            api.ResourceType.ANY, anyone, api.ResourcePatternType.ANY, anyone, anyone,
            api.AclOperation.ANY, api.AclPermissionType.ALLOW,
        )  # fmt: skip
        try:
            bindings = self._client.describe_acls(everything, request_timeout=_TIMEOUT_S).result()
        except KafkaException as error:
            raise self._refused("ACLs", error) from None
        found = [self._grant(binding) for binding in bindings if binding.host == "*"]
        return {grant for grant in found if grant is not None}

    def allowed_operations(self, topics: list[str], groups: list[str]) -> dict[tuple[Kind, str], set[str] | None]:
        """Ask the broker what this principal may do to each topic and group, and to the cluster, by Kafka's
        names.

        Asking leaves nothing behind. A topic that does not exist, as far as the principal may know, has
        None.
        """
        from confluent_kafka import KafkaError, KafkaException, TopicCollection  # noqa: PLC0415

        asked = {"include_authorized_operations": True, "request_timeout": _TIMEOUT_S}
        futures: dict[tuple[Kind, str], Any] = {(Kind.CLUSTER, CLUSTER): self._client.describe_cluster(**asked)}
        if topics:
            described = self._client.describe_topics(TopicCollection(topics), **asked)
            futures |= {(Kind.TOPIC, name): future for name, future in described.items()}
        if groups:
            described = self._client.describe_consumer_groups(groups, **asked)
            futures |= {(Kind.GROUP, name): future for name, future in described.items()}
        refusals = (KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.GROUP_AUTHORIZATION_FAILED)
        found: dict[tuple[Kind, str], set[str] | None] = {}
        for resource, future in futures.items():
            try:
                found[resource] = {each.name for each in future.result().authorized_operations or ()}
            except KafkaException as error:
                code = error.args[0].code()
                if code == KafkaError.UNKNOWN_TOPIC_OR_PART:
                    found[resource] = None
                elif code in refusals:
                    found[resource] = set()
                else:
                    raise self._refused("ACLs", error) from None
        return found

    def add_grants(self, grants: Iterable[Grant]) -> None:
        """Allow what ``grants`` say, from any host."""
        from confluent_kafka import KafkaException  # noqa: PLC0415

        bindings = [self._binding(grant) for grant in grants]
        if not bindings:
            return
        try:
            for future in self._client.create_acls(bindings, request_timeout=_TIMEOUT_S).values():
                future.result()
        except KafkaException as error:
            raise self._refused("ACLs", error) from None

    def set_passwords(self, passwords: Mapping[Role, str]) -> None:
        """Make each principal a SCRAM-SHA-512 user with this password, or change it."""
        from confluent_kafka import KafkaException  # noqa: PLC0415
        from confluent_kafka import admin as api  # noqa: PLC0415

        how = api.ScramCredentialInfo(api.ScramMechanism.SCRAM_SHA_512, _ITERATIONS)
        users: list[Any] = [
            api.UserScramCredentialUpsertion(self._settings.access.name_of(role), how, password.encode())
            for role, password in passwords.items()
        ]
        try:
            for future in self._client.alter_user_scram_credentials(users, request_timeout=_TIMEOUT_S).values():
                future.result()
        except KafkaException as error:
            raise self._refused("SCRAM users", error) from None

    def _binding(self, grant: Grant) -> Any:
        from confluent_kafka import admin as api  # noqa: PLC0415

        return api.AclBinding(
            api.ResourceType[grant.kind.value],
            grant.name,
            api.ResourcePatternType.PREFIXED if grant.prefixed else api.ResourcePatternType.LITERAL,
            f"User:{self._settings.access.name_of(grant.role)}",
            "*",
            api.AclOperation[grant.operation],
            api.AclPermissionType.ALLOW,
        )

    def _grant(self, binding: Any) -> Grant | None:
        roles = {f"User:{self._settings.access.name_of(role)}": role for role in Role}
        if binding.principal not in roles or binding.restype.name not in set(Kind):
            return None
        is_prefixed = binding.resource_pattern_type.name == "PREFIXED"
        return Grant(
            roles[binding.principal], Kind(binding.restype.name), binding.name, binding.operation.name, is_prefixed
        )

    def _refused(self, what: str, error: Any) -> GatewayError:
        name = self._settings.kafka.username or "anonymous"
        return GatewayError(f"the broker did not let {name} set {what} ({error.args[0].name()}): run this as its admin")


def _options(settings: Settings) -> dict[str, Any]:
    options = kafka.client_options(settings)
    found = {
        "bootstrap.servers": options["bootstrap_servers"],
        "security.protocol": options["security_protocol"],
        "log_level": 0,  # it would write to standard error by itself; what matters comes as an exception
    }
    if "sasl_mechanism" in options:
        found |= {
            "sasl.mechanism": options["sasl_mechanism"],
            "sasl.username": options["sasl_plain_username"],
            "sasl.password": options["sasl_plain_password"],
        }
    if settings.kafka.ca_file is not None:
        found["ssl.ca.location"] = str(settings.beside_file(settings.kafka.ca_file))
    return found


def read_passwords(settings: Settings) -> dict[Role, str]:
    """Read the passwords in ``access.passwords_dir``. Raises ConfigurationError if one is missing or
    empty."""
    folder = settings.access.passwords_dir
    if folder is None:
        return {}
    passwords = {}
    for role in Role:
        path = settings.beside_file(folder) / role.value
        try:
            passwords[role] = path.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise ConfigurationError(f"access.passwords_dir: {path} cannot be read ({error.strerror})") from None
        if not passwords[role]:
            raise ConfigurationError(f"access.passwords_dir: {path} is empty; `make secrets` writes one")
    return passwords
