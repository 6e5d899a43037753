"""Asks members over HTTP/1.1. Everything that they send has a limit: of size here, of time where it is called."""

from __future__ import annotations

import asyncio
import json
import random
import re
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from .errors import RingmanError

Headers = Mapping[str, str]

RING_LIMIT = 16 * 1024 * 1024
"""Bytes of the largest ring that is read."""

_HEAD_LIMIT = 64 * 1024
_PIECE = 64 * 1024
_MAX_VALUES = 1_000_000
_MAX_DEPTH = 32
_LINE_END = re.compile(rb"\r\n|\r|\n")
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-5]\d\d)(?: |$)")


@dataclass(frozen=True)
class Answer:
    """The head of an answer, and its body in pieces."""

    status: int
    headers: Headers
    """By names in lower case; of several with one name the last."""
    body: AsyncIterator[bytes]
    connection: asyncio.StreamWriter


class Members:
    """The members that a client knows by URL."""

    def __init__(
        self,
        urls: tuple[str, ...],
        ring: str | None,
        headers: Headers | Callable[[], Headers],
        tls: ssl.SSLContext | Callable[[], ssl.SSLContext] | None,
    ) -> None:
        root = "/v1" if ring is None else f"/v1/rings/{ring}"
        self.urls = [_check_url(f"{url.rstrip('/')}{root}/ring") for url in urls]
        self._headers = headers
        self._tls = tls

    async def ask(self, url: SplitResult, path: str, headers: Headers) -> Answer:
        """Sends a GET over a connection of its own; the caller closes it. Raises ``RESPONSE_INVALID``, ``OSError``."""
        own = self._headers() if callable(self._headers) else self._headers
        sent = {"host": url.netloc, "connection": "close", **headers, **own}
        lines = [f"GET {url.path}{path} HTTP/1.1", *(f"{name}: {value}" for name, value in sent.items())]
        if any(re.search(r"[\r\n\0]", line) for line in lines):
            raise RingmanError("CONFIG_INVALID", "a header has a line end in it")
        reader, writer = await self._connect(url)
        try:
            writer.write("\r\n".join([*lines, "", ""]).encode("latin-1"))
            status, received = _parse_head(await reader.readuntil(b"\r\n\r\n"))
            while status < 200:
                status, received = _parse_head(await reader.readuntil(b"\r\n\r\n"))
            return Answer(status, received, _read_body(reader, received), writer)
        except (asyncio.LimitOverrunError, asyncio.IncompleteReadError) as error:
            writer.transport.abort()
            raise RingmanError("RESPONSE_INVALID", "the answer has no whole head") from error
        except BaseException:
            writer.transport.abort()
            raise

    async def _connect(self, url: SplitResult) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host, secure = url.hostname, url.scheme == "https"
        tls = (self._tls() if callable(self._tls) else self._tls) or ssl.create_default_context() if secure else None
        port = url.port or (443 if secure else 80)
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = list(dict.fromkeys(str(address[4][0]) for address in found))
        # The clients of a headless Service spread over its pods.
        random.shuffle(addresses)
        failure: OSError = OSError(f"{host} has no address")
        for address in addresses:
            try:
                return await asyncio.open_connection(
                    address, port, ssl=tls, server_hostname=host if secure else None, limit=_HEAD_LIMIT
                )
            except OSError as error:
                failure = error
        raise failure


async def read_all(answer: Answer) -> bytes:
    """The body. Raises ``RESPONSE_INVALID`` where it is too long."""
    body = bytearray()
    async for piece in answer.body:
        body += piece
        if len(body) > RING_LIMIT:
            raise RingmanError("RESPONSE_INVALID", f"the answer is longer than {RING_LIMIT} bytes")
    return bytes(body)


