#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs the ABI tests of a build under valgrind memcheck: no error and no leak is allowed, and each
test has to pass there too.

usage: memcheck.py BUILD_FOLDER [--jobs N] [--quick] [NAME...]

left_out.txt says which programs are left out, and why; quick.txt which make the short form.
"""
import argparse
import concurrent.futures
import os
import pathlib
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
ERRORS_FOUND = 99
LIMIT_S = 900
SLOWDOWN = "10"  # time limits of the tests are so many times longer here
COMMAND = [
    "valgrind", "--quiet", f"--error-exitcode={ERRORS_FOUND}", "--leak-check=full",
    "--show-leak-kinds=definite,indirect,possible",
    "--errors-for-leak-kinds=definite,indirect,possible", "--num-callers=25",
    f"--suppressions={HERE / 'suppressions.supp'}",
]


def lines_of(name):
    for line in (HERE / name).read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            yield line


def run(program, folder):
    """(name, what went wrong or None, seconds)"""
    log = folder / f"{program.name}.memcheck"
    start = time.monotonic()
    with open(folder / f"{program.name}.out", "w") as output:
        try:
            status = subprocess.run(
                COMMAND + [f"--log-file={log}", str(program)], stdin=subprocess.DEVNULL,
                stdout=output, stderr=output, timeout=LIMIT_S,
                env=os.environ | {"NOPOLL_TEST_SLOWDOWN": SLOWDOWN},
            ).returncode
        except subprocess.TimeoutExpired:
            status = None
    fault = None
    if status is None:
        fault = f"not over after {LIMIT_S} s"
    elif status == ERRORS_FOUND:
        fault = f"memory errors, see {log}"
    elif status != 0:
        fault = f"the test failed with status {status}, see {output.name}"
    return program.name.removeprefix("abi_c_"), fault, time.monotonic() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_args()
    left_out = dict(line.split(" | ", 1) for line in lines_of("left_out.txt"))
    quick = set(lines_of("quick.txt"))
    for name in [*left_out, *quick]:
        if not (HERE.parent / "abi" / f"test_{name}.c").exists():
            sys.exit(f"the lists name an ABI test that does not exist: {name}")
    tests = arguments.build.resolve() / "tests" / "abi"
    programs = []
    for program in sorted(tests.glob("abi_c_*")):
        name = program.name.removeprefix("abi_c_")
        if not program.is_file() or "." in program.name:
            continue
        if arguments.names and name not in arguments.names:
            continue
        if arguments.quick and name not in quick:
            continue
        if name in left_out and not arguments.names:
            if not arguments.quick:
                print(f"left out: {name}: {left_out[name]}")
            continue
        programs.append(program)
    if not programs:
        sys.exit(f"there are no such ABI tests in {tests}")
    folder = arguments.build.resolve() / "memcheck"
    folder.mkdir(exist_ok=True)
    failed = 0
    start = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        for name, fault, seconds in pool.map(lambda program: run(program, folder), programs):
            print(f"{'FAIL' if fault else 'ok'} {name} ({seconds:.0f} s){': ' + fault if fault else ''}",
                  flush=True)
            failed += fault is not None
    print(f"{len(programs)} ABI test programs under memcheck, {failed} with errors or leaks, "
          f"{time.monotonic() - start:.0f} s")
    sys.exit(1 if failed else 0)


main()
