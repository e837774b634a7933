# SPDX-License-Identifier: MIT
"""The tester's end of one connection: a TCP socket and as much of WebSocket as can be made to do
everything wrong. What arrives is held against RFC 6455 strictly."""
import base64
import contextlib
import hashlib
import os
import re
import select
import socket
import time

import frames
from frames import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Fault

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
NAMES = {TEXT: "text", BINARY: "binary", PING: "ping", PONG: "pong"}
READ_SIZE = 1 << 20


class Link:
    """events: what arrived, as ("text", bytes), ("binary", bytes), ("ping", bytes), ("pong", bytes)

    close: payload of the Close frame that arrived, or None. ended: how TCP ended: "fin", "reset"
    or None while it has not. fault: what was against the RFC, or None.
    """

    def __init__(self, sock, is_client, limit_s):
        self.socket = sock
        self.is_client = is_client  # the tester's role: it masks when it is the client
        self.until = time.monotonic() + limit_s
        self.chop = None  # send in pieces of so many bytes
        self.patience_s = 2.0  # for what has to happen at once
        self.events = []
        self.close = self.ended = self.fault = None
        self.close_sent = False
        self._input = bytearray()
        self._start = 0
        self._wanted = 2
        self._message = None  # (opcode, payloads so far)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setblocking(False)

    # --- Sending ---

    def frame(self, opcode, payload=b"", **more):
        self.raw(self.bytes_of(opcode, payload, **more))

    def bytes_of(self, opcode, payload=b"", **more):
        return frames.build(opcode, payload, mask=self.is_client, **more)

    def frames(self, *several):
        """several frames, given as arguments of frame(), in one go"""
        self.raw(b"".join(self.bytes_of(*positional, **more) for positional, more in several))

    def shut(self, code=1000, reason=b""):
        self.close_sent = True
        self.frame(CLOSE, frames.close_payload(code, reason))

    def raw(self, data):
        view = memoryview(data)
        step = self.chop or len(view)
        for start in range(0, len(view), step):
            if not self._send(view[start:start + step]):
                return

    def _send(self, view):
        """also takes in what arrives, so that two sides that only send cannot block each other"""
        while view:
            try:
                view = view[self.socket.send(view):]
            except BlockingIOError:
                readable, _, _ = select.select([self.socket], [self.socket], [], self._left())
                if readable:
                    self._receive()
                if time.monotonic() > self.until:
                    return False
            except (BrokenPipeError, ConnectionResetError):
                return False  # what the other side had to say may still be there to be read
        return True

    # --- Receiving ---

    def _left(self):
        return max(0.0, self.until - time.monotonic())

    def _receive(self):
        try:
            data = self.socket.recv(READ_SIZE)
        except BlockingIOError:
            return
        except ConnectionResetError:
            self.ended = "reset"
            return
        if not data:
            self.ended = "fin"
        self._input += data

    def _take(self):
        """moves complete frames into events"""
        try:
            while self.fault is None and len(self._input) - self._start >= self._wanted:
                if self.close is not None:
                    raise Fault("bytes after the Close frame")
                frame, end = frames.take(self._input, self._start, not self.is_client)
                if frame is None:
                    self._wanted = end
                    break
                self._start, self._wanted = end, 2
                self._handle(frame)
        except Fault as fault:
            self.fault = str(fault)
        if self._start > READ_SIZE or self._start == len(self._input):
            del self._input[:self._start]
            self._start = 0

    def _handle(self, frame):
        if frame.opcode == CLOSE:
            self.close = frame.payload
            self._check_close()
            if not self.close_sent:
                self.close_sent = True
                self.frame(CLOSE, self.close[:2])
        elif frame.opcode in (PING, PONG):
            self.events.append((NAMES[frame.opcode], frame.payload))
            if frame.opcode == PING:
                self.frame(PONG, frame.payload)
        else:
            self._handle_data(frame)

    def _handle_data(self, frame):
        if (frame.opcode == CONTINUATION) != (self._message is not None):
            raise Fault("frames of a message in a wrong order")
        if self._message is None:
            self._message = (frame.opcode, [])
        opcode, payloads = self._message
        payloads.append(frame.payload)
        if not frame.fin:
            return
        self._message = None
        payload = b"".join(payloads)
        if opcode == TEXT:
            try:
                payload.decode("utf-8")
            except UnicodeDecodeError as error:
                raise Fault("text that is not UTF-8") from error
        self.events.append((NAMES[opcode], payload))

    def _check_close(self):
        if len(self.close) == 1:
            raise Fault("a Close frame of one byte")
        if self.close:
            code = int.from_bytes(self.close[:2], "big")
            if code in (1004, 1005, 1006, 1015) or not 1000 <= code < 5000:
                raise Fault("a Close frame with code %d" % code)
            try:
                self.close[2:].decode("utf-8")
            except UnicodeDecodeError as error:
                raise Fault("a Close frame with a reason that is not UTF-8") from error

    def step(self, most_s):
        """waits for some bytes, and takes them in; False when there is nothing more to come"""
        if self.ended or self.fault is not None:
            return False
        wait_s = max(0.0, min(most_s, self._left()))
        if not select.select([self.socket], [], [], wait_s)[0]:
            return False
        self._receive()
        self._take()
        return True

    def wait_events(self, count):
        """until so many events have arrived; False when the connection is ending instead"""
        self._take()
        while len(self.events) < count and self.close is None:
            if not self.step(self._left()):
                return False
        return len(self.events) >= count

    def quiet(self, most_s):
        """whether nothing that ends the connection arrives within that time"""
        until = time.monotonic() + most_s
        while self.close is None and self.step(until - time.monotonic()):
            pass
        return self.close is None and not self.ended and self.fault is None

    def wait_end(self):
        self._take()
        while self.step(self._left()):
            # The server is the one to end TCP when the Close frames have been exchanged.
            if self.close is not None and self.close_sent and not self.is_client:
                with contextlib.suppress(OSError):
                    self.socket.shutdown(socket.SHUT_WR)

    @property
    def close_code(self):
        """of the Close frame that arrived: None without one, 1005 when it has no code"""
        if self.close is None:
            return None
        return int.from_bytes(self.close[:2], "big") if len(self.close) >= 2 else 1005


