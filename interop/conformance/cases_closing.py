# SPDX-License-Identifier: MIT
"""Cases 7.*: the closing handshake, what follows it, and what a Close frame may say."""
from case import Case
from cases_framing import HELLO, MORE, ONE, PROTOCOL_ERROR, TWO, pattern
from frames import CLOSE, CONTINUATION, PING, TEXT, close_payload

NORMAL = close_payload(1000)


def closing(*several):
    """sends several frames in one go, among them a Close frame"""
    def play(link):
        link.close_sent = True
        link.frames(*((frame[:2], frame[2] if len(frame) > 2 else {}) for frame in several))
    return play


def _order():
    close = (CLOSE, NORMAL)
    # Section 5.5.1 lets an echo that has not begun give way to the Close.
    yield Case("7.1.1", "text, then Close", closing((TEXT, HELLO), close), ok=[("text", HELLO)],
               lax=[[]])
    yield Case("7.1.2", "two Close frames", closing(close, close))
    yield Case("7.1.3", "Close, then a ping", closing(close, (PING, HELLO)))
    yield Case("7.1.4", "Close, then text", closing(close, (TEXT, HELLO)))
    yield Case("7.1.5", "Close between two fragments",
               closing((TEXT, ONE, MORE), close, (CONTINUATION, TWO)))
    yield Case("7.1.6", "text of 256 KiB, Close, then a ping",
               closing((TEXT, pattern(256 << 10, TEXT)), close, (PING, HELLO)), informational=True)


def _payloads():
    yield Case("7.3.1", "Close without payload", closing((CLOSE, b"")), codes=(1000, 1005))
    yield Case("7.3.2", "Close with 1 octet", closing((CLOSE, b"\x03")), **PROTOCOL_ERROR)
    yield Case("7.3.3", "Close with code", closing((CLOSE, NORMAL)))
    yield Case("7.3.4", "Close with code and reason", closing((CLOSE, NORMAL + b"Hello World!")))
    yield Case("7.3.5", "Close with reason of 123 octets", closing((CLOSE, NORMAL + b"*" * 123)))
    yield Case("7.3.6", "Close with reason of 124 octets", closing((CLOSE, NORMAL + b"*" * 124)),
               **PROTOCOL_ERROR)
    yield Case("7.5.1", "Close with a reason that is not UTF-8",
               closing((CLOSE, NORMAL + "κόσμε".encode() + b"\xed\xa0\x80edited")),
               fails=True, codes=(1007,))


VALID = (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999)
INVALID = (0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999)
# The RFC has no rule for these. 65536 of the published list does not fit into a Close frame.
UNDEFINED = (5000, 65535)


def _codes():
    for number, code in enumerate(VALID, 1):
        # Echoing the code is usual, a plain 1000 is right too (RFC 6455 section 5.5.1).
        yield Case("7.7.%d" % number, "Close with code %d" % code,
                   closing((CLOSE, close_payload(code))), codes=(code, 1000))
    for number, code in enumerate(INVALID, 1):
        yield Case("7.9.%d" % number, "Close with code %d" % code,
                   closing((CLOSE, close_payload(code))), **PROTOCOL_ERROR)
    for number, code in enumerate(UNDEFINED, 1):
        yield Case("7.13.%d" % number, "Close with code %d" % code,
                   closing((CLOSE, close_payload(code))), codes=(), informational=True)


def cases():
    yield from _order()
    yield from _payloads()
    yield from _codes()
