# SPDX-License-Identifier: MIT
"""What the Python peers send, expect and do, whatever package they use: interop/README.md has it in
words. A package is wrapped so that its connections offer

    send(message), send_fragments([part, ...]), recv(), ping(data) until the pong is there,
    close(code, reason) until all is over, wait_closed() -> (code, reason), pinged: the last ping,
    may_close_with(code): whether the package lets its user send that

with str for text and bytes for binary messages; recv() raises Closed at the end.
"""
import asyncio
import ssl
import sys

HELLO = "hello, zażółć gęślą jaźń"
CLOSE_CODE, CLOSE_REASON = 4002, "bye, zażółć"
GOING = "4001 going, zażółć"
CODES = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 4999]
ORIGIN, COOKIE = "http://interop.example", "taste=sweet"
HEADERS = {"X-Interop": "yes", "Cookie": COOKIE, "X-Real-IP": "192.0.2.7"}
INFO = ["url: /info?headers", "origin: " + ORIGIN, "cookie: " + COOKIE, "x-real-ip: 192.0.2.7"]
SIZES = [0, 1, 125, 126, 65535, 65536, 1 << 20]
BIG = 16 << 20
LIMIT = 1 << 10
PUSHED = ["update 1", "update 2", "update 3", bytes(range(256))]
PING = b"are you there"
LIMIT_S = 60


class Wrong(Exception):
    """not what was expected"""


class Closed(Exception):
    """the connection has ended"""


class Refused(Exception):
    """no connection; the argument is the status of the HTTP answer"""


def shown(value):
    text = repr(value)
    return text if len(text) < 120 else "%s of %d" % (type(value).__name__, len(value))


def expect(got, wanted, what="answer"):
    if got != wanted:
        raise Wrong("%s: got %s instead of %s" % (what, shown(got), shown(wanted)))


