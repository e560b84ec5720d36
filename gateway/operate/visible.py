"""What an open transaction hides cannot be read, and is not missing."""

from collections.abc import Sequence

from aiokafka import TopicPartition

from gateway.adapters.hidden_ends import HiddenEnds
from gateway.adapters.settings import Settings
from gateway.adapters.topic_reader import UnreadablePartitionError


async def require_visible(settings: Settings, partitions: Sequence[TopicPartition]) -> None:
    """Wait until all that stands in ``partitions`` now can be read, as long as a worker that was killed may
    leave a transaction open. Raises UnreadablePartitionError where one hides the end of any beyond that.
    """
    ends = HiddenEnds(settings, partitions)
    for hidden in await ends.settle_beyond_a_kill():
        topic, partition = hidden
        if hidden not in ends.visible_to:
            raise UnreadablePartitionError(topic, partition, 0, "it has no leader now")
        why = "an open transaction hides what follows; `gateway doctor` names it: run this again once it has ended"
        raise UnreadablePartitionError(topic, partition, ends.visible_to[hidden], why)
