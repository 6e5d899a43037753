"""Asks a member, by a generated client, what an application asks, and prints the answers as JSON."""

import json
import sys

from ringman_client import Client
from ringman_client.api.default import get_members, get_owner, get_owners, get_plan, get_ring, post_owners
from ringman_client.models import OwnersQuestion, Problem

client = Client(base_url=sys.argv[1], raise_on_unexpected_status=True)

owner = get_owner.sync(client=client, key="user:42")
owners = get_owners.sync(client=client, key="user:42", n=2)
batch = post_owners.sync(client=client, body=OwnersQuestion(keys=["a", "b", "ключ"], n=1))
ring = get_ring.sync(client=client)
members = get_members.sync(client=client)
plan = get_plan.sync(client=client, leave=["10.0.0.1:8000"], join=["10.0.0.8:8000", "10.0.0.9:8000=2"])
problem = get_owner.sync(client=client, key="")
assert isinstance(problem, Problem)
cached = get_ring.sync_detailed(client=client, if_none_match=get_ring.sync_detailed(client=client).headers["etag"])

print(
    json.dumps(
        {
            "owner": owner.owner.ring_key,
            "owners": [node.ring_key for node in owners.owners],
            "batch": [batch.nodes[places[0]].ring_key for places in batch.owners],
            "ring": [node.ring_key for node in ring.nodes],
            "members": [[member.name, member.state] for member in members.members],
            "plan": [share.ring_key for share in plan.shares],
            "digests": [owner.digest, owners.digest, batch.digest, ring.digest, plan.before],
            "problem": [problem.status, problem.code],
            "cached": int(cached.status_code),
        }
    )
)
