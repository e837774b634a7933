#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""run.py --include FOLDER --library NAME=FOLDER... --work FOLDER [--tables FOLDER] [PROGRAM...]

Builds programs of every style that noPoll is used in, each once against declarations generated from
the TABLES of the recorded ABI and once against our headers, links both with the first LIBRARY, and
runs both with each LIBRARY on LD_LIBRARY_PATH, without linking again. All runs of a program must
end well and say the same: what expected/PROGRAM.txt says. Without TABLES, or without the packages
of a program, that is skipped, and said. The exit status is 1 when something failed.
"""
import argparse
import asyncio
import dataclasses
import difflib
import importlib.util
import os
import shlex
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
PARENT = os.path.dirname(HERE)
sys.path += [PARENT, os.path.join(PARENT, "demo")]

# pylint: disable=wrong-import-position
import certificates  # noqa: E402
import recorded_abi  # noqa: E402
from harness.process import Ended, run as run_command  # noqa: E402

RECORDED, OURS = "recorded", "ours"


@dataclasses.dataclass
class Program:
    name: str
    style: str
    standard: str
    packages: tuple = ()  # of pkg-config
    libraries: tuple = ()

    @property
    def is_cpp(self):
        return self.standard.startswith("c++")

    @property
    def source(self):
        return os.path.join(HERE, "programs", self.name + (".cpp" if self.is_cpp else ".c"))


PROGRAMS = (
    Program("loop_server", "a", "c90"),
    Program("select_client", "b", "c90"),
    Program("stream_client", "c", "c99"),
    Program("thread_server", "d", "c11", libraries=("-pthread",)),
    Program("glib_server", "e", "c99", packages=("glib-2.0",)),
    Program("libevent_client", "f", "c99", packages=("libevent",)),
    Program("libuv_client", "f", "c11", packages=("libuv",)),
    Program("push_server", "g", "c++17"),
    Program("device_client", "h", "c99", libraries=("-pthread",)),
    Program("sharing_server", "i", "c11"),
    Program("private_fields", "j", "c11", packages=("libssl", "libcrypto")),
    Program("resource_client", "j", "c++20"),
)


class Failed(Exception):
    pass


class Skipped(Exception):
    pass


def pkg_config(program):
    flags = []
    for package in program.packages:
        try:
            done = subprocess.run(["pkg-config", "--cflags", "--libs", package],
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.DEVNULL, check=False, encoding="utf-8")
        except FileNotFoundError as error:
            raise Skipped("there is no pkg-config") from error
        if done.returncode:
            raise Skipped("pkg-config knows no %s: its package is not installed" % package)
        flags += shlex.split(done.stdout)
    return flags


class Runner:
    def __init__(self, arguments):
        self.arguments = arguments
        self.work = os.path.abspath(arguments.work)
        self.libraries = dict(one.split("=", 1) for one in arguments.library)
        self.kinds = [RECORDED, OURS] if arguments.tables else [OURS]
        self.includes = {OURS: os.path.abspath(arguments.include),
                         RECORDED: os.path.join(self.work, "recorded")}
        self.transcript = None
        self.certificates = None
        self.results = {}  # {program name: {(kind, library): None or fault}}
        self.skipped = {}
        self.slots = asyncio.Semaphore(os.cpu_count() or 2)

    def log(self, text):
        print(text, file=self.transcript, flush=True)

    async def call(self, *command):
        status, output = await run_command(*command)
        if status:
            raise Failed("%s\n%s" % (shlex.join(command), output))
        return output

    async def build(self, program, kind):
        """the executable; the object knows only the declarations of its KIND"""
        compiler = os.environ.get("CXX", "c++") if program.is_cpp else os.environ.get("CC", "cc")
        options = ["-std=" + program.standard, "-O2", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]
        if program.standard == "c90":
            options.append("-Wno-variadic-macros")  # nopoll_log, in the original's header too
        flags = pkg_config(program)
        target = os.path.join(self.work, "%s-%s" % (program.name, kind))
        await self.call(*shlex.split(compiler), *options, "-I" + self.includes[kind], *flags, "-MD",
                        "-c", "-o", target + ".o", program.source)
        other = self.includes[OURS if kind == RECORDED else RECORDED]
        with open(target + ".d", encoding="utf-8") as file:
            if other in file.read():
                raise Failed("%s was not built against %s alone" % (target, self.includes[kind]))
        library = next(iter(self.libraries.values()))
        await self.call(*shlex.split(compiler), "-o", target, target + ".o", "-L" + library,
                        "-lnopoll", *flags, *program.libraries)
        return target

    def folder(self, library):
        return os.path.abspath(self.libraries[library])

    async def loads(self, executable, library):
        """the loader takes that LIBRARY and no other"""
        _, output = await run_command("ldd", executable, env=dict(
            os.environ, LD_LIBRARY_PATH=self.folder(library)))
        if "libnopoll.so.0 => %s/" % self.folder(library) not in output:
            raise Failed("%s would not run with %s:\n%s" % (executable, library, output))

    def builds_differ(self):
        contents = set()
        for library in self.libraries:
            with open(os.path.join(self.folder(library), "libnopoll.so.0"), "rb") as file:
                contents.add(file.read())
        return len(contents) == len(self.libraries)

    async def run_once(self, program, executable, library):
        """its transcript"""
        import clients  # pylint: disable=import-outside-toplevel
        import servers  # pylint: disable=import-outside-toplevel
        from scenario import Run  # pylint: disable=import-outside-toplevel

        scenario = getattr(servers if program.name.endswith("_server") else clients, program.name)
        await self.loads(executable, library)
        run = Run([executable], {"LD_LIBRARY_PATH": self.folder(library), "LC_ALL": "C.UTF-8"},
                  self.certificates, self.log)
        try:
            await asyncio.wait_for(scenario(run), 90)
        except Exception as error:  # pylint: disable=broad-except
            lines = run.process.lines[-3:] if run.process else []
            raise Failed("%s: %s; last lines: %s" % (type(error).__name__, error,
                                                     lines)) from error
        return run.transcript()

    def expected(self, program):
        with open(os.path.join(HERE, "expected", program.name + ".txt"), encoding="utf-8") as file:
            return file.read().splitlines()

    async def one(self, program, kind, executable, library):
        async with self.slots:
            fault = None
            try:
                said = await self.run_once(program, executable, library)
                with open("%s-%s.said" % (executable, library), "w", encoding="utf-8") as file:
                    file.write("\n".join(said) + "\n")
                if said != self.expected(program):
                    fault = "\n".join(difflib.unified_diff(self.expected(program), said, "expected",
                                                           "said", lineterm=""))
            except (Failed, Ended, FileNotFoundError) as error:
                fault = str(error)
        self.results.setdefault(program.name, {})[kind, library] = fault
        name = "%s, built against %s, with %s" % (program.name, kind, library)
        print("OK   " + name if fault is None else "FAIL %s: %s" % (name, fault), flush=True)

    async def program(self, program):
        for kind in self.kinds:
            try:
                async with self.slots:
                    executable = await self.build(program, kind)
            except Skipped as reason:
                self.skipped[program.name] = str(reason)
                print("SKIP %s: %s" % (program.name, reason), flush=True)
                return
            except Failed as error:
                print("FAIL %s, built against %s: %s" % (program.name, kind, error), flush=True)
                for library in self.libraries:
                    self.results.setdefault(program.name, {})[kind, library] = str(error)
                continue
            await asyncio.gather(*(self.one(program, kind, executable, library)
                                   for library in self.libraries))

    def table(self):
        columns = [(kind, library) for kind in (RECORDED, OURS) for library in self.libraries]
        yield "%-18s%-7s%-10s" % ("program", "style", "language") + "".join(
            "%-16s" % ("%s, %s" % column) for column in columns)
        for program in PROGRAMS:
            found = self.results.get(program.name, {})
            if program.name not in self.results and program.name not in self.skipped:
                continue
            cells = ["SKIPPED" if column not in found else "same" if found[column] is None
                     else "FAILED" for column in columns]
            yield "%-18s%-7s%-10s" % (program.name, program.style, program.standard) + "".join(
                "%-16s" % cell for cell in cells)

    async def run(self):
        os.makedirs(self.work, exist_ok=True)
        with open(os.path.join(self.work, "transcript.txt"), "w", encoding="utf-8") as transcript, \
                tempfile.TemporaryDirectory(prefix="nopoll-relinked-") as folder:
            self.transcript = transcript
            self.certificates = (certificates.authority(folder, "authority"), certificates.server(
                folder, "server", "authority", "DNS:localhost,IP:127.0.0.1"))
            if self.arguments.tables:
                recorded_abi.write(self.arguments.tables, self.includes[RECORDED])
            else:
                print("SKIP the recorded ABI: its tables are not here")
            wanted = [program for program in PROGRAMS if not self.arguments.programs
                      or program.name in self.arguments.programs]
            await asyncio.gather(*(self.program(program) for program in wanted))


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--include", required=True)
    parser.add_argument("--library", required=True, action="append")
    parser.add_argument("--work", required=True)
    parser.add_argument("--tables")
    parser.add_argument("programs", nargs="*")
    runner = Runner(parser.parse_args())
    if not runner.builds_differ():
        print("FAIL the libraries to be swapped: two are the same file")
        return 1
    if importlib.util.find_spec("websockets") is None:
        print("SKIP all programs: the Python package websockets is not installed")
        return 0
    asyncio.run(runner.run())
    lines = [*runner.table()]
    faults = [fault for found in runner.results.values() for fault in found.values()]
    failed = sum(fault is not None for fault in faults)
    lines += ["", "%d of %d runs of relinked programs OK%s" % (
        len(faults) - failed, len(faults), "".join(
            "; skipped: %s (%s)" % one for one in runner.skipped.items()))]
    print("\nProgram x declarations, library:\n\n" + "\n".join(lines))
    with open(os.path.join(runner.work, "relinked.txt"), "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
    return 1 if failed or not faults else 0


if __name__ == "__main__":
    sys.exit(main())
