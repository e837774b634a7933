#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""include_direction.py PROJECT

Dependencies point one way: compat -> core -> net, loop -> the system; everything -> protocol, and
protocol -> the standard library only. This script reads the #include lines and holds them to it.
"""
import os
import re
import sys

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.M)

# Which folders a layer may include from; its own is always among them.
MAY_USE = {
    "protocol": {"protocol"},
    "net": {"net", "protocol"},
    "loop": {"loop"},
    "core": {"core", "net", "loop", "protocol"},
    "compat": {"compat", "core", "net", "loop", "protocol"},
}
# Single headers a layer may include besides: time and descriptors are the same for net and loop.
BESIDES = {"loop": {"net/clock.hpp", "net/no_cancel.hpp", "net/unique_fd.hpp"}}

STANDARD = set("""
algorithm any array atomic bit cassert cctype cerrno cfloat charconv chrono cinttypes climits cmath
compare complex concepts condition_variable coroutine cstdarg cstddef cstdint cstdio cstdlib cstring
ctime cwchar deque exception filesystem forward_list functional future initializer_list iterator
latch limits list locale map memory memory_resource mutex new numbers numeric optional ostream
queue random ranges ratio regex scoped_allocator semaphore set shared_mutex source_location span
sstream stack stdexcept stop_token streambuf string string_view system_error thread tuple
type_traits typeindex typeinfo unordered_map unordered_set utility valarray variant vector version
""".split())


def layer_of(path):
    """the layer a file belongs to, from its path in the project; None: not ours"""
    parts = path.split(os.sep)
    if parts[0] == "compat":
        return "compat"
    return parts[1] if parts[0] == "src" and len(parts) > 2 else None


def found_at(project, file, name):
    """where the compiler finds a quoted header: beside the file, then in src, then in compat"""
    for folder in (os.path.dirname(file), "src", "compat"):
        path = os.path.normpath(os.path.join(folder, name))
        if os.path.isfile(os.path.join(project, path)):
            return path
    return None


def fault_of(project, file, style, name):
    layer = layer_of(file)
    if re.match(r"(nopoll/)?nopoll(_\w+)?\.h$", name):
        return None if file == os.path.join("src", "core", "face.hpp") else "only core/face.hpp may"
    if style == '"':
        target = found_at(project, file, name)
        if target is None:
            return "not found in src or compat"
        if layer_of(target) in MAY_USE[layer]:
            return None
        if target.replace(os.sep, "/")[len("src/"):] in BESIDES.get(layer, ()):
            return None
        return "%s may not use %s" % (layer, layer_of(target))
    if layer == "protocol" and name not in STANDARD:
        if not (name.startswith("openssl/") and file.endswith("protocol/accept_key.cpp")):
            return "protocol uses the standard library only"
    if layer == "loop" and name.startswith("openssl/"):
        return "loop knows descriptors and readiness, nothing else"
    return None


def sources(project):
    for top in ("src", "compat"):
        for folder, _folders, files in os.walk(os.path.join(project, top)):
            for file in sorted(files):
                if file.endswith((".hpp", ".cpp")):
                    yield os.path.relpath(os.path.join(folder, file), project)


def main(project):
    files = faults = 0
    for file in sources(project):
        files += 1
        if layer_of(file) not in MAY_USE:
            print("%s: belongs to no layer" % file)
            faults += 1
            continue
        with open(os.path.join(project, file), encoding="utf-8") as text:
            includes = INCLUDE.findall(text.read())
        for style, name in includes:
            fault = fault_of(project, file, style, name)
            if fault:
                print("%s includes %s: %s" % (file, name, fault))
                faults += 1
    print("%d files, %d faults" % (files, faults))
    return 1 if faults or not files else 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1]))
