"""``make bench``: the gateway measured on one broker, beside its peers. Figures go to stdout and into a
folder of results."""

import argparse
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console

from benchmarks import checking, growth, latency, recovery, report
from benchmarks.engines import ENGINES, prepare
from benchmarks.ground import ground
from benchmarks.machine import describe_machine
from benchmarks.matrix import Matrix, Plan
from benchmarks.results import FOLDER, Results
from benchmarks.traffic import LARGE, MIDDLE, ORDINARY, SIZES, SMALL
from gateway.adapters.settings import Settings
from gateway.errors import GatewayError

_FULL = {"events": 600_000, "rounds": 3, "seconds": 30.0, "minutes": 60.0}
_QUICK = {"events": 100_000, "rounds": 1, "seconds": 10.0, "minutes": 15.0}
_INTERRUPTED = 130
MEASUREMENTS: dict[str, Callable[..., object]] = {
    "throughput": Matrix, "latency": latency.run, "growth": growth.run, "recovery": recovery.run, "check": checking.run,
}  # fmt: skip
_WHAT = (*MEASUREMENTS, "report")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = _make_parser()
    options = parser.parse_args(arguments)
    if "report" in options.what and len(options.what) > 1:
        parser.error("report comes by itself: it is made after every measurement anyway")
    console = Console(stderr=True)
    results = Results(options.results)
    # Whatever ends it, its broker and workers end too; a shell's background job ignores SIGINT.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        if options.what == ["report"]:
            _report(results)
            return 0
        chosen = options.what or tuple(MEASUREMENTS)
        plan = _plan_of(options, parser)
        if "throughput" in chosen:
            prepare([ENGINES[key] for key in plan.engines])
        with ground(console, options.bootstrap_servers) as (settings, broker):
            results.content["machine"] = describe_machine(broker)
            failed = [name for name in chosen if not _measure(name, options, plan, settings, results, console)]
    except GatewayError as error:
        console.print(str(error), style="red", markup=False, highlight=False)
        return error.exit_code
    except KeyboardInterrupt:
        console.print(f"interrupted; what was measured is kept in {results.file}", highlight=False)
        return _INTERRUPTED
    _report(results)
    return 1 if failed else 0


def _measure(
    name: str, options: argparse.Namespace, plan: Plan, settings: Settings, results: Results, console: Console
) -> bool:
    """One of the measurements; what fails is said, and the others go on."""
    try:
        match name:
            case "throughput":
                return Matrix(plan, settings, results, console).run()
            case "growth":
                growth.run(settings, results, console, quick=options.quick, events=options.grow_to)
            case "check":
                checking.run(settings, results, console, quick=options.quick, events=options.events)
            case _:
                MEASUREMENTS[name](settings, results, console, quick=options.quick)
    except Exception as error:
        if isinstance(error, GatewayError):
            raise
        console.print(f"{name}: failed: {type(error).__name__}: {error}", markup=False, highlight=False)
        return False
    return True


def _report(results: Results) -> None:
    print(report.write(results))


def _make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__,
        epilog="Example: python -m benchmarks throughput --engines gateway,bare --sizes '2 kB' --partitions 12 --quick",
    )  # fmt: skip
    parser.add_argument(
        "what", nargs="*", type=_measurement, metavar="WHAT",
        help=f"of: {', '.join(_WHAT)} (default: all). throughput: all engines beside each other; latency: at steady rates; "
        "growth: with events and list rows; recovery: memory, restarts, kills; check: `gateway check`; "
        "report: table and chart again from the results",
    )  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="fewer events and one round, for a small machine")
    parser.add_argument(
        "--engines", type=_some_of(tuple(ENGINES)), default=tuple(ENGINES), metavar="A,B",
        help=f"which of: {', '.join(ENGINES)} (default: all; away from the base point the quick ones)",
    )  # fmt: skip
    parser.add_argument(
        "--sizes", type=_some_of(SIZES), default=(ORDINARY, SMALL, MIDDLE, LARGE), metavar="A,B",
        help=f"of an event, of: {', '.join(SIZES)}. The first is the base point, the others are varied; so with the next two",
    )  # fmt: skip
    parser.add_argument("--partitions", type=_numbers, default=(4, 12), metavar="N,M", help="of a topic (default 4,12)")
    parser.add_argument("--workers", type=_numbers, default=(1, 2, 4), metavar="N,M", help="processes (default 1,2,4)")
    parser.add_argument(
        "--events", type=_positive, help=f"in a round of throughput, and of check (default {_FULL['events']:,})"
    )
    parser.add_argument("--rounds", type=_positive, help=f"(default {_FULL['rounds']})")
    parser.add_argument(
        "--seconds", type=float, help=f"most CPU time of a worker in a round (default {_FULL['seconds']})"
    )
    parser.add_argument("--minutes", type=float, help=f"after that no round begins (default {_FULL['minutes']})")
    parser.add_argument(
        "--grow-to",
        type=_positive,
        metavar="N",
        help="the backlog of growth (default 10,000,000, for which the broker needs about 25 GB)",
    )
    parser.add_argument("--results", type=Path, default=FOLDER, metavar="DIR", help="where results are kept")
    parser.add_argument("--bootstrap-servers", metavar="HOST:PORT", help="a broker that runs (default: one is started)")
    return parser


def _plan_of(options: argparse.Namespace, parser: argparse.ArgumentParser) -> Plan:
    chosen = {name: getattr(options, name) for name in _FULL if getattr(options, name) is not None}
    numbers = (_QUICK if options.quick else _FULL) | chosen
    if min(numbers["seconds"], numbers["minutes"]) <= 0:
        parser.error("--seconds and --minutes must be positive")
    return Plan(
        options.engines, options.sizes, options.partitions, options.workers, int(numbers["events"]),
        int(numbers["rounds"]), numbers["seconds"], numbers["minutes"],
    )  # fmt: skip


def _some_of(allowed: tuple[str, ...]) -> Callable[[str], tuple[str, ...]]:
    def parse(text: str) -> tuple[str, ...]:
        parts = tuple(part.strip() for part in text.split(","))
        for part in parts:
            if part not in allowed:
                raise argparse.ArgumentTypeError(f"{part!r} is not one of: {', '.join(allowed)}")
        return parts

    return parse


def _measurement(text: str) -> str:
    if text not in _WHAT:
        raise argparse.ArgumentTypeError(f"{text!r} is not one of: {', '.join(_WHAT)}")
    return text


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(_positive(part) for part in text.split(","))


def _positive(text: str) -> int:
    if not text.strip().isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number above 0")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
