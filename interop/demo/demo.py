#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""demo.py --programs FOLDER --libraries FOLDER [--any-port]

Shows C programs that use libnopoll.so.0 and Python programs that use the websockets package
talking to each other, both ways round, plain and over TLS. "./dev demo" compiles the programs and
calls this.
Every exchange is OK or FAIL; the exit status is 1 when one failed.
"""
import argparse
import asyncio
import hashlib
import logging
import os
import ssl
import sys
import tempfile

import certificates
from peers import PushingServer, serve_client, talk_to_server
from programs import Program, free_port, port_is_free
from report import Report, expect, side

USUAL_PORT = 1234


def title(text):
    print("\n%s" % text, flush=True)


def file_digest(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()[:16]


class Demo:
    def __init__(self, arguments):
        self.programs = os.path.abspath(arguments.programs)
        self.libraries = os.path.abspath(arguments.libraries)
        self.any_port = arguments.any_port
        self.report = Report()
        self.server_digest = file_digest(os.path.join(self.programs, "server"))

    def program(self, name, *arguments):
        return Program(self.programs, self.libraries, name, *arguments)

    async def started(self, label, program, port):
        """true when the server listens"""
        async with self.report.exchange(label + ": it listens"):
            await program.listens_on(port)
            return True
        return False

    async def plain_server(self):
        port = USUAL_PORT
        if self.any_port or not port_is_free(port):
            port = free_port()
        title("1. A noPoll echo server in C, a Python client, ws:// (port %d%s)" % (
            port, "" if self.any_port or port == USUAL_PORT else ", because 1234 is taken"))
        arguments = [] if port == USUAL_PORT else [port]
        async with self.program("server", *arguments) as program:
            if await self.started("C server, ws", program, port):
                await talk_to_server(self.report, program, "C server, ws",
                                     "ws://127.0.0.1:%d/" % port)

    async def plain_client(self):
        title("2. A Python server that pushes messages unasked, a noPoll client in C, ws://")
        async with PushingServer() as server:
            async with self.program("client", "127.0.0.1", server.port) as program:
                await serve_client(self.report, server, program, "C client, ws", "connected")

    async def tls_server(self, authority, certificate, key):
        port = free_port()
        title("3. The echo server over TLS, a Python client that verifies it, wss://")
        async with self.program("tls_server", port, certificate, key) as program:
            if await self.started("C server, wss", program, port):
                await talk_to_server(self.report, program, "C server, wss",
                                     "wss://localhost:%d/" % port,
                                     ssl.create_default_context(cafile=authority))

    async def tls_client(self, authority, tls):
        title("4. A Python server, a noPoll client in C that verifies it, wss://")
        async with PushingServer(tls) as server:
            async with self.program("client", "localhost", server.port, authority) as program:
                await serve_client(self.report, server, program, "C client, wss",
                                   "connected, certificate verified")

    async def refused(self, label, tls, *arguments):
        """a client must refuse this server, and its log must say why"""
        async with PushingServer(tls) as server:
            async with self.program("client", "127.0.0.1", server.port, *arguments) as program:
                async with self.report.exchange(label):
                    lines, status = await program.rest()
                    for line in lines:
                        side("client says", line)
                    reasons = [line for line in lines if line.startswith("log: ")
                               and any(word in line.lower() for word in ("certificate", "verif"))]
                    expect(status == 1 and "not connected" in lines, "the client connected")
                    expect(reasons, "the log does not say that the certificate is the reason")
                    expect(not server.received, "the server received %s" % server.received)

    async def same_binary(self):
        title("6. The server of part 1 once more, the same file: which library does it load?")
        path = os.path.join(self.programs, "server")
        port = free_port()
        async with self.program("server", port) as program:
            async with self.report.exchange("the unchanged program loads this libnopoll.so.0"):
                await program.listens_on(port)
                digest = file_digest(path)
                loaded = program.loaded("libnopoll.so")
                side("program", "server, SHA-256 %s..., as in part 1" % digest)
                side("loaded", loaded or "no libnopoll.so at all")
                expect(digest == self.server_digest, "the program has changed")
                wanted = os.path.realpath(os.path.join(self.libraries, "libnopoll.so.0"))
                expect(loaded and os.path.realpath(loaded) == wanted, "expected %s" % wanted)

    async def run(self):
        await self.plain_server()
        await self.plain_client()
        with tempfile.TemporaryDirectory(prefix="nopoll-demo-") as folder:
            title("Making certificates: an authority, one it has nothing to do with, a server's")
            authority = certificates.authority(folder, "authority")
            stranger = certificates.authority(folder, "stranger")
            certificate, key = certificates.server(folder, "server", "authority",
                                                   "DNS:localhost,IP:127.0.0.1")
            tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            tls.load_cert_chain(certificate, key)
            await self.tls_server(authority, certificate, key)
            await self.tls_client(authority, tls)
            title("5. Connections that a verifying noPoll client refuses")
            await self.refused("C client refuses an unknown authority", tls, stranger)
            await self.refused("C client refuses another host's certificate", tls, authority,
                               "elsewhere.example")
        await self.same_binary()
        return self.report.summary()


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--programs", required=True)
    parser.add_argument("--libraries", required=True)
    parser.add_argument("--any-port", action="store_true",
                        help="do not insist on port 1234, for tests that run side by side")
    arguments = parser.parse_args()
    # A refused handshake is what part 5 is about; it needs no traceback.
    logging.getLogger("websockets").setLevel(logging.CRITICAL + 1)
    logging.getLogger("asyncio").setLevel(logging.CRITICAL + 1)
    return 0 if asyncio.run(Demo(arguments).run()) else 1


if __name__ == "__main__":
    sys.exit(main())
