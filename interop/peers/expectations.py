# SPDX-License-Identifier: MIT
"""What the Python peers send and expect, and how they are started: see interop/README.md."""
import asyncio
import ssl
import sys

HELLO = "hello, zażółć gęślą jaźń"
CLOSE_CODE, CLOSE_REASON = 4002, "bye, zażółć"
GOING = "4001 going, zażółć"
ORIGIN, COOKIE = "http://interop.example", "taste=sweet"
HEADERS = {"X-Interop": "yes", "Cookie": COOKIE, "X-Real-IP": "192.0.2.7"}
INFO = ["url: /info?headers", "origin: " + ORIGIN, "cookie: " + COOKIE, "x-real-ip: 192.0.2.7"]
SIZES = [0, 1, 125, 126, 65535, 65536, 1 << 20]
BIG = 16 << 20
PUSHED = ["update 1", "update 2", "update 3", bytes(range(256))]
PING = b"are you there"
LIMIT_S = 60


class Wrong(Exception):
    """not what was expected"""


def expect(got, wanted, what="answer"):
    if got != wanted:
        shown = [repr(value) if len(repr(value)) < 120 else "%s of %d" % (
            type(value).__name__, len(value)) for value in (got, wanted)]
        raise Wrong("%s: got %s instead of %s" % (what, *shown))


def pattern(size):
    """bytes that differ from place to place"""
    return (bytes(range(251)) * (size // 251 + 1))[:size]


def expect_info(text):
    for line in INFO:
        if line not in text.split("\n"):
            raise Wrong("the server does not say '%s' but: %s" % (line, text.replace("\n", "; ")))


def client_tls(authority):
    return None if authority == "-" else ssl.create_default_context(cafile=authority)


def server_tls(files):
    if not files:
        return None
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(*files)
    return tls


async def run_checks(checks, features):
    """checks: an object with a method check_FEATURE for each feature; prints the results"""
    failed = False
    for feature in features:
        fault = None
        try:
            async with asyncio.timeout(LIMIT_S):
                await getattr(checks, "check_" + feature.lower().replace("-", "_"))()
        except TimeoutError:
            fault = "not done after %d seconds" % LIMIT_S
        except Exception as error:  # pylint: disable=broad-except
            fault = "%s: %s" % (type(error).__name__, error)
        failed = failed or fault is not None
        print("ok %s" % feature if fault is None else "fail %s: %s" % (
            feature, fault.replace("\n", " ")), flush=True)
    return 1 if failed else 0


def main(client, server):
    """PROGRAM client HOST PORT AUTHORITY FEATURE... or server HOST PORT [CERTIFICATE KEY]"""
    role, host, port, *rest = sys.argv[1:]
    if role == "client":
        return asyncio.run(client(host, int(port), rest[0], rest[1:]))
    return asyncio.run(server(host, int(port), server_tls(rest)))
