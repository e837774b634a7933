# SPDX-License-Identifier: MIT
"""Frames of RFC 6455 as bytes: building them, right and wrong ones, and taking them apart."""
import dataclasses
import os

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10


def masked(data, key):
    """DATA under KEY, by arithmetic on one large number: 16 MiB take some milliseconds"""
    if not data:
        return b""
    size = len(data)
    keys = (key * (size // 4 + 1))[:size]
    return (int.from_bytes(data, "little") ^ int.from_bytes(keys, "little")).to_bytes(
        size, "little")


def build(opcode, payload=b"", fin=True, rsv=0, mask=False):
    """the bytes of a frame; nothing here is checked, wrong frames are what tests are made of"""
    size = len(payload)
    head = bytearray([(0x80 if fin else 0) | rsv << 4 | opcode])
    flag = 0x80 if mask else 0
    if size < 126:
        head.append(flag | size)
    elif size < 1 << 16:
        head.append(flag | 126)
        head += size.to_bytes(2, "big")
    else:
        head.append(flag | 127)
        head += size.to_bytes(8, "big")
    if not mask:
        return bytes(head) + payload
    key = os.urandom(4)
    return bytes(head) + key + masked(payload, key)


def close_payload(code, reason=b""):
    return code.to_bytes(2, "big") + reason


@dataclasses.dataclass
class Frame:
    opcode: int
    fin: bool
    payload: bytes


class Fault(Exception):
    """what the other side did against the RFC"""


def _check(first, size, length_bytes, is_masked, expect_masked):
    opcode = first & 15
    if first & 0x70:
        raise Fault("a frame with reserved bits")
    if opcode not in (CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG):
        raise Fault("a frame with opcode %d" % opcode)
    if is_masked != expect_masked:
        raise Fault("a frame that is %smasked" % ("" if is_masked else "not "))
    if length_bytes and size < (126 if length_bytes == 2 else 1 << 16):
        raise Fault("a length that is longer than it need be")
    if opcode >= CLOSE and (size > 125 or not first & 0x80):
        raise Fault("a control frame that is too long or fragmented")


def take(buffer, start, expect_masked):
    """the frame that begins at START: (frame, end), or (None, bytes needed) when it is not there"""
    there = len(buffer) - start
    if there < 2:
        return None, 2
    first, second = buffer[start], buffer[start + 1]
    length_bytes = {126: 2, 127: 8}.get(second & 127, 0)
    head = 2 + length_bytes + (4 if second & 0x80 else 0)
    if there < head:
        return None, head
    size = second & 127
    if length_bytes:
        size = int.from_bytes(buffer[start + 2:start + 2 + length_bytes], "big")
    _check(first, size, length_bytes, bool(second & 0x80), expect_masked)
    if there < head + size:
        return None, head + size
    payload = bytes(buffer[start + head:start + head + size])
    if second & 0x80:
        payload = masked(payload, bytes(buffer[start + head - 4:start + head]))
    return Frame(first & 15, bool(first & 0x80), payload), start + head + size
