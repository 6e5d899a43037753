"""What the conformance kit does not ask: asyncio, odd bytes, options, closing."""

import asyncio
import json
import logging
import os
import re
import ssl
import tempfile
import threading
import time
import unittest
from pathlib import Path

from ringman import RingClient, RingmanError
from ringman.members import RING_LIMIT, EventParser, parse_json

from .member import WATCH, Member, event
from .test_ring import code_of


def setUpModule() -> None:
    logging.getLogger("ringman").setLevel(logging.CRITICAL)


class ClientTest(unittest.TestCase):
    def test_changes_for_a_thread(self) -> None:
        with Member() as member, RingClient(member.url) as client:
            member.answers.put(WATCH + event("a"))
            seen = []
            for change in client.changes():
                seen.append((len(change.previous), len(change.ring), change.moved.share > 0))
                if len(seen) == 3:
                    client.close()
                else:
                    member.answers.put(event("abc"[: len(seen) + 1]))
            self.assertEqual(seen, [(0, 1, True), (1, 2, True), (2, 3, True)])
            self.assertEqual(client.owner("x"), client.ring.owner("x"))

    def test_changes_for_asyncio(self) -> None:
        async def read(member: Member) -> list[int]:
            sizes = []
            async with RingClient(member.url) as client:
                await client.aready(10)
                async for change in client.changes():
                    sizes.append(len(change.ring))
                    if len(sizes) == 3:
                        break
                    member.answers.put(event("abc"[: len(sizes) + 1]))
                changes = client.changes()
                self.assertIsNotNone(await changes.anext(10))
                self.assertIsNone(await changes.anext(0.01))
                reader = asyncio.create_task(changes.anext())
                await asyncio.sleep(0)
                await client.aclose()
                self.assertIsNone(await asyncio.wait_for(reader, 10))
            return sizes

        with Member() as member:
            member.answers.put(WATCH + event("a"))
            self.assertEqual(asyncio.run(read(member)), [1, 2, 3])

    def test_the_ring_of_a_hash_ring(self) -> None:
        with Member() as member, RingClient(f"{member.url}/below/", ring="shop/cache") as client:
            member.answers.put(WATCH + event("a"))
            client.ready(10)
            self.assertTrue(member.requests.get().startswith("GET /below/v1/rings/shop/cache/ring/watch HTTP/1.1\r\n"))

    def test_tls(self) -> None:
        text = (Path(__file__).parents[3] / "test/support/test-certificate.ts").read_text()
        certificate, key = re.findall(r"-----BEGIN .*?-----END [A-Z ]+-----\n", text, re.DOTALL)
        with tempfile.NamedTemporaryFile("w") as file:
            file.write(certificate + key)
            file.flush()
            server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            server.load_cert_chain(file.name)
        trusting = ssl.create_default_context(cadata=certificate)
        with Member(server) as member:
            member.answers.put(WATCH + event("a"))
            # One that trusts nobody here, and one that has the same address by a name that is not in the certificate.
            for url, tls in ((member.url, None), (member.url.replace("127.0.0.1", "127.1"), trusting)):
                with RingClient(url, tls=tls) as client:
                    self.assertEqual(code_of(client.ready, 1), "TIMEOUT")
            self.assertTrue(member.requests.empty())
            with RingClient(member.url, tls=lambda: trusting) as client:
                client.ready(10)
                self.assertEqual(client.owner("x").ring_key, "a")

    def test_headers_are_asked_for_each_request(self) -> None:
        tokens = iter("12345678")
        with Member() as member, RingClient(member.url, headers=lambda: {"authorization": next(tokens)}) as client:
            member.answers.put(WATCH + event("a"))
            member.answers.put(None)
            client.ready(10)
            member.answers.put(WATCH)
            self.assertIn("\r\nauthorization: 1\r\n", member.requests.get(timeout=10))
            self.assertIn("\r\nauthorization: 2\r\n", member.requests.get(timeout=10))

    def test_what_is_no_http_is_left(self) -> None:
        for answer in (
            b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 20_000,
            WATCH.replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n"),
            WATCH.replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc"),
            WATCH.replace(b"\r\n\r\n", b"\r\nContent-Length: 5\r\n\r\nevent"),
        ):
            with self.subTest(answer[:60]), Member() as bad, Member() as good:
                for member, answers in ((bad, [answer, None] * 4), (good, [WATCH + event("a")])):
                    for each in answers:
                        member.answers.put(each)
                with RingClient(bad.url, good.url) as client:
                    client.ready(10)
                    self.assertEqual(client.owner("x").ring_key, "a")

    def test_a_token_that_cannot_be_had_does_not_end_the_client(self) -> None:
        answers = [RuntimeError("no token"), {}]

        def headers() -> dict[str, str]:
            answer = answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer

        with Member() as member, RingClient(member.url, headers=headers) as client:
            member.answers.put(WATCH + event("a"))
            client.ready(10)

    def test_ready_says_what_went_wrong_last(self) -> None:
        with RingClient("http://127.0.0.1:1") as client:
            deadline = time.monotonic() + 10
            while client._feed.failure is None:
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.001)
            said = "TIMEOUT: .*; what went wrong last: http://127.0.0.1:1/v1/ring: UNREACHABLE: "
            with self.assertRaisesRegex(RingmanError, said):
                client.ready(0)
            with self.assertRaisesRegex(RingmanError, said):
                asyncio.run(client.aready(0))

    def test_what_a_member_says_of_a_refusal_is_told(self) -> None:
        bad_bodies = (b"[]", b"{}", b"not JSON", b'{"detail":"' + b"a" * 5000 + b'"}')
        cases = [(body, "status 404$") for body in bad_bodies]
        cases.append((b'{"detail":"no HashRing \\u001bshop/cache"}', r"status 404: 'no HashRing \\x1bshop/cache'$"))
        cases.append((b'{"detail":"' + b"a" * 1000 + b'"}', "status 404: 'a{300}'$"))
        for body, said in cases:
            with self.subTest(body[:40]), Member() as member, RingClient(member.url) as client:
                for _ in range(2):  # The watch, and the poll.
                    member.answers.put(b"HTTP/1.1 404 Not Found\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
                    member.answers.put(None)
                while client._feed.failure is None:
                    time.sleep(0.001)
                self.assertRegex(client._feed.failure, said)

    def test_a_ring_file_that_is_a_pipe_is_not_waited_for(self) -> None:
        with tempfile.TemporaryDirectory() as folder, Member() as member:
            pipe = f"{folder}/pipe"
            os.mkfifo(pipe)
            member.answers.put(WATCH + event("a"))
            with RingClient(member.url, ring_file=pipe) as client:
                client.ready(10)

    def test_closing(self) -> None:
        with Member() as member:
            client = RingClient(member.url)
            self.assertEqual(code_of(client.ready, 0.01), "TIMEOUT")
            started = time.monotonic()
            client.close()
            client.close()
            self.assertLess(time.monotonic() - started, 4)
            self.assertNotIn("ringman", [thread.name for thread in threading.enumerate()])
            self.assertEqual(code_of(client.ready), "RING_UNKNOWN")
            self.assertEqual([*client.changes()], [])

    def test_options(self) -> None:
        for urls, options in (
            ([], {}),
            (["ftp://host"], {}),
            (["host:8080"], {}),
            (["http://user:password@host"], {}),
            (["http://host?x=1"], {}),
            (["http://host:99999"], {}),
            (["http://a b"], {}),
            (["http://host"], {"ring": "no-namespace"}),
            (["http://host"], {"ring": "a/../b"}),
            (["http://host"], {"timeout": 0}),
            (["http://host"], {"stale_after": float("nan")}),
            (["http://host"], {"when_stale": "throw"}),
            (["http://host"], {"when_stale": "raise"}),
        ):
            with self.assertRaises(RingmanError) as raised:
                RingClient(*urls, **options)
            self.assertEqual(raised.exception.code, "CONFIG_INVALID")
            self.assertNotIn("password@", str(raised.exception))


class ParserTest(unittest.TestCase):
    def test_pieces_and_line_ends(self) -> None:
        text = b": c\r\nevent: ring\r\ndata: 1\r\ndata:2\rid: 5\r\n\r\ndata: \xc3\xa9\n\nevent: x\n\n"
        expected = [("", b""), ("ring", b"1\n2"), ("message", b"\xc3\xa9")]
        for size in range(1, len(text)):
            parser = EventParser()
            pieces = (text[start : start + size] for start in range(0, len(text), size))
            self.assertEqual([found for piece in pieces for found in parser.feed(piece)], expected, size)

    def test_limits_of_an_event(self) -> None:
        for line in (b"x" * 65536, b"data:\n" * 10_000):
            parser = EventParser()
            with self.assertRaises(RingmanError):
                for _ in range(RING_LIMIT):
                    self.assertEqual([*parser.feed(line)], [])

    def test_limits_of_json(self) -> None:
        # What stands in strings is not counted.
        text = '[{,"\\' * 300_000
        self.assertEqual(parse_json(json.dumps([text]).encode()), [text])
        for text in (
            b"[" * 33 + b"]" * 33,
            b"[" * 1_000_000,
            b"[" + b"1," * 1_000_001 + b"1]",
            b'"' * 5_000_000,
            b'"' + b'\\"' * 5_000_000,
            b"{",
            b"\xff",
            b"9" * 5000 + b"x",
        ):
            started = time.process_time()
            self.assertEqual(code_of(parse_json, text), "RESPONSE_INVALID", text[:20])
            self.assertLess(time.process_time() - started, 5)