def parse_json(data: bytes) -> object:
    """Reads JSON that somebody else wrote. Raises ``RESPONSE_INVALID``, before anything is made of what holds too much."""
    try:
        text = data.decode()
        # Strings can hold commas and brackets: they are taken out. What escapes are in them does not matter then.
        parts = text.replace("\\\\", "").replace('\\"', "").split('"', 4 * _MAX_VALUES)
        outside = "".join(parts[::2])
        values = sum(map(outside.count, ",[{"))
        if values > _MAX_VALUES:
            raise RingmanError("RESPONSE_INVALID", "the JSON has too many values")
        depth = 0
        for bracket in re.findall(r"[][{}]", outside):
            depth += 1 if bracket in "[{" else -1
            if depth > _MAX_DEPTH:
                raise RingmanError("RESPONSE_INVALID", "the JSON is nested too deep")
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RingmanError("RESPONSE_INVALID", "the answer is not JSON") from error


class EventParser:
    """Cuts a stream into server-sent events: https://html.spec.whatwg.org/multipage/server-sent-events.html"""

    def __init__(self) -> None:
        self._line = bytearray()
        self._event = b""
        self._data: list[bytes] = []
        self._size = 0
        self._after_return = False

    def feed(self, piece: bytes) -> Iterator[tuple[str, bytes]]:
        """Gives an event's name and data, or ``("", b"")`` for a comment. Raises ``RESPONSE_INVALID`` for a long one."""
        if self._after_return and piece.startswith(b"\n"):
            piece = piece[1:]
        self._after_return = piece.endswith(b"\r")
        *lines, rest = _LINE_END.split(piece)
        for line in lines:
            whole = bytes(self._line) + line
            self._line.clear()
            yield from self._take(whole)
        self._line += rest
        if self._size + len(self._line) > RING_LIMIT:
            raise RingmanError("RESPONSE_INVALID", f"an event is longer than {RING_LIMIT} bytes")

    def _take(self, line: bytes) -> Iterator[tuple[str, bytes]]:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if not line:
            if self._data:
                yield self._event.decode(errors="replace") or "message", b"\n".join(self._data)
            self._event, self._data, self._size = b"", [], 0
        elif not name:
            yield "", b""
        elif name == b"event":
            self._event = value
        elif name == b"data":
            self._data.append(value)
            # An empty line takes memory, too.
            self._size += len(value) + 64


def _check_url(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid or not re.fullmatch(r"[!-~]+", url) or parts.query or parts.fragment:
        # Not quoted: it may hold a password.
        raise RingmanError("CONFIG_INVALID", "a member's URL is http://HOST[:PORT][/PATH] or https://…")
    if "@" in parts.netloc:
        raise RingmanError("CONFIG_INVALID", "a member's URL has no user or password: give them by headers")
    return parts


def _parse_head(head: bytes) -> tuple[int, dict[str, str]]:
    first, *lines = head[:-4].split(b"\r\n")
    status = _STATUS_LINE.match(first)
    if status is None:
        raise RingmanError("RESPONSE_INVALID", "what answers does not speak HTTP")
    pairs = (line.decode("latin-1").partition(":") for line in lines)
    return int(status[1]), {name.lower(): value.strip() for name, _, value in pairs}


async def _read_body(reader: asyncio.StreamReader, headers: Headers) -> AsyncIterator[bytes]:
    if headers.get("transfer-encoding", "").lower() == "chunked":
        while length := await _chunk_length(reader):
            async for piece in _read(reader, length):
                yield piece
            if await reader.readexactly(2) != b"\r\n":
                raise RingmanError("RESPONSE_INVALID", "a chunk has another length than it says")
        return
    length_given = headers.get("content-length", "")
    if re.fullmatch(r"\d{1,15}", length_given, re.ASCII):
        async for piece in _read(reader, int(length_given)):
            yield piece
        return
    while piece := await reader.read(_PIECE):
        yield piece


async def _chunk_length(reader: asyncio.StreamReader) -> int:
    try:
        line = await reader.readuntil(b"\r\n")
    except asyncio.LimitOverrunError:
        line = b""
    match = re.match(rb"[0-9a-fA-F]{1,12}(?=[;\s])", line)
    if match is None:
        raise RingmanError("RESPONSE_INVALID", "a chunk does not say its length")
    return int(match[0], 16)


async def _read(reader: asyncio.StreamReader, length: int) -> AsyncIterator[bytes]:
    while length > 0:
        piece = await reader.read(min(length, _PIECE))
        if not piece:
            raise ConnectionError("the connection ended within an answer")
        length -= len(piece)
        yield piece
