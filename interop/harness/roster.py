# SPDX-License-Identifier: MIT
"""Who takes part. Each entry prepares its peer: it returns a Peer for the checks that all share,
or runs checks of its own and returns nothing, or raises Skip."""
import os
import shutil

from . import browser, proxies
from .peer import ALL_CODES, CLIENT_FEATURES, LIMIT, SERVER_FEATURES, Peer, Skip, without
from .process import run as run_command


async def websockets(world):
    engines = [(engine, "many", ["--strict", "--engine", engine]) for engine in ("poll", "epoll")]
    return world.python_peer("websockets", "websockets_peer.py", certificates=True,
                             server_features=ALL_CODES + ["news"], extra=[
                                 LIMIT, ("origin", "origin", ["--need-origin"]), *engines])


async def nginx(world):
    await proxies.run(world, "nginx")


async def haproxy(world):
    await proxies.run(world, "haproxy")


async def aiohttp(world):
    # It cannot send fragments.
    return world.python_peer("aiohttp", "aiohttp_peer.py",
                             client_features=without(CLIENT_FEATURES, "frag-rcvd"),
                             server_features=without(ALL_CODES, "frag-rcvd") + ["news"],
                             certificates=True)


async def autobahn(world):
    return world.python_peer("autobahn", "autobahn_peer.py", certificates=True,
                             server_features=SERVER_FEATURES + ["news"], extra=[
                                 LIMIT, ("origin", "origin", ["--need-origin"])])


async def node_ws(world):
    modules = os.path.join(world.programs, "node", "node_modules")
    if not shutil.which("node") or not os.path.isdir(os.path.join(modules, "ws")):
        raise Skip(world.why_not("node"))
    command = ["node", os.path.join(world.peers, "node", "peer.js")]
    return Peer("node ws", [*command, "client"], [*command, "server"],
                server_features=ALL_CODES, environment={"NODE_PATH": modules})


def compiled(world, name, program, **more):
    """a peer in C or C++; "./dev interop" has compiled it where its package was to be had"""
    path = os.path.join(world.programs, program)
    if not os.path.exists(path):
        raise Skip(world.why_not(program))
    return Peer(name, [path, "client"], [path, "server"], **more)


async def beast(world):
    return compiled(world, "Boost.Beast", "beast_peer")


async def websocketpp(world):
    return compiled(world, "WebSocket++", "websocketpp_peer")


async def libwebsockets(world):
    # It answers pings without telling its program.
    server = [feature.replace("ping-sent", "ping-unseen") for feature in SERVER_FEATURES]
    return compiled(world, "libwebsockets", "libwebsockets_peer",
                    client_features=without(CLIENT_FEATURES, "ping-sent"), server_features=server)


async def curl(_world):
    """Asks for nothing but what it can do: WebSocket is in none of Debian 12's curl packages."""
    if not shutil.which("curl"):
        raise Skip("there is no program curl")
    _status, output = await run_command("curl", "--version")
    protocols = next((line.split()[1:] for line in output.split("\n")
                      if line.startswith("Protocols:")), [])
    if "ws" not in protocols:
        raise Skip("%s was built without WebSocket, 'ws' is not among its protocols"
                   % " ".join(output.split()[:2]))
    raise Skip("this curl has WebSocket, but there is no peer program for it here yet")


PEERS = {"websockets": websockets, "nginx": nginx, "haproxy": haproxy, "chromium": browser.run,
         "node-ws": node_ws, "aiohttp": aiohttp, "autobahn": autobahn, "beast": beast,
         "websocketpp": websocketpp, "libwebsockets": libwebsockets, "curl": curl}
# Left out of the short run: their headers take long to install and to compile.
LONG = {"beast", "websocketpp"}
