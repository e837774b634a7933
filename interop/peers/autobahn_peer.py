#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The Python package autobahn, on asyncio, both roles. It checks strictly what it receives."""
import asyncio
import contextlib
import re
import sys

from autobahn.asyncio import websocket
from autobahn.websocket.types import ConnectionDeny
from expectations import Closed, Refused, Wrong, main, path_is_known, serve, url


class Connection:
    """events of a protocol as things to wait for; mixed into both kinds of protocol"""
    path, headers, subprotocol = "", (), None

    def begin(self):
        self.events = asyncio.Queue()
        self.pongs = asyncio.Queue()
        self.opened = asyncio.get_running_loop().create_future()
        self.over = asyncio.get_running_loop().create_future()
        self.pinged = b""

    def onOpen(self):
        if not self.opened.done():
            self.opened.set_result(True)

    def onMessage(self, payload, isBinary):
        self.events.put_nowait(payload if isBinary else payload.decode())

    def onPing(self, payload):
        self.pinged = payload
        super().onPing(payload)

    def onPong(self, payload):
        self.pongs.put_nowait(payload)

    def onClose(self, wasClean, code, reason):
        if not self.opened.done():
            status = re.search(r"\[(\d{3})\]", reason or "")
            self.opened.set_exception(Refused(int(status[1])) if status else Wrong(reason))
        self.over.set_result(((code or 1005) if wasClean else 1006, reason or ""))
        self.events.put_nowait(None)
        self.pongs.put_nowait(None)

    async def send(self, message):
        binary = isinstance(message, bytes)
        self.sendMessage(message if binary else message.encode(), binary)

    async def send_fragments(self, parts):
        binary = isinstance(parts[0], bytes)
        self.beginMessage(binary)
        for part in parts:
            self.sendMessageFrame(part if binary else part.encode())
        self.endMessage()

    async def recv(self):
        message = await self.events.get()
        if message is None:
            self.events.put_nowait(None)
            raise Closed()
        return message

    async def ping(self, data):
        self.sendPing(data)
        if await self.pongs.get() != data:
            raise Wrong("not the right pong")

    @staticmethod
    def may_close_with(code):
        return code == 1000 or code >= 3000

    async def close(self, code, reason):
        self.sendClose(code, reason)
        await self.over

    async def wait_closed(self):
        return await asyncio.shield(self.over)


class Client(Connection, websocket.WebSocketClientProtocol):
    def __init__(self):
        super().__init__()
        self.begin()

    def onConnect(self, response):
        self.subprotocol = response.protocol


class Server(Connection, websocket.WebSocketServerProtocol):
    def __init__(self):
        super().__init__()
        self.begin()
        self.life = None

    def onConnect(self, request):
        if not path_is_known(request.path):
            raise ConnectionDeny(404)
        query = "?" + self.http_request_uri.partition("?")[2]
        self.path = request.path + query.rstrip("?")
        self.headers = request.headers.items()
        return "chat" if "chat" in request.protocols else None

    def onOpen(self):
        super().onOpen()
        self.life = asyncio.create_task(serve(self))


def client(host, port, tls):
    @contextlib.asynccontextmanager
    async def connect(path, protocols=None, origin=None, headers=None):
        factory = websocket.WebSocketClientFactory(url(host, port, tls, path), origin=origin,
                                                   protocols=protocols, headers=headers)
        factory.protocol = Client
        factory.setProtocolOptions(openHandshakeTimeout=30)
        _transport, connection = await asyncio.get_running_loop().create_connection(
            factory, host, port, ssl=tls)
        await connection.opened
        yield connection
        if not connection.over.done():
            await connection.close(1000, "")

    return connect


@contextlib.asynccontextmanager
async def server(host, port, tls):
    factory = websocket.WebSocketServerFactory(url(host, port, tls))
    factory.protocol = Server
    async with await asyncio.get_running_loop().create_server(factory, host, port, ssl=tls):
        yield


if __name__ == "__main__":
    sys.exit(main(client, server))
