"""Kafka clients made from settings: security in one place, and one error for a broker that does not
answer."""

import ssl
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition, errors
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError
from aiokafka.helpers import create_ssl_context

from gateway.adapters import aiokafka_patches
from gateway.adapters.aiokafka_patches import stop
from gateway.adapters.settings import Settings
from gateway.errors import BrokerUnreachableError, ConfigurationError, GatewayError

MOST_POLLED = 10_000
"""Records that a consumer gives out at a time."""
CLIENT_ID = "chuanyu-gateway"
"""What all our clients call themselves: in the broker's log, in quotas, and as members of groups."""

WHOLE_LOG = {"message.timestamp.type": "LogAppendTime", "cleanup.policy": "delete"}
"""How every topic is set: times are the broker's, and compaction would take what is still to be decided or
proved."""

_SET_ON_THE_TOPIC = 1  # DescribeConfigs' source DYNAMIC_TOPIC_CONFIG
_LOGIN_TIMEOUT_MS = 5000
_LOGIN_ERRORS = (
    errors.SaslAuthenticationFailed, errors.UnsupportedSaslMechanismError, errors.IllegalSaslStateError,
    errors.AuthenticationFailedError, errors.AuthenticationMethodNotSupported,
)  # fmt: skip
REFUSALS = (
    *_LOGIN_ERRORS, errors.TopicAuthorizationFailedError, errors.GroupAuthorizationFailedError,
    errors.ClusterAuthorizationFailedError, errors.TransactionalIdAuthorizationFailed,
)  # fmt: skip


def client_options(settings: Settings) -> dict[str, Any]:
    """Return the connection arguments that every aiokafka client takes."""
    kafka = settings.kafka
    options: dict[str, Any] = {
        "bootstrap_servers": settings.bootstrap_servers,
        "client_id": CLIENT_ID,
        "security_protocol": kafka.security_protocol,
    }
    if kafka.security_protocol.startswith("SASL") and kafka.password_file is not None:
        options |= {
            "sasl_mechanism": kafka.sasl_mechanism,
            "sasl_plain_username": kafka.username,
            "sasl_plain_password": _read_secret(settings, "kafka.password_file"),
        }
    if kafka.security_protocol.endswith("SSL"):
        options["ssl_context"] = _ssl_context(settings)
    return options


def _read_secret(settings: Settings, name: str) -> str:
    path = settings.beside_file(settings.kafka.password_file or settings.file)
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigurationError(f"{name}: {path} cannot be read ({error.strerror})") from None


def _ssl_context(settings: Settings) -> ssl.SSLContext:
    ca_file = settings.kafka.ca_file
    try:
        context: ssl.SSLContext = create_ssl_context(cafile=str(settings.beside_file(ca_file)) if ca_file else None)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(f"kafka.ca_file: {ca_file} is not a readable PEM file ({error})") from None
    return context


def make_client(kind: Callable[..., Any], settings: Settings, *topics: str, **options: Any) -> Any:
    """Make a client of aiokafka's class ``kind``, not started; ``options`` are aiokafka's.

    Every client is made here, so that all clients have the patches.
    """
    aiokafka_patches.apply()
    return kind(*topics, **(client_options(settings) | options))


@asynccontextmanager
async def producer(settings: Settings, **options: Any) -> AsyncIterator[AIOKafkaProducer]:
    """Start a producer, and stop it at the end; ``options`` are aiokafka's."""
    client = make_client(AIOKafkaProducer, settings, **options)
    async with _started(client, settings):
        yield client


@asynccontextmanager
async def consumer(settings: Settings, *topics: str, **options: Any) -> AsyncIterator[AIOKafkaConsumer]:
    """Start a consumer of committed records only, and stop it at the end; ``options`` are aiokafka's."""
    defaults: dict[str, Any] = {
        "isolation_level": "read_committed", "enable_auto_commit": False,
        # Where retention has removed what is to be read, reading goes on at what is left, not at the end.
        "auto_offset_reset": "earliest",
        # Most of them read what there is, and seek: a fetch that waits at a partition's end keeps the next
        # one waiting.
        "fetch_max_wait_ms": 50,
        # One batch may hold, or claim, any number of records, and what is polled is a list.
        "max_poll_records": MOST_POLLED,
    }  # fmt: skip
    client = make_client(AIOKafkaConsumer, settings, *topics, **(defaults | options))
    async with _started(client, settings):
        yield client


@asynccontextmanager
async def admin(settings: Settings) -> AsyncIterator[AIOKafkaAdminClient]:
    """Start an admin client, and close it at the end."""
    client = make_client(AIOKafkaAdminClient, settings)
    try:
        try:
            await client.start()
        except (KafkaError, OSError) as error:
            raise await _not_started(settings, error) from None
        yield client
    finally:
        await client.close()


