"""The statement: what an audit found, in a form that the other province checks on its own copy of its topics."""

import asyncio
import datetime
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import ConsumerRecord
from pydantic import BaseModel, ConfigDict, ValidationError
from rich.console import Console

from gateway.adapters import kafka
from gateway.adapters.settings import Settings
from gateway.adapters.topic_reader import find_spans, read_spans
from gateway.contract.headers import REDRIVE_HEADER, origin_of
from gateway.core.decision import ENGINE_VERSION
from gateway.core.digest import canonical, sha256
from gateway.core.times import format_instant
from gateway.errors import UsageError
from gateway.operate.audit.account import Accountant
from gateway.operate.audit.findings import Findings, LaneReport
from gateway.operate.audit.lane_audit import Scope


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class BlockItem(_Part):
    """A stretch of an output partition: how many records, for inputs up to offset ``through``, and their digest."""

    through: int
    records: int
    digest: str


class OutputItem(_Part):
    """One output partition in the order of its inputs; outputs of `gateway redrive` are not in it."""

    topic: str
    partition: int
    records: int
    first_origin: int | None
    last_origin: int | None
    blocks: list[BlockItem]


class LaneItem(_Part):
    """What became of one input partition's records; offsets inclusive."""

    topic: str
    partition: int
    first_offset: int | None
    last_offset: int | None
    records: int
    outcomes: dict[str, int]


class Statement(_Part):
    """A statement; ``digest`` is over all the rest, so that it cannot be changed unnoticed."""

    statement: Literal["chuanyu-audit-v1"] = "chuanyu-audit-v1"
    made: str
    signed_by: str | None
    engine_version: str
    since: str | None
    until: str | None
    findings: dict[str, int]
    lanes: list[LaneItem]
    outputs: list[OutputItem]
    digest: str = ""

    def compute_digest(self) -> str:
        """The digest that the content has."""
        return sha256(canonical(self.model_dump(mode="json", exclude={"digest"})))


def write_statement(
    path: Path, reports: Iterable[LaneReport], scope: Scope, settings: Settings, signed_by: str | None
) -> None:
    """Write the statement to ``path`` (JSON) and beside it (``.md``). Raises UsageError where that cannot be written."""
    lanes, prefix = list(reports), len(settings.topic_prefix)
    findings = {kind: count for lane in lanes for kind, count in lane.findings.counts.items()}
    statement = Statement(
        made=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        signed_by=signed_by,
        engine_version=ENGINE_VERSION,
        since=_in_words(scope.since),
        until=_in_words(scope.until),
        findings={kind: sum(lane.findings.counts[kind] for lane in lanes) for kind in sorted(findings)},
        lanes=[
            LaneItem(
                topic=lane.topic[prefix:], partition=lane.partition, first_offset=lane.first_offset,
                last_offset=lane.last_offset, records=lane.records, outcomes=dict(lane.outcomes),
            )
            for lane in lanes
        ],
        outputs=[
            OutputItem(
                topic=stream.topic, partition=stream.partition, records=stream.records,
                first_origin=stream.first_origin, last_origin=stream.last_origin,
                blocks=[BlockItem(through=b.through, records=b.records, digest=b.digest) for b in stream.blocks],
            )
            for lane in lanes
            for stream in lane.streams
        ],
    )  # fmt: skip
    statement.digest = statement.compute_digest()
    try:
        path.write_text(statement.model_dump_json(indent=1) + "\n", encoding="utf-8")
        path.with_suffix(".md").write_text(_as_markdown(statement, path.name), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"--export: {path} cannot be written: {error.strerror}") from None
    Console(stderr=True, highlight=False).print(
        f"statement {statement.digest} written to {path} and {path.with_suffix('.md')}"
    )


def _in_words(time_ms: int | None) -> str | None:
    return format_instant(time_ms * 1000) if time_ms is not None else None


def _as_markdown(statement: Statement, name: str) -> str:
    findings = "、".join(f"{kind} {count}" for kind, count in statement.findings.items()) or "无 none"
    lines = [
        "# 川渝亮证网关审计声明 Audit statement",
        "",
        f"- 出具时间 made: {statement.made}",
        f"- 出具人 signed by: {statement.signed_by or '—'}",
        f"- 时间范围 period: {statement.since or '…'} – {statement.until or '…'}",
        f"- 异常 findings: {findings}",
        f"- 声明摘要 digest: `{statement.digest}`",
        "",
        "## 输入 Every input record has one outcome",
        "",
        "| 主题 topic | 分区 partition | 位点 offsets | 事件 records | 结果 outcomes |",
        "|---|---|---|---|---|",
    ]
    for lane in statement.lanes:
        offsets = f"{lane.first_offset}–{lane.last_offset}" if lane.first_offset is not None else "—"
        outcomes = ", ".join(f"{outcome} {count}" for outcome, count in sorted(lane.outcomes.items()))
        lines.append(f"| {lane.topic} | {lane.partition} | {offsets} | {lane.records} | {outcomes} |")
    lines += [
        "",
        "## 输出 What the gateway wrote",
        "",
        "| 主题 topic | 分区 partition | 记录 records | 对应输入位点 for input offsets |",
        "|---|---|---|---|",
    ]
    for item in statement.outputs:
        span = f"{item.first_origin}–{item.last_origin}" if item.records else "—"
        lines.append(f"| {item.topic} | {item.partition} | {item.records} | {span} |")
    lines += ["", f"在贵方主题副本上核对 check on your own copy of your topics: `gateway audit --statement {name}`", ""]
    return "\n".join(lines)


