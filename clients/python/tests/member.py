"""A member for tests, on a real socket: it says what the test puts into ``answers``."""

from __future__ import annotations

import json
import queue
import socket
import ssl
import threading
from collections.abc import Iterable
from contextlib import suppress

from ringman import HashRing, Node


def ring_json(ring_keys: Iterable[str]) -> bytes:
    ring = HashRing(map(Node, ring_keys))
    nodes = [{"ringKey": node.ring_key, "weight": 1, "share": 0.1, "address": "127.0.0.1"} for node in ring.nodes]
    return json.dumps({"nodes": nodes, "digest": ring.digest, "epoch": 1, "sinceChangeMs": 0}).encode()


def event(ring_keys: Iterable[str]) -> bytes:
    return b"event: ring\ndata: " + ring_json(ring_keys) + b"\n\n"


WATCH = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"


class Member:
    """Sends the bytes of ``answers`` over one connection after another; None ends a connection."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self.answers: queue.Queue[bytes | None] = queue.Queue()
        self.requests: queue.Queue[str] = queue.Queue()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self.url = f"{'http' if tls is None else 'https'}://127.0.0.1:{self.port}"
        threading.Thread(target=self._serve, daemon=True).start()

    def __enter__(self) -> Member:
        return self

    def __exit__(self, *error: object) -> None:
        self.answers.put(None)
        self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with suppress(OSError):
                if self._tls is None:
                    self._answer(connection)
                else:
                    self._answer(self._tls.wrap_socket(connection, server_side=True))
            connection.close()

    def _answer(self, connection: socket.socket) -> None:
        with connection:
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                byte = connection.recv(1)
                if not byte:
                    return
                head += byte
            self.requests.put(head.decode())
            while (answer := self.answers.get()) is not None:
                connection.sendall(answer)
