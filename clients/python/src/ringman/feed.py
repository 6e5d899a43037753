"""Follows the members' ring, as docs/clients.md says: one member at a time by its watch, or by polls."""

from __future__ import annotations

import asyncio
import logging
import random
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import TypeVar
from urllib.parse import SplitResult

from .errors import RingmanError
from .members import Answer, EventParser, Members, parse_json, read_all
from .ring import HashRing, Node

T = TypeVar("T")
log = logging.getLogger("ringman")

MAX_NODES = 20_000
_PROBLEM_LIMIT = 4096
UNSURE = "a member was stopped or cut off, so that its ring may be old; another one is asked"
_BACKOFF_MIN, _BACKOFF_MAX = 0.25, 15.0
_POLL_EVERY = 5.0
_WATCH_AGAIN = 30.0
_BURST, _PER_SECOND = 20.0, 10.0
_ENTITY_TAG = re.compile(r'(?:W/)?"[!#-~]{1,200}"')
_NO_USE_TO_POLL = ("MEMBERS_DISAGREE", "UNREACHABLE", "UNSURE")


class Feed:
    """``take`` gets each ring, and whether it is the first of its connection; it raises where it does not take it.
    ``confirm`` hears that the ring that was taken last is still the member's. Times are in seconds.
    """

    def __init__(
        self,
        members: Members,
        take: Callable[[object, bool], None],
        confirm: Callable[[], None],
        *,
        timeout: float,
        silence: float,
    ) -> None:
        self._members = members
        self._take_ring = take
        self._confirm = confirm
        self._timeout = timeout
        self._silence = silence
        self._etag: str | None = None
        self._watched = False
        # What went wrong last, and where.
        self.failure: str | None = None
        self._tokens = _BURST
        self._filled = time.monotonic()

    async def run(self) -> None:
        """Runs until it is cancelled."""
        urls = self._members.urls
        # Each client begins somewhere else, or all would watch one member.
        at = random.randrange(len(urls))
        failures = refusals = 0
        since_poll, watch_again = len(urls), 0.0
        while True:
            started = time.monotonic()
            # After a while, each of them is asked once more whether it has room.
            if started >= watch_again:
                refusals = 0
            # False: in a whole round nobody let this client watch, and somebody answered a poll.
            may_watch = refusals < len(urls) or since_poll >= len(urls)
            polled = await self._follow(urls[at], may_watch)
            at = (at + 1) % len(urls)
            now = time.monotonic()
            if may_watch:
                watch_again = now + _WATCH_AGAIN
            refusals = 0 if self._watched else refusals + 1
            since_poll = 0 if polled else since_poll + 1
            if polled or now - started >= _BACKOFF_MAX:
                failures = 0
            # Until each URL has been asked for a watch, the next one is not kept waiting.
            doubled = max(0, failures - (len(urls) - 1))
            wait = min(_BACKOFF_MAX, _BACKOFF_MIN * 2**doubled)
            if polled and refusals >= len(urls):
                wait = _POLL_EVERY
            if not polled:
                failures = min(failures + 1, len(urls) + 10)
            await asyncio.sleep(wait * random.uniform(0.5, 1))

    async def _follow(self, url: SplitResult, may_watch: bool) -> bool:
        """Watches a member to the end, or polls it. Returns whether a poll was answered."""
        self._watched = False
        if may_watch:
            error = await self._try(url, self._watch(url))
            if self._watched or error is None or error.code in _NO_USE_TO_POLL:
                return False
        return await self._try(url, self._poll(url)) is None

    async def _try(self, url: SplitResult, work: Awaitable[None]) -> RingmanError | None:
        place = f"{url.scheme}://{url.netloc}{url.path}"
        try:
            await work
            return None
        except RingmanError as error:
            failure = error
        except asyncio.TimeoutError:
            failure = RingmanError("TIMEOUT", "no answer, or no sign of life, in time")
        except asyncio.IncompleteReadError:
            failure = RingmanError("UNREACHABLE", "the connection ended within an answer")
        except OSError as error:
            failure = RingmanError("UNREACHABLE", str(error))
        except Exception as error:  # Whatever it was, look-ups go on and the next member is asked.
            log.exception("A fault while following the ring at %s", place)
            failure = RingmanError("UNREACHABLE", type(error).__name__)
        self.failure = f"{place}: {failure}"
        log.warning("Lost the ring at %s", self.failure)
        return failure

    async def _poll(self, url: SplitResult) -> None:
        headers = {"accept": "application/json"}
        if self._etag is not None:
            headers["if-none-match"] = self._etag
        deadline = time.monotonic() + self._timeout
        answer = await _until(deadline, self._members.ask(url, "", headers))
        try:
            if answer.status == 304 and self._etag is not None:
                if answer.headers.get("ringman-unsure") == "true":
                    raise RingmanError("UNSURE", UNSURE)
                self._confirm()
                return
            await _check_status(answer, deadline)
            await self._take(await _until(deadline, read_all(answer)), first=True)
            etag = answer.headers.get("etag", "")
            self._etag = etag if _ENTITY_TAG.fullmatch(etag) else None
        finally:
            answer.connection.transport.abort()

    async def _watch(self, url: SplitResult) -> None:
        """Reads the events of one connection. It always raises: a watch has no end of its own."""
        asked = self._members.ask(url, "/watch", {"accept": "text/event-stream"})
        answer = await _until(time.monotonic() + self._timeout, asked)
        try:
            await _check_status(answer, time.monotonic() + self._timeout)
            if not answer.headers.get("content-type", "").startswith("text/event-stream"):
                raise RingmanError("RESPONSE_INVALID", "it sends no events")
            parser = EventParser()
            deadline = time.monotonic() + self._timeout
            while True:
                piece = await _until(deadline, anext(answer.body, None))
                if piece is None:
                    raise RingmanError("UNREACHABLE", "it ended the watch")
                newest, comment, alive = None, False, False
                for name, data in parser.feed(piece):
                    newest = data if name == "ring" else newest
                    comment |= name == ""
                    alive = True
                if newest is not None:
                    await self._take(newest, first=not self._watched)
                    self._etag = None
                    self._watched = True
                elif self._watched and comment:
                    self._confirm()
                if self._watched and alive:
                    deadline = time.monotonic() + self._silence
        finally:
            answer.connection.transport.abort()

    async def _take(self, data: bytes, *, first: bool) -> None:
        # A member that sends without a pause is read no faster than rings are taken.
        while True:
            now = time.monotonic()
            self._tokens = min(_BURST, self._tokens + (now - self._filled) * _PER_SECOND)
            self._filled = now
            if self._tokens >= 1:
                break
            await asyncio.sleep((1 - self._tokens) / _PER_SECOND)
        self._tokens -= 1
        self._take_ring(parse_json(data), first)


