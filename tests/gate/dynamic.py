#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""dynamic.py soname|needed|runpath LIBRARY

soname:  libnopoll.so.0, the name programs were linked against.
needed:  only the libraries that users already have with OpenSSL and a C++ compiler's run time.
runpath: no search path of the build machine is left in the library.
"""
import sys

import elf

ALLOWED = {"libssl.so.3", "libcrypto.so.3", "libstdc++.so.6", "libgcc_s.so.1", "libc.so.6",
           "libm.so.6"}


def main(check, library):
    faults = []
    if check == "soname":
        shown = elf.dynamic(library, "SONAME")
        if shown != ["libnopoll.so.0"]:
            faults.append("SONAME must be libnopoll.so.0")
    elif check == "needed":
        shown = elf.dynamic(library, "NEEDED")
        faults += ["not allowed: " + name for name in shown if name not in ALLOWED]
    elif check == "runpath":
        shown = elf.dynamic(library, "RUNPATH") + elf.dynamic(library, "RPATH")
        faults += ["left in the library: " + path for path in shown]
    else:
        sys.exit(__doc__)
    print("%s: %s" % (check, " ".join(shown) or "none"))
    print("\n".join(faults), end="\n" if faults else "")
    return 1 if faults else 0


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
