# SPDX-License-Identifier: MIT
"""What the demo prints: who sent what, and for every exchange whether it went well."""
import asyncio
import contextlib

LIMIT_S = 20


def described(message):
    if isinstance(message, str):
        size = len(message.encode())
        return "text, %d bytes%s" % (size, ": %r" % message if size < 60 else "")
    start = message[:8].hex(" ") + (" ..." if len(message) > 8 else "")
    return "binary, %d bytes%s" % (len(message), ": " + start if message else "")


def side(who, what):
    print("    %-14s %s" % (who, what), flush=True)


class Unlike(Exception):
    """an exchange went another way than it should"""


def expect(true, what):
    if not true:
        raise Unlike(what)


class Report:
    def __init__(self):
        self.exchanges = []

    @contextlib.asynccontextmanager
    async def exchange(self, name):
        """one exchange; whatever goes wrong inside, or takes too long, is its result"""
        print("  - %s" % name, flush=True)
        fault = None
        try:
            async with asyncio.timeout(LIMIT_S):
                yield
        except TimeoutError:
            fault = "not done after %d seconds" % LIMIT_S
        except Unlike as error:
            fault = str(error)
        except Exception as error:  # pylint: disable=broad-except
            fault = "%s: %s" % (type(error).__name__, error)
        self.exchanges.append((name, fault))
        print("    %s" % ("OK" if fault is None else "FAIL: " + fault), flush=True)

    def summary(self):
        """prints it; true when all went well"""
        good = [name for name, fault in self.exchanges if fault is None]
        print("\nSummary")
        for name, fault in self.exchanges:
            print("OK   %s" % name if fault is None else "FAIL %s (%s)" % (name, fault))
        print("%d of %d exchanges OK" % (len(good), len(self.exchanges)))
        return bool(self.exchanges) and len(good) == len(self.exchanges)
