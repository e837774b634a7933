# SPDX-License-Identifier: MIT
"""nginx and HAProxy between clients and two noPoll listeners: plain and TLS in front, plain and
TLS behind."""
import asyncio
import contextlib
import getpass
import os
import re
import shutil
import ssl
import time

from .peer import CLOSE_RCVD, CLOSE_SENT, Checks, Skip
from .process import Ended, Process, free_port

# Of the client of the websockets package; the headers are looked at here, as proxies set some.
# "limit" is left out: a proxy still has much of the frame to read from the client when the listener
# ends the connection, closes over it, and so resets the client's connection with the Close in it.
THROUGH = ["text", "binary", "sizes", "16MiB", "frag-sent", "frag-rcvd", "ping-sent", "ping-rcvd",
           "close-sent", "close-rcvd", "subproto", "refused", "push", "many"]
# Of our own client; pings are left out, because a noPoll server cannot tell of a pong.
OWN_THROUGH = ["text", "binary", "sizes", "16MiB", "frag-sent", "frag-rcvd", "ping-unseen",
               "close-sent", "close-rcvd", "subproto", "refused", "push", "many"]
LIMIT_S = 60
IDLE_S = 2  # after which the proxies end a connection under /idle/
TRIES = 5


async def connects(port, limit_s=LIMIT_S):
    """waits until somebody listens on the port"""
    deadline = time.monotonic() + limit_s
    while True:
        try:
            _reader, writer = await asyncio.open_connection("127.0.0.1", port)
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise Ended("nobody listens on port %d" % port) from None
            await asyncio.sleep(0.02)
            continue
        writer.close()
        return


class Proxy:
    """one proxy and the four listeners behind it"""

    def __init__(self, world, template, command):
        self.world = world
        self.template = template
        self.command = command
        self.folder = os.path.join(world.folder, template)
        self.ports = {}
        self.servers = {}
        self.process = None
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self):
        try:
            for behind, transport in (("PLAIN", "ws"), ("TLS", "wss")):
                self.servers[behind] = []
                for number in "12":
                    server = await self._stack.enter_async_context(
                        self.world.nopoll_server(transport))
                    self.ports[behind + number] = int(await server.line("listening "))
                    self.servers[behind].append(server)
            for front in ("WS_PLAIN", "WSS_PLAIN", "WS_TLS", "WSS_TLS"):
                self.ports[front] = free_port()
            self._write()
            await self.start()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *_error):
        await self.process.end()
        await self._stack.aclose()

    def _write(self):
        os.makedirs(self.folder, exist_ok=True)
        certificate, key = self.world.certificate
        words = dict(self.ports, FOLDER=self.folder, CERTIFICATE=certificate, KEY=key,
                     AUTHORITY=self.world.authority, USER=getpass.getuser(), IDLE=IDLE_S)
        with open(os.path.join(self.world.peers, self.template), encoding="ascii") as file:
            text = re.sub("@([A-Z0-9_]+)@", lambda match: str(words[match[1]]), file.read())
        self.configuration = os.path.join(self.folder, self.template)
        with open(self.configuration, "w", encoding="ascii") as file:
            file.write(text)
        with open(os.path.join(self.folder, "both.pem"), "wb") as both:
            for part in (certificate, key):
                with open(part, "rb") as file:
                    both.write(file.read())

    async def start(self):
        self.process = Process([*self.command, self.configuration], self.world.log)
        await self.process.__aenter__()
        for front in ("WS_PLAIN", "WSS_PLAIN", "WS_TLS", "WSS_TLS"):
            await connects(self.ports[front])

    def port(self, behind, transport):
        return self.ports["%s_%s" % (transport.upper(), behind)]

    def closed(self, behind, start):
        """how many lines of each of the listeners begin like that"""
        return [sum(line.startswith(start) for line in server.lines)
                for server in self.servers[behind]]


