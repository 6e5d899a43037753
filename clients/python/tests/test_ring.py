"""The ring, by the vectors of the conformance kit, and what those do not hold."""

import json
import unittest
from pathlib import Path

from ringman import HashRing, Node, RingmanError

VECTORS = json.loads((Path(__file__).parents[3] / "conformance/vectors.json").read_text(encoding="utf-8"))


def code_of(work, *given, **named) -> str | None:
    try:
        work(*given, **named)
    except RingmanError as error:
        return error.code
    return None


class RingTest(unittest.TestCase):
    def test_a_ring_made_from_any_other_is_the_same(self) -> None:
        rings = [
            HashRing(Node(node["ringKey"], node["weight"]) for node in given["nodes"]) for given in VECTORS["rings"]
        ]
        keys = [f"key-{number}" for number in range(200)]
        for before in rings:
            for ring, vector in zip(rings, VECTORS["rings"]):
                again = HashRing(ring.nodes, before=before)
                self.assertEqual(again.digest, vector["digest"])
                self.assertEqual(again.shares(), ring.shares())
                if len(ring) > 0:
                    self.assertEqual([*map(again.owner, keys)], [*map(ring.owner, keys)])

    def test_what_moved_is_what_look_ups_say(self) -> None:
        before = HashRing(map(Node, "abc"))
        after = HashRing(map(Node, "bcd"))
        moved = before.moved_to(after)
        for number in range(2000):
            key = f"key-{number}"
            stretch = moved.find(key)
            owners = (before.owner(key), after.owner(key))
            self.assertEqual(key in moved, owners[0] != owners[1])
            if stretch is not None:
                self.assertEqual((stretch.before, stretch.after), owners)
        self.assertEqual(moved.lost_by("a").share, before.shares()["a"])
        self.assertEqual(moved.gained_by("d").share, after.shares()["d"])
        self.assertEqual(len(before.moved_to(HashRing(before.nodes))), 0)
        self.assertEqual(HashRing().moved_to(before).share, 1)

    def test_nodes_that_differ_only_in_how_they_are_reached(self) -> None:
        ring = HashRing([Node("a", address="10.0.0.1")])
        moved = HashRing([Node("a", address="10.0.0.2")], before=ring)
        self.assertEqual(moved.owner("x").address, "10.0.0.2")
        self.assertEqual(moved.digest, ring.digest)

    def test_refusals(self) -> None:
        ring = HashRing(map(Node, "ab"))
        self.assertEqual(code_of(ring.owner, ""), "KEY_EMPTY")
        self.assertEqual(code_of(ring.owner, b""), "KEY_EMPTY")
        self.assertEqual(code_of(ring.owner, "\ud800"), "KEY_INVALID")
        self.assertEqual(code_of(HashRing().owner, "x"), "RING_EMPTY")
        self.assertEqual(code_of(HashRing().owners, "x", 2), "RING_EMPTY")
        for n in (0, -1, 1.5, True, "2"):
            self.assertEqual(code_of(ring.owners, "x", n), "N_OUT_OF_RANGE")
        for node in (Node(""), Node("a\nb"), Node("\udfff"), Node("a", 0), Node("a", 2**53), Node("a", 1.5)):
            self.assertEqual(code_of(HashRing, [node]), "NODE_INVALID", repr(node))
        for plan in ({"leave": ["a", "a"]}, {"join": [Node("a")]}, {"reweight": {"z": 1}}, {"reweight": {"a": 0}}):
            self.assertEqual(code_of(ring.plan, **plan), "PLAN_INVALID", repr(plan))

    def test_the_place_of_a_node_in_a_url(self) -> None:
        self.assertEqual(Node("a", address="2001:db8::1", port=80).netloc, "[2001:db8::1]:80")
        self.assertEqual(Node("a", address="host").netloc, "host")
        for address in (None, "", "user@host", "host/path", "host\r\nX: y"):
            self.assertEqual(code_of(lambda: Node("a", address=address).netloc), "NODE_INVALID", repr(address))