async def partitions_of(settings: Settings, topics: list[str]) -> list[TopicPartition]:
    """Return every partition of ``topics``, sorted.

    Raises ConfigurationError where a topic is missing, BrokerUnreachableError where the broker cannot say
    it now.
    """
    async with admin(settings) as client:
        try:
            described = await describe_topics(client, topics)
        except errors.BrokerResponseError as error:
            raise unreachable(settings, error) from None
    missing = [topic for topic in topics if not described.get(topic)]
    if missing:
        raise ConfigurationError(
            f"no such topic at {settings.bootstrap_servers}: {', '.join(missing)}. Run `gateway topics apply` first."
        )
    return sorted(TopicPartition(topic, each["partition"]) for topic in topics for each in described[topic])


async def describe_topics(admin: AIOKafkaAdminClient, topics: Iterable[str]) -> dict[str, list[dict[str, Any]]]:
    """Return the partitions of each of ``topics``, as aiokafka describes them; of one that is not there,
    none.

    Raises KafkaError where the broker says anything else of one: that is no topic without partitions.
    """
    found = await admin.describe_topics(list(topics))
    for each in found:
        if each["error_code"] not in {0, errors.UnknownTopicOrPartitionError.errno}:
            raise errors.for_code(each["error_code"])(each["topic"])
    return {each["topic"]: each["partitions"] for each in found}


async def topic_configs(admin: AIOKafkaAdminClient, topics: Iterable[str]) -> dict[str, dict[str, str]] | None:
    """Return each topic's configuration, those that it takes over from the broker too; None where we may not
    see it."""
    found: dict[str, dict[str, str]] = {}
    for response in await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, each) for each in topics]):
        for code, _, _, name, entries in response.resources:
            if code == errors.TopicAuthorizationFailedError.errno:
                return None
            if code:
                raise errors.for_code(code)
            found[name] = {entry[0]: entry[1] for entry in entries}
    return found


async def change_topic_config(admin: AIOKafkaAdminClient, topic: str, changes: Mapping[str, str]) -> str | None:
    """Set some of a topic's own settings and leave its others as they are; None, or why the broker would
    not.

    Kafka's AlterConfigs sets what it does not name back to the broker's defaults, so that all are sent.
    """
    own: dict[str, str] = {}
    for response in await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)]):
        for code, message, _, _, entries in response.resources:
            if code:
                return str(message or errors.for_code(code).__name__)
            own |= {entry[0]: entry[1] for entry in entries if entry[3] == _SET_ON_THE_TOPIC}
    for response in await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, own | dict(changes))]):
        for code, message, *_ in response.resources:
            if code:
                return str(message or errors.for_code(code).__name__)
    return None


@asynccontextmanager
async def _started(client: Any, settings: Settings) -> AsyncIterator[None]:
    try:
        try:
            await client.start()
        except (KafkaError, OSError) as error:
            raise await _not_started(settings, error) from None
        yield
    finally:
        await stop(client)


async def _not_started(settings: Settings, error: Exception) -> GatewayError:
    """Say why a client did not start. A client that cannot log in says only that it cannot connect: ask once
    more."""
    if settings.kafka.security_protocol.startswith("SASL") and not isinstance(error, REFUSALS):
        host, _, port = settings.bootstrap_servers.split(",")[0].strip().rpartition(":")
        options = client_options(settings)
        del options["bootstrap_servers"]
        try:
            await aiokafka_patches.try_to_log_in(host, int(port), timeout_ms=_LOGIN_TIMEOUT_MS, **options)
        except REFUSALS as refusal:
            error = refusal
        except (KafkaError, OSError, TimeoutError, ValueError):
            pass
    return unreachable(settings, error)


def unreachable(settings: Settings, error: Exception) -> GatewayError:
    """Return the error for a broker that does not answer, that answers with an error, or that does not let
    us in."""
    principal = settings.kafka.username or "anonymous"
    if isinstance(error, _LOGIN_ERRORS):
        return ConfigurationError(
            f"{settings.bootstrap_servers} does not let {principal} log in by {settings.kafka.sasl_mechanism}: "
            f"see that kafka.password_file ({settings.kafka.password_file}) holds its password"
        )
    if isinstance(error, REFUSALS):
        return ConfigurationError(
            f"{settings.bootstrap_servers} does not allow {principal} to do this ({type(error).__name__}): "
            "use the principal that docs/access.md names for it; where that is the one, run `gateway topics apply` as the "
            "broker's admin"
        )
    # RequestTimedOutError is what aiokafka gives itself where no answer comes.
    if isinstance(error, errors.BrokerResponseError | errors.NoBrokersAvailable) and not isinstance(
        error, errors.RequestTimedOutError
    ):
        return BrokerUnreachableError(
            f"Kafka at {settings.bootstrap_servers} answers that it cannot do this now ({type(error).__name__}). Run this "
            "again in a moment; if it stays so, see the broker's log"
        )
    return BrokerUnreachableError(
        f"cannot reach Kafka at {settings.bootstrap_servers}. Is it running, and is GATEWAY_BOOTSTRAP_SERVERS right? "
        f"({type(error).__name__})"
    )