class ProxyChecks:
    """one combination: TRANSPORT in front, BEHIND behind"""

    def __init__(self, proxy, name, behind, transport):
        self.proxy = proxy
        self.world = proxy.world
        self.behind = behind
        self.transport = transport
        self.port = proxy.port(behind, transport)
        self.name = "%s>%s" % (name, behind.lower())
        self.row = (self.name, "server", transport)
        self.tls = None
        if transport == "wss":
            self.tls = ssl.create_default_context(cafile=self.world.authority)

    def connect(self, path, **more):
        import websockets  # pylint: disable=import-outside-toplevel
        return websockets.connect("%s://localhost:%d%s" % (self.transport, self.port, path),
                                  ssl=self.tls, host="127.0.0.1", ping_interval=None,
                                  compression=None, open_timeout=LIMIT_S, **more)

    async def one(self, feature, check, row=None, again=False):
        """again: there is a result already, which only a fault replaces"""
        fault = None
        try:
            async with asyncio.timeout(LIMIT_S):
                fault = await check()
        except TimeoutError:
            fault = "not done after %d seconds" % LIMIT_S
        except Exception as error:  # pylint: disable=broad-except
            fault = "%s: %s" % (type(error).__name__, error)
        if fault is not None or not again:
            self.world.results.add(row or self.row, feature, fault)

    async def seen(self, line, count):
        """waits until the listeners together have printed COUNT lines that begin like that"""
        while sum(self.proxy.closed(self.behind, line)) < count:
            await asyncio.sleep(0.02)

    async def headers(self):
        """what the getters of the listener show; the listener itself sees the proxy's address"""
        async with self.connect("/info?headers", local_addr=("127.0.0.2", 0),
                                extra_headers={"X-Real-IP": "192.0.2.7"}) as client:
            lines = (await client.recv()).split("\n")
        wanted = ["x-real-ip: 127.0.0.2", "peer: 127.0.0.1", "host: localhost:%d" % self.port,
                  "tls: %s" % ("yes" if self.behind == "TLS" else "no")]
        missing = [line for line in wanted if line not in lines]
        return "not among %s: %s" % (lines, missing) if missing else None

    async def balance(self):
        path = "/echo?balance-%s" % self.transport
        line = "closed " + path
        for _ in range(6):
            async with self.connect(path) as client:
                await client.send("x")
                await client.recv()
        await self.seen(line, 6)
        counts = self.proxy.closed(self.behind, line)
        return None if counts == [3, 3] else "%d and %d connections" % tuple(counts)

    async def idle(self):
        """the proxy ends an idle connection; one with pings it keeps"""
        for _ in range(TRIES):
            fault, longest_s = await self.one_idle()
            if fault is None or longest_s < IDLE_S / 2:
                return fault
            # This machine was too busy to ping in time: nothing is known.
        return "%s, with up to %.1f s between two pings" % (fault, longest_s)

    async def one_idle(self):
        """(what was wrong, the longest time between two pings)"""
        import websockets  # pylint: disable=import-outside-toplevel
        path, longest_s = "/echo?idle-" + self.transport, 0.0
        before = sum(self.proxy.closed(self.behind, "closed " + path))
        async with self.connect("/idle" + path) as client:
            last = time.monotonic()
            until = last + 1.5 * IDLE_S
            try:
                while last < until:
                    await asyncio.sleep(IDLE_S / 10)
                    await (await client.ping(b"alive"))
                    now = time.monotonic()
                    longest_s, last = max(longest_s, now - last), now
                await client.send("still here")
                if await client.recv() != "still here":
                    return "no echo after the pings", 0.0
            except websockets.ConnectionClosed:
                return "ended in spite of the pings", max(longest_s, time.monotonic() - last)
            await client.wait_closed()
            waited_s = time.monotonic() - last
            if client.close_code != 1006:
                return "ended with %s" % client.close_code, longest_s
            if waited_s < IDLE_S - 0.5:
                return "ended after %.1f s" % waited_s, longest_s
        await self.seen("closed %s 0" % path, before + 1)
        return None, longest_s

    async def restart(self):
        """clients reconnect by themselves when the proxy is back"""
        path = "/echo?restart-%s" % self.transport
        connected = [asyncio.Event() for _ in range(20)]

        async def client(number):
            connections = self.connect(path)
            connections.BACKOFF_INITIAL = connections.BACKOFF_MIN = 0.1
            async for connection in connections:
                try:
                    await connection.send("x")
                    await connection.recv()
                    if connected[number].is_set():
                        return True
                    connected[number].set()
                    await connection.wait_closed()
                except OSError:
                    continue
            return False

        clients = [asyncio.create_task(client(number)) for number in range(len(connected))]
        await asyncio.gather(*(event.wait() for event in connected))
        await self.proxy.process.end()
        await self.seen("closed " + path, len(clients))
        await self.proxy.start()
        again = sum(await asyncio.gather(*clients))
        return None if again == len(clients) else "%d of %d came back" % (again, len(clients))

    async def python_client(self):
        peer = self.world.python_peer(self.name, "websockets_peer.py")
        checks = Checks(self.world, peer)
        wanted = checks.features(THROUGH)
        before = sum(self.proxy.closed(self.behind, CLOSE_RCVD))
        command = checks.client_command("127.0.0.1", self.port, self.transport)
        async with Process([*command, *wanted], self.world.log) as client:
            await checks.add_run(self.row, client, wanted)
        await self.one("close-rcvd", lambda: self.seen(CLOSE_RCVD, before + 1),
                       again=True)

    async def own_client(self):
        """noPoll on both ends"""
        row = (self.name, "client", self.transport)
        checks = Checks(self.world, None)
        wanted = checks.features(OWN_THROUGH)
        before = sum(self.proxy.closed(self.behind, CLOSE_SENT))
        async with self.world.nopoll_client("127.0.0.1", self.port, self.transport,
                                            *wanted) as client:
            await checks.add_run(row, client, wanted, {"ping-unseen": "ping-sent"})
        await self.one("close-sent", lambda: self.seen(CLOSE_SENT, before + 1), row, again=True)
        async with self.world.nopoll_client("127.0.0.1", self.port, self.transport,
                                            "reconnect") as client:
            await client.line("staying")
            await self.proxy.process.end()
            await self.proxy.start()
            await checks.add_run(row, client, ["reconnect"])

    async def run(self):
        idle = asyncio.create_task(self.one("idle", self.idle))
        await self.python_client()
        await idle
        await self.one("headers", self.headers)
        await self.one("balance", self.balance)
        await self.one("restart", self.restart)
        await self.own_client()


def find(name):
    # Debian keeps both in a folder that is on the path of root only.
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if path is None:
        raise Skip("there is no program %s: the Debian package is not installed" % name)
    return path


COMMANDS = {"nginx": ("nginx.conf", ["-e", "stderr", "-c"]), "haproxy": ("haproxy.cfg",
                                                                       ["-db", "-f"])}


async def proxy(world, name):
    world.python_peer(name, "websockets_peer.py")  # skips where that cannot run
    template, options = COMMANDS[name]
    return Proxy(world, template, [find(name), *options])


async def run(world, name):
    async with await proxy(world, name) as running:
        for behind in ("PLAIN", "TLS"):
            for transport in ("ws", "wss"):
                # The short run has TLS on both sides or on none.
                if world.short and (behind == "TLS") != (transport == "wss"):
                    continue
                await ProxyChecks(running, name, behind, transport).run()
        for behind, servers in running.servers.items():
            statuses = [await server.end() for server in servers]
            fault = None if statuses == [0, 0] else "statuses %s" % statuses
            # In the row that the short run has too.
            row = ("%s>%s" % (name, behind.lower()), "server", "ws" if behind == "PLAIN" else "wss")
            world.results.add(row, "exit", fault)
