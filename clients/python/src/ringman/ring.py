"""The hash ring: md5 points, as https://github.com/serialx/hashring had them in 2019. No I/O, no clock, no chance."""

from __future__ import annotations

import hashlib
import math
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from struct import Struct
from typing import Final

from .errors import RingmanError

Key = str | bytes | bytearray | memoryview

CIRCLE: Final = 2**32
"""How many hashes there are: 0 to 2^32 - 1."""

MAX_WEIGHT: Final = 2**53 - 1
DIGESTS_PER_NODE: Final = 40

_HOST = re.compile(r"[0-9A-Za-z.:_-]{1,255}")
_first_word = Struct("<I").unpack_from
_three_words = Struct("<3I").unpack_from
_md5 = hashlib.md5


@dataclass(frozen=True, slots=True)
class Node:
    """A member's place on the ring. Ring key and weight decide what it owns; the rest is for reaching it."""

    ring_key: str
    weight: int = 1
    name: str | None = None
    address: str | None = None
    port: int | None = None
    zone: str | None = None

    @property
    def netloc(self) -> str:
        """``address:port`` as a URL has it: IPv6 in brackets, the port left out where there is none.

        Raises ``NODE_INVALID`` for a node without an address, or with one that no URL can have.
        """
        if self.address is None or not _HOST.fullmatch(self.address):
            raise RingmanError("NODE_INVALID", "the member gave no address that a URL can have")
        host = f"[{self.address}]" if ":" in self.address else self.address
        return host if self.port is None else f"{host}:{self.port}"

    def check(self) -> None:
        """Raises ``NODE_INVALID`` for what is no ring key, or a weight that is not an integer from 1 to 2^53 - 1."""
        if not self.ring_key or "\n" in self.ring_key or not _is_well_formed(self.ring_key):
            raise RingmanError("NODE_INVALID", "a ring key is well-formed text, not empty and without line feeds")
        if type(self.weight) is not int or not 1 <= self.weight <= MAX_WEIGHT:
            raise RingmanError("NODE_INVALID", "a weight is an integer from 1 to 2^53 - 1")


class HashRing:
    """Which node owns a key. It never changes; the same ring keys and weights make the same ring everywhere.

    ``before`` is a ring to take points from: only those of nodes that it lacks are computed.
    """

    __slots__ = ("_owners", "_points", "_points_of", "digest", "nodes")

    nodes: tuple[Node, ...]
    """In the order of ring keys."""

    digest: str
    """Equal to that of another ring exactly when ring keys and weights are."""

    _points_of: dict[tuple[str, int], list[int]]

    def __init__(self, nodes: Iterable[Node] = (), *, before: HashRing | None = None) -> None:
        by_key: dict[str, Node] = {}
        for node in nodes:
            node.check()
            by_key[node.ring_key] = node
        # Python orders text by code points, which is the order of UTF-8 bytes.
        self.nodes = tuple(by_key[ring_key] for ring_key in sorted(by_key))
        lines = "".join(f"{node.ring_key}|{node.weight}\n" for node in self.nodes)
        self.digest = _md5(lines.encode(), usedforsecurity=False).hexdigest()[:16]
        known = {} if before is None else before._points_of
        self._points_of = {
            (node.ring_key, count): known.get((node.ring_key, count)) or _points(node.ring_key, count)
            for node, count in zip(self.nodes, _digest_counts(self.nodes))
        }
        # The lower ring key has a point that two nodes share: it is written last.
        owner_of = {
            point: node
            for node, points in zip(reversed(self.nodes), reversed(self._points_of.values()))
            for point in points
        }
        # Other threads stand still while a list is sorted: it is done in slices.
        slices: list[list[int]] = [[] for _ in range(256)]
        for point in owner_of:
            slices[point >> 24].append(point)
        self._points = [point for slice_ in slices for point in sorted(slice_)]
        self._owners: list[Node | None] = [owner_of[point] for point in self._points]
        # What lies after the last point is the first one's; a ring without points has no owner there.
        self._points.append(CIRCLE)
        self._owners.append(self._owners[0] if self._owners else None)

    def __len__(self) -> int:
        return len(self.nodes)

    def owner(self, key: Key) -> Node:
        """The node of the first point after the key's hash.

        Text is hashed as UTF-8. Raises ``KEY_EMPTY``, ``KEY_INVALID`` (no UTF-8), ``RING_EMPTY``.
        """
        return self._owners[bisect_right(self._points, hash_key(key))] or _no_nodes()

    def owners(self, key: Key, n: int) -> list[Node]:
        """The first ``n`` distinct owners, or all where there are fewer. Raises as ``owner``, and ``N_OUT_OF_RANGE``."""
        hash_ = hash_key(key)
        if type(n) is not int or n < 1:
            raise RingmanError("N_OUT_OF_RANGE", f"n is an integer of at least 1, got {n!r}")
        first = bisect_right(self._points, hash_)
        most = min(n, sum(map(bool, self._points_of.values())))
        found: dict[str, Node] = {}
        for places in (range(first, len(self._owners)), range(first)):
            for place in places:
                if len(found) == most:
                    break
                node = self._owners[place] or _no_nodes()
                found[node.ring_key] = node
        return list(found.values()) or [_no_nodes()]

    def shares(self) -> dict[str, float]:
        """The fraction of the circle that each node owns, exactly, by ring key."""
        hashes = {node.ring_key: 0 for node in self.nodes}
        start = 0
        for end, node in zip(self._points, self._owners):
            if node is not None:
                hashes[node.ring_key] += end - start
            start = end
        return {ring_key: count / CIRCLE for ring_key, count in hashes.items()}

    def moved_to(self, after: HashRing) -> Moved:
        """Which keys have another owner on the next ring."""
        stretches: list[Stretch] = []
        i = j = start = 0
        # Two lists in order, which Python merges. The end of the circle is in both.
        for end in sorted(self._points[:-1] + after._points):
            old, new = self._owners[i], after._owners[j]
            i += self._points[i] == end
            j += after._points[j] == end
            if end > start and _ring_key(old) != _ring_key(new):
                last = stretches[-1] if stretches else None
                if last and last.end == start and (last.before, last.after) == (old, new):
                    stretches[-1] = replace(last, end=end)
                else:
                    stretches.append(Stretch(start, end, old, new))
            start = end
        return Moved(stretches)

    def plan(
        self, *, leave: Iterable[str] = (), join: Iterable[Node] = (), reweight: Mapping[str, int] | None = None
    ) -> Plan:
        """What moves if nodes leave, join or get another weight. Raises ``PLAN_INVALID``."""
        nodes = {node.ring_key: node for node in self.nodes}
        leave, join, reweight = tuple(leave), tuple(join), reweight or {}
        named = [*leave, *reweight, *(node.ring_key for node in join)]
        if len({*named}) < len(named):
            raise RingmanError("PLAN_INVALID", "a ring key is named more than once")
        if not nodes.keys() >= {*leave, *reweight}:
            raise RingmanError("PLAN_INVALID", "a node that is to leave or change weight is not on the ring")
        if any(node.ring_key in nodes for node in join):
            raise RingmanError("PLAN_INVALID", "a node that is to join is on the ring already")
        for ring_key in leave:
            del nodes[ring_key]
        for ring_key, weight in reweight.items():
            nodes[ring_key] = replace(nodes[ring_key], weight=weight)
        try:
            after = HashRing([*nodes.values(), *join], before=self)
        except RingmanError as error:
            raise RingmanError("PLAN_INVALID", error.message) from error
        moved = self.moved_to(after)
        hashes: dict[tuple[str | None, str | None], int] = {}
        for stretch in moved:
            ends = (_ring_key(stretch.before), _ring_key(stretch.after))
            hashes[ends] = hashes.get(ends, 0) + stretch.end - stretch.start
        moves = [Move(before, after_, count / CIRCLE) for (before, after_), count in hashes.items()]
        moves.sort(key=lambda move: (-move.share, move.before or "", move.after or ""))
        return Plan(self.digest, after.digest, moved.share, tuple(moves))