def read_statement(path: Path) -> Statement:
    """The statement in ``path``. Raises UsageError where it is none, or was changed since it was made."""
    try:
        statement = Statement.model_validate_json(path.read_bytes())
    except OSError as error:
        raise UsageError(f"--statement: {path} cannot be read: {error.strerror}") from None
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(step) for step in problem["loc"])
        raise UsageError(f"--statement: {path} is no audit statement: {place}: {problem['msg']}") from None
    if statement.compute_digest() != statement.digest:
        raise UsageError(f"--statement: {path} was changed after it was made: its content does not have its digest")
    return statement


def check_statement(settings: Settings, path: Path, output: Literal["text", "json"]) -> int:
    """Hold the topics that this cluster has against the statement; returns the exit code (1: they differ)."""
    statement = read_statement(path)
    checked, absent, findings = asyncio.run(_compare(settings, statement))
    ok = bool(checked) and not findings.counts.total()
    if output == "json":
        sys.stdout.write(
            json.dumps(
                {
                    "ok": ok, "statement": statement.digest, "records": sum(checked.values()), "topics": sorted(checked),
                    "absent": absent, "findings": [
                        {"kind": f.kind, "topic": f.topic, "partition": f.partition, "offset": f.offset, "detail": f.detail}
                        for f in findings.kept
                    ],
                },
                ensure_ascii=False,
            ) + "\n"
        )  # fmt: skip
        return 0 if ok else 1
    console = Console(highlight=False, soft_wrap=True)
    verdict = "一致 these topics are what the statement says" if ok else "不一致 they are not what the statement says"
    console.print(
        f"核对 statement {statement.digest[:23]}…: {verdict if checked else '这里没有它所述的主题 none of its topics is here'}"
    )
    for topic, count in sorted(checked.items()):
        console.print(f"  {topic}: {count:,} records compared")
    for topic in absent:
        console.print(f"  {topic}: not in this cluster, or not to be read by this user")
    for finding in findings.kept[:20]:
        console.print(f"    {finding.topic}/{finding.partition}@{finding.offset}  {finding.kind}: {finding.detail}")
    return 0 if ok else 1


async def _compare(settings: Settings, statement: Statement) -> tuple[dict[str, int], list[str], Findings]:
    findings = Findings()
    wanted = {item.topic for item in statement.outputs}
    async with kafka.admin(settings) as admin:
        existing = set(await admin.list_topics())
    absent = sorted(topic for topic in wanted if settings.topic_prefix + topic not in existing)
    checked = dict.fromkeys(sorted(wanted - set(absent)), 0)
    items = [item for item in statement.outputs if item.topic in checked and item.blocks]
    if not items:
        return checked, absent, findings
    async with kafka.consumer(settings, max_partition_fetch_bytes=4_194_304) as consumer:
        # Once for all: aiokafka's stop waits for ever where it comes just after a second assignment.
        consumer.assign([TopicPartition(settings.topic_prefix + item.topic, item.partition) for item in items])
        for item in items:
            checked[item.topic] += await _compare_partition(
                consumer, settings.topic_prefix + item.topic, item, findings
            )
    return checked, absent, findings


async def _compare_partition(consumer: AIOKafkaConsumer, name: str, item: OutputItem, findings: Findings) -> int:
    """Compare one partition's copy with ``item``, block by block; returns how many records were compared."""
    if not item.blocks or item.first_origin is None or item.last_origin is None:
        return 0
    partition, blocks = TopicPartition(name, item.partition), iter(item.blocks)
    block, held, compared = next(blocks), list[tuple[int, ConsumerRecord]](), 0
    async for _, records in read_spans(consumer, await find_spans(consumer, [partition])):
        for record in records:
            origin = origin_of(record.headers)
            if origin is None or record.value is None:
                findings.add("foreign", record, "the record names no input of the gateway")
                continue
            if (
                any(header == REDRIVE_HEADER for header, _ in record.headers)
                or not item.first_origin <= origin.offset <= item.last_origin
            ):
                continue
            while origin.offset > block.through:
                _compare_block(partition, item, block, held, findings)
                held, block = [], next(blocks)
            held.append((origin.offset, record))
            compared += 1
    _compare_block(partition, item, block, held, findings)
    for left in blocks:
        _compare_block(partition, item, left, [], findings)
    return compared


def _compare_block(
    partition: TopicPartition,
    item: OutputItem,
    block: BlockItem,
    held: list[tuple[int, ConsumerRecord]],
    findings: Findings,
) -> None:
    accountant = Accountant(item.topic, item.partition, block.digest.partition(":")[0])
    for origin, record in held:
        accountant.add(origin, record)
    digests = [each.digest for each in accountant.close().blocks]
    if digests == [block.digest]:
        return
    first, last = (held[0][1].offset, held[-1][1].offset) if held else (-1, -1)
    kind = "altered" if len(held) == block.records else "missing" if len(held) < block.records else "doubled"
    detail = f"offsets {first}–{last} (for inputs up to {block.through}): {len(held)} records, the statement has {block.records}"
    findings.at(kind, partition.topic, partition.partition, first, detail)
