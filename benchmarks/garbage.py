"""``make garbage``: how much slower one good partition gets when another topic is full of garbage, all of it
at full speed.

One worker has it all. A round processes the good partition alone; the next, the same beside four partitions
of garbage that are never all processed in that time. The rate is by the broker's times of what came out;
medians of the rounds.
"""

import argparse
import asyncio
import json
import random
import statistics
import sys
import time
from collections.abc import Iterator
from itertools import cycle, islice

from rich.console import Console

from benchmarks.engines import ENGINES
from benchmarks.ground import apart, ground, new_log, read_times, renewed
from benchmarks.processes import running
from benchmarks.traffic import make_events
from gateway.adapters import kafka
from gateway.adapters.list_files import load_recognition
from gateway.adapters.settings import Settings
from gateway.core.province import Province
from gateway.operate.examples import display_event
from gateway.operate.topics import apply_topics

_PARTITIONS = 4
_WARM_UP = 0.2
_TIMEOUT_S = 600
_MOST = 1 / 3


def garbage() -> Iterator[bytes]:
    """All kinds by turns, for ever: small and large, and what costs most to refuse."""
    dice, event = random.Random(1), display_event(Province.CHONGQING)
    words = "汉字说明，不是事件。"
    kinds = (
        lambda: dice.randbytes(10),
        lambda: dice.randbytes(800),
        lambda: b"[" * 390 + b"]" * 390,
        (words * 30).encode,
        lambda: (words * 40).encode("utf-16"),
        lambda: (words * 40).encode("gb18030"),
        lambda: b"\\u4e00a" * 114,
        lambda: json.dumps(event | {"id": str(dice.random()), "data": {f"a{n}": n for n in range(40)}}).encode(),
        lambda: json.dumps(event | {"id": str(dice.random()), "time": "yesterday"}).encode(),
    )
    large = (
        lambda: dice.randbytes(60_000),
        lambda: b"\\u4e00a" * 8500,
        lambda: json.dumps(event | {"id": str(dice.random())} | {f"a{n}": "x" for n in range(4000)}).encode(),
    )
    for number in range(sys.maxsize):
        yield kinds[number % len(kinds)]()
        if number % 100 == 99:
            yield large[number // 100 % len(large)]()


async def publish(settings: Settings, good: int, foul: int) -> None:
    topics, recognition = settings.topic_names, load_recognition(settings.recognition_dir)
    events = (each for each in make_events(recognition, good * 3) if each.province is Province.SICHUAN)
    async with kafka.producer(settings, linger_ms=20, max_batch_size=400_000, max_request_size=2_000_000) as producer:
        futures = [
            await producer.send(topics.display(Province.SICHUAN), each.value, each.key, partition=0)
            for each in islice(events, good)
        ]
        heap = list(islice(garbage(), 3_000))  # made once: making it takes longer than refusing it
        for value, partition in islice(zip(cycle(heap), cycle(range(_PARTITIONS))), foul):
            futures.append(await producer.send(topics.display(Province.CHONGQING), value, partition=partition))
        await asyncio.gather(*futures)


async def measure(settings: Settings, good: int, foul: int) -> tuple[float, int]:
    """Good events a second, and how much garbage was processed beside them."""
    settings, log = await renewed(settings), new_log()
    display, other = (settings.topic_names.display(province) for province in Province)
    outputs = [
        settings.topic_names.verification(Province.CHONGQING),
        settings.topic_names.rejection(Province.SICHUAN),
    ]
    async with kafka.admin(settings) as admin:
        with running(ENGINES["gateway"], settings, log) as workers:
            deadline = time.monotonic() + _TIMEOUT_S
            while True:
                done = await admin.list_consumer_group_offsets(settings.groups[0])
                count = {
                    topic: sum(max(0, each.offset) for tp, each in done.items() if tp.topic == topic)
                    for topic in (display, other)
                }
                if count[display] >= good:
                    break
                if not workers.all_run or time.monotonic() > deadline:
                    raise RuntimeError(
                        f"the gateway did not come to its end; its log is {log}:\n{workers.last_words()}"
                    )
                await asyncio.sleep(0.05)
    if foul and count[other] >= foul:
        raise RuntimeError(
            f"all {foul} records of garbage were processed before the good events: ask for more (--garbage)"
        )
    times = sorted(time for found in read_times(settings, outputs).values() for time in found)
    warm = int(len(times) * _WARM_UP)
    return (len(times) - warm) / (max(1, times[-1] - times[warm]) / 1000), count[other]


async def compare(settings: Settings, good: int, foul: int, rounds: int, console: Console) -> dict[str, list[float]]:
    grounds = {"alone": (apart(settings, _PARTITIONS), 0), "beside garbage": (apart(settings, _PARTITIONS), foul)}
    for each, amount in grounds.values():
        await apply_topics(each)
        await publish(each, good, amount)
    rates: dict[str, list[float]] = {name: [] for name in grounds}
    for number in range(rounds):
        for name, (each, amount) in grounds.items():
            rate, refused = await measure(each, good, amount)
            rates[name].append(rate)
            console.print(
                f"round {number + 1}, {name}: {rate:,.0f} good events/s"
                + (f", {refused:,} of garbage refused" if amount else "")
            )
    return rates


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.garbage", description=__doc__)
    parser.add_argument("--events", type=int, default=60_000, help="good ones in their partition")
    parser.add_argument(
        "--garbage", type=int, default=200_000, help="records of garbage in the four partitions beside it"
    )
    parser.add_argument("--rounds", type=int, default=3, help="of each kind, interleaved; the medians count")
    options, console = parser.parse_args(), Console(stderr=True, highlight=False)
    with ground(console, None) as (settings, broker):
        rates = asyncio.run(compare(settings, options.events, options.garbage, options.rounds, console))
    alone, beside = (statistics.median(found) for found in rates.values())
    slower = 1 - beside / alone
    print(
        f"{broker}: alone {alone:,.0f} good events/s, beside garbage {beside:,.0f}: {slower:.0%} slower (a third is allowed)"
    )
    return 0 if slower <= _MOST else 1


if __name__ == "__main__":
    sys.exit(main())
