#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The peer of stress_frames: a websockets program that did not come from this project. It checks
every message: that it arrived whole, that each sender's come in order and that none is missing.

usage: frames_peer.py listen [CERT KEY]    prints its port, serves connections until stdin ends
       frames_peer.py connect ws[s]://...  one connection

A message "end" is answered with "checked N", or with "fault: ..." by a peer that saw one.
"""
import asyncio
import ssl
import sys

try:
    import websockets
except ImportError:
    print("no websockets module")
    sys.exit(77)

MOST = 2**24


class Books:
    def __init__(self):
        self.next_number = {}
        self.count = 0
        self.fault = None

    def note(self, message):
        text = message if isinstance(message, str) else message.decode("ascii")
        head, _, fill = text.partition(":")
        sender, number, size = (int(word) for word in head.split())
        first = sender * 7 + number * 3
        cycle = "".join(chr(ord("a") + (first + i) % 26) for i in range(26))
        expected = (cycle * (size // 26 + 1))[:size]
        if fill != expected:
            self.fault = f"message {number} of sender {sender} is damaged"
        if number != self.next_number.get(sender, 0):
            self.fault = f"sender {sender}: {number} came, {self.next_number.get(sender, 0)} was due"
        self.next_number[sender] = number + 1
        self.count += 1


async def check(socket):
    books = Books()
    try:
        async for message in socket:
            if message == "end":
                await socket.send(books.fault or f"checked {books.count}")
                continue
            try:
                if books.fault is None:
                    books.note(message)
            except ValueError as error:
                books.fault = f"fault: {error} in {message[:60]!r}"
    except websockets.ConnectionClosed as end:
        # A Close frame without a status is no reason to complain, the end of the stream is.
        if end.rcvd is None:
            print(f"the stream ended after {books.count} messages", file=sys.stderr)
            raise


async def listen(*files):
    settings = {}
    if files:
        settings["ssl"] = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        settings["ssl"].load_cert_chain(*files)
    async with websockets.serve(
        check, "127.0.0.1", 0, max_size=MOST, compression=None, **settings
    ) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


async def connect(url):
    settings = {}
    if url.startswith("wss:"):
        settings["ssl"] = ssl.create_default_context()
        settings["ssl"].check_hostname = False
        settings["ssl"].verify_mode = ssl.CERT_NONE
    async with websockets.connect(
        url, max_size=MOST, compression=None, origin="http://localhost", **settings
    ) as socket:
        await check(socket)


asyncio.run(listen(*sys.argv[2:]) if sys.argv[1] == "listen" else connect(sys.argv[2]))
