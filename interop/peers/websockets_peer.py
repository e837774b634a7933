#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The Python package websockets (10.4), both roles."""
import asyncio
import sys
import urllib.parse

import websockets
from expectations import (BIG, CLOSE_CODE, CLOSE_REASON, GOING, HEADERS, HELLO, ORIGIN, PING,
                          PUSHED, SIZES, Wrong, client_tls, expect, expect_info, main, pattern,
                          run_checks)

OPTIONS = {"max_size": None, "ping_interval": None, "close_timeout": 10, "compression": None}
CODES = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 4999]


class PingNoting:
    """keeps the pings that were answered"""
    pinged = b""

    async def pong(self, data=b""):
        self.pinged = data
        await super().pong(data)


class Client(PingNoting, websockets.WebSocketClientProtocol):
    pass


class Server(PingNoting, websockets.WebSocketServerProtocol):
    pass


class Checks:
    def __init__(self, host, port, authority):
        shown = "[%s]" % host if ":" in host else host
        self.base = "%s://%s:%d" % ("ws" if authority == "-" else "wss", shown, port)
        self.tls = client_tls(authority)

    def connect(self, path, **more):
        return websockets.connect(self.base + path, ssl=self.tls, open_timeout=30,
                                  create_protocol=Client, **OPTIONS, **more)

    async def echo(self, client, message):
        await client.send(message)
        expect(await client.recv(), message)

    async def check_text(self):
        async with self.connect("/echo") as client:
            await self.echo(client, HELLO)
            await self.echo(client, "")

    async def check_binary(self):
        async with self.connect("/echo") as client:
            await self.echo(client, bytes(range(256)))

    async def check_sizes(self):
        async with self.connect("/whole") as client:
            for size in SIZES:
                await self.echo(client, pattern(size))

    async def check_16mib(self):
        async with self.connect("/echo") as client:
            await self.echo(client, pattern(BIG))

    async def check_frag_sent(self):
        async with self.connect("/fragments") as client:
            await self.echo(client, HELLO)
            await self.echo(client, pattern(100000))

    async def check_frag_rcvd(self):
        for path in ("/echo", "/whole"):
            async with self.connect(path) as client:
                await client.send(["one ", "", "żwo ", "three"])
                expect(await client.recv(), "one żwo three")
                await client.send([pattern(70000), b"", pattern(3)])
                expect(await client.recv(), pattern(70000) + pattern(3))

    async def check_ping_sent(self):
        async with self.connect("/ping") as client:
            expect(await client.recv(), "pinged")
            expect(client.pinged, PING, "ping")

    async def check_ping_rcvd(self):
        async with self.connect("/echo") as client:
            await (await client.ping(PING))
            await (await client.ping(pattern(125)))
            await self.echo(client, HELLO)

    async def check_close_sent(self):
        async with self.connect("/close") as client:
            await client.send(GOING)
            await client.wait_closed()
            expect((client.close_code, client.close_reason), (4001, "going, zażółć"))
        for code in CODES:
            async with self.connect("/close") as client:
                await client.send("%d because" % code)
                await client.wait_closed()
                expect((client.close_code, client.close_reason), (code, "because"))
        async with self.connect("/close") as client:
            await client.send("0")
            await client.wait_closed()
            expect(client.close_code, 1005)

    async def check_close_rcvd(self):
        for code in CODES:
            client = await self.connect("/echo")
            await client.close(code, "because")
            expect((client.close_code, client.close_reason), (code, ""), "answered with")
        client = await self.connect("/echo?close-rcvd")
        await client.close(CLOSE_CODE, CLOSE_REASON)
        expect(client.close_code, CLOSE_CODE)

    async def check_subproto(self):
        async with self.connect("/echo", subprotocols=["superchat", "chat"]) as client:
            expect(client.subprotocol, "chat")
        async with self.connect("/echo") as client:
            expect(client.subprotocol, None)

    async def check_headers(self):
        async with self.connect("/info?headers", origin=ORIGIN, extra_headers=HEADERS) as client:
            expect_info(await client.recv())

    async def check_refused(self):
        try:
            async with self.connect("/refused"):
                raise Wrong("not refused")
        except websockets.InvalidStatusCode as refusal:
            expect(refusal.status_code, 403)

    async def check_origin(self):
        """for a listener that needs an Origin header"""
        async with self.connect("/echo", origin=ORIGIN) as client:
            await self.echo(client, HELLO)
        try:
            async with self.connect("/echo"):
                raise Wrong("not refused")
        except websockets.InvalidStatusCode as refusal:
            expect(refusal.status_code, 403)

    async def check_limit(self):
        async with self.connect("/echo") as client:
            try:
                await client.send(pattern(BIG + 1))
                await client.recv()
            except websockets.ConnectionClosed:
                pass
            expect(client.close_code, 1009, "close code")

    async def check_push(self):
        async with self.connect("/push") as client:
            for message in PUSHED:
                expect(await client.recv(), message)

    async def check_many(self, count=200):
        """idle clients, to which the server pushes; then each of them sends"""
        clients = await asyncio.gather(*(self.connect("/push") for _ in range(count)))
        for message in PUSHED:
            got = await asyncio.gather(*(client.recv() for client in clients))
            expect(sum(text == message for text in got), count, "clients that got the push")
        await asyncio.gather(*(client.close() for client in clients))
        clients = await asyncio.gather(*(self.connect("/echo") for _ in range(count)))
        await asyncio.gather(*(self.echo(client, "I am %d" % number)
                               for number, client in enumerate(clients)))
        await asyncio.gather(*(client.close() for client in clients))


async def client_role(host, port, authority, features):
    return await run_checks(Checks(host, port, authority), features)


async def echo(peer):
    async for message in peer:
        await peer.send(message)


async def fragments(peer):
    async for message in peer:
        third = len(message) // 3
        await peer.send([message[:third], message[third:2 * third], message[2 * third:]])


async def close(peer):
    code, _, reason = (await peer.recv()).partition(" ")
    await peer.close(int(code), reason)


async def info(peer):
    lines = ["url: " + peer.path, *("%s: %s" % (name.lower(), value)
                                    for name, value in peer.request_headers.raw_items())]
    await peer.send("\n".join(lines) + "\n")
    await peer.wait_closed()


async def push(peer):
    for message in PUSHED:
        await peer.send(message)
    await peer.wait_closed()


async def ping(peer):
    await (await peer.ping(PING))
    await peer.send("pong " + PING.decode())
    await peer.wait_closed()


async def pinged(peer):
    await peer.recv()
    await peer.send("ping " + peer.pinged.decode())
    await peer.wait_closed()

PATHS = {"/echo": echo, "/fragments": fragments, "/close": close, "/info": info, "/push": push,
         "/ping": ping, "/pinged": pinged}


async def serve(peer):
    try:
        await PATHS[urllib.parse.urlsplit(peer.path).path](peer)
    except websockets.ConnectionClosed:
        pass
    await peer.wait_closed()
    print("closed %s %s %s" % (peer.path, peer.close_code, peer.close_reason), flush=True)


async def screen(path, _headers):
    return (404, [], b"no such path\n") if path == "/refused" else None


async def server_role(host, port, tls):
    async with websockets.serve(serve, host, port, ssl=tls, create_protocol=Server,
                                process_request=screen, subprotocols=["chat"], **OPTIONS):
        print("listening %d" % port, flush=True)
        await asyncio.Future()


if __name__ == "__main__":
    sys.exit(main(client_role, server_role))
