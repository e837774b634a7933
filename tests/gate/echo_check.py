# SPDX-License-Identifier: MIT
"""Starts an echo server and asks it one question with nothing but a socket.

The question is the RFC 6455 opening handshake and one masked text frame; it shows that a program
was compiled, linked and loaded well, no more.
"""
import socket
import subprocess
import time

REQUEST = (b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
           b"Origin: http://localhost\r\nSec-WebSocket-Version: 13\r\n"
           b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
MASK = b"\x37\xfa\x21\x3d"
LIMIT_S = 20


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _connect(server, port, end):
    """tries until the server listens, has ended or the time is over"""
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=LIMIT_S)
        except ConnectionRefusedError:
            if time.monotonic() > end:
                raise
        try:
            raise RuntimeError("the server ended with status %d" % server.wait(timeout=0.02))
        except subprocess.TimeoutExpired:
            pass


def _read(peer, size):
    data = b""
    while len(data) < size:
        more = peer.recv(size - len(data))
        if not more:
            raise RuntimeError("the server closed the connection after %r" % data)
        data += more
    return data


def _read_head(peer):
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += _read(peer, 1)
    return head


def _talk(server, port, text):
    with _connect(server, port, time.monotonic() + LIMIT_S) as peer:
        peer.sendall(REQUEST)
        head = _read_head(peer)
        if not head.startswith(b"HTTP/1.1 101 ") or ACCEPT not in head:
            raise RuntimeError("not the answer to the handshake: %r" % head)
        masked = bytes(byte ^ MASK[i % 4] for i, byte in enumerate(text))
        peer.sendall(bytes([0x81, 0x80 | len(text)]) + MASK + masked)
        wanted = bytes([0x81, len(text)]) + text
        got = _read(peer, len(wanted))
        if got != wanted:
            raise RuntimeError("sent %r, got the frame %r" % (text, got))


def echo_works(program, environment):
    """raises what went wrong; the program takes the port as its argument"""
    port = _free_port()
    server = subprocess.Popen([program, str(port)], env=environment, stdin=subprocess.DEVNULL)
    try:
        _talk(server, port, b"as installed")
    finally:
        server.kill()
        server.wait()
