# SPDX-License-Identifier: MIT
"""Cases 6.*: text that is UTF-8, and text that is not, whole, in fragments and octet by octet."""
from case import LAX, Case
from cases_framing import MORE, sends
from frames import CONTINUATION, TEXT

INVALID = {"fails": True, "codes": (1007,)}
GREEK = "κ\u1f79σμε".encode()  # the omicron takes three octets: 11 in all
MIXED = "Hello-µ@ßöäüàá-UTF-8!!".encode()
SURROGATE = GREEK + b"\xed\xa0\x80" + b"edited"
# The first octets of a bad sequence are still good: it becomes one at \x90.
TOO_HIGH = (GREEK + b"\xf4", b"\x90", b"\x80\x80" + b"edited")


def fragments(*parts):
    """one text message, each part a frame"""
    several = [(CONTINUATION, part, MORE) for part in parts]
    several[0] = (TEXT, parts[0], MORE)
    several[-1] = (*several[-1][:2], {})
    return sends(*several)


def octets(data):
    return fragments(*(data[at:at + 1] for at in range(len(data))))


def _basic():
    yield Case("6.1.1", "text of 0 octets", sends((TEXT, b"")), ok=[("text", b"")])
    yield Case("6.1.2", "text in three empty fragments", fragments(b"", b"", b""),
               ok=[("text", b"")])
    yield Case("6.1.3", "text in three fragments, of which only the second is not empty",
               fragments(b"", b"in the middle", b""), ok=[("text", b"in the middle")])
    good = [("text", MIXED)]
    cut = MIXED.index("ö".encode())
    yield Case("6.2.1", "UTF-8, whole", sends((TEXT, MIXED)), ok=good)
    yield Case("6.2.2", "UTF-8 in two fragments, between two characters",
               fragments(MIXED[:cut], MIXED[cut:]), ok=good)
    yield Case("6.2.3", "UTF-8, each octet a fragment", octets(MIXED), ok=good)
    yield Case("6.2.4", "Greek, each octet a fragment", octets(GREEK), ok=[("text", GREEK)])
    yield Case("6.3.1", "a surrogate, whole", sends((TEXT, SURROGATE)), **INVALID)
    yield Case("6.3.2", "a surrogate, each octet a fragment", octets(SURROGATE), **INVALID)


def _fail_fast():
    """the connection has to fail at the first octet that cannot be right, before the rest comes"""
    def waits(link, rest):
        if link.quiet(link.patience_s):
            rest(link)
            return LAX
        return None

    def framewise(parts):
        def play(link):
            link.frame(TEXT, parts[0], fin=False)
            link.frame(CONTINUATION, parts[1], fin=False)
            return waits(link, lambda _: link.frame(CONTINUATION, parts[2]))
        return play

    def chopped(parts):
        def play(link):
            whole = link.bytes_of(TEXT, b"".join(parts))
            first = len(whole) - len(parts[1]) - len(parts[2])
            second = len(whole) - len(parts[2])
            link.raw(whole[:first])
            link.raw(whole[first:second])
            return waits(link, lambda _: link.raw(whole[second:]))
        return play

    whole_sequence = (GREEK, b"\xf4\x90\x80\x80", b"edited")
    yield Case("6.4.1", "three fragments, the second is bad, then a pause",
               framewise(whole_sequence), **INVALID)
    yield Case("6.4.2", "three fragments, the second ends with the first bad octet, then a pause",
               framewise(TOO_HIGH), **INVALID)
    yield Case("6.4.3", "one frame in three pieces, the second is bad, then a pause",
               chopped(whole_sequence), **INVALID)
    yield Case("6.4.4", "one frame in three pieces, the second ends with the first bad octet, then "
               "a pause", chopped(TOO_HIGH), **INVALID)


def unchecked(value, size):
    """the octets of a sequence for VALUE that is SIZE octets long, right or wrong"""
    if size == 1:
        return bytes([value])
    lead = (0xff << (8 - size)) & 0xff | value >> 6 * (size - 1)
    return bytes([lead, *(0x80 | value >> 6 * at & 0x3f for at in range(size - 2, -1, -1))])


