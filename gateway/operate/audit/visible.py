"""What an open transaction hides is not there to be audited, and is not missing."""

from collections.abc import Sequence

from aiokafka import TopicPartition

from gateway.adapters.log_facts import find_hidden
from gateway.adapters.settings import Settings
from gateway.adapters.topic_reader import UnreadablePartitionError
from gateway.operate.audit.head import SETTLE_S


async def require_visible(settings: Settings, partitions: Sequence[TopicPartition]) -> None:
    """Wait until all that stands in ``partitions`` now can be read, as long as a worker that was killed may
    leave a transaction open. Raises UnreadablePartitionError where one hides the end of any beyond that.
    """
    within_s = settings.relay.transaction_timeout_ms / 1000 + SETTLE_S
    if hidden := await find_hidden(settings, partitions, within_s):
        topic, partition = hidden.partition
        why = "an open transaction hides what follows; `gateway doctor` names it: audit again once it has ended"
        raise UnreadablePartitionError(topic, partition, hidden.offset, why)
