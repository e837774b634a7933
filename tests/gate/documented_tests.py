#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""documented_tests.py PROJECT FILE...

Tables in our documents say which test holds what: "`tests/FOLDER/FILE` NAME, NAME". Every file, and
every name in it, must exist.
"""
import os
import re
import sys

# A path in backquotes, then names up to the next path or the end of the cell.
NAMED = re.compile(r"`(tests/[\w./-]+)`([^`|]*)")


def main(project, documents):
    found, faults = 0, []
    for document in documents:
        with open(os.path.join(project, document), encoding="utf-8") as file:
            named = NAMED.findall(file.read())
        if not named:
            faults.append("%s names no test" % document)
        for path, names in named:
            found += 1
            try:
                with open(os.path.join(project, path), encoding="utf-8") as file:
                    words = set(re.findall(r"\w+", file.read()))
            except OSError:
                faults.append("%s: there is no %s" % (document, path))
                continue
            faults += ["%s: there is no %s in %s" % (document, name, path)
                       for name in re.findall(r"\w+", names) if name not in words]
    print("\n".join(faults) or "%d named tests are there" % found)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
