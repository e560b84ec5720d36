"""What ``gateway audit`` does with its options."""

from pathlib import Path
from typing import Literal

from gateway.adapters.settings import Settings
from gateway.errors import UsageError
from gateway.operate.audit.lane_audit import Scope
from gateway.operate.audit.lanes import audit
from gateway.operate.audit.statement import write_statement
from gateway.operate.audit.statement_check import check_statement
from gateway.operate.audit.watch import watch
from gateway.operate.times import parse_since, parse_until


def run_audit(
    settings: Settings, *, since: str | None, until: str | None, prove: float, export: Path | None, signed_by: str | None,
    statement: Path | None, every: float | None, output: Literal["text", "json"],
) -> int:  # fmt: skip
    """Audit this cluster, again and again or once, or hold it against a statement; returns the exit code.

    Raises UsageError and GatewayError.
    """
    if every is not None:
        if statement or export or since or until:
            raise UsageError(
                "--every looks at all that is kept: it goes with none of --since --until --export --statement"
            )
        return watch(settings, every, prove, output)
    if statement is not None:
        if export or prove or since or until:
            raise UsageError(
                "--statement says itself what to look at: it goes with none of --since --until --prove --sample --export"
            )
        return check_statement(settings, statement, output)
    if signed_by is not None and export is None:
        raise UsageError("--signed-by belongs to --export")
    scope = Scope(parse_since(since), parse_until(until), prove, statement=export is not None)
    code, reports = audit(settings, scope, output)
    if export is not None:
        write_statement(export, reports, scope, settings.topic_prefix, signed_by)
    return code
