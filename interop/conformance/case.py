# SPDX-License-Identifier: MIT
"""What a case is, how it is run on a connection, and how its results are judged.

Ids are those of the Autobahn|Testsuite, whose list of cases is a yardstick of the field; what each
case sends and what is right was written down anew from RFC 6455.
"""
import dataclasses
import time

OK, LAX, INFO, FAILED = "OK", "NON-STRICT", "INFORMATIONAL", "FAILED"
WRONG_CODE, UNCLEAN = "WRONG CODE", "UNCLEAN"


@dataclasses.dataclass
class Case:
    id: str
    what: str
    play: object  # play(link) sends, and may wait for answers; a verdict it returns counts
    ok: list = dataclasses.field(default_factory=list)  # what has to arrive, in this order
    lax: list = dataclasses.field(default_factory=list)  # other such lists, tolerated
    fails: bool = False  # the other side has to fail the connection
    codes: tuple = (1000,)  # of the Close frame that is to arrive; empty for any
    informational: bool = False
    limit_s: float = 10.0


@dataclasses.dataclass
class Verdict:
    behaviour: str
    close: str
    code: int = None  # of the Close frame that arrived
    tcp: str = None  # how TCP ended
    took_ms: int = 0
    detail: str = ""

    @property
    def good(self):
        return self.behaviour in (OK, INFO) and self.close in (OK, INFO)


def shown(events):
    """events for a person to read"""
    def one(event):
        name, payload = event
        data = repr(payload) if len(payload) <= 24 else "%r..." % payload[:12]
        return "%s %s (%d)" % (name, data, len(payload))

    return "; ".join(map(one, events[:4])) + (" and more" if len(events) > 4 else "") or "nothing"


def _behaviour(case, link, said):
    if link.fault:
        return FAILED, "the other side sent " + link.fault
    if case.informational:
        return INFO, "arrived: " + shown(link.events)
    if case.fails and not link.ended and link.close is None:
        return FAILED, "the other side does not fail the connection"
    if link.events != case.ok:
        detail = "wanted: %s; arrived: %s" % (shown(case.ok), shown(link.events))
        return (LAX if link.events in case.lax else FAILED), detail
    return said or OK, ""


def _close(case, link):
    if link.close is None:
        return (UNCLEAN, "no Close frame") if link.ended else (FAILED, "no Close frame, no end")
    if case.codes and link.close_code not in case.codes:
        return WRONG_CODE, "code %s, wanted %s" % (link.close_code,
                                                   " or ".join(map(str, case.codes)))
    if not link.ended:
        return FAILED, "the other side does not end the connection"
    if link.ended == "reset":
        return UNCLEAN, "TCP was reset behind the Close frame"
    return (OK, "") if case.codes else (INFO, "code %s" % link.close_code)


def run(case, link):
    """plays the case on a connection that is open, and ends that"""
    started = time.monotonic()
    said = case.play(link)
    if not case.fails and not link.close_sent:
        link.wait_events(len(case.ok))
        link.shut()
    link.wait_end()
    link.socket.close()
    behaviour, why = _behaviour(case, link, said)
    close, close_why = _close(case, link)
    return Verdict(behaviour, close, link.close_code, link.ended,
                   round(1000 * (time.monotonic() - started)),
                   "; ".join(filter(None, (why, close_why))))
