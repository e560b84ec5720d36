"""The statement: what an audit found, in a form that the other province checks on its own copy of its
topics."""

import datetime
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gateway.adapters.console import Terminal
from gateway.core.decision import ENGINE_VERSION
from gateway.core.digest import canonical, sha256
from gateway.core.mistakes import words_of
from gateway.core.times import format_instant
from gateway.errors import UsageError
from gateway.operate.audit.findings import LaneReport
from gateway.operate.audit.lane_audit import Scope

_Digest = Annotated[str, Field(pattern="^(sm3|sha256):[0-9a-f]{64}$")]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class BlockItem(_Part):
    """A stretch of an output partition: how many records, for inputs up to offset ``through`` of ``epoch``,
    and their digest."""

    epoch: int
    through: int
    records: int
    digest: _Digest


class RedrivenItem(_Part):
    """What one `gateway redrive` wrote into an output partition; ``entry`` is the id of its ledger entry."""

    entry: str
    records: int
    digest: _Digest


class OutputItem(_Part):
    """One output partition in the order of its inputs, and beside it what redrives wrote there."""

    topic: str
    partition: int
    records: int
    blocks: list[BlockItem]
    redriven: list[RedrivenItem]


class LaneItem(_Part):
    """What became of one input partition's records; offsets inclusive, each of an epoch."""

    topic: str
    partition: int
    first_epoch: int
    first_offset: int | None
    last_epoch: int
    last_offset: int | None
    records: int
    outcomes: dict[str, int]


class LackingItem(_Part):
    """Records of an output partition that the archive does not have, so that the statement says nothing of
    them.

    They are for the inputs from ``first_offset`` of ``first_epoch`` through ``last_offset`` of
    ``last_epoch``; or those of one redrive, by the id of its ledger entry.
    """

    topic: str
    partition: int
    first_epoch: int
    first_offset: int
    last_epoch: int
    last_offset: int
    redrive: str | None
    why: str

    def touches(self, topic: str, partition: int, first: tuple[int, int], last: tuple[int, int]) -> bool:
        """Tell whether it is of turns' records for inputs from ``first`` through ``last``, each epoch and
        offset."""
        is_there = self.redrive is None and (self.topic, self.partition) == (topic, partition)
        return (
            is_there and (self.first_epoch, self.first_offset) <= last and (self.last_epoch, self.last_offset) >= first
        )


class ArchiveItem(_Part):
    """That a statement was made from an archive: of the days (UTC+8) ``first_day`` to ``last_day``, without
    what was ``lacking``."""

    first_day: str
    last_day: str
    lacking: list[LackingItem]


class Statement(_Part):
    """A statement; ``digest`` is over all the rest, so that it cannot be changed unnoticed.

    ``archive`` is there where it was made from one.
    """

    statement: Literal["chuanyu-audit-v1"] = "chuanyu-audit-v1"
    made: str
    signed_by: str | None
    engine_version: str
    since: str | None
    until: str | None
    findings: dict[str, int]
    lanes: list[LaneItem]
    outputs: list[OutputItem]
    archive: ArchiveItem | None = None
    digest: str = ""

    def compute_digest(self) -> str:
        """Compute the digest of the content."""
        return sha256(canonical(self.model_dump(mode="json", exclude=self._left_out | {"digest"})))

    def as_json(self) -> str:
        """Return the statement as its file has it."""
        return self.model_dump_json(indent=1, exclude=self._left_out) + "\n"

    @property
    def _left_out(self) -> set[str]:
        return {"archive"} if self.archive is None else set()


def write_statement(
    path: Path, reports: Iterable[LaneReport], scope: Scope, prefix: str, signed_by: str | None,
    archive: ArchiveItem | None = None,
) -> None:  # fmt: skip
    """Write the statement to ``path`` (JSON) and beside it (``.md``); ``archive`` says that it is of one.

    Topics stand in it without the deployment's ``prefix``. Raises UsageError where it cannot be written.
    """
    lanes = list(reports)
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
                topic=lane.topic.removeprefix(prefix), partition=lane.partition, first_epoch=lane.first_epoch,
                first_offset=lane.first_offset, last_epoch=lane.last_epoch, last_offset=lane.last_offset,
                records=lane.records, outcomes=dict(lane.outcomes),
            )
            for lane in lanes
        ],
        outputs=[
            OutputItem(
                topic=stream.topic, partition=stream.partition, records=stream.records,
                blocks=[BlockItem(**asdict(block)) for block in stream.blocks],
                redriven=[RedrivenItem(**asdict(redriven)) for redriven in stream.redriven],
            )
            for lane in lanes
            for stream in lane.streams
        ],
        archive=archive,
    )  # fmt: skip
    statement.digest = statement.compute_digest()
    try:
        path.write_text(statement.as_json(), encoding="utf-8")
        path.with_suffix(".md").write_text(_as_markdown(statement, path.name), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"--export: {path} cannot be written: {error.strerror}") from None
    Terminal(err=True).print(f"statement {statement.digest} written to {path} and {path.with_suffix('.md')}")


