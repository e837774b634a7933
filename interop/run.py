#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""run.py --programs FOLDER --libraries FOLDER --artefacts FOLDER [--short] [PEER...]

Runs our server and client against programs of others. "./dev interop" builds what is needed and
calls this. Without names all peers take part, with --short those that are quick to have. Prints
OK, FAIL or SKIP for each check and the matrix; everything the programs said is in transcript.txt
among the artefacts. The exit status is 1 when a check failed.
"""
import argparse
import asyncio
import os
import sys
import tempfile
import time

from harness.peer import Checks, Skip
from harness.world import World
from harness import roster


async def take_part(world, name, prepare):
    started = time.monotonic()
    try:
        found = await prepare(world)
        if found is not None:
            await Checks(world, found).run()
    except Skip as reason:
        world.results.skip(name, str(reason))
    except Exception as error:  # pylint: disable=broad-except
        world.results.add((name, "-", "-"), "run", "%s: %s" % (type(error).__name__, error))
    world.log("%s took %.1f s" % (name, time.monotonic() - started))
    print("     %s took %.1f s" % (name, time.monotonic() - started), flush=True)


async def run(world, names):
    for name, prepare in roster.PEERS.items():
        if names and name not in names:
            continue
        if world.short and not names and name in roster.LONG:
            continue
        await take_part(world, name, prepare)
    lines = list(world.results.matrix())
    passed, failed = world.results.counts()
    lines += ["", "%d of %d checks OK%s" % (passed, passed + failed, "".join(
        ", skipped: " + name for name, _ in world.results.skipped))]
    text = "\n".join(lines)
    world.log(text)
    print("\n" + text)
    with open(os.path.join(world.artefacts, "matrix.txt"), "w", encoding="utf-8") as file:
        file.write(text + "\n")
    return 1 if failed or not passed else 0


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--programs", required=True)
    parser.add_argument("--libraries", required=True)
    parser.add_argument("--artefacts", required=True)
    parser.add_argument("--short", action="store_true")
    parser.add_argument("peers", nargs="*")
    arguments = parser.parse_args()
    unknown = set(arguments.peers) - set(roster.PEERS)
    if unknown:
        parser.error("no such peers: %s; there are: %s" % (", ".join(sorted(unknown)),
                                                           ", ".join(roster.PEERS)))
    os.makedirs(arguments.artefacts, exist_ok=True)
    world = World(arguments)
    with tempfile.TemporaryDirectory(prefix="nopoll-interop-",
                                     ignore_cleanup_errors=True) as folder:
        world.make_certificates(folder)
        return asyncio.run(run(world, arguments.peers))


if __name__ == "__main__":
    sys.exit(main())
