"""The limit for Python: aiokafka reads the input, parses nothing, sends nothing. It commits now and then, to
be followed."""

import asyncio

from benchmarks.peers.bare_copy import FETCH_BYTES, share
from benchmarks.peers.task import Task
from gateway.adapters import kafka
from gateway.adapters.settings import load_settings


async def main() -> None:
    task, settings = Task(), load_settings()
    options = {
        "group_id": task.group_id, "enable_auto_commit": True, "auto_commit_interval_ms": 100,
        "max_partition_fetch_bytes": FETCH_BYTES,
    }  # fmt: skip
    async with kafka.consumer(settings, **options) as consumer:
        consumer.assign(await share(task, settings))
        while True:
            await consumer.getmany(timeout_ms=250, max_records=settings.relay.max_records)


if __name__ == "__main__":
    asyncio.run(main())
