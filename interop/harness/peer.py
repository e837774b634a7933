# SPDX-License-Identifier: MIT
"""A peer in general: a program that is a client of our server, a server to our client, or both, and
takes part in the same checks as all others. The README of this folder's parent says how such
programs are called and what they do."""
import dataclasses
import re

from .process import Ended, Process, free_port, has_ipv6

CLOSE_RCVD = "closed /echo?close-rcvd 4002 bye, zażółć"
CLOSE_SENT = "closed /echo?close-sent 3001 done, zażółć"
CLOSES_WITH = "closes with "  # a client says so before it sends a Close frame
CODES_SENT = ["closed /echo?codes-sent %d code %d" % (code, code) for code in (
    1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 4999)]
RESULT = re.compile(r"(ok|fail) ([^ :]+)(?:: (.*))?$")

BASIC = ["text", "binary", "sizes", "16MiB", "frag-sent", "frag-rcvd", "ping-sent", "ping-rcvd",
         "close-sent", "close-rcvd", "subproto", "headers", "refused", "push"]
CLIENT_FEATURES = BASIC + ["many"]  # of a peer that is the client
SERVER_FEATURES = BASIC + ["many"]  # of a peer that is the server
# Of a peer whose programs may close with any code.
ALL_CODES = SERVER_FEATURES + ["codes-sent", "codes-rcvd"]


# "limit" works with frames that every peer writes at once. Of a longer one the listener reads
# 64 KiB away and closes: then it is chance whether a peer that goes on writing sees the Close frame
# first.
LIMIT = ("limit", "limit", ["--max-frame", 1 << 10])
IPV6 = ("ipv6", "text", ["--6"])


class Skip(Exception):
    """why a peer cannot take part"""


@dataclasses.dataclass
class Peer:
    name: str
    client: list  # command, or None
    server: list  # command, or None
    client_features: list = dataclasses.field(default_factory=lambda: CLIENT_FEATURES)
    server_features: list = dataclasses.field(default_factory=lambda: SERVER_FEATURES)
    transports: tuple = ("ws", "wss")
    ipv6: bool = True
    # Of a peer that is the client: (name in the matrix, feature asked for, options of our server)
    extra: list = dataclasses.field(default_factory=lambda: [LIMIT])
    environment: dict = None
    certificates: bool = False  # its client can show one, its server can ask for one


def without(features, *names):
    return [feature for feature in features if feature not in names]


def parse(lines):
    """{feature: fault} of what a client printed"""
    found = {}
    for line in lines:
        match = RESULT.match(line)
        if match:
            found[match[2]] = None if match[1] == "ok" else match[3] or "no reason given"
    return found


