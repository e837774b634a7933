#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""run.py --programs FOLDER --libraries FOLDER --artefacts FOLDER [--short] [--only PREFIX...]

Holds the library, in strict mode and in both roles, against the cases of the Autobahn list, groups
1 to 7, 9 and 10, and Python's websockets too, for comparison. "./dev interop" compiles echo_server
and echo_client into the programs' folder and calls this. conformance.json and conformance.txt, with
every case, go to the artefacts. The exit status is 1 when a case of ours is not OK or not closed
cleanly; what others do does not matter.
"""
import argparse
import asyncio
import importlib.util
import os
import socket
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.append(os.path.dirname(HERE))

# pylint: disable=wrong-import-position
import case as one_case  # noqa: E402
import cases_closing  # noqa: E402
import cases_framing  # noqa: E402
import cases_limits  # noqa: E402
import cases_utf8  # noqa: E402
import link  # noqa: E402
from case import FAILED, Verdict  # noqa: E402
from harness.process import Ended, Process  # noqa: E402
from report import Report  # noqa: E402

ROLES = ("server", "client")
CONNECT_S = 20
# For a failure that has to come at once. A subject that reacts in time costs none of it, so a busy
# machine cannot make ours late; others are not waited for that long.
OUR_PATIENCE_S, PATIENCE_S = 8.0, 1.0


def all_cases(short):
    return [*cases_framing.cases(), *cases_utf8.cases(), *cases_closing.cases(),
            *cases_limits.cases(short)]


def verdict_of(case, opened, patience_s):
    """opened(limit_s) gives the connection"""
    try:
        connection = opened(case.limit_s)
        connection.patience_s = patience_s
        return one_case.run(case, connection)
    except (OSError, ValueError) as error:
        return Verdict(FAILED, FAILED, detail="%s: %s" % (type(error).__name__, error))


async def test_server(cases, verdicts, server, patience_s):
    """the subject is the server"""
    async with server:
        port = int(await server.line("listening ", CONNECT_S))
        for case in cases:
            verdicts[case.id] = await asyncio.to_thread(verdict_of, case, lambda limit_s: (
                link.connect(port, "/", limit_s)), patience_s)
        await server.end()


async def test_client(cases, verdicts, client, patience_s):
    """the subject is the client: it connects once for each case"""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(CONNECT_S)
        client.command.append(str(listener.getsockname()[1]))
        async with client:
            for case in cases:
                verdicts[case.id] = await asyncio.to_thread(verdict_of, case, lambda limit_s: (
                    link.accept(listener, limit_s)), patience_s)
                if client.process.returncode is not None:
                    return
            listener.close()
            await client.rest(CONNECT_S)


class Subjects:
    def __init__(self, arguments, log):
        self.programs = os.path.abspath(arguments.programs)
        self.environment = {"LD_LIBRARY_PATH": os.path.abspath(arguments.libraries),
                            "NOPOLL_STRICT": "1"}
        self.log = log
        self.skipped = []

    def ours(self):
        for role in ROLES:
            yield "noPoll " + role, role, [os.path.join(self.programs, "echo_" + role)]

    def others(self):
        if importlib.util.find_spec("websockets") is None:
            self.skipped.append("websockets, for comparison: the Python package is not installed")
            return
        for role in ROLES:
            yield ("websockets " + role, role,
                   [sys.executable, os.path.join(HERE, "websockets_echo.py"), role])

    async def test(self, cases, name, role, command, patience_s):
        """(verdicts, what went wrong besides)"""
        started = time.monotonic()
        test = test_server if role == "server" else test_client
        process = Process(command, self.log, self.environment)
        verdicts, fault = {}, None
        try:
            await test(cases, verdicts, process, patience_s)
            if process.process.returncode != 0:
                fault = "the program ended with status %s" % process.process.returncode
        except Ended as error:
            fault = str(error)
        for case in cases:
            verdicts.setdefault(case.id, Verdict(FAILED, FAILED, detail="not tested"))
        print("%-18s took %.1f s%s" % (name, time.monotonic() - started,
                                       ": " + fault if fault else ""), flush=True)
        return verdicts, fault


def wanted(case, prefixes):
    return not prefixes or any((case.id + ".").startswith(prefix.rstrip(".*") + ".")
                               for prefix in prefixes)


async def run(arguments, report):
    """fills the report; what was skipped, and what is wrong with ours"""
    faults = []
    with open(os.path.join(arguments.artefacts, "conformance-transcript.txt"), "w",
              encoding="utf-8") as transcript:
        subjects = Subjects(arguments, lambda text: print(text, file=transcript, flush=True))
        for name, role, command in subjects.ours():
            verdicts, fault = await subjects.test(report.cases, name, role, command,
                                                   OUR_PATIENCE_S)
            report.add(name, verdicts)
            if fault:
                faults.append("%s: %s" % (name, fault))
            for number, verdict in verdicts.items():
                if verdict.good:
                    print("OK   %s, case %s" % (name, number))
                else:
                    faults.append("%s, case %s: %s, close %s; %s" % (
                        name, number, verdict.behaviour, verdict.close, verdict.detail))
        for name, role, command in subjects.others():
            report.add(name, (await subjects.test(report.cases, name, role, command,
                                                  PATIENCE_S))[0])
    return subjects.skipped, faults


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--programs", required=True)
    parser.add_argument("--libraries", required=True)
    parser.add_argument("--artefacts", required=True)
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--only", nargs="+", metavar="PREFIX")
    arguments = parser.parse_args()
    os.makedirs(arguments.artefacts, exist_ok=True)
    report = Report([case for case in all_cases(arguments.short) if wanted(case, arguments.only)])
    skipped, faults = asyncio.run(run(arguments, report))
    if not arguments.only:
        faults += ["the list: group %s is not complete" % group for group in report.lacking()]
    lines = [*report.summary(), *("SKIP " + reason for reason in skipped)]
    with open(os.path.join(arguments.artefacts, "conformance.json"), "w",
              encoding="utf-8") as file:
        file.write(report.as_json())
    with open(os.path.join(arguments.artefacts, "conformance.txt"), "w", encoding="utf-8") as file:
        file.write("\n".join([*report.table(), "", *lines, ""]))
    print("\n" + "\n".join(lines))
    for fault in faults:
        print("FAIL " + fault)
    return 1 if faults or not report.cases else 0


if __name__ == "__main__":
    sys.exit(main())
