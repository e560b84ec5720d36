"""What topics no longer keep because they need not, as distinguished from what somebody has removed."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from aiokafka import errors
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from gateway.adapters import kafka
from gateway.adapters.settings import Settings
from gateway.operate.topics import retention_ms

_MARGIN_MS = 300_000
"""By how much a broker's clock may be ahead of this one."""
_FOREVER = -1
_NOT_KNOWN = {errors.TopicAuthorizationFailedError.errno, errors.UnknownTopicOrPartitionError.errno}


@dataclass(frozen=True, slots=True)
class Retention:
    """How long each topic keeps its records, in milliseconds; -1: for ever; None: by their size, which says
    nothing of time."""

    kept_ms: Mapping[str, int | None]
    now: int

    def may_have_expired(self, topic: str, written_at: int) -> bool:
        """Tell whether a record of ``topic`` written at ``written_at`` (milliseconds since the epoch) may be
        gone by now."""
        kept = self.kept_ms.get(topic)
        return kept is None or (kept != _FOREVER and written_at <= self.now - kept + _MARGIN_MS)


async def find_retention(settings: Settings, topics: Iterable[str]) -> Retention:
    """Ask the broker how long it keeps ``topics``; where this principal may not know, the settings say it.

    Raises BrokerUnreachableError where the broker does not say it now: records that have expired would be
    missing by the settings.
    """
    kept: dict[str, int | None] = {name: retention_ms(settings, name) for name in topics}
    wanted: dict[str, Any] = {"retention.ms": None, "retention.bytes": None}
    async with kafka.admin(settings) as admin:
        resources = [ConfigResource(ConfigResourceType.TOPIC, name, wanted) for name in kept]
        for response in await admin.describe_configs(resources):
            for code, _, _, name, entries in response.resources:
                if code and code not in _NOT_KNOWN:
                    raise kafka.unreachable(settings, errors.for_code(code)())
                found = {entry[0]: entry[1] for entry in entries}
                if not code and found:
                    by_size = found.get("retention.bytes") not in {None, str(_FOREVER)}
                    kept[name] = None if by_size else int(found["retention.ms"])
    return Retention(kept, int(time.time() * 1000))
