# SPDX-License-Identifier: MIT
"""Cases 9.* and 10.*: large messages, many fragments, many pieces, many round trips.

Sizes are those of the published list. The round trips of 9.7 and 9.8 are 1000 there and in the long
run; the short run does with fewer.
"""
from case import FAILED, Case
from cases_framing import pattern, send
from frames import BINARY, CONTINUATION, TEXT

KIB, MIB = 1 << 10, 1 << 20
LIMIT_S = 60.0
KINDS = ((TEXT, "text"), (BINARY, "binary"))
ROUND_TRIPS, SHORT_ROUND_TRIPS = 1000, 200


def size_name(size):
    if size >= MIB:
        return "%d MiB" % (size // MIB)
    return "%d KiB" % (size // KIB) if size >= KIB else "%d octets" % size


def _message(group, opcode, name):
    for number, size in enumerate((64 * KIB, 256 * KIB, MIB, 4 * MIB, 8 * MIB, 16 * MIB), 1):
        payload = pattern(size, opcode)
        yield Case("9.%d.%d" % (group, number), "%s message of %s" % (name, size_name(size)),
                   lambda link, payload=payload: link.frame(opcode, payload),
                   ok=[(name, payload)], limit_s=LIMIT_S)


def fragmented(link, opcode, payload, size):
    frames = []
    for start in range(0, len(payload), size):
        frames.append((CONTINUATION if start else opcode, payload[start:start + size],
                       {"fin": start + size >= len(payload)}))
    send(link, frames)


def _fragments(group, opcode, name):
    payload = pattern(4 * MIB, opcode)
    for number in range(1, 10):
        size = 16 << 2 * number
        yield Case("9.%d.%d" % (group, number),
                   "%s message of 4 MiB in fragments of %s" % (name, size_name(size)),
                   lambda link, size=size: fragmented(link, opcode, payload, size),
                   ok=[(name, payload)], limit_s=LIMIT_S)


def _pieces(group, opcode, name):
    payload = pattern(MIB, opcode)
    for number in range(1, 7):
        size = 32 << number

        def play(link, size=size):
            link.chop = size
            link.frame(opcode, payload)
            link.chop = None

        yield Case("9.%d.%d" % (group, number),
                   "%s message of 1 MiB in pieces of %s" % (name, size_name(size)), play,
                   ok=[(name, payload)], limit_s=LIMIT_S)


def _round_trips(group, opcode, name, count):
    for number, size in enumerate((0, 16, 64, 256, 1024, 4096), 1):
        payload = pattern(size, opcode)

        def play(link, payload=payload):
            for trip in range(1, count + 1):
                link.frame(opcode, payload)
                if not link.wait_events(trip):
                    return FAILED
            return None

        yield Case("9.%d.%d" % (group, number), "%d round trips of a %s message of %d octets" % (
            count, name, size), play, ok=[(name, payload)] * count, limit_s=LIMIT_S)


def cases(short):
    count = SHORT_ROUND_TRIPS if short else ROUND_TRIPS
    for offset, (opcode, name) in enumerate(KINDS):
        yield from _message(1 + offset, opcode, name)
        yield from _fragments(3 + offset, opcode, name)
        yield from _pieces(5 + offset, opcode, name)
        yield from _round_trips(7 + offset, opcode, name, count)
    payload = pattern(65536, TEXT)
    yield Case("10.1.1", "text message of 65536 octets in fragments of 1300",
               lambda link: fragmented(link, TEXT, payload, 1300), ok=[("text", payload)])
