#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The Python package websockets (10.4), both roles."""
import contextlib
import sys

import websockets
from expectations import Closed, Refused, main, path_is_known, serve, url

OPTIONS = {"max_size": None, "ping_interval": None, "close_timeout": 10, "compression": None}


class PingNoting:
    """keeps the ping that was answered last"""
    pinged = b""

    async def pong(self, data=b""):
        self.pinged = data
        await super().pong(data)


class Client(PingNoting, websockets.WebSocketClientProtocol):
    pass


class Server(PingNoting, websockets.WebSocketServerProtocol):
    pass


class Connection:
    def __init__(self, protocol):
        self.protocol = protocol
        self.subprotocol = protocol.subprotocol
        self.path = protocol.path
        self.headers = protocol.request_headers.raw_items()

    @property
    def pinged(self):
        return self.protocol.pinged

    async def send(self, message):
        try:
            await self.protocol.send(message)
        except websockets.ConnectionClosed as error:
            raise Closed(str(error)) from error

    send_fragments = send

    async def recv(self):
        try:
            return await self.protocol.recv()
        except websockets.ConnectionClosed as error:
            raise Closed(str(error)) from error

    async def ping(self, data):
        await (await self.protocol.ping(data))

    @staticmethod
    def may_close_with(_code):
        return True

    async def close(self, code, reason):
        await self.protocol.close(code, reason)

    async def wait_closed(self):
        await self.protocol.wait_closed()
        return self.protocol.close_code, self.protocol.close_reason


def client(host, port, tls):
    @contextlib.asynccontextmanager
    async def connect(path, protocols=None, origin=None, headers=None):
        try:
            async with websockets.connect(url(host, port, tls, path), ssl=tls, open_timeout=30,
                                          create_protocol=Client, subprotocols=protocols,
                                          origin=origin, extra_headers=headers,
                                          **OPTIONS) as protocol:
                yield Connection(protocol)
        except websockets.InvalidStatusCode as refusal:
            raise Refused(refusal.status_code) from refusal

    return connect


def server(host, port, tls):
    async def handler(protocol):
        await serve(Connection(protocol))

    async def screen(path, _headers):
        return None if path_is_known(path) else (404, [], b"no such path\n")

    return websockets.serve(handler, host, port, ssl=tls, create_protocol=Server,
                            process_request=screen, subprotocols=["chat"], **OPTIONS)


if __name__ == "__main__":
    sys.exit(main(client, server))
