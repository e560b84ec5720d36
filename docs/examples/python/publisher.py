"""Publishes what was shown, signed: one line of input (id, time, data) is one event. Needs confluent-kafka
and cryptography.

    python publisher.py displays.ndjson

Signs with the Ed25519 key (PEM) in SIGNING_KEY under the id SIGNING_KEY_ID, where these are set.
"""

import json
import os
import sys
from pathlib import Path

from confluent_kafka import KafkaError, Message, Producer
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from platform_settings import PROVINCE, connection

SOURCE = f"urn:chuanyu:{PROVINCE}"


def sign(event_id: str, time: str, data: bytes) -> dict[str, str]:
    """The two attributes of a signature; none where there is no key (docs/signing.md)."""
    if "SIGNING_KEY" not in os.environ:
        return {}
    key = load_pem_private_key(Path(os.environ["SIGNING_KEY"]).read_bytes(), password=None)
    parts = (event_id.encode(), SOURCE.encode(), time.encode(), data)
    message = b"".join(b"%d:%b," % (len(part), part) for part in parts)
    return {"signature": key.sign(message).hex(), "signaturekey": os.environ["SIGNING_KEY_ID"]}


def event(display: dict) -> bytes:
    """The CloudEvent: the very bytes of ``data`` that were signed go into it."""
    data = json.dumps(display["data"], ensure_ascii=False, separators=(",", ":")).encode()
    context = {
        "specversion": "1.0",
        "type": "cn.chuanyu.certificate.displayed.v1",
        "source": SOURCE,
        "id": display["id"],  # the platform's own: sent again, it is known
        "time": display["time"],
        "datacontenttype": "application/json",
        **sign(display["id"], display["time"], data),
    }
    return json.dumps(context, ensure_ascii=False).encode()[:-1] + b',"data":' + data + b"}"


def main() -> int:
    """Send all, and say how many the broker has."""
    delivered, failed = 0, 0

    def on_delivery(error: KafkaError | None, _: Message) -> None:
        nonlocal delivered, failed
        if error is None:
            delivered += 1
        else:
            failed += 1
            print(f"not delivered: {error}", file=sys.stderr)

    # Kafka's own partitioner, as every client of Java has it: librdkafka's default puts a key elsewhere.
    options = {"acks": "all", "enable.idempotence": True, "linger.ms": 5, "partitioner": "murmur2_random"}
    producer = Producer(connection() | options)
    with Path(sys.argv[1]).open(encoding="utf-8") as lines:
        for display in map(json.loads, lines):
            # The key is the holder's reference: it keeps a holder's displays in order.
            producer.produce(
                f"{PROVINCE}.display", event(display), key=display["data"]["holder"]["ref"], on_delivery=on_delivery
            )
            producer.poll(0)
    producer.flush(60)
    print(f"{delivered} delivered, {failed} failed", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
