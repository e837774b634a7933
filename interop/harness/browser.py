# SPDX-License-Identifier: MIT
"""A real browser: headless Chromium, driven over its DevTools protocol, shows a page whose
WebSocket talks to our listeners. Screenshot and transcript are kept."""
import asyncio
import base64
import contextlib
import json
import os
import shutil
import ssl
import urllib.request

from . import proxies
from .peer import CLOSE_RCVD, Skip
from .process import Ended, Process, run as run_command

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync",
         "--disable-default-apps", "--disable-extensions", "--password-store=basic",
         "--window-size=1000,1100", "--remote-debugging-port=0"]
FEATURES = ["text", "binary", "sizes", "16MiB", "frag-sent", "close-sent", "close-rcvd", "subproto",
            "headers", "refused", "push", "many"]
TYPES = {".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8"}
START_S, RUN_S = 60, 180
PNG = b"\x89PNG\r\n\x1a\n"


async def serve_files(folder, tls):
    """an HTTP or HTTPS server for the page, on a port of its own"""
    async def answer(reader, writer):
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("ascii", "replace")
            name = os.path.basename(head.split(" ")[1].split("?")[0])
            path = os.path.join(folder, name)
            body, status = b"", "404 Not Found"
            if name in os.listdir(folder):
                with open(path, "rb") as file:
                    body, status = file.read(), "200 OK"
            writer.write(b"HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n"
                         b"Connection: close\r\n\r\n" % (
                             status.encode(),
                             TYPES.get(os.path.splitext(name)[1], "text/plain").encode(),
                             len(body)) + body)
            await writer.drain()
        writer.close()

    return await asyncio.start_server(answer, "127.0.0.1", 0, ssl=tls)


class DevTools:
    """commands to one tab of the browser"""

    def __init__(self, connection):
        self.connection = connection
        self.number = 0

    async def call(self, method, **parameters):
        self.number += 1
        await self.connection.send(json.dumps(
            {"id": self.number, "method": method, "params": parameters}))
        while True:
            answer = json.loads(await self.connection.recv())
            if answer.get("id") == self.number:
                break
        if "error" in answer:
            raise RuntimeError("%s: %s" % (method, answer["error"]["message"]))
        return answer["result"]

    async def evaluate(self, expression):
        """the value of an expression, of a promise too"""
        result = await self.call("Runtime.evaluate", expression=expression, awaitPromise=True,
                                 returnByValue=True)
        if "exceptionDetails" in result:
            raise RuntimeError("the page says: %s" % result["exceptionDetails"])
        return result["result"].get("value")


class Browser:
    """a Chromium with a home of its own, which trusts the authority of the tests"""

    def __init__(self, world, program):
        self.world = world
        self.home = os.path.join(world.folder, "browser")
        self.profile = os.path.join(self.home, "profile")
        self.process = Process([program, *FLAGS, "--user-data-dir=" + self.profile, "about:blank"],
                               world.log, {"HOME": self.home})

    async def __aenter__(self):
        store = os.path.join(self.home, ".pki", "nssdb")
        os.makedirs(store)
        for command in (["-N", "--empty-password"],
                        ["-A", "-n", "authority", "-t", "C,,", "-i", self.world.authority]):
            status, output = await run_command("certutil", "-d", "sql:" + store, *command)
            if status:
                raise RuntimeError("certutil: %s" % output)
        await self.process.__aenter__()
        return self

    async def __aexit__(self, *_error):
        await self.process.end()

    async def tab(self):
        """the DevTools address of the tab"""
        said = await self.process.line("DevTools listening on ws://", START_S)
        address = "http://%s/json/list" % said.split("/")[0]

        def targets():
            with urllib.request.urlopen(address, timeout=START_S) as answer:
                return json.load(answer)

        found = await asyncio.get_running_loop().run_in_executor(None, targets)
        return next(target["webSocketDebuggerUrl"] for target in found
                    if target["type"] == "page")


