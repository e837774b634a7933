# SPDX-License-Identifier: MIT
"""Runs the C programs of the demo and reads what they print, line by line.

Standard output is a terminal of ours, so that the programs need not flush: the C library writes
whole lines to a terminal at once.
"""
import asyncio
import contextlib
import os
import pty
import socket
import sys
import tty

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from harness.process import free_port  # noqa: E402  pylint: disable=wrong-import-position


def port_is_free(port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("0.0.0.0", port))
        except OSError:
            return False
    return True


class Program:
    """a running C program; use it as `async with Program(...) as program`"""

    def __init__(self, folder, libraries, name, *arguments):
        self.command = [os.path.join(folder, name), *map(str, arguments)]
        self.environment = dict(os.environ, LD_LIBRARY_PATH=libraries, LC_ALL="C")
        self.shown = " ".join([name, *(os.path.basename(str(a)) for a in arguments)])
        self.process = None
        self._terminal = None
        self._rest = b""
        self._lines = asyncio.Queue()

    async def __aenter__(self):
        self._terminal, theirs = pty.openpty()
        tty.setraw(theirs)
        try:
            self.process = await asyncio.create_subprocess_exec(
                *self.command, env=self.environment, stdin=asyncio.subprocess.DEVNULL,
                stdout=theirs, stderr=theirs)
        finally:
            os.close(theirs)
        print("  $ %s   (process %d)" % (self.shown, self.process.pid))
        asyncio.get_running_loop().add_reader(self._terminal, self._read)
        return self

    async def __aexit__(self, *_error):
        if self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.terminate()
        try:
            await asyncio.wait_for(self.process.wait(), 5)
        except asyncio.TimeoutError:
            self.process.kill()
            await self.process.wait()
        asyncio.get_running_loop().remove_reader(self._terminal)
        os.close(self._terminal)

    def _read(self):
        try:
            data = os.read(self._terminal, 65536)
        except OSError:  # EIO: the program has closed its end
            data = b""
        if not data:
            asyncio.get_running_loop().remove_reader(self._terminal)
            self._lines.put_nowait(None)
            return
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._lines.put_nowait(line.decode("utf-8", "replace"))

    async def line(self):
        """the next line it prints; None: it has ended"""
        line = await self._lines.get()
        if line is None:
            self._lines.put_nowait(None)
        return line

    async def lines(self, count):
        return [await self.line() for _ in range(count)]

    async def rest(self):
        """everything it still prints, and its exit status"""
        found = []
        while (line := await self.line()) is not None:
            found.append(line)
        return found, await self.process.wait()

    async def listens_on(self, port):
        """returns when the program accepts connections"""
        while self.process.returncode is None:
            try:
                _reader, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionRefusedError:
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(asyncio.shield(self.process.wait()), 0.02)
                continue
            writer.close()
            return
        raise RuntimeError("%s ended with status %s" % (self.shown, self.process.returncode))

    def loaded(self, name):
        """the file that the running program uses as the shared library NAME"""
        with open("/proc/%d/maps" % self.process.pid, encoding="utf-8") as maps:
            for line in maps:
                path = line.split(None, 5)[-1].strip()
                if os.path.basename(path).startswith(name):
                    return path
        return None
