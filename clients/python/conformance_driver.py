"""Drives this client for the conformance kit; conformance/README.md describes what it reads and prints."""

import json
import logging
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "src"))

from ringman import HashRing, Node, RingClient, RingmanError
from ringman.client import Changes

FIELDS = {
    "ringKey": "ring_key",
    "weight": "weight",
    "name": "name",
    "address": "address",
    "port": "port",
    "zone": "zone",
}


def key_of(given: dict) -> str | bytes:
    return given["text"] if "text" in given else bytes.fromhex(given["hex"])


def node_of(given: dict) -> Node:
    return Node(**{FIELDS[name]: value for name, value in given.items()})


def given_of(node: Node) -> dict:
    fields = {name: getattr(node, field) for name, field in FIELDS.items()}
    return {name: value for name, value in fields.items() if value is not None}


class Driver:
    client: RingClient
    reader: Changes

    def open(
        self, urls, timeoutMs, silenceMs, ring=None, staleAfterMs=None, whenStale="go-on", ringFile=None, headers=None
    ):
        self.client = RingClient(
            *urls,
            ring=ring,
            timeout=timeoutMs / 1000,
            silence=silenceMs / 1000,
            stale_after=None if staleAfterMs is None else staleAfterMs / 1000,
            when_stale="raise" if whenStale == "throw" else "go-on",
            ring_file=ringFile,
            headers=headers,
        )
        return {}

    def ready(self, timeoutMs):
        try:
            self.client.ready(timeoutMs / 1000)
        except RingmanError:
            return {"ready": False}
        return {"ready": True}

    def owner(self, key):
        return {"node": given_of(self.client.owner(key_of(key)))}

    def owners(self, keys, n):
        return {"owners": [[node.ring_key for node in self.client.owners(key_of(key), n)] for key in keys]}

    def state(self):
        unknown = self.client.digest is None
        age = None if unknown else self.client.age * 1000
        return {"digest": self.client.digest, "ageMs": age, "stale": self.client.stale}

    def shares(self):
        return {"shares": self.client.ring.shares()}

    def changes(self):
        self.reader = self.client.changes()
        return {}

    def change(self, timeoutMs):
        change = self.reader.next(timeoutMs / 1000)
        return {"timeout": True} if change is None else {"digest": change.ring.digest, "share": change.moved.share}

    def moved(self, **rings):
        before, after = (HashRing(map(node_of, rings[name])) for name in ("from", "to"))
        moved = before.moved_to(after)
        stretches = [
            [stretch.start, stretch.end, *(node and node.ring_key for node in (stretch.before, stretch.after))]
            for stretch in moved
        ]
        return {"share": moved.share, "stretches": stretches}

    def plan(self, leave, join, reweight):
        weights = {change["ringKey"]: change["weight"] for change in reweight}
        plan = self.client.ring.plan(leave=leave, join=map(node_of, join), reweight=weights)
        moves = [{"from": move.before, "to": move.after, "share": move.share} for move in plan.moves]
        return {"after": plan.after, "movedShare": plan.moved_share, "moves": moves}

    def close(self):
        if hasattr(self, "client"):
            self.client.close()
        return {}


def main() -> None:
    # The kit provokes what is warned of.
    logging.getLogger("ringman").setLevel(logging.ERROR)
    driver = Driver()
    for line in sys.stdin:
        request = json.loads(line)
        answer = getattr(driver, request.pop("op"), None)
        try:
            given = {"unsupported": True} if answer is None else answer(**request)
        except RingmanError as error:
            given = {"error": error.code}
        print(json.dumps(given), flush=True)
    driver.close()


main()