def pattern(size):
    """bytes that differ from place to place"""
    return (bytes(range(251)) * (size // 251 + 1))[:size]


async def echo(client, message):
    await client.send(message)
    expect(await client.recv(), message)


class Checks:
    """the checks of a client; connect(path, protocols=, origin=, headers=) is an async context"""

    def __init__(self, connect):
        self.connect = connect

    async def check_text(self):
        async with self.connect("/echo") as client:
            await echo(client, HELLO)
            await echo(client, "")

    async def check_binary(self):
        async with self.connect("/echo") as client:
            await echo(client, bytes(range(256)))

    async def check_sizes(self):
        async with self.connect("/whole") as client:
            for size in SIZES:
                await echo(client, pattern(size))

    async def check_16mib(self):
        async with self.connect("/echo") as client:
            await echo(client, pattern(BIG))

    async def check_frag_sent(self):
        async with self.connect("/fragments") as client:
            await echo(client, HELLO)
            await echo(client, pattern(100000))

    async def check_frag_rcvd(self):
        for path in ("/echo", "/whole"):
            async with self.connect(path) as client:
                await client.send_fragments(["one ", "", "żwo ", "three"])
                expect(await client.recv(), "one żwo three")
                await client.send_fragments([pattern(70000), b"", pattern(3)])
                expect(await client.recv(), pattern(70000) + pattern(3))

    async def check_ping_sent(self):
        async with self.connect("/ping") as client:
            expect(await client.recv(), "pinged")
            expect(client.pinged, PING, "ping")

    async def check_ping_rcvd(self):
        async with self.connect("/echo") as client:
            await client.ping(PING)
            await client.ping(pattern(125))
            await echo(client, HELLO)

    async def check_close_sent(self):
        async with self.connect("/close") as client:
            await client.send(GOING)
            expect(await client.wait_closed(), (4001, "going, zażółć"))
        for code in CODES:
            async with self.connect("/close") as client:
                await client.send("%d because" % code)
                expect(await client.wait_closed(), (code, "because"))
        async with self.connect("/close") as client:
            await client.send("0")
            expect((await client.wait_closed())[0], 1005)

    async def check_close_rcvd(self):
        """whoever reads the output holds it against what the other side saw"""
        for code, reason in [(code, "because") for code in CODES] + [(CLOSE_CODE, CLOSE_REASON)]:
            async with self.connect("/echo?close-rcvd") as client:
                if not client.may_close_with(code):
                    continue
                print("closes with %d %s" % (code, reason), flush=True)
                await client.close(code, reason)
                expect((await client.wait_closed())[0], code, "answered with")

    async def check_subproto(self):
        async with self.connect("/echo", protocols=["superchat", "chat"]) as client:
            expect(client.subprotocol, "chat")
        async with self.connect("/echo") as client:
            expect(client.subprotocol, None)

    async def check_headers(self):
        async with self.connect("/info?headers", origin=ORIGIN, headers=HEADERS) as client:
            text = await client.recv()
        for line in INFO:
            if line not in text.split("\n"):
                raise Wrong("the server says not '%s' but: %s" % (line, text.replace("\n", "; ")))

    async def expect_refused(self, path):
        try:
            async with self.connect(path):
                raise Wrong("not refused")
        except Refused as refusal:
            expect(refusal.args[0], 403, "status")

    async def check_refused(self):
        await self.expect_refused("/refused")

    async def check_origin(self):
        """for a listener that needs an Origin header"""
        async with self.connect("/echo", origin=ORIGIN) as client:
            await echo(client, HELLO)
        await self.expect_refused("/echo")

    async def check_limit(self):
        """for a listener that takes no larger frames"""
        async with self.connect("/echo") as client:
            await echo(client, pattern(LIMIT))
            await client.send(pattern(LIMIT + 1))
            expect((await client.wait_closed())[0], 1009, "close code")

    async def check_push(self):
        async with self.connect("/push") as client:
            for message in PUSHED:
                expect(await client.recv(), message)

    async def check_many(self, count=200):
        """idle clients, to which the server pushes; then others, each of which sends"""
        async def idle():
            async with self.connect("/waiting") as client:
                arrived.append(client)
                return await client.recv()

        async def talking(number):
            async with self.connect("/echo") as client:
                arrived.append(client)
                if len(arrived) == count:
                    all_here.set()
                await all_here.wait()
                await echo(client, "I am %d" % number)

        arrived, all_here = [], asyncio.Event()
        waiting = [asyncio.create_task(idle()) for _ in range(count)]
        while len(arrived) < count and not any(task.done() for task in waiting):
            await asyncio.sleep(0.02)
        for task in waiting:
            if task.done():
                raise Wrong("got %s before there were news" % shown(task.result()))
        # Behind a proxy only one of two listeners gets them at a time.
        for _ in range(20):
            async with self.connect("/news") as client:
                await echo(client, HELLO)
            if not (await asyncio.wait(waiting, timeout=1))[1]:
                break
        for got in await asyncio.gather(*waiting):
            expect(got, HELLO, "news")
        arrived.clear()
        await asyncio.gather(*(talking(number) for number in range(count)))


async def run_checks(checks, features):
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


# --- Servers: what a connection does, by the path of its request; it also has path and headers ---

async def serve_echo(peer):
    while True:
        await peer.send(await peer.recv())


async def serve_fragments(peer):
    while True:
        message = await peer.recv()
        third = len(message) // 3
        await peer.send_fragments([message[:third], message[third:2 * third],
                                   message[2 * third:]])


async def serve_close(peer):
    code, _, reason = (await peer.recv()).partition(" ")
    await peer.close(int(code), reason)


async def serve_info(peer):
    lines = ["url: " + peer.path, *("%s: %s" % (name.lower(), value)
                                    for name, value in peer.headers)]
    await peer.send("\n".join(lines) + "\n")


async def serve_push(peer):
    for message in PUSHED:
        await peer.send(message)


async def serve_ping(peer):
    await peer.ping(PING)
    await peer.send("pong " + PING.decode())


async def serve_pinged(peer):
    await peer.recv()
    await peer.send("ping " + peer.pinged.decode())


_waiting = set()


async def serve_waiting(peer):
    _waiting.add(peer)
    try:
        await peer.send("noted")
        await peer.recv()
    finally:
        _waiting.discard(peer)


async def serve_news(peer):
    news = await peer.recv()
    for one in list(_waiting):
        await one.send(news)


PATHS = {"/echo": serve_echo, "/fragments": serve_fragments, "/close": serve_close,
         "/info": serve_info, "/push": serve_push, "/ping": serve_ping, "/pinged": serve_pinged,
         "/waiting": serve_waiting, "/news": serve_news}


def path_is_known(url):
    return url.partition("?")[0] in PATHS


async def serve(peer):
    """the life of one connection"""
    try:
        await PATHS[peer.path.partition("?")[0]](peer)
    except Closed:
        pass
    code, reason = await peer.wait_closed()
    print("closed %s %s %s" % (peer.path, code, reason), flush=True)


# --- How the programs are started ----------------------------------------------------------------

def url(host, port, tls, path=""):
    return "%s://%s:%d%s" % ("wss" if tls else "ws", "[%s]" % host if ":" in host else host, port,
                             path)


def client_tls(authority):
    authority, *own = authority.split(",")
    if authority == "-":
        return None
    tls = ssl.create_default_context(cafile=authority)
    if own:
        tls.load_cert_chain(*own)
    return tls


def server_tls(files):
    if not files:
        return None
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(*files[:2])
    for authority in files[2:]:
        tls.load_verify_locations(authority)
        tls.verify_mode = ssl.CERT_REQUIRED
    return tls


def main(client, server):
    """PROGRAM client HOST PORT AUTHORITY[,CERTIFICATE,KEY] FEATURE...
    or PROGRAM server HOST PORT [CERTIFICATE KEY [AUTHORITY of the clients]].

    client(host, port, tls) gives the connect of Checks; server(host, port, tls) an async context
    that serves while it is entered.
    """
    role, host, port, *rest = sys.argv[1:]

    async def as_client():
        return await run_checks(Checks(client(host, int(port), client_tls(rest[0]))), rest[1:])

    async def as_server():
        async with server(host, int(port), server_tls(rest)):
            print("listening %s" % port, flush=True)
            await asyncio.Future()

    return asyncio.run(as_client() if role == "client" else as_server())
