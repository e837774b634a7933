# SPDX-License-Identifier: MIT
"""What the scenarios share: one run of a program against Python's websockets, and its transcript:
the program's own lines, then what the peers saw."""
import asyncio
import contextlib
import ssl

import websockets
from harness.process import Process, free_port

OPTIONS = {"max_size": None, "ping_interval": None, "close_timeout": 10, "compression": None}
LIMIT_S = 60


class Run:
    """one program, started once"""

    def __init__(self, command, environment, certificates, log):
        self.command = command
        self.environment = environment
        self.authority, self.certificate = certificates
        self.log = log
        self.seen = []
        self.process = None

    def note(self, text, *values):
        self.seen.append("peer: " + (text % values if values else text))

    def transcript(self):
        return [line for line in self.process.lines if line != "listening"] + self.seen + [
            "status %s" % self.process.process.returncode]

    # --- Programs that are servers ---

    @contextlib.asynccontextmanager
    async def server(self, *arguments):
        """the running program; it has to end by itself"""
        port = free_port()
        self.process = Process([*self.command, port, *arguments], self.log, self.environment)
        async with self.process:
            await self.process.line("listening", LIMIT_S)
            yield port
            await self.process.rest(LIMIT_S)

    def client_tls(self):
        return ssl.create_default_context(cafile=self.authority)

    # --- Programs that are clients ---

    async def client(self, handler, *arguments, tls=False, **options):
        """serves the program until it has ended"""
        context = None
        if tls:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(*self.certificate)

        async def guarded(protocol):
            with contextlib.suppress(websockets.ConnectionClosed):
                await handler(protocol)
            await protocol.wait_closed()
            ended.put_nowait(None)

        ended = asyncio.Queue()
        async with websockets.serve(guarded, "127.0.0.1", 0, ssl=context,
                                    **{**OPTIONS, **options}) as listener:
            port = listener.sockets[0].getsockname()[1]
            self.process = Process([*self.command, port, *arguments], self.log, self.environment)
            async with self.process:
                await self.process.rest(LIMIT_S)
            await asyncio.wait_for(ended.get(), LIMIT_S)


def connect(port, path="/", **options):
    scheme = "wss" if options.get("ssl") else "ws"
    host = "localhost" if options.get("ssl") else "127.0.0.1"
    # Listeners refuse requests without an Origin, as the original's do.
    options = {"origin": "http://peer.example", **OPTIONS, **options}
    return websockets.connect("%s://%s:%d%s" % (scheme, host, port, path), **options)


async def ending(protocol):
    """how the connection ended, for a person to read"""
    await protocol.wait_closed()
    return "%s %s" % (protocol.close_code, protocol.close_reason or "-")
