"""``python3 bench.py``: prints what look-ups and changes cost. Processor time, as other programs may be busy."""

import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "src"))

from ringman import HashRing, Node

KEYS = [f"user:{number * 7919:017}" for number in range(100_000)]


def best(work: Callable[[], object], of: int = 5) -> float:
    times = []
    for _ in range(of):
        started = time.process_time()
        work()
        times.append(time.process_time() - started)
    return min(times)


def look_up(ring: HashRing) -> None:
    for key in KEYS:
        ring.owner(key)


print(f"Python {sys.version.split()[0]}, keys of {len(KEYS[0])} bytes, the best of 5")
for count in (3, 10, 100, 1000):
    nodes = [Node(f"10.0.{number >> 8}.{number & 255}:8000") for number in range(count)]
    ring = HashRing(nodes)
    more = [*nodes, Node("10.9.9.9:8000")]
    joined = HashRing(more, before=ring)
    owner = best(lambda: look_up(ring)) / len(KEYS)
    made = best(lambda: HashRing(nodes))
    join = best(lambda: HashRing(more, before=ring))
    moved = best(lambda: ring.moved_to(joined))
    print(
        f"{count:5} nodes: owner {owner * 1e6:.2f} µs, ring {made * 1e3:.1f} ms,"
        f" a node more {join * 1e3:.1f} ms, what moved {moved * 1e3:.1f} ms"
    )
