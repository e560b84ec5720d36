"""Holds the native kernel against the reference on mutated events: ``make fuzz-kernel``.

python -m tests.kernel --events 10000000 --seed 1
"""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

from gateway.core.decision import Decision
from gateway.relay import kernel
from tests.kernel.both_ways import LIST, BothWays
from tests.kernel.crossed_list import crossed_list
from tests.kernel.mutations import Mutated


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    done, seed, began, asked = 0, options.seed, time.monotonic(), Counter[str]()
    kernel.decide_record = counting(kernel.decide_record, asked)
    said, lists = began, (LIST, LIST, crossed_list())
    while done < options.events:  # anew each 50,000: other events, an empty kernel, other settings
        random = Random(seed)
        recognition = random.choice(lists)
        both = BothWays(recognition, algorithm=random.choice(("sm3", "sm3", "sha256")), epoch=random.choice((0, 0, 3)))
        until = done + 50_000
        for province, records in Mutated(recognition, seed).turns():
            both.take(province, records, aborts=random.random() < 0.1)
            done += len(records)
            if time.monotonic() - said >= 10:
                said = time.monotonic()
                print(f"{done:,} events alike, seed {seed}, {done / (said - began):,.0f}/s", file=sys.stderr)
            if done >= min(until, options.events):
                break
        seed += 1
    print(
        f"{done:,} mutated events: the kernel and the reference made the same of them (seeds {options.seed} to {seed - 1}); "
        f"the kernel asked about {asked['records'] / done:.0%} of them"
    )
    return 0


def counting(decide_record: Callable[..., Decision], asked: Counter[str]) -> Callable[..., Decision]:
    """Count how often the kernel asks: what it asks about is the same in any case."""

    def counted(*arguments: Any) -> Decision:
        asked["records"] += 1
        return decide_record(*arguments)

    return counted


if __name__ == "__main__":
    sys.exit(main())