def _in_words(time_ms: int | None) -> str | None:
    return format_instant(time_ms * 1000) if time_ms is not None else None


def _as_markdown(statement: Statement, name: str) -> str:
    findings = "、".join(f"{kind} {count}" for kind, count in statement.findings.items()) or "无 none"
    lines = [
        "# 川渝亮证网关对账单 Audit statement",
        "",
        f"- 出具时间 made: {statement.made}",
        f"- 出具人 signed by: {statement.signed_by or '—'}",
        f"- 时间范围 period: {statement.since or '…'} – {statement.until or '…'}",
        *_of_archive(statement.archive),
        f"- 异常 findings: {findings}",
        f"- 声明摘要 digest: `{statement.digest}`",
        "",
        "## 输入 Every input record has one outcome",
        "",
        "| 主题 topic | 分区 partition | 偏移量 offsets | 事件 records | 结果 outcomes |",
        "|---|---|---|---|---|",
    ]
    for lane in statement.lanes:
        offsets = "—" if lane.first_offset is None else f"{lane.first_offset}–{lane.last_offset}"
        if lane.last_epoch:
            offsets += f" (第 {lane.first_epoch}–{lane.last_epoch} 纪元 epochs)"
        outcomes = ", ".join(f"{outcome} {count}" for outcome, count in sorted(lane.outcomes.items()))
        lines.append(f"| {lane.topic} | {lane.partition} | {offsets} | {lane.records} | {outcomes} |")
    lines += [
        "",
        "## 输出 What the gateway wrote",
        "",
        "| 主题 topic | 分区 partition | 记录 records | 重新处理 redriven |",
        "|---|---|---|---|",
    ]
    for item in statement.outputs:
        redriven = sum(each.records for each in item.redriven)
        lines.append(f"| {item.topic} | {item.partition} | {item.records} | {redriven} |")
    lines += [
        "",
        f"在贵方主题副本上核对 check on your own copy of your topics: `gateway audit --statement {name}`",
        f"在贵方归档中核对 check on your own archive: `gateway audit --archive FOLDER --statement {name}`",
        "",
    ]
    return "\n".join(lines)


def _of_archive(archive: ArchiveItem | None) -> list[str]:
    if archive is None:
        return []
    lines = [f"- 依据归档 from the archive of: {archive.first_day} – {archive.last_day}"]
    for each in archive.lacking:
        span = f"redrive {each.redrive}" if each.redrive else f"inputs {_span_of(each)}"
        lines.append(
            f"- 归档缺失，本单不述 not archived, not stated: {each.topic}/{each.partition}, {span}: {each.why}"
        )
    return lines


def _span_of(item: LackingItem) -> str:
    first, last = [
        f"{offset} (epoch {epoch})" if epoch > 0 else str(offset)
        for epoch, offset in ((item.first_epoch, item.first_offset), (item.last_epoch, item.last_offset))
    ]
    return f"…–{last}" if item.first_epoch < 0 else f"{first}–{last}"


def read_statement(path: Path) -> Statement:
    """Read the statement in ``path``. Raises UsageError where it is not valid, or was changed since it was
    made."""
    try:
        statement = Statement.model_validate_json(path.read_bytes())
    except OSError as error:
        raise UsageError(f"--statement: {path} cannot be read: {error.strerror}") from None
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(step) for step in problem["loc"])
        raise UsageError(f"--statement: {path} is not an audit statement: {place}: {words_of(problem)}") from None
    if statement.compute_digest() != statement.digest:
        raise UsageError(f"--statement: {path} was changed after it was made: its content does not have its digest")
    return statement
