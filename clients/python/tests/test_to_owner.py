"""Requests to owners, with the real httpx and requests: both must be installed."""

import asyncio
import threading
import unittest
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import requests
import requests.adapters

from ringman import HashRing, Node, OwnerAdapter, OwnerTransport, RingClient

BASE = "http://rooms.example"


class Application(BaseHTTPRequestHandler):
    """Says which of the servers it is, and what it was asked."""

    def do_GET(self) -> None:
        if self.path == "/old":
            self.send_response(302)
            self.send_header("Location", "/new")
            self.end_headers()
            return
        body = f"{self.server.server_address[1]} {self.headers['host']} {self.path}".encode()
        self.send_response(200)
        self.send_header("Set-Cookie", "seen=yes")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *given: object) -> None:
        pass


class ToOwnerTest(unittest.TestCase):
    def setUp(self) -> None:
        servers = [ThreadingHTTPServer(("127.0.0.1", 0), Application) for _ in range(3)]
        for server in servers:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            self.addCleanup(server.server_close)
            self.addCleanup(server.shutdown)
        ports = [server.server_address[1] for server in servers]
        self.client = RingClient("http://127.0.0.1:1")
        self.client._copy = HashRing(Node(f"n{port}", address="127.0.0.1", port=port) for port in ports)
        self.expected = {f"room-{number}": self.client.owner(f"room-{number}").port for number in range(30)}
        self.assertEqual({*self.expected.values()}, {*ports})

    def test_requests(self) -> None:
        with requests.Session() as session:
            adapter = OwnerAdapter(
                self.client, requests.adapters.HTTPAdapter(), key=lambda sent: sent.headers["x-room"]
            )
            session.mount(BASE, adapter)
            for room, port in self.expected.items():
                for path in ("/new", "/old"):
                    answer = session.get(f"{BASE}{path}", headers={"x-room": room}, timeout=10)
                    self.assertEqual(answer.text, f"{port} rooms.example /new")
                    self.assertEqual(answer.url, f"{BASE}/new")
            self.assertEqual([(cookie.name, cookie.domain) for cookie in session.cookies], [("seen", "rooms.example")])

    def test_httpx(self) -> None:
        transport = OwnerTransport(self.client, httpx.HTTPTransport(), key=lambda sent: sent.headers["x-room"])
        with httpx.Client(transport=transport, base_url=BASE, follow_redirects=True) as session:
            for room, port in self.expected.items():
                for path in ("/new", "/old"):
                    answer = session.get(path, headers={"x-room": room})
                    self.assertEqual(answer.text, f"{port} rooms.example /new")
                    self.assertEqual(str(answer.url), f"{BASE}/new")
            self.assertEqual(
                [(cookie.name, cookie.domain) for cookie in session.cookies.jar], [("seen", "rooms.example")]
            )

    def test_httpx_for_asyncio(self) -> None:
        async def ask() -> list[str]:
            transport = OwnerTransport(self.client, httpx.AsyncHTTPTransport(), key=lambda sent: sent.headers["x-room"])
            async with httpx.AsyncClient(transport=transport, base_url=BASE) as session:
                return [(await session.get("/", headers={"x-room": room})).text for room in self.expected]

        self.assertEqual(asyncio.run(ask()), [f"{port} rooms.example /" for port in self.expected.values()])
