#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""websockets_echo.py server | client PORT

The Python package websockets as another subject of the conformance run, in both roles, doing what
echo_server and echo_client do.
"""
import asyncio
import contextlib
import signal
import sys

import websockets

OPTIONS = {"max_size": None, "ping_interval": None, "close_timeout": 5, "compression": None}


async def echo(protocol):
    with contextlib.suppress(websockets.ConnectionClosed):
        while True:
            await protocol.send(await protocol.recv())


async def server():
    ended = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set_result, None)
    async with websockets.serve(echo, "127.0.0.1", 0, **OPTIONS) as listener:
        print("listening %d" % listener.sockets[0].getsockname()[1], flush=True)
        await ended


async def client(port):
    while True:
        try:
            async with websockets.connect("ws://127.0.0.1:%s/" % port, open_timeout=20,
                                          **OPTIONS) as protocol:
                await echo(protocol)
        except (OSError, websockets.InvalidHandshake, asyncio.TimeoutError):
            return


if __name__ == "__main__":
    asyncio.run(server() if sys.argv[1] == "server" else client(sys.argv[2]))
