# SPDX-License-Identifier: MIT
"""The Python halves: a client that talks to a noPoll echo server, and a server that pushes messages
to a noPoll client. Both are ordinary users of the websockets package."""
import asyncio
import itertools
import os

import websockets

from report import described, expect, side

MIB = 1 << 20
ORIGIN = "http://localhost"
OPTIONS = {"max_size": None, "ping_interval": None, "close_timeout": 10}

PUSHED = ["update 1", "update 2", "update 3: zażółć", bytes(range(256)), os.urandom(MIB)]
PUSHED_FRAGMENTS = ["a message ", "in three ", "fragments"]
FROM_CLIENT = ["hello from C", b"\x00\x01\xfe\xff", "in two fragments"]


async def echoed(client, program, message, frames=1):
    """one message there and back; the server prints a line for each frame"""
    whole = "".join(message) if isinstance(message, list) else message
    if isinstance(message, list):
        side("client sent", "fragments %s" % " + ".join(map(repr, message)))
    else:
        side("client sent", described(message))
    await client.send(message)
    answer = await client.recv()
    for line in await program.lines(frames):
        side("server says", line)
    side("client got", described(answer))
    expect(answer == whole, "the answer is not what was sent")


async def talk_to_server(report, program, label, uri, tls=None):
    """every kind of message to an echo server, and the end of the connection"""
    client = None
    async with report.exchange(label + ": opening handshake"):
        # As with the original, a listener refuses a request without Origin; browsers always send one.
        client = await websockets.connect(uri, ssl=tls, origin=ORIGIN, open_timeout=10, **OPTIONS)
        side("client sent", "the request for %s, Origin %s" % (uri, ORIGIN))
        side("client got", "101 Switching Protocols")
        if tls is not None:
            channel = client.transport.get_extra_info("ssl_object")
            names = [name for _kind, name in channel.getpeercert()["subjectAltName"]]
            side("client got", "%s, a verified certificate for %s"
                 % (channel.version(), ", ".join(names)))
    if client is None:
        return
    async with report.exchange(label + ": text"):
        await echoed(client, program, "hello, zażółć gęślą jaźń")
    async with report.exchange(label + ": binary"):
        await echoed(client, program, bytes(range(256)))
    async with report.exchange(label + ": fragmented message"):
        # The websockets package ends a message that it sends in fragments with an empty one.
        await echoed(client, program, ["one ", "two ", "three"], frames=4)
    async with report.exchange(label + ": 1 MiB"):
        await echoed(client, program, os.urandom(MIB))
    async with report.exchange(label + ": ping"):
        side("client sent", "ping 'are you there'")
        await (await client.ping(b"are you there"))
        side("client got", "pong 'are you there', answered by the library alone")
    async with report.exchange(label + ": close"):
        side("client sent", "close 1000 'goodbye'")
        await client.close(1000, "goodbye")
        side("client got", "close %s" % client.close_code)
        expect(client.close_code == 1000, "the close frame was not answered with the same code")
        expect(program.process.returncode is None, "the server did not survive")


class PushingServer:
    """pushes messages to whoever connects, without being asked, and collects what comes"""

    def __init__(self, tls=None):
        self.tls = tls
        self.received = []
        self.close_code = None
        self.pong = False
        self.done = asyncio.Event()
        self._server = None

    async def __aenter__(self):
        self._server = await websockets.serve(self._serve, "127.0.0.1", 0, ssl=self.tls, **OPTIONS)
        return self

    async def __aexit__(self, *_error):
        self._server.close()
        await self._server.wait_closed()

    @property
    def port(self):
        return self._server.sockets[0].getsockname()[1]

    async def _serve(self, peer):
        try:
            for message in PUSHED:
                await peer.send(message)
            await peer.send(PUSHED_FRAGMENTS)
            await (await peer.ping(b"still there?"))
            self.pong = True
            while len(self.received) < len(FROM_CLIENT):
                self.received.append(await peer.recv())
            await peer.send("bye")
            await peer.wait_closed()
            self.close_code = peer.close_code
        finally:
            self.done.set()


def expected_lines(connected):
    """what client.c prints while it talks to a PushingServer"""
    lines = [connected, "sent: text 'hello from C', binary of 4 bytes, 'in two ' + 'fragments'"]
    for message in PUSHED:
        binary = isinstance(message, bytes)
        data = message if binary else message.encode()
        lines.append("received: opcode %d, final 1, %d bytes%s" % (
            2 if binary else 1, len(data), "" if binary else ": '%s'" % message))
    for number, part in enumerate(PUSHED_FRAGMENTS + [""]):
        lines.append("received: opcode %d, final %d, %d bytes: '%s'" % (
            0 if number else 1, number == len(PUSHED_FRAGMENTS), len(part), part))
    return lines + ["received: opcode 1, final 1, 3 bytes: 'bye'"]


async def serve_client(report, server, program, label, connected):
    """the whole life of one noPoll client"""
    async with report.exchange(label + ": messages pushed by the server"):
        for message in PUSHED:
            side("server sent", described(message))
        side("server sent", "fragments %s" % " + ".join(map(repr, PUSHED_FRAGMENTS)))
        side("server sent", "'bye', once it has all that the client sends")
        lines, status = await program.rest()
        for line in lines:
            side("client says", line)
        for said, wanted in itertools.zip_longest(lines, expected_lines(connected)):
            expect(said == wanted, "the client said %r instead of %r" % (said, wanted))
        expect(status == 0, "the client ended with status %s" % status)
        await server.done.wait()
    async with report.exchange(label + ": messages sent by the client"):
        for message in server.received:
            side("server got", described(message))
        expect(server.received == FROM_CLIENT, "expected %s" % FROM_CLIENT)
    async with report.exchange(label + ": ping"):
        expect(server.pong, "no pong")
        side("server got", "pong 'still there?', answered by the library alone")
    async with report.exchange(label + ": close"):
        side("server got", "close %s" % server.close_code)
        expect(server.close_code == 1005, "expected a close frame without a code (1005)")
