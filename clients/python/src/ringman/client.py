"""Keeps a copy of the ring and answers from it, without a request."""

from __future__ import annotations

import asyncio
import os
import re
import ssl
import stat
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from types import TracebackType
from typing import Literal

from .errors import RingmanError
from .feed import UNSURE, Feed, log, read_ring, read_unsure, read_version
from .members import RING_LIMIT, Headers, Members, parse_json
from .ring import HashRing, Key, Moved, Node

# A namespace is a label of DNS, the name of a HashRing may have several.
_RING_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?/[a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?")

# Rings in a row of members that are unsure, with no other between them, that are passed over at least.
_PASSED_OVER_UNSURE = 2


class RingClient:
    """Answers "which instance owns this key?" from a copy of the members' ring.

    A thread keeps the copy current, for synchronous programs and for asyncio alike; look-ups never wait. It begins with
    ``ready``, ``changes`` or ``with``. Times are in seconds.

    ``urls``: base URLs of members, or of a Service of members, such as ``http://ringman.default.svc:8080``.
    ``ring``: ``NAMESPACE/NAME`` of a HashRing; without it, the ring of the members themselves.
    ``headers``: sent with each request; a function is asked for each, so that a token may change.
    ``tls``: for ``https:``, likewise; without it, the authorities of the machine.
    ``stale_after``: the age at which the copy is stale, 45 or more; without it, never. ``when_stale="raise"``: look-ups
    raise ``RING_STALE`` then.
    ``ring_file``: a file with the JSON of ``GET /v1/ring``, which answers until a member has given its ring.
    ``timeout``: how long a member may take to answer, and then to give its first ring.
    ``silence``: how long a watch may be silent.

    What goes wrong behind the look-ups is logged as a warning of the logger ``ringman``.
    Raises ``CONFIG_INVALID``.
    """

    def __init__(
        self,
        *urls: str,
        ring: str | None = None,
        headers: Headers | Callable[[], Headers] | None = None,
        tls: ssl.SSLContext | Callable[[], ssl.SSLContext] | None = None,
        stale_after: float | None = None,
        when_stale: Literal["go-on", "raise"] = "go-on",
        ring_file: str | os.PathLike[str] | None = None,
        timeout: float = 5.0,
        silence: float = 45.0,
    ) -> None:
        if not urls:
            raise RingmanError("CONFIG_INVALID", "a client needs the URL of at least one member")
        if ring is not None and not _RING_NAME.fullmatch(ring):
            raise RingmanError("CONFIG_INVALID", f"ring is the NAMESPACE/NAME of a HashRing, got {ring!r}")
        if not (timeout > 0 and silence > 0 and (stale_after is None or stale_after > 0)):
            raise RingmanError("CONFIG_INVALID", "timeout, silence and stale_after must be above 0")
        if when_stale not in ("go-on", "raise"):
            raise RingmanError("CONFIG_INVALID", f"when_stale is 'go-on' or 'raise', got {when_stale!r}")
        if when_stale == "raise" and stale_after is None:
            raise RingmanError("CONFIG_INVALID", "when_stale='raise' needs stale_after: without it no copy is stale")
        members = Members(urls, ring, headers or {}, tls)
        self._feed = Feed(members, self._take, self._confirm, timeout=timeout, silence=silence)
        self._stale_after = stale_after
        self._refuses_stale = when_stale == "raise"
        self._ring_file = ring_file
        self._copy: HashRing | None = None
        self._confirmed = 0.0
        self._doubted: str | None = None
        # Of the newest ring that was taken, where rings have versions.
        self._newest: tuple[str | None, float] | None = None
        self._unsure = 0
        self._patience = max(_PASSED_OVER_UNSURE, len(urls))
        self._lock = threading.Lock()
        self._wakers: set[Callable[[], object]] = set()
        self._closed = False
        self._thread: threading.Thread | None = None
        self._stop: Callable[[], object] | None = None

    def owner(self, key: Key) -> Node:
        """The owner of a key: text, hashed as UTF-8, or bytes.

        Raises ``RING_UNKNOWN``, ``RING_STALE``, ``RING_EMPTY``, ``KEY_EMPTY``, ``KEY_INVALID``.
        """
        return self.ring.owner(key)

    def owners(self, key: Key, n: int) -> list[Node]:
        """The first ``n`` distinct owners, or all where there are fewer. Raises as ``owner``, and ``N_OUT_OF_RANGE``."""
        return self.ring.owners(key, n)

    @property
    def ring(self) -> HashRing:
        """The copy, which never changes: for several look-ups by one ring. Raises ``RING_UNKNOWN``, ``RING_STALE``."""
        ring = self._copy
        if ring is None:
            raise RingmanError("RING_UNKNOWN", "no member has given its ring yet")
        if self._refuses_stale and self.stale:
            raise RingmanError("RING_STALE", f"no member has confirmed the ring for {self.age:.0f} s")
        return ring

    @property
    def digest(self) -> str | None:
        """The digest of the copy, stale or not; None while there is none."""
        ring = self._copy
        return None if ring is None else ring.digest

    @property
    def age(self) -> float:
        """Seconds since a member that is not unsure last said that the copy is its ring; of a copy from a file, its age.
        Infinity without.
        """
        return float("inf") if self._copy is None else time.monotonic() - self._confirmed

    @property
    def stale(self) -> bool:
        """Whether the copy is as old as ``stale_after``; true while there is none."""
        return self._copy is None or (self._stale_after is not None and self.age >= self._stale_after)

    def changes(self) -> Changes:
        """The ring now, and again after each change, until the client is closed: for ``for`` and for ``async for``."""
        self._start()
        return Changes(self)

    def ready(self, timeout: float | None = None) -> None:
        """Waits for the first ring, be it from the file. Raises ``TIMEOUT``, which says what went wrong last, or
        ``RING_UNKNOWN`` when it is closed.
        """
        if self.changes().next(timeout) is None:
            raise self._not_ready()

    async def aready(self, timeout: float | None = None) -> None:
        """The same for asyncio."""
        if await self.changes().anext(timeout) is None:
            raise self._not_ready()

    def _not_ready(self) -> RingmanError:
        if self._closed:
            return RingmanError("RING_UNKNOWN", "the client is closed")
        last = "" if self._feed.failure is None else f"; what went wrong last: {self._feed.failure}"
        return RingmanError("TIMEOUT", f"no member has given its ring in time{last}")

    def close(self) -> None:
        """Ends the connection and all readers of changes. Look-ups go on with the copy that there is."""
        with self._lock:
            self._closed = True
            stop, thread = self._stop, self._thread
        if stop is not None:
            stop()
        self._wake()
        if thread is not None and thread is not threading.current_thread():
            # It may wait longer for the address of a name; then it ends by itself.
            thread.join(1)

    async def aclose(self) -> None:
        """The same for asyncio."""
        await asyncio.get_running_loop().run_in_executor(None, self.close)

    def __enter__(self) -> RingClient:
        self._start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    async def __aenter__(self) -> RingClient:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.aclose()

    def _start(self) -> None:
        with self._lock:
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=lambda: asyncio.run(self._follow()), name="ringman", daemon=True)
                self._thread.start()

    async def _follow(self) -> None:
        loop, stopped = asyncio.get_running_loop(), asyncio.Event()
        with self._lock:
            if self._closed:
                return
            self._stop = lambda: _call_soon(loop, stopped.set)
        if self._ring_file is not None:
            self._read_file(self._ring_file)
        following = asyncio.create_task(self._feed.run())
        await stopped.wait()
        while not following.done():  # Before Python 3.12 wait_for may lose a cancellation.
            following.cancel()
            await asyncio.wait({following}, timeout=0.1)

    def _read_file(self, path: str | os.PathLike[str]) -> None:
        try:
            about = os.stat(path)
            # A pipe that nobody writes to would be waited for.
            if not stat.S_ISREG(about.st_mode):
                raise RingmanError("RESPONSE_INVALID", "it is no plain file")
            with open(path, "rb") as file:
                text = file.read(RING_LIMIT + 1)
            if len(text) > RING_LIMIT:
                raise RingmanError("RESPONSE_INVALID", f"it is larger than {RING_LIMIT} bytes")
            self._set(read_ring(parse_json(text), None), max(0.0, time.time() - about.st_mtime))
        except (OSError, RingmanError) as error:
            self._feed.failure = f"the ring file {path} was not taken: {error}"
            log.warning("%s", self._feed.failure)

    def _take(self, answer: object, first: bool) -> None:
        before = self._copy
        ring = read_ring(answer, before)
        uid, version = read_version(answer)
        if version is not None and self._newest is not None and self._newest[0] == uid and version < self._newest[1]:
            raise RingmanError("MEMBERS_DISAGREE", "a member is behind: its ring is an older one")
        if read_unsure(answer):
            self._unsure += 1
            # Otherwise a better one may be had.
            if before is None or self._unsure > self._patience:
                self._set(ring, 0.0 if before is None else self.age)
            raise RingmanError("UNSURE", UNSURE)
        self._unsure = 0
        # A member that has just started, or is cut off, knows few others: another one is asked before it is believed.
        if first and before is not None and len(ring) * 2 < len(before) and ring.digest != self._doubted:
            self._doubted = ring.digest
            raise RingmanError("MEMBERS_DISAGREE", f"a member knows {len(ring)} of {len(before)} nodes")
        self._doubted = None
        if version is not None:
            self._newest = uid, version
        self._set(ring, 0.0)

    def _set(self, ring: HashRing, age: float) -> None:
        changed = self._copy is None or ring.nodes != self._copy.nodes
        self._confirmed = time.monotonic() - age
        if changed:
            self._copy = ring
            self._wake()

    def _confirm(self) -> None:
        self._confirmed = time.monotonic()

    def _wake(self) -> None:
        with self._lock:
            wakers = tuple(self._wakers)
        for wake in wakers:
            wake()

    @contextmanager
    def _waking(self, wake: Callable[[], object]) -> Iterator[None]:
        with self._lock:
            self._wakers.add(wake)
        try:
            yield
        finally:
            with self._lock:
                self._wakers.discard(wake)


