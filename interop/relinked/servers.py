# SPDX-License-Identifier: MIT
"""Scenarios for the programs that are servers."""
import asyncio

import websockets
from scenario import connect, ending


async def loop_server(run):
    async with run.server() as port:
        async with connect(port, "/first", subprotocols=["echo", "other"],
                           extra_headers={"Cookie": "a=b"}) as client:
            run.note("greeted with %s, protocol %s", await client.recv(), client.subprotocol)
            for message in ("zażółć", b"\x00\xff", ["in ", "three ", "parts"],
                            [b"\x01", b"\x02"], "x" * 200000):
                await client.send(message)
                answer = await client.recv()
                run.note("%s of %d", type(answer).__name__, len(answer))
            await (await client.ping(b"payload"))
            run.note("pong")
            await client.close(3000, "enough")
        try:
            async with connect(port, "/forbidden"):
                run.note("not refused")
        except websockets.InvalidStatusCode as refusal:
            run.note("refused with %d", refusal.status_code)
        async with connect(port, "/second") as client:
            await client.recv()
            await client.send("leave")
            run.note("closed with %s", await ending(client))
        async with connect(port, "/third") as client:
            await client.recv()
            await client.send("stop")
            # The listener goes first; the program's end then takes the connection with it.
            await client.wait_closed()


async def thread_server(run):
    count = 8
    async with run.server(count) as port:
        clients = []
        for number in range(count):
            clients.append(await connect(port, "/%d" % number))

        async def talk(number, client):
            for size in range(1, 20):
                await client.send(b"t" * (size * (number + 1)))
                if len(await client.recv()) != size * (number + 1):
                    run.note("a wrong answer")
            await client.close(3000 + number)

        await asyncio.gather(*(talk(*one) for one in enumerate(clients)))
        run.note("all have talked")


async def glib_server(run):
    async with run.server() as port:
        async with connect(port, "/one") as one, connect(port, "/two") as two:
            for client in (one, two):
                run.note("got %s", [await client.recv() for _ in range(3)])
            # Several in one TCP segment must all be seen by a program that reads one at a time.
            await asyncio.gather(*(one.send("word %d" % number) for number in range(5)))
            run.note("got %s", [await one.recv() for _ in range(5)])
            await one.close(4000, "done")
            await two.send("quit")
            run.note("got %s, then %s", await two.recv(), await ending(two))


async def push_server(run):
    async with run.server() as port:
        async with connect(port) as one, connect(port) as two:
            for client, topic in ((one, "news"), (two, "weather")):
                await client.send(topic)
                await run.process.line("subscribed to " + topic)
            for client in (one, two):
                run.note("got %s", [message async for message in client])
                run.note("closed with %s", await ending(client))


async def _raw(port, request):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    answer = await reader.read()
    writer.close()
    return answer


async def sharing_server(run):
    async with run.server(*run.certificate) as port:
        run.note("own protocol: %s", await _raw(port, b"PING\n"))
        run.note("page: %s", await _raw(port, b"GET / HTTP/1.1\r\n\r\n"))
        for tls in (None, run.client_tls(), None):
            async with connect(port, ssl=tls) as client:
                await client.send("shared")
                run.note("WebSocket: %s, closed with %s", await client.recv(),
                         await ending(client))
