"""What goes wrong, each with a code to tell it by."""

from __future__ import annotations

from typing import Literal

ErrorCode = Literal[
    "CONFIG_INVALID",
    "KEY_EMPTY",
    "KEY_INVALID",
    "MEMBERS_DISAGREE",
    "N_OUT_OF_RANGE",
    "NODE_INVALID",
    "PLAN_INVALID",
    "RESPONSE_INVALID",
    "RING_EMPTY",
    "RING_STALE",
    "RING_UNKNOWN",
    "TIMEOUT",
    "UNREACHABLE",
    "UNSURE",
]


class RingmanError(Exception):
    """An error of ringman. ``code`` is for programs, the message for people."""

    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"