@dataclass(frozen=True, slots=True)
class Stretch:
    """The hashes ``start <= h < end``, which belonged to ``before`` and belong to ``after``; None: to nobody."""

    start: int
    end: int
    before: Node | None
    after: Node | None


class Moved:
    """The stretches of the circle in which two rings differ, ascending. ``key in moved`` says whether a key moved."""

    __slots__ = ("_starts", "_stretches", "share")

    share: float
    """The fraction of the circle that they cover, exactly."""

    def __init__(self, stretches: Iterable[Stretch]) -> None:
        self._stretches = tuple(stretches)
        self._starts = [stretch.start for stretch in self._stretches]
        self.share = sum(stretch.end - stretch.start for stretch in self._stretches) / CIRCLE

    def __iter__(self) -> Iterator[Stretch]:
        return iter(self._stretches)

    def __len__(self) -> int:
        return len(self._stretches)

    def __contains__(self, key: Key) -> bool:
        return self.find(key) is not None

    def find(self, key: Key) -> Stretch | None:
        """The stretch that a key lies in; None when its owner is the same."""
        hash_ = hash_key(key)
        place = bisect_right(self._starts, hash_) - 1
        return self._stretches[place] if place >= 0 and hash_ < self._stretches[place].end else None

    def gained_by(self, ring_key: str) -> Moved:
        """Those that the node got."""
        return Moved(stretch for stretch in self if _ring_key(stretch.after) == ring_key)

    def lost_by(self, ring_key: str) -> Moved:
        """Those that the node lost."""
        return Moved(stretch for stretch in self if _ring_key(stretch.before) == ring_key)


@dataclass(frozen=True, slots=True)
class Move:
    """A part of the circle that goes from one node to another, by ring keys; None: no node."""

    before: str | None
    after: str | None
    share: float


@dataclass(frozen=True, slots=True)
class Plan:
    """What a change would move: both digests, the fraction of the circle, and the moves, the largest first."""

    before: str
    after: str
    moved_share: float
    moves: tuple[Move, ...]


def hash_key(key: Key) -> int:
    """The place of a key on the circle. Raises ``KEY_EMPTY``, ``KEY_INVALID``."""
    if not key:
        raise RingmanError("KEY_EMPTY", "the key is empty")
    if isinstance(key, str):
        try:
            key = key.encode()
        except UnicodeEncodeError:
            raise RingmanError("KEY_INVALID", "the key has half a surrogate pair, which no UTF-8 can have") from None
    hash_: int = _first_word(_md5(key, usedforsecurity=False).digest())[0]
    return hash_


def _digest_counts(nodes: tuple[Node, ...]) -> list[int]:
    # In doubles, one after another, as all members do it: weights may be beyond 2^53 together.
    total = 0.0
    for node in nodes:
        total += node.weight
    return [math.floor(float(DIGESTS_PER_NODE * len(nodes)) * node.weight / total) for node in nodes]


def _points(ring_key: str, count: int) -> list[int]:
    prefix = _md5(f"{ring_key}-".encode(), usedforsecurity=False)
    points: list[int] = []
    for number in range(count):
        digest = prefix.copy()
        digest.update(b"%d" % number)
        points += _three_words(digest.digest())
    return points


def _ring_key(node: Node | None) -> str | None:
    return None if node is None else node.ring_key


def _is_well_formed(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _no_nodes() -> Node:
    raise RingmanError("RING_EMPTY", "no nodes in ring")