# --- Opening handshakes, just enough of them ------------------------------------------------------

def _read_head(sock, limit_s):
    """bytewise, so that what follows stays in the socket"""
    sock.settimeout(limit_s)
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = sock.recv(1)
        if not byte or len(head) > 1 << 14:
            raise ConnectionError("no complete head")
        head += byte
    return head


def _accept_key(key):
    return base64.b64encode(hashlib.sha1(key + GUID).digest())


def _value(head, name):
    found = re.search(rb"\r\n" + name + rb":[ \t]*([^\r]*?)[ \t]*\r\n", head, re.IGNORECASE)
    if found is None:
        raise ConnectionError("no %s header" % name.decode())
    return found[1]


def connect(port, path, limit_s):
    sock = socket.create_connection(("127.0.0.1", port), limit_s)
    key = base64.b64encode(os.urandom(16))
    sock.sendall(b"GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\n"
                 b"Connection: Upgrade\r\nSec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n"
                 b"Origin: http://127.0.0.1\r\n\r\n" % (path.encode(), port, key))
    head = _read_head(sock, limit_s)
    if not head.startswith(b"HTTP/1.1 101 ") or (
            _value(head, b"Sec-WebSocket-Accept") != _accept_key(key)):
        raise ConnectionError("the handshake was not accepted")
    return Link(sock, True, limit_s)


def accept(listener, limit_s):
    sock, _ = listener.accept()
    head = _read_head(sock, limit_s)
    sock.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                 b"Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n"
                 % _accept_key(_value(head, b"Sec-WebSocket-Key")))
    return Link(sock, False, limit_s)
