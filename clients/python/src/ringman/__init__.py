"""Which instance owns this key? A client of ringman with a hash ring of its own."""

from .client import Change, Changes, RingClient
from .errors import ErrorCode, RingmanError
from .ring import HashRing, Key, Move, Moved, Node, Plan, Stretch
from .to_owner import OwnerAdapter, OwnerTransport

__all__ = [
    "Change",
    "Changes",
    "ErrorCode",
    "HashRing",
    "Key",
    "Move",
    "Moved",
    "Node",
    "OwnerAdapter",
    "OwnerTransport",
    "Plan",
    "RingClient",
    "RingmanError",
    "Stretch",
]
