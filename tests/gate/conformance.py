#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""conformance.py KIT INCLUDE LIB [EXCEPTIONS] [--jobs N]

Runs a conformance kit (KIT/run, both as recorded and with --strict) against a library and holds
the result against the list of scenarios that are known not to pass yet.

One line for each scenario: "ok", "FAIL", or "known" for one that fails and is listed. A listed
scenario that passes, and one that does not exist, is a FAIL: the list can only shrink. Scenarios of
the strict kind are called strict/NAME. Exit status 1 when there is a FAIL, 2 when the kit itself
could not run.

EXCEPTIONS has one scenario a line, its name and then the reason; # starts a comment.
"""
import argparse
import concurrent.futures
import glob
import os
import subprocess
import sys


def exceptions(path):
    """{scenario: reason}"""
    listed = {}
    if path is None or not os.path.exists(path):
        return listed
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            name, _, reason = line.partition("#")[0].strip().partition(" ")
            if name:
                if not reason:
                    sys.exit("%s: %s stands there without a reason" % (path, name))
                listed[name] = reason.strip()
    return listed


def scenarios(kit, prefix):
    return sorted(os.path.basename(path)[:-len(".c")]
                  for path in glob.glob(os.path.join(kit, prefix, "scenarios", "*.c")))


def run_share(kit, prefix, names, include, lib):
    """[(scenario, passed, [lines of explanation])] for some scenarios of one kind"""
    command = [sys.executable, os.path.join(kit, "run"), "--include", include, "--lib", lib]
    command += ["--strict"] if prefix else []
    for name in names:
        command += ["--only", name]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          stdin=subprocess.DEVNULL, check=False)
    results = []
    for line in done.stdout.decode("utf-8", "replace").splitlines():
        word, _, rest = line.partition(" ")
        name = rest.split()[0] if rest.split() else ""
        if word in ("ok", "FAIL") and name in names:
            results.append((prefix + name, word == "ok", [rest.strip()[len(name):]]))
        elif results and not line.endswith(" failed"):
            results[-1][2].append(line)
    missing = set(names) - {name[len(prefix):] for name, _ok, _why in results}
    results += [(prefix + name, False, [" (the kit ended with status %d without a result)"
                                        % done.returncode]) for name in sorted(missing)]
    return results


def verdict(name, passed, why, listed):
    """(word, line to print) of one scenario"""
    if passed and name in listed:
        return "FAIL", "FAIL %s passes: take it out of the list of exceptions" % name
    if passed:
        return "ok", "ok   %s" % name
    if name in listed:
        return "known", "known %s: %s" % (name, listed[name])
    return "FAIL", "FAIL %s%s" % (name, "\n".join(why))


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("kit")
    parser.add_argument("include")
    parser.add_argument("lib")
    parser.add_argument("exceptions", nargs="?")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    arguments = parser.parse_args()
    listed = exceptions(arguments.exceptions)

    shares = []
    for prefix in ("", "strict/"):
        names = scenarios(arguments.kit, prefix)
        if not names:
            print("no scenarios in %s" % os.path.join(arguments.kit, prefix))
            return 2
        shares += [(prefix, names[i::arguments.jobs]) for i in range(arguments.jobs)]

    words = []
    seen = set()
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        runs = [pool.submit(run_share, arguments.kit, prefix, names, arguments.include,
                            arguments.lib) for prefix, names in shares if names]
        for run in concurrent.futures.as_completed(runs):
            for name, passed, why in run.result():
                word, line = verdict(name, passed, why, listed)
                print(line, flush=True)
                words.append(word)
                seen.add(name)
    for name in sorted(set(listed) - seen):
        print("FAIL %s is in the list of exceptions, but there is no such scenario" % name)
        words.append("FAIL")
    return 1 if "FAIL" in words else 0


if __name__ == "__main__":
    sys.exit(main())
