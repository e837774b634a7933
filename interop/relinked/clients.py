# SPDX-License-Identifier: MIT
"""Scenarios for the programs that are clients."""
import asyncio

import websockets
from scenario import ending


async def select_client(run):
    async def serve(protocol):
        headers = protocol.request_headers
        run.note("%s from %s, host %s", protocol.path, headers["Origin"], headers["Host"])
        await protocol.send("hello")
        await protocol.send(["frag", "men", "ted"])
        await protocol.send(b"\x00" * 70000)
        await protocol.send("parts, please")
        run.note("got %s", await protocol.recv())
        # Nothing is read for a while, so that the program has to wait for room.
        protocol.transport.pause_reading()
        await protocol.send("big one, please")
        await run.process.line("the large message is begun")
        protocol.transport.resume_reading()
        big = await protocol.recv()
        run.note("got %d bytes, all alike %s", len(big), big == b"b" * len(big))
        await run.process.line("the large message is out")
        await protocol.send("bye")
        run.note("closed with %s", await ending(protocol))

    await run.client(serve, subprotocols=["two"])


async def stream_client(run):
    async def serve(protocol):
        headers = protocol.request_headers
        run.note("headers %s, %s, %s", headers["X-Stream"], headers["X-Other"], headers["Cookie"])
        run.note("got %s", await protocol.recv())
        # Three records; messages and frames begin and end anywhere.
        stream = b"0005first" + b"9000" + b"second!!" * 1125 + b"0008third..." + b"0000"
        await protocol.send(stream[:3])
        await protocol.send([stream[3:7], stream[7:2000], stream[2000:2001]])
        await protocol.send(b"")
        await protocol.send(stream[2001:])
        await protocol.send("held")
        run.note("got %s", await protocol.recv())
        await protocol.close(1000, "over")

    await run.client(serve)


async def libevent_client(run):
    async def serve(protocol):
        for _ in range(4):
            await protocol.send("thanks for " + await protocol.recv())
        await protocol.close(4321, "that is all")

    await run.client(serve)


async def libuv_client(run):
    async def serve(protocol):
        # Together in few TLS records: only the first is announced by the descriptor.
        await asyncio.gather(*(protocol.send("message %d" % number) for number in range(1, 51)))
        run.note("got %s", await protocol.recv())
        await asyncio.gather(*(protocol.send("message %d" % number) for number in range(51, 101)))
        await protocol.close(1001, "going")

    await run.client(serve, run.authority, tls=True)


class Pinged(websockets.WebSocketServerProtocol):
    """counts the pings it answers"""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.answered = asyncio.Queue()

    async def pong(self, data=b""):
        self.answered.put_nowait(data)
        await super().pong(data)


async def device_client(run):
    sessions = []

    async def serve(protocol):
        sessions.append(protocol)
        number = len(sessions)
        await protocol.send("this is session %d" % number)
        run.note("got %s", await protocol.recv())
        for _ in range(2):
            await protocol.answered.get()
        if number == 2:
            protocol.transport.abort()  # the network is gone, without a word
        else:
            await protocol.close(1012, "restart %d" % number)

    await run.client(serve, 4, create_protocol=Pinged)
    run.note("%d sessions", len(sessions))


async def private_fields(run):
    async def serve(protocol):
        run.note("got %s", await protocol.recv())
        await protocol.send("whole")
        await protocol.send(["frag", "ment"])
        await protocol.send(b"binary")
        run.note("got %s", await protocol.recv())
        await protocol.close(4100, "private")

    await run.client(serve, run.authority, tls=True)


async def resource_client(run):
    async def serve(protocol):
        run.note("got %d", len(await protocol.recv()))
        for message in ("one", "two", "three"):
            await protocol.send(message)
        await protocol.send(await protocol.recv())
        run.note("got %s", await protocol.recv())
        await protocol.close(1000)

    await run.client(serve, subprotocols=["chat"])
