"""Histories for the audit, in which something is removed, rewritten or forged."""

import json
from collections.abc import Sequence
from typing import Any

import msgspec
from aiokafka import TopicPartition
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from gateway.adapters import kafka
from gateway.adapters.list_files import load_recognition
from gateway.adapters.settings import Settings
from gateway.contract.facets import facets_of
from gateway.contract.headers import CONTENT_TYPE, REDRIVE_HEADER
from gateway.contract.ledger_entry import EntrySpan, build_entry, entry_id, input_line
from gateway.contract.outputs import Output, build_output
from gateway.decide import decide_bytes, digest_input
from gateway.operate.takeover import Takeover
from gateway.relay.committed import read_committed
from tests.kafka.one_lane import (
    Notes,
    events,
    lane_id,
    publish,
    read,
    until,
    wait_for_markers,
    working,
)
from tests.kafka.test_audit import rewrite


def rejected(first: int, count: int) -> list[dict[str, Any]]:
    """So many events whose channel the list does not name."""
    found = events(first, count)
    for event in found:
        event["data"]["display"]["channel"] = "微信小程序"
    return found


async def work_off(settings: Settings, noted: Notes, *turns_of: Sequence[dict[str, Any]]) -> None:
    """Let the lane decide the events, each sequence in a turn of its own; then stop it."""
    async with kafka.consumer(settings, isolation_level="read_uncommitted") as consumer:
        partition = working_partition(settings)
        behind = (await consumer.end_offsets([partition]))[partition]
    async with working(settings, noted) as lane:
        await until(lane, behind)
        for sent in turns_of:
            await publish(settings, sent)
            behind += len(sent)
            await until(lane, behind)


async def keep_for(settings: Settings, topic: str, milliseconds: int) -> None:
    async with kafka.admin(settings) as admin:
        configs = {"retention.ms": str(milliseconds), "message.timestamp.type": "LogAppendTime"}
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, configs)])


def kinds(result: dict[str, Any]) -> list[str]:
    return [finding["kind"] for finding in result["findings"]]


def place(finding: dict[str, Any]) -> tuple[str, int]:
    return finding["topic"], finding["offset"]


async def forge_redrive(settings: Settings, offset: int, *, forward: bool) -> None:
    """Write a redrive of the input, as the gateway would after its list has changed, whether or not there is
    cause."""
    lane, topics = lane_id(settings), settings.topic_names
    record = next(each for each in await read(settings, lane.topic) if each.offset == offset)
    value = record.value.replace("微信小程序".encode(), "天府通办".encode()) if forward else record.value
    value = value.replace(json.dumps("微信小程序").encode(), json.dumps("天府通办").encode())
    recognition = load_recognition(settings.recognition_dir)
    decision = decide_bytes(value, lane.province, record.timestamp, recognition, key=record.key)
    decision = msgspec.structs.replace(decision, input_digest=digest_input(record.value))
    takeover = Takeover(settings, lane)
    try:
        standing = await takeover.begin(only_if_continuous=False)
        line = input_line(offset, record.timestamp, decision.input_digest, record.key)
        span = EntrySpan(lane, standing.log, offset, offset, record.timestamp, [line])
        output = build_output(lane, record, decision, topics)
        assert output is not None
        headers = (*output.headers, (REDRIVE_HEADER, entry_id(span, standing.previous).encode()))
        output = msgspec.structs.replace(output, headers=headers)
        entry = build_entry(
            span, {facets_of(decision): 1}, [output], recognition.digest, standing.previous, algorithm="sm3",
            redriven=[offset],
        )  # fmt: skip
        await takeover.write([output], Output(topics.ledger, str(lane).encode(), entry, (CONTENT_TYPE,)))
    finally:
        await takeover.end()
    await wait_for_markers(settings)


def is_redriven(record: Any) -> bool:
    return REDRIVE_HEADER in dict(record.headers)


async def rewrite_one(settings: Settings, topic: str, change: Any) -> list[Any]:
    return await rewrite(settings, topic, 0, change)


def working_partition(settings: Settings) -> TopicPartition:
    return TopicPartition(lane_id(settings).topic, 0)


async def committed_metadata(settings: Settings) -> str | None:
    async with kafka.admin(settings) as admin:
        found = await admin.list_consumer_group_offsets(settings.groups[0])
    assert await read_committed(settings, settings.groups[0], lane_id(settings)) is not None
    return str(found[working_partition(settings)].metadata)
