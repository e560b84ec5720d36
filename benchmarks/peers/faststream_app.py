"""FastStream, in batches and without waiting for each record's answer: the quickest way that it offers, at
least once."""

import asyncio
import logging
from typing import Any

from faststream import AckPolicy, FastStream
from faststream.kafka import KafkaBroker

from benchmarks.peers.task import Task


async def _as_they_are(message: Any) -> Any:
    """The batch's records undecoded: the job does its own parsing."""
    return message.raw_message


def main() -> None:
    task = Task()
    job = task.make_job()
    broker = KafkaBroker(
        task.bootstrap_servers, linger_ms=5, max_batch_size=262_144, log_level=logging.ERROR, apply_types=False
    )

    @broker.subscriber(  # type: ignore[untyped-decorator]  # not installed where this is checked
        *task.topics.displays, group_id=task.group_id, batch=True, max_records=1000, auto_offset_reset="earliest",
        ack_policy=AckPolicy.ACK, decoder=_as_they_are,
    )  # fmt: skip
    async def work(records: Any) -> None:
        sent = []
        for record in records:
            read = (record.topic, record.partition, record.offset, record.timestamp, record.key, record.value)
            target, value = job(read)
            publishing = broker.publish(value, target, key=record.key, partition=record.partition, no_confirm=True)
            sent.append(await publishing)
        await asyncio.gather(*sent)

    asyncio.run(FastStream(broker).run(log_level=logging.ERROR))


if __name__ == "__main__":
    main()
