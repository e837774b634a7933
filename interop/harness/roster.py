# SPDX-License-Identifier: MIT
"""Who takes part. Each entry prepares its peer: it returns a Peer for the checks that all share,
or runs checks of its own and returns nothing, or raises Skip."""
from . import browser, proxies
from .peer import CLIENT_FEATURES, SERVER_FEATURES, Peer, Skip, without


async def websockets(world):
    return world.python_peer("websockets", "websockets_peer.py")


async def nginx(world):
    await proxies.run(world, "nginx")


async def haproxy(world):
    await proxies.run(world, "haproxy")


PEERS = {"websockets": websockets, "nginx": nginx, "haproxy": haproxy, "chromium": browser.run}
LONG = set()
