#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""sources_listed.py PROJECT

Source lists are written out, so a forgotten line means code that is never compiled or a test that
never runs. Every source file must be named in the CMakeLists.txt of its own folder.
"""
import os
import re
import sys

FOLDERS = ["src", "compat"]
FOLDERS += [os.path.join("tests", kind) for kind in ("unit", "abi", "faults", "stress")]


def main(project):
    files, faults = 0, []
    for top in FOLDERS:
        for folder, _folders, names in os.walk(os.path.join(project, top)):
            sources = [name for name in names if name.endswith((".c", ".cpp"))]
            lists = os.path.join(folder, "CMakeLists.txt")
            listed = ""
            if os.path.exists(lists):
                with open(lists, encoding="utf-8") as text:
                    listed = re.sub(r"#.*", "", text.read())
            words = set(re.findall(r"[\w./-]+", listed))
            for name in sorted(sources):
                files += 1
                stem = re.sub(r"^test_", "", os.path.splitext(name)[0])
                if name not in words and not (name.startswith("test_") and stem in words):
                    faults.append(os.path.relpath(os.path.join(folder, name), project))
    print("\n".join("not in its CMakeLists.txt: " + fault for fault in faults)
          or "%d source files" % files)
    return 1 if faults or not files else 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1]))
