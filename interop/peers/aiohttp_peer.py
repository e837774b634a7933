#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The Python package aiohttp, both roles. It has no way to send a message in fragments."""
import contextlib
import sys

import aiohttp
from aiohttp import WSMsgType, web
from expectations import Closed, Refused, Wrong, main, path_is_known, serve, url


class Connection:
    """pings and pongs are taken here, because aiohttp tells nobody of those that it answers"""

    def __init__(self, socket, path="", headers=()):
        self.socket = socket
        self.subprotocol = getattr(socket, "protocol", None) or getattr(socket, "ws_protocol", None)
        self.path = path
        self.headers = headers
        self.pinged = b""
        self.code = None
        self.reason = ""

    async def send(self, message):
        if isinstance(message, str):
            await self.socket.send_str(message)
        else:
            await self.socket.send_bytes(message)

    async def event(self):
        message = await self.socket.receive()
        if message.type == WSMsgType.PING:
            self.pinged = bytes(message.data)
            await self.socket.pong(message.data)
        elif message.type == WSMsgType.CLOSE:
            self.code = message.data or 1005
            self.reason = message.extra or ""
        elif message.type == WSMsgType.ERROR:
            raise Wrong("error: %s" % message.data)
        return message

    async def recv(self):
        while not self.socket.closed:
            message = await self.event()
            if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                return message.data
        raise Closed()

    async def ping(self, data):
        await self.socket.ping(data)
        while True:
            message = await self.event()
            if message.type == WSMsgType.PONG and message.data == data:
                return
            if self.socket.closed:
                raise Closed()

    @staticmethod
    def may_close_with(_code):
        return True

    async def close(self, code, reason):
        await self.socket.close(code=code, message=reason.encode())

    async def wait_closed(self):
        while not self.socket.closed:
            await self.event()
        # Of the Close frame, if there was one: close_code becomes 1006 when the answer to it cannot
        # be sent, as over TLS to a peer that does not wait for the answer.
        return self.code or int(self.socket.close_code), self.reason


def client(host, port, tls):
    @contextlib.asynccontextmanager
    async def connect(path, protocols=(), origin=None, headers=None):
        async with aiohttp.ClientSession() as session:
            try:
                async with session.ws_connect(url(host, port, tls, path), ssl=tls, origin=origin,
                                              protocols=protocols, headers=headers,
                                              autoping=False, max_msg_size=0) as socket:
                    yield Connection(socket)
            except aiohttp.WSServerHandshakeError as refusal:
                raise Refused(refusal.status) from refusal

    return connect


@contextlib.asynccontextmanager
async def server(host, port, tls):
    async def handler(request):
        if not path_is_known(request.path):
            raise web.HTTPNotFound
        socket = web.WebSocketResponse(protocols=["chat"], autoping=False, compress=False,
                                       max_msg_size=0)
        await socket.prepare(request)
        await serve(Connection(socket, request.path_qs, request.headers.items()))
        return socket

    application = web.Application()
    application.router.add_get("/{path:.*}", handler)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, host, port, ssl_context=tls).start()
    try:
        yield
    finally:
        await runner.cleanup()


if __name__ == "__main__":
    sys.exit(main(client, server))
