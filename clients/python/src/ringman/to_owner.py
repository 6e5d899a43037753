"""Sends requests to the owners of their keys, for httpx and requests. Neither is needed to import this."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from .client import RingClient
from .ring import Key

KeyOf = Callable[[Any], Key]
"""Finds the key of a request of the library."""


class OwnerTransport:
    """A transport for ``httpx.Client`` and ``httpx.AsyncClient``: each request goes to the owner of its key by another
    transport. Path, ``Host`` and the name that TLS checks stay as they are. Look-ups raise as ``RingClient.owner``.
    """

    def __init__(self, client: RingClient, transport: Any, *, key: KeyOf) -> None:
        self._client = client
        self._transport = transport
        self._key = key

    def handle_request(self, request: Any) -> Any:
        return self._transport.handle_request(self._to_owner(request))

    async def handle_async_request(self, request: Any) -> Any:
        return await self._transport.handle_async_request(self._to_owner(request))

    def _to_owner(self, request: Any) -> Any:
        node = self._client.owner(self._key(request))
        netloc = replace(node, port=node.port or request.url.port).netloc
        # Another request: redirects and cookies go by the URL of the one that was given.
        return type(request)(
            request.method,
            request.url.copy_with(netloc=netloc.encode()),
            headers=request.headers,
            stream=request.stream,
            extensions={"sni_hostname": request.url.host, **request.extensions},
        )

    def close(self) -> None:
        self._transport.close()

    async def aclose(self) -> None:
        await self._transport.aclose()

    def __enter__(self) -> OwnerTransport:
        self._transport.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._transport.__exit__(*error)

    async def __aenter__(self) -> OwnerTransport:
        await self._transport.__aenter__()
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self._transport.__aexit__(*error)


class OwnerAdapter:
    """The same for ``requests``, to be mounted in a session in front of an ``HTTPAdapter``. With ``https:`` the owner needs
    a certificate for its address.
    """

    def __init__(self, client: RingClient, adapter: Any, *, key: KeyOf) -> None:
        self._client = client
        self._adapter = adapter
        self._key = key

    def send(self, request: Any, **options: Any) -> Any:
        node = self._client.owner(self._key(request))
        url = urlsplit(request.url)
        sent = request.copy()
        sent.url = url._replace(netloc=replace(node, port=node.port or url.port).netloc).geturl()
        sent.headers.setdefault("Host", url.netloc.rpartition("@")[2])
        response = self._adapter.send(sent, **options)
        # Redirects and cookies go by the URL of the request that was given.
        response.request, response.url = request, request.url
        return response

    def close(self) -> None:
        self._adapter.close()
