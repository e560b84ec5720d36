"""``gateway check`` prints the same with the native kernel and without it."""

import os
import subprocess
import sys
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any

import gateway_kernel
import pytest

from gateway.adapters.settings import packaged_config
from gateway.core.province import Province
from gateway.operate.check import Decider, Format, Terms, _plain
from gateway.operate.check_native import NativeLines
from tests.kernel.mutations import NOW, Mutated
from tests.kernel.test_both_ways import LIST, simulated


def deciders(
    output: Format = "text", province: Province | None = None, received_at: int | None = None
) -> tuple[Decider, NativeLines]:
    """The reference, and the kernel, on the same terms."""
    terms = Terms(None, packaged_config() / "recognition", province, received_at, output)
    decider = Decider(terms)
    asked = Decider(terms)
    lines = NativeLines(gateway_kernel, asked.recognition, province, received_at, asked.decide_after, asked.show)
    return decider, lines


def by_reference(decider: Decider, lines: list[bytes]) -> tuple[str, Counter[str]]:
    printed = []
    counts = Counter[str]()
    for raw in lines:
        decided = decider.decide_in_order(raw, _plain(*decider.decide(raw)))
        printed.append(decided.line)
        counts[decided.outcome] += 1
    return "".join(printed), counts


def mutated(seed: int, turns: int) -> list[bytes]:
    """Lines that are nearly events; one after another may be the same."""
    taken = islice(Mutated(LIST, seed).turns(), turns)
    values = [each.value for _, records in taken for each in records]
    return [value.replace(b"\n", b" ") for value in values if value]


def again(lines: list[bytes], mark: bytes) -> list[bytes]:
    """The same events under other ids."""
    return [each.replace(b'"id":"', b'"id":"' + mark, 1) for each in lines]


@pytest.mark.parametrize("output", ["text", "json"])
@pytest.mark.parametrize("received_at", [None, NOW])
@pytest.mark.parametrize("province", [None, Province.SICHUAN])
def test_lines_are_printed_the_same(output: Format, received_at: int | None, province: Province | None) -> None:
    decider, native = deciders(output, province, received_at)
    once = [each.value for each in simulated(300, 3)]
    lines = [*once, *again(once, b"a"), *again(once, b"b"), *mutated(5, 20)]
    outcomes = Counter[str]()
    for start in range(0, len(lines), 400):
        chunk = lines[start : start + 400]
        printed, counts = native.decide(chunk)
        expected, others = by_reference(decider, chunk)
        assert printed == expected
        assert +counts == others
        outcomes += counts
    assert min(outcomes[each] for each in ("forward", "reject", "duplicate", "dead_letter")) > 0


def test_most_lines_are_not_asked_about(monkeypatch: pytest.MonkeyPatch) -> None:
    _, native = deciders()
    lines = [each.value for each in simulated(500, 3, garbage_share=0)]
    native.decide(lines)
    native.decide(again(lines, b"a"))
    asked: list[int] = []
    ask = native._ask
    monkeypatch.setattr(native, "_ask", lambda *arguments: asked.append(1) or ask(*arguments))
    native.decide(again(lines, b"b"))
    assert 0 < len(asked) < 80  # repetitions, and what breaks the contract


def test_a_panic_leaves_a_chunk_to_the_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    decider, native = deciders()
    lines = [each.value for each in simulated(300, 3)]

    class Panicking:
        def __len__(self) -> int:
            return 0

        def print(self, _: Any, lines: list[bytes], horizon: Any, ask: Any) -> None:
            ask(0, None)
            raise gateway_kernel.PanicException

    monkeypatch.setattr(native, "_kernel", Panicking())
    printed, counts = native.decide(lines)
    expected, others = by_reference(decider, lines)
    assert (printed, +counts) == (expected, others)


def test_the_command_prints_the_same(tmp_path: Path) -> None:
    path = tmp_path / "events.ndjson"
    path.write_bytes(b"\n".join(each.value for each in simulated(500, 3)) + b"\n\n" + b"\n".join(mutated(6, 3)))
    native, reference = (
        subprocess.run(
            [sys.executable, "-m", "gateway", "check", str(path)],
            env=os.environ | {"GATEWAY_RELAY__KERNEL": kernel}, capture_output=True, check=True,
        )
        for kernel in ("auto", "off")
    )  # fmt: skip
    assert (native.stdout, native.stderr) == (reference.stdout, reference.stderr)
    assert native.stdout.count(b"\n") > 500
