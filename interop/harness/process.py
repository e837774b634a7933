# SPDX-License-Identifier: MIT
"""Programs that the interop tests start: their lines are read as they come, and each is ended by
its own process id."""
import asyncio
import contextlib
import os
import random
import socket

LIMIT_S = 90
END_S = 30
PORT_RANGE = "/proc/sys/net/ipv4/ip_local_port_range"
FIRST_PORT = 10000


class Ended(Exception):
    """a program has ended, or said nothing in time, where a line was waited for"""


def _first_ephemeral():
    try:
        with open(PORT_RANGE, encoding="ascii") as file:
            return int(file.read().split()[0])
    except (OSError, ValueError):
        return 32768


def _bind(family, port):
    with socket.socket(family) as probe:
        probe.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", port))
        return probe.getsockname()[1]


def free_port(family=socket.AF_INET):
    """a port that nobody listens on now, for programs that cannot choose one themselves

    It is below those that the kernel hands out: no connection of somebody gets it by chance before
    its program has it, or while that is restarted.
    """
    end = _first_ephemeral()
    for _ in range(1000 if end > FIRST_PORT + 1000 else 0):
        port = random.randrange(FIRST_PORT, end)
        if port not in _given:
            with contextlib.suppress(OSError):
                _bind(family, port)
                _given.add(port)
                return port
    return _bind(family, 0)


_given = set()


def has_ipv6():
    try:
        _bind(socket.AF_INET6, 0)
    except OSError:
        return False
    return True


async def run(*command, cwd=None, env=None):
    """runs a command to its end: (status, output)"""
    process = await asyncio.create_subprocess_exec(
        *map(str, command), cwd=cwd, env=env, stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT)
    output, _ = await process.communicate()
    return process.returncode, output.decode("utf-8", "replace")


class Process:
    """a running program; use it as `async with Process(...) as process`"""

    def __init__(self, command, log, environment=None):
        self.command = list(map(str, command))
        self.log = log
        self.environment = dict(os.environ, PYTHONUNBUFFERED="1", **(environment or {}))
        self.process = None
        self.lines = []
        self._news = asyncio.Condition()
        self._reader = None

    @property
    def name(self):
        return os.path.basename(self.command[0])

    async def __aenter__(self):
        self.process = await asyncio.create_subprocess_exec(
            *self.command, env=self.environment, stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, limit=1 << 20)
        self.log("$ %s   (process %d)" % (" ".join(self.command), self.process.pid))
        self._reader = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_error):
        await self.end()

    async def _read(self):
        async for line in self.process.stdout:
            text = line.decode("utf-8", "replace").rstrip("\n")
            self.log("  %s[%d]: %s" % (self.name, self.process.pid, text))
            async with self._news:
                self.lines.append(text)
                self._news.notify_all()
        await self.process.wait()
        async with self._news:
            self._news.notify_all()

    async def end(self):
        """asks it to end, makes it end when it does not; its status"""
        if self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.terminate()
        try:
            await asyncio.wait_for(asyncio.shield(self._reader), END_S)
        except asyncio.TimeoutError:
            self.log("  %s[%d] does not end, killed" % (self.name, self.process.pid))
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()
            await self._reader
        return self.process.returncode

    async def line(self, start, limit_s=LIMIT_S):
        """the first line that begins with START, now or later, without START"""
        def found():
            return next((line for line in self.lines if line.startswith(start)), None)

        try:
            async with self._news:
                await asyncio.wait_for(self._news.wait_for(
                    lambda: found() is not None or self._reader_done()), limit_s)
        except asyncio.TimeoutError:
            pass
        if found() is None:
            last = self.lines[-1] if self.lines else "nothing"
            raise Ended("%s never said '%s'; its last line: %s" % (self.name, start, last))
        return found()[len(start):].strip()

    def _reader_done(self):
        return self.process.returncode is not None and self.process.stdout.at_eof()

    async def rest(self, limit_s=LIMIT_S):
        """waits until it ends by itself; its status, None when it had to be ended"""
        try:
            await asyncio.wait_for(asyncio.shield(self._reader), limit_s)
        except asyncio.TimeoutError:
            await self.end()
            return None
        return self.process.returncode
