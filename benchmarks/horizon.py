"""``make horizon``: what the horizon of duplicates takes of a worker's memory, and that it stays within its
bound."""

import argparse
import sys
import time
from pathlib import Path

from gateway.core.digest import sha256
from gateway.core.event import Identity
from gateway.core.province import Province
from gateway.relay.horizon import Horizon

_TURN = 1000
_HOUR_MS = 3_600_000
_FLOODS = 3


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.horizon", description=__doc__)
    parser.add_argument("--ids", type=int, default=1_000_000, help="duplicates.max_ids")
    options = parser.parse_args()
    horizon, before = Horizon(72 * _HOUR_MS, options.ids), resident_mb()
    peak_ids = number = 0
    print("ids seen    remembered    memory, MB")
    for goal in (options.ids // 2, options.ids, *(options.ids * more for more in range(2, 2 + _FLOODS))):
        while number < goal:
            for _ in range(_TURN):
                # Shown within one hour: nothing is forgotten for its age, only for want of room.
                holder = f"sm3:{number:064x}"
                identity = Identity(Province.SICHUAN.source, f"b6f1c2d4-{number:012d}-4a7e", holder)
                horizon.remember(
                    identity, sha256(b"%d" % number), 1_795_392_000_000 + number * _HOUR_MS // (9 * options.ids)
                )
                number += 1
            horizon.keep()
            peak_ids = max(peak_ids, len(horizon))
        print(f"{number:>10,}  {len(horizon):>10,}  {resident_mb() - before:>10,.0f}")
    print(f"at most {peak_ids:,} remembered, of {options.ids:,} allowed; truncated: {horizon.truncated}")
    return 0 if peak_ids <= options.ids and horizon.truncated else 1


def resident_mb() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmRSS"))) / 1024


if __name__ == "__main__":
    began = time.process_time()
    code = main()
    print(f"{time.process_time() - began:.0f} s of CPU", file=sys.stderr)
    sys.exit(code)
