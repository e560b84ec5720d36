"""Reads what comes back: verification records of what was shown here, and rejections of what this platform
sent.

    python consumer.py [HOW_MANY]

One line of JSON each; stops after HOW_MANY of them, else never. Needs confluent-kafka.
"""

import json
import os
import sys

from confluent_kafka import Consumer, KafkaException
from platform_settings import PROVINCE, connection


def handle(topic: str, record: dict) -> None:
    """The platform's own work. A record may come again after a crash: its ``id`` tells."""
    data = record["data"]
    if topic.endswith(".verification"):
        listed = {"batch": data["list"]["batch"], "row": data["list"]["row"]}
        said = {"outcome": "verified", **listed, "certificate": data["certificate"]["type_name"]}
    else:
        said = {"outcome": "rejected", "reasons": [reason["code"] for reason in data["reasons"]]}
    print(json.dumps({"event": data["event"]["id"], **said}, ensure_ascii=False), flush=True)


def main() -> None:
    """Read, handle, and only then let it be committed: nothing is passed over."""
    left = int(sys.argv[1]) if len(sys.argv) > 1 else None
    consumer = Consumer(
        connection()
        | {
            "group.id": os.environ.get("GROUP", f"{PROVINCE}-platform"),  # begins with the province's name
            "isolation.level": "read_committed",  # not what a transaction took back
            "enable.auto.offset.store": False,  # what is committed now and then is only what was handled
            "auto.offset.reset": "earliest",
        }
    )
    consumer.subscribe([f"{PROVINCE}.verification", f"{PROVINCE}.rejection"])
    try:
        while left is None or left > 0:
            message = consumer.poll(1.0)
            if message is None:
                continue
            if message.error():
                raise KafkaException(message.error())
            handle(message.topic(), json.loads(message.value()))
            consumer.store_offsets(message)
            left = left - 1 if left is not None else None
    finally:
        consumer.close()


if __name__ == "__main__":
    main()