async def wanted_checks(world, stack, transport, proxy):
    """[(feature, base URL), ...] and the listener to look at afterwards"""
    server = await stack.enter_async_context(world.nopoll_server(transport, "--need-origin"))
    base = "%s://127.0.0.1:%s" % (transport, await server.line("listening "))
    wanted = [(feature, base) for feature in FEATURES
              if not (world.short and feature == "16MiB")]
    if transport == "wss":
        untrusted = await stack.enter_async_context(world.own_program(
            "server", "--tls", *world.strangers_certificate))
        wanted.append(("tls-bad", "wss://127.0.0.1:" + await untrusted.line("listening ")))
    if proxy:
        # The short run has TLS on both sides of the proxy or on none, as elsewhere.
        same = "TLS" if transport == "wss" else "PLAIN"
        wanted += [("nginx>" + behind.lower(), "%s://127.0.0.1:%d" % (
            transport, proxy.port(behind, transport))) for behind in ("PLAIN", "TLS")
                   if behind == same or not world.short]
    return wanted, server


async def show_page(world, tab, transport, wanted):
    """the results that the page reports; it comes over HTTPS when it is to talk over wss"""
    tls = None
    if transport == "wss":
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(*world.certificate)
    async with await serve_files(os.path.join(world.peers, "browser"), tls) as files:
        address = "%s://127.0.0.1:%d/page.html" % (
            "https" if tls else "http", files.sockets[0].getsockname()[1])
        await tab.call("Page.enable")
        await tab.call("Page.navigate", url=address)
        while not await tab.evaluate("typeof runChecks == 'function' && document.readyState == "
                                     "'complete' && location.href == '%s'" % address):
            await asyncio.sleep(0.05)
        results = await tab.evaluate("runChecks(%s)" % json.dumps(wanted))
        shot = await tab.call("Page.captureScreenshot", format="png")
        text = await tab.evaluate("document.body.innerText")
    picture = base64.b64decode(shot["data"])
    if not picture.startswith(PNG) or any(feature not in text for feature, _ in wanted):
        raise RuntimeError("the page or its picture does not show the checks: %s" % text)
    with open(os.path.join(world.artefacts, "browser-%s.png" % transport), "wb") as file:
        file.write(picture)
    with open(os.path.join(world.artefacts, "browser-%s.txt" % transport), "w",
              encoding="utf-8") as file:
        file.write(text + "\n")
    return results


async def check(world, stack, tab, transport, proxy):
    row = ("chromium", "server", transport)
    wanted, server = await wanted_checks(world, stack, transport, proxy)
    for feature, fault in await show_page(world, tab, transport, wanted):
        if feature == "close-rcvd" and fault is None:
            try:
                await server.line(CLOSE_RCVD, 30)
            except Ended as error:
                fault = str(error)
        world.results.add(row, feature, fault)
    status = await server.end()
    world.results.add(row, "exit", None if status == 0 else "status %s" % status)


async def run(world):
    if not shutil.which("chromium"):
        raise Skip("there is no program chromium: the Debian package is not installed")
    if not shutil.which("certutil"):
        raise Skip("certutil of libnss3-tools is needed to make the browser trust a test authority")
    world.python_peer("chromium", "websockets_peer.py")  # the DevTools protocol needs it
    import websockets  # pylint: disable=import-outside-toplevel
    async with contextlib.AsyncExitStack() as stack:
        proxy = None
        try:
            proxy = await stack.enter_async_context(await proxies.proxy(world, "nginx"))
        except Skip as reason:
            world.results.skip("chromium through nginx", str(reason))
        chromium = await stack.enter_async_context(Browser(world, "chromium"))
        connection = await stack.enter_async_context(websockets.connect(
            await chromium.tab(), max_size=None, ping_interval=None, compression=None))
        async with asyncio.timeout(RUN_S):
            for transport in ("ws", "wss"):
                await check(world, stack, DevTools(connection), transport, proxy)
