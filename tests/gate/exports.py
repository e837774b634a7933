#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""exports.py symbols|versions|map LIBRARY VERSION_SCRIPT

symbols:  the library exports what exports.txt lists, of the right kind and size, and nothing else.
versions: the library defines no symbol versions, so that programs can go back to the original.
map:      the version script and exports.txt name the same symbols.
"""
import os
import re
import sys

import elf

LIST = os.path.join(os.path.dirname(os.path.abspath(__file__)), "exports.txt")


def listed():
    """{name: ("func", None) or ("data", "int" or "pointer")}"""
    names = {}
    with open(LIST, encoding="ascii") as lines:
        for line in lines:
            if line.strip() and not line.startswith("#"):
                kind, name, *ctype = line.split()
                names[name] = (kind, ctype[0] if ctype else None)
    return names


def check_symbols(library, wanted):
    found = elf.exports(library)
    sizes = {"int": 4, "pointer": elf.pointer_size(library)}
    faults = ["not exported: " + name for name in sorted(set(wanted) - set(found))]
    faults += ["exported, not in exports.txt: " + name for name in sorted(set(found) - set(wanted))]
    for name in sorted(set(found) & set(wanted)):
        kind, ctype = wanted[name]
        if found[name][0] != kind:
            faults.append("%s is %s, not %s" % (name, found[name][0], kind))
        elif kind == "data" and found[name][1] != sizes[ctype]:
            faults.append("%s has %d bytes, not those of %s" % (name, found[name][1], ctype))
    return faults


def check_map(script, wanted):
    with open(script, encoding="ascii") as text:
        bare = re.sub(r"/\*.*?\*/", "", text.read(), flags=re.S)
    node = re.fullmatch(r"\s*\{\s*global:(.*?)local:\s*\*;\s*\};\s*", bare, flags=re.S)
    if node is None:
        return ["%s is not one anonymous node that ends with local: *" % script]
    names = [name.strip() for name in node.group(1).split(";") if name.strip()]
    faults = ["twice in the version script: " + n for n in sorted(set(names)) if names.count(n) > 1]
    faults += ["not in the version script: " + n for n in sorted(set(wanted) - set(names))]
    faults += ["in the version script only: " + n for n in sorted(set(names) - set(wanted))]
    return faults


def main(check, library, script):
    wanted = listed()
    if check == "symbols":
        faults = check_symbols(library, wanted)
    elif check == "versions":
        faults = ["the library defines symbol versions"] if elf.defines_versions(library) else []
        faults += ["versioned: " + name for name in elf.exports(library) if "@" in name]
    elif check == "map":
        faults = check_map(script, wanted)
    else:
        sys.exit(__doc__)
    print("\n".join(faults) or "%s: %d names, as listed" % (check, len(wanted)))
    return 1 if faults else 0


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
