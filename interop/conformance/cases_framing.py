# SPDX-License-Identifier: MIT
"""Cases 1.* to 5.*: messages of many sizes, pings and pongs, reserved bits and opcodes, fragments.
"""
from case import Case
from frames import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT

HELLO = b"Hello, world!"
SIZES = (0, 125, 126, 127, 128, 65535, 65536, 65536)
PROTOCOL_ERROR = {"fails": True, "codes": (1002,)}
TOGETHER, FRAMEWISE, OCTETWISE = "in one go", "each frame on its own", "octet by octet"


def pattern(size, opcode=BINARY):
    """that many bytes, in which no piece looks like its neighbour; ASCII for text"""
    if opcode == TEXT:
        period = bytes(0x20 + (7 * index) % 95 for index in range(95)) + b"~|#"
    else:
        period = bytes((7 * index) & 255 for index in range(251))
    return (period * (size // len(period) + 1))[:size]


def send(link, several, how=TOGETHER):
    """SEVERAL frames, each as (opcode, payload, options of frames.build)"""
    several = [(frame[:2], frame[2] if len(frame) > 2 else {}) for frame in several]
    if how == TOGETHER:
        link.frames(*several)
        return
    link.chop = 1 if how == OCTETWISE else None
    for positional, more in several:
        link.frame(*positional, **more)
    link.chop = None


def sends(*several, how=TOGETHER):
    return lambda link: send(link, several, how)


MORE = {"fin": False}


def _sized(group, opcode, name):
    for index, size in enumerate(SIZES, 1):
        payload = pattern(size, opcode)
        chop = 997 if index == 8 else None

        def play(link, payload=payload, chop=chop):
            link.chop = chop
            link.frame(opcode, payload)

        yield Case("%s.%d" % (group, index), "%s message of %d octets%s" % (
            name, size, ", in pieces of 997" if chop else ""), play, ok=[(name, payload)])


def _pings():
    for number, payload, how in ((1, b"", TOGETHER), (2, HELLO, TOGETHER),
                                 (3, b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff", TOGETHER),
                                 (4, pattern(125), TOGETHER), (6, pattern(125), OCTETWISE)):
        yield Case("2.%d" % number, "ping with %d octets, %s" % (len(payload), how),
                   sends((PING, payload), how=how), ok=[("pong", payload)])
    yield Case("2.5", "ping with 126 octets", sends((PING, pattern(126))), **PROTOCOL_ERROR)
    yield Case("2.7", "pong that nobody asked for, empty", sends((PONG, b"")))
    yield Case("2.8", "pong that nobody asked for, with payload", sends((PONG, b"unasked")))
    yield Case("2.9", "pong that nobody asked for, then a ping",
               sends((PONG, b"unasked"), (PING, b"asked")), ok=[("pong", b"asked")])
    payloads = [b"ping number %d" % number for number in range(10)]
    for number, how in ((10, TOGETHER), (11, OCTETWISE)):
        yield Case("2.%d" % number, "10 pings with payload, " + how,
                   sends(*((PING, payload) for payload in payloads), how=how),
                   ok=[("pong", payload) for payload in payloads])


def _good_then(bad, how):
    """a good message, a bad frame, a ping; only the first is to be answered"""
    return {"play": sends((TEXT, HELLO), bad, (PING, b""), how=how), "ok": [("text", HELLO)],
            "lax": [[]], **PROTOCOL_ERROR}


def _reserved_bits():
    yield Case("3.1", "text with RSV 1", sends((TEXT, HELLO, {"rsv": 1})), **PROTOCOL_ERROR)
    for rsv, how in ((2, TOGETHER), (3, FRAMEWISE), (4, OCTETWISE)):
        yield Case("3.%d" % rsv, "text, text with RSV %d, ping, %s" % (rsv, how),
                   **_good_then((TEXT, HELLO, {"rsv": rsv}), how))
    for rsv, opcode, name in ((5, BINARY, "binary"), (6, PING, "ping"), (7, CLOSE, "Close")):
        payload = b"" if opcode == CLOSE else HELLO
        yield Case("3.%d" % rsv, "%s with RSV %d" % (name, rsv),
                   sends((opcode, payload, {"rsv": rsv})), **PROTOCOL_ERROR)


def _reserved_opcodes():
    for group, first in ((1, 3), (2, 11)):
        yield Case("4.%d.1" % group, "opcode %d" % first, sends((first, b"")), **PROTOCOL_ERROR)
        yield Case("4.%d.2" % group, "opcode %d with payload" % (first + 1),
                   sends((first + 1, b"reserved")), **PROTOCOL_ERROR)
        for number, how in ((3, TOGETHER), (4, FRAMEWISE), (5, OCTETWISE)):
            opcode = first + number - 1
            bad = (opcode, b"" if number == 3 else b"reserved")
            yield Case("4.%d.%d" % (group, number), "text, opcode %d%s, ping, %s" % (
                opcode, " with payload" if bad[1] else "", how), **_good_then(bad, how))


ONE, TWO = b"fragment 1, ", b"fragment 2"
HALVES = ((TEXT, ONE, MORE), (CONTINUATION, TWO))
WHOLE = [("text", ONE + TWO)]


def _fragments():
    for number, opcode, name in ((1, PING, "ping"), (2, PONG, "pong")):
        yield Case("5.%d" % number, name + " in two fragments",
                   sends((opcode, ONE, MORE), (CONTINUATION, TWO)), **PROTOCOL_ERROR)
    hows = (TOGETHER, FRAMEWISE, OCTETWISE)
    for number, how in enumerate(hows, 3):
        yield Case("5.%d" % number, "text in two fragments, " + how, sends(*HALVES, how=how),
                   ok=WHOLE)
    for number, how in enumerate(hows, 6):
        yield Case("5.%d" % number, "text in two fragments, a ping between them, " + how,
                   sends(HALVES[0], (PING, b"between"), HALVES[1], how=how),
                   ok=[("pong", b"between")] + WHOLE)
    for first, more, word in ((9, {}, "final"), (12, MORE, "unfinished")):
        for number, how in enumerate(hows, first):
            yield Case("5.%d" % number, "%s continuation of nothing, then text, %s" % (word, how),
                       sends((CONTINUATION, b"of nothing", more), (TEXT, HELLO), how=how),
                       **PROTOCOL_ERROR)
    yield Case("5.15", "text in two fragments, unfinished continuation of nothing, text",
               sends(*HALVES, (CONTINUATION, b"of nothing", MORE), (TEXT, HELLO)), ok=WHOLE,
               lax=[[]], **PROTOCOL_ERROR)
    for number, more, word in ((16, MORE, "unfinished"), (17, {}, "final")):
        yield Case("5.%d" % number, "twice: %s continuation of nothing, text in two fragments"
                   % word, sends(*((CONTINUATION, b"of nothing", more), *HALVES) * 2),
                   **PROTOCOL_ERROR)
    yield Case("5.18", "text in two fragments that both have opcode text",
               sends((TEXT, ONE, MORE), (TEXT, TWO)), **PROTOCOL_ERROR)
    for number, how in ((19, TOGETHER), (20, FRAMEWISE)):
        yield _interleaved(number, how)


def _interleaved(number, how):
    parts = [b"part %d, " % part for part in range(1, 6)]

    def play(link):
        send(link, ((TEXT, parts[0], MORE), (CONTINUATION, parts[1], MORE), (PING, b"first")), how)
        # The first pong has to come although the message is not complete.
        link.wait_events(1)
        send(link, ((CONTINUATION, parts[2], MORE), (CONTINUATION, parts[3], MORE),
                    (PING, b"second"), (CONTINUATION, parts[4])), how)

    return Case("5.%d" % number, "text in five fragments with two pings, the first awaited, " + how,
                play, ok=[("pong", b"first"), ("pong", b"second"), ("text", b"".join(parts))])


def cases():
    yield from _sized("1.1", TEXT, "text")
    yield from _sized("1.2", BINARY, "binary")
    yield from _pings()
    yield from _reserved_bits()
    yield from _reserved_opcodes()
    yield from _fragments()