class Checks:
    """runs the rows of a peer"""

    def __init__(self, world, peer):
        self.world = world
        self.peer = peer

    def features(self, wanted):
        # The short run leaves out what costs the most time.
        return [feature for feature in wanted if not (self.world.short and feature == "16MiB")]

    async def add_run(self, row, client, wanted, names=None):
        """takes over what a client says about the features it was asked for"""
        status = await client.rest()
        found = parse(client.lines)
        for feature in wanted:
            fault = found.get(feature, "no result, the client ended with status %s; last line: %s"
                              % (status, client.lines[-1] if client.lines else "none"))
            name = (names or {}).get(feature, feature)
            self.world.results.add(row, name, fault)

    async def closed_lines(self, row, feature, process, *starts):
        """a Close frame is right only if the other side saw the same"""
        if self.world.results.rows[row].get(feature, "") is not None:
            return
        try:
            for start in starts:
                await process.line(start, 30)
        except Ended as error:
            self.world.results.add(row, feature, str(error))

    async def clean_exit(self, row, process):
        status = await process.end()
        self.world.results.add(row, "exit", None if status == 0 else "status %s" % status)

    def client_command(self, host, port, transport, authority=None):
        trusted = authority or self.world.authority
        return [*self.peer.client, host, port, trusted if transport == "wss" else "-"]

    async def refuses_stranger(self, row, port):
        """with another authority's certificate at hand, the peer must not connect"""
        command = self.client_command("127.0.0.1", port, "wss", self.world.stranger)
        async with Process([*command, "text"], self.world.log, self.peer.environment) as client:
            await client.rest()
            fault = parse(client.lines).get("text")
        if fault is None:
            fault = "the peer took a certificate of an unknown authority, or said nothing"
        elif re.search("certif|verif|issuer| ca|tls|ssl|handshake", fault, re.IGNORECASE):
            fault = None
        self.world.results.add(row, "tls-bad", fault)

    async def text(self, process):
        """what the client PROCESS says to the feature text"""
        async with process as client:
            await client.rest()
            return parse(client.lines).get("text", "no result")

    async def certificates(self, row, clients):
        """of the CLIENTS only the first shows a certificate of the right authority"""
        good, *bad = [await self.text(client) for client in clients]
        if good is None and None in bad:
            good = "a client without the right certificate was taken"
        self.world.results.add(row, "cli-cert", good)

    async def shown_to_us(self, row):
        async with self.world.nopoll_server("wss", "--client-ca", self.world.authority) as server:
            port = await server.line("listening ")
            await self.certificates(row, [Process(
                [*self.client_command("127.0.0.1", port, "wss", ",".join(files)), "text"],
                self.world.log, self.peer.environment) for files in (
                    (self.world.authority, *self.world.certificate), (self.world.authority,),
                    (self.world.authority, *self.world.strangers_certificate))])

    async def shown_by_us(self, row):
        async with self.server_process("127.0.0.1", "wss", self.world.authority) as server:
            port = await server.line("listening ")
            await self.certificates(row, [self.world.nopoll_client(
                "127.0.0.1", port, "wss", *options, "text") for options in (
                    ("--certificate", *self.world.certificate), (),
                    ("--certificate", *self.world.strangers_certificate))])

    async def as_client(self, transport):
        """noPoll is the server"""
        row = (self.peer.name, "server", transport)
        wanted = self.features(self.peer.client_features)
        async with self.world.nopoll_server(transport) as server:
            port = await server.line("listening ")
            command = self.client_command("127.0.0.1", port, transport)
            async with Process([*command, *wanted], self.world.log,
                               self.peer.environment) as client:
                await self.add_run(row, client, wanted)
            if "close-rcvd" in wanted:
                await self.closed_lines(row, "close-rcvd", server, CLOSE_RCVD, *(
                    "closed /echo?close-rcvd " + line.removeprefix(CLOSES_WITH)
                    for line in client.lines if line.startswith(CLOSES_WITH)))
            if transport == "wss":
                await self.refuses_stranger(row, port)
            await self.clean_exit(row, server)
        if transport == "wss" and self.peer.certificates:
            await self.shown_to_us(row)
        for name, feature, options in self.extras():
            await self.extra_run(row, name, feature, options)

    def extras(self):
        return self.peer.extra + ([IPV6] if self.peer.ipv6 and has_ipv6() else [])

    async def extra_run(self, row, name, feature, options):
        """one feature against a server of its own"""
        async with self.world.nopoll_server(row[2], *options) as server:
            host = "::1" if "--6" in options else "127.0.0.1"
            command = self.client_command(host, await server.line("listening "), row[2])
            async with Process([*command, feature], self.world.log,
                               self.peer.environment) as client:
                await self.add_run(row, client, [feature], {feature: name})
            status = await server.end()
            if status != 0:
                self.world.results.add(row, name, "our server ended with status %s" % status)

    def server_process(self, host, transport, *clients_authority):
        family = {"::1": 10}.get(host, 2)
        tls = self.world.certificate if transport == "wss" else []
        return Process([*self.peer.server, host, free_port(family), *tls, *clients_authority],
                       self.world.log, self.peer.environment)

    async def as_server(self, transport):
        """noPoll is the client"""
        row = (self.peer.name, "client", transport)
        wanted = self.features(self.peer.server_features)
        if transport == "wss":
            wanted = wanted + ["tls-bad"]
        async with self.server_process("127.0.0.1", transport) as server:
            port = await server.line("listening ")
            async with self.world.nopoll_client("127.0.0.1", port, transport, *wanted) as client:
                await self.add_run(row, client, wanted, {"ping-unseen": "ping-sent"})
                self.world.results.add(row, "exit", None if client.process.returncode in (0, 1)
                                       else "status %s" % client.process.returncode)
            if "close-sent" in wanted:
                await self.closed_lines(row, "close-sent", server, CLOSE_SENT)
            if "codes-sent" in wanted:
                await self.closed_lines(row, "codes-sent", server, *CODES_SENT)
        if transport == "wss" and self.peer.certificates:
            await self.shown_by_us(row)
        if self.peer.ipv6 and has_ipv6():
            async with self.server_process("::1", transport) as server:
                port = await server.line("listening ")
                async with self.world.nopoll_client("::1", port, transport, "--6",
                                                    "ipv6") as client:
                    await self.add_run(row, client, ["ipv6"])

    async def run(self):
        for transport in self.peer.transports:
            for command, role in ((self.peer.client, self.as_client),
                                  (self.peer.server, self.as_server)):
                if not command:
                    continue
                try:
                    await role(transport)
                except Ended as error:
                    row = (self.peer.name, "server" if role == self.as_client else "client",
                           transport)
                    self.world.results.add(row, "start", str(error))
