"""``gateway schema``: the contract as files: JSON Schema 2020-12, AsyncAPI 3.1 and examples, all made from
the code."""

import json
import re
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from gateway import __version__
from gateway.contract.dead_letter import DeadLetterRecord
from gateway.contract.display_event import DisplayEvent
from gateway.contract.feedback import CaseRecord, DigestRecord
from gateway.contract.ledger_entry import LedgerEntry
from gateway.contract.rejection import RejectionRecord
from gateway.contract.topics import Topics
from gateway.contract.verification import VerificationRecord
from gateway.core.province import Province
from gateway.core.recognition import Recognition
from gateway.errors import GatewayError
from gateway.operate.examples import examples

CONTENT_TYPE = "application/cloudevents+json"
MODELS: dict[str, type[BaseModel]] = {
    "display-event": DisplayEvent,
    "verification-record": VerificationRecord,
    "rejection-record": RejectionRecord,
    "dead-letter": DeadLetterRecord,
    "ledger-entry": LedgerEntry,
    "feedback-case": CaseRecord,
    "feedback-digest": DigestRecord,
}
_REFERENCE = "The holder's reference, data.holder.ref"
_KEYS = {
    "display-event": f"{_REFERENCE}. Its partition is that of Kafka's own (Java) partitioner, murmur2: librdkafka wants "
    "partitioner=murmur2_random.",
    "verification-record": f"{_REFERENCE}.",
    "rejection-record": f"{_REFERENCE}; the digest of any other key that the input had.",
    "dead-letter": "The input's key, if it is a holder's reference; else its digest.",
    "ledger-entry": "The lane: topic-partition.",
    "feedback-case": "The case's id.",
    "feedback-digest": "The unit's name.",
}


class DriftError(GatewayError):
    """Files of the folder are not what the code says: ``files``."""

    def __init__(self, files: list[str]) -> None:
        self.files = files
        super().__init__(
            f"these files are not what the code says: {', '.join(files)}. "
            "Run `gateway schema export`, and read the difference before you commit it."
        )


def contract_files(recognition: Recognition) -> dict[str, str]:
    """Return every file of ``schemas/`` by its relative name, with its content."""
    files = {f"{name}.schema.json": _as_json(json_schema(name)) for name in MODELS}
    files["asyncapi.yaml"] = yaml.safe_dump(asyncapi(), allow_unicode=True, sort_keys=False, width=120)
    messages = examples(recognition)
    files |= {f"examples/{name}.json": _as_json(content) for name, content in messages.items()}
    displays = [content for name, content in messages.items() if name.startswith("display-event")]
    files["examples/display-events.ndjson"] = "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in displays)
    return files


def json_schema(name: str) -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of the message called ``name`` in ``MODELS``."""
    schema = _unwrapped(MODELS[name].model_json_schema(mode="validation"))
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": f"urn:chuanyu:schema:{name}:v1", **schema}


def export_schemas(folder: Path, recognition: Recognition) -> list[Path]:
    """Write the files into ``folder``; returns their paths."""
    paths = []
    for name, content in contract_files(recognition).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
        paths.append(path)
    return paths


def check_schemas(folder: Path, recognition: Recognition) -> int:
    """Compare ``folder`` with the code; returns the number of files. Raises DriftError naming each that
    differs."""
    expected = contract_files(recognition)
    drifted = [
        name for name, content in expected.items()
        if not (folder / name).is_file() or (folder / name).read_text(encoding="utf-8") != content
    ]  # fmt: skip
    present = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    drifted += sorted(present - expected.keys())
    if drifted:
        raise DriftError([str(folder / name) for name in drifted])
    return len(expected)


def asyncapi() -> dict[str, Any]:
    """Return the AsyncAPI 3.1 document: channels, and what the gateway does with each."""
    topics = Topics()
    display, verified, rejected = ["display-event"], ["verification-record"], ["rejection-record"]
    traffic = [(topics.display(p), display, "receive", f"{p.value} platform only writes") for p in Province]
    traffic += [(topics.verification(p), verified, "send", f"{p.value} only reads") for p in Province]
    traffic += [(topics.rejection(p), rejected, "send", f"{p.value} and feedback read") for p in Province]
    traffic += [
        (topics.deadletter, ["dead-letter"], "send", "operators and feedback read"),
        (topics.ledger, ["ledger-entry"], "send", "audit and feedback read"),
        (topics.feedback, ["feedback-case", "feedback-digest"], "send", "departments' systems read"),
    ]
    return {
        "asyncapi": "3.1.0",
        "info": {
            "title": "Chuanyu display gateway",
            "version": __version__,
            "description": "Certificate displays (亮证) between Sichuan and Chongqing: in by Kafka, decided, out by Kafka. "
            "Consumers must read with isolation.level=read_committed.",
        },
        "defaultContentType": CONTENT_TYPE,
        "servers": {
            "local": {"host": "localhost:9092", "protocol": "kafka", "description": "The broker of docker-compose.yml."}
        },
        "channels": {
            _channel(topic): {
                "address": topic,
                "description": who,
                "messages": {message: {"$ref": f"#/components/messages/{message}"} for message in messages},
                "bindings": {"kafka": {"topic": topic, "partitions": 12, "bindingVersion": "0.5.0"}},
            }
            for topic, messages, _, who in traffic
        },
        "operations": {
            f"{action}_{_channel(topic)}": {
                "action": action,
                "channel": {"$ref": f"#/channels/{_channel(topic)}"},
                "messages": [{"$ref": f"#/channels/{_channel(topic)}/messages/{message}"} for message in messages],
            }
            for topic, messages, action, _ in traffic
        },
        "components": {"messages": {name: _message(name, model) for name, model in MODELS.items()}},
    }


def _message(name: str, model: type[BaseModel]) -> dict[str, Any]:
    return {
        "name": model.__name__,
        "title": " ".join((model.__doc__ or "").partition("\n\n")[0].split()),
        "contentType": CONTENT_TYPE,
        "payload": {
            "schemaFormat": "application/schema+json;version=draft-2020-12",
            "schema": {"$ref": f"./{name}.schema.json"},
        },
        "bindings": {
            "kafka": {"key": {"type": ["string", "null"], "description": _KEYS[name]}, "bindingVersion": "0.5.0"}
        },
    }


def _unwrapped(node: Any) -> Any:
    """Join the lines of each paragraph of the descriptions, which come from docstrings."""
    if isinstance(node, list):
        return [_unwrapped(each) for each in node]
    if not isinstance(node, dict):
        return node
    return {
        name: re.sub(r"(?<!\n)\n(?!\n)", " ", value)
        if name == "description" and isinstance(value, str)
        else _unwrapped(value)
        for name, value in node.items()
    }


def _channel(topic: str) -> str:
    return topic.replace(".", "_")


def _as_json(content: Any) -> str:
    return json.dumps(content, ensure_ascii=False, indent=2) + "\n"