def _surrogate(value):
    return unchecked(value, 3)


LOW, HIGH = (0xd800, 0xdb7f, 0xdb80, 0xdbff), (0xdc00, 0xdf80, 0xdfff)
LARGEST = {2: 0x7ff, 3: 0xffff, 4: 0x1fffff, 5: 0x3ffffff, 6: 0x7fffffff}  # by length
MISSING = [unchecked(value, size)[:-1] for values in (dict.fromkeys(LARGEST, 0), LARGEST)
           for size, value in values.items()]


def _leads(first, count):
    return b"".join(bytes([first + number]) + b" " for number in range(count))


NON_CHARACTERS = [plane << 16 | low for plane in range(17) for low in (0xfffe, 0xffff)]
OVERLONG_MOST = [unchecked(value, size) for size, value in
                 zip(LARGEST, (0x7f, *LARGEST.values()))]

# group: (what, valid, sequences); where valid is a function it is asked for each sequence
GROUPS = {
    5: ("UTF-8 of each length", True, [
        b"hello" + text.encode() + b"world" for text in "$¢€𤭢"] + [GREEK]),
    6: ("prefix of Greek", None, [GREEK[:size] for size in range(1, len(GREEK) + 1)]),
    7: ("first sequence of a length", True, [unchecked(value, size) for size, value in
                                             ((1, 0), (2, 0x80), (3, 0x800), (4, 0x10000))]),
    8: ("first sequence of length 5 and 6", False, [unchecked(0x200000, 5),
                                                    unchecked(0x4000000, 6)]),
    9: ("last sequence of a length", True, [b"\x7f", unchecked(0x7ff, 2), unchecked(0xffff, 3),
                                            unchecked(0x10ffff, 4)]),
    10: ("last sequence of length 4, 5 and 6", False, [unchecked(LARGEST[size], size)
                                                       for size in (4, 5, 6)]),
    11: ("boundary", None, [unchecked(0xd7ff, 3), unchecked(0xe000, 3), unchecked(0xfffd, 3),
                            unchecked(0x10ffff, 4), unchecked(0x110000, 4)]),
    12: ("unexpected continuation octets", False, [b"\x80", b"\xbf"] + [
        (b"\x80\xbf" * 3)[:count] for count in range(2, 7)] + [bytes(range(0x80, 0xc0))]),
    13: ("lonely first octets", False, [_leads(0xc0, 32), _leads(0xe0, 16), _leads(0xf0, 8),
                                        _leads(0xf8, 4), _leads(0xfc, 2)]),
    14: ("last octet missing", False, MISSING),
    15: ("incomplete sequences one after another", False, [b"".join(MISSING)]),
    16: ("impossible octets", False, [b"\xfe", b"\xff", b"\xfe\xfe\xff\xff"]),
    17: ("overlong slash", False, [unchecked(0x2f, size) for size in range(2, 7)]),
    18: ("largest overlong", False, OVERLONG_MOST),
    19: ("overlong NUL", False, [unchecked(0, size) for size in range(2, 7)]),
    20: ("single surrogate", False, [_surrogate(value) for value in LOW + HIGH]),
    21: ("pair of surrogates", False, [_surrogate(low) + _surrogate(high) for low in LOW
                                       for high in (HIGH[0], HIGH[2])]),
    22: ("non-character", True, [chr(value).encode() for value in NON_CHARACTERS]),
    23: ("special", True, [chr(value).encode() for value in range(0xfff9, 0x10000)]),
}


def _valid(data):
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _sequences():
    for group, (what, valid, sequences) in GROUPS.items():
        for number, data in enumerate(sequences, 1):
            # Python's own decoder is a second opinion on what this list calls right and wrong.
            assert valid is None or valid == _valid(data), (group, number)
            shown = data.hex(" ") if len(data) <= 12 else data[:12].hex(" ") + " ..."
            more = {"ok": [("text", data)]} if _valid(data) else INVALID
            yield Case("6.%d.%d" % (group, number), "%s: %s" % (what, shown), sends((TEXT, data)),
                       **more)


def cases():
    yield from _basic()
    yield from _fail_fast()
    yield from _sequences()
