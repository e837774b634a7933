#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""readme_server.py PROJECT

The server that the README shows is the one that the demo and the install tests compile.
"""
import difflib
import os
import re
import sys


def main(project):
    with open(os.path.join(project, "README.md"), encoding="utf-8") as text:
        shown = re.search(r"^```c\n(.*?)^```$", text.read(), re.M | re.S)
    with open(os.path.join(project, "interop", "demo", "server.c"), encoding="utf-8") as text:
        real = re.sub(r"\A/\*.*?\*/\n", "", text.read(), flags=re.S)
    if shown is None:
        print("README.md shows no C program")
        return 1
    lines = list(difflib.unified_diff(real.splitlines(), shown.group(1).splitlines(),
                                      "interop/demo/server.c", "README.md", lineterm=""))
    print("\n".join(lines) or "the same %d lines" % len(real.splitlines()))
    return 1 if lines else 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1]))