def read_ring(answer: object, before: HashRing | None) -> HashRing:
    """The ring of the JSON of ``/v1/ring``. Raises ``RESPONSE_INVALID``, also where the digest is another one."""
    try:
        if not isinstance(answer, Mapping) or not isinstance(answer.get("nodes"), list):
            raise RingmanError("RESPONSE_INVALID", "the answer is no ring")
        if len(answer["nodes"]) > MAX_NODES:
            raise RingmanError("RESPONSE_INVALID", f"the ring has more than {MAX_NODES} nodes")
        ring = HashRing(map(_read_node, answer["nodes"]), before=before)
    except RingmanError as error:
        raise RingmanError("RESPONSE_INVALID", error.message) from error
    if ring.digest != answer.get("digest"):
        raise RingmanError("RESPONSE_INVALID", "the digest of a ring is not that of its nodes")
    return ring


def read_unsure(answer: object) -> bool:
    """Whether the member of such an answer says that it was stopped or cut off. Raises ``RESPONSE_INVALID``."""
    unsure = answer.get("unsure", False) if isinstance(answer, Mapping) else False
    if not isinstance(unsure, bool):
        raise RingmanError("RESPONSE_INVALID", "unsure is neither true nor false")
    return unsure


def read_version(answer: object) -> tuple[str | None, float | None]:
    """The uid and the version of the ring of a HashRing, where such an answer has them. Raises ``RESPONSE_INVALID``."""
    fields = answer if isinstance(answer, Mapping) else {}
    uid, version = fields.get("uid"), fields.get("version")
    if not (uid is None or isinstance(uid, str)) or not (version is None or type(version) in (int, float)):
        raise RingmanError("RESPONSE_INVALID", "uid is no text, or version is no number")
    return uid, version


def _read_node(given: object) -> Node:
    if not isinstance(given, Mapping):
        raise RingmanError("RESPONSE_INVALID", "a node is no object")
    texts = [given.get(field) for field in ("name", "address", "zone")]
    name, address, zone = texts
    ring_key, weight, port = given.get("ringKey"), given.get("weight"), given.get("port")
    if not isinstance(ring_key, str) or not all(text is None or isinstance(text, str) for text in texts):
        raise RingmanError("RESPONSE_INVALID", "a field of a node is not text")
    if type(weight) is not int or not (port is None or type(port) is int):
        raise RingmanError("RESPONSE_INVALID", "a field of a node is not a number")
    return Node(ring_key, weight, name, address, port, zone)


async def _check_status(answer: Answer, deadline: float) -> None:
    """Raises what another status than 200 comes to, with what the answer's problem document says, where it has one."""
    if answer.status == 200:
        return
    said = ""
    with suppress(Exception):  # Whatever is wrong with the document, the status is told.
        if int(answer.headers["content-length"]) <= _PROBLEM_LIMIT:
            problem = parse_json(await _until(deadline, read_all(answer)))
            if isinstance(problem, dict):
                said = f": {str(problem['detail'])[:300]!r}"
    raise RingmanError("RESPONSE_INVALID", f"it answers with status {answer.status}{said}")


async def _until(deadline: float, work: Awaitable[T]) -> T:
    return await asyncio.wait_for(work, max(0.0, deadline - time.monotonic()))