@dataclass(frozen=True)
class Change:
    """The ring that there is now, and the one that this reader had before; at first the empty one."""

    ring: HashRing
    previous: HashRing

    @cached_property
    def moved(self) -> Moved:
        """Which keys got another owner since; found when it is first asked for."""
        return self.previous.moved_to(self.ring)


class Changes(Iterator[Change], AsyncIterator[Change]):
    """One reader of changes. A slow one gets the newest ring; what came between is left out."""

    def __init__(self, client: RingClient) -> None:
        self._client = client
        self._seen: HashRing | None = None

    def next(self, timeout: float | None = None) -> Change | None:
        """The next change; None when the client is closed, or after so many seconds."""
        woken = threading.Event()
        deadline = None if timeout is None else time.monotonic() + timeout
        with self._client._waking(woken.set):
            while (change := self._newest()) is None and not self._client._closed:
                if not woken.wait(None if deadline is None else deadline - time.monotonic()):
                    return None
                woken.clear()
        return change

    async def anext(self, timeout: float | None = None) -> Change | None:
        """The same for asyncio."""
        loop, woken = asyncio.get_running_loop(), asyncio.Event()

        async def find() -> Change | None:
            while (change := self._newest()) is None and not self._client._closed:
                await woken.wait()
                woken.clear()
            return change

        with self._client._waking(lambda: _call_soon(loop, woken.set)):
            try:
                return await asyncio.wait_for(find(), timeout)
            except asyncio.TimeoutError:
                return None

    def __next__(self) -> Change:
        change = self.next()
        if change is None:
            raise StopIteration
        return change

    async def __anext__(self) -> Change:
        change = await self.anext()
        if change is None:
            raise StopAsyncIteration
        return change

    def _newest(self) -> Change | None:
        ring, seen = self._client._copy, self._seen
        if ring is None or (seen is not None and seen.nodes == ring.nodes):
            return None
        self._seen = ring
        return Change(ring, HashRing() if seen is None else seen)


def _call_soon(loop: asyncio.AbstractEventLoop, call: Callable[[], object]) -> None:
    with suppress(RuntimeError):  # The loop is closed: nobody waits.
        loop.call_soon_threadsafe(call)
