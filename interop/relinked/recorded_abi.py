#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""recorded_abi.py TABLES FOLDER

Writes nopoll.h and nopoll_private.h into FOLDER from the tables of the recorded ABI alone: what a
program was compiled against that was built with the original's headers. Nothing is taken from our
own headers. Every struct gets checks of its size and offsets that fail at compile time.
"""
import os
import re
import sys

# The tables describe these in words; they are written out here by those words.
DESCRIBED = {
    "NOPOLL_SOCKET": "NOPOLL_SOCKET int",
    "INT_TO_PTR": "INT_TO_PTR(integer) ((noPollPtr) (long) ((int) (integer)))",
    "PTR_TO_INT": "PTR_TO_INT(ptr) ((int) (long) (ptr))",
    "nopoll_new": "nopoll_new(type, count) ((type *) nopoll_calloc ((count), sizeof (type)))",
    "nopoll_close_socket": "nopoll_close_socket(s) do { if ((s) >= 0) close (s); } while (0)",
    "nopoll_is_disconnected": "nopoll_is_disconnected (errno == EPIPE)",
}

PROLOGUE = """\
#ifndef RECORDED_%(guard)s
#define RECORDED_%(guard)s
/* Generated from the tables of the recorded ABI. */
#if defined(__GNUC__) && !defined(_GNU_SOURCE)
#define _GNU_SOURCE
#endif
"""
OPEN = "#ifdef __cplusplus\nextern \"C\" {\n#endif\n"
SHUT = "#ifdef __cplusplus\n}\n#endif\n#endif\n"


def rows(tables, name):
    with open(os.path.join(tables, name + ".tsv"), encoding="ascii") as file:
        for line in file:
            if not line.startswith("#") and line.strip():
                yield line.rstrip("\n").split("\t")


def parameters(text, variadic="no"):
    return ", ".join(text.split(";")) + (", ..." if variadic == "yes" else "")


def includes(tables, header):
    for name, _, what in rows(tables, "headers"):
        if name == header:
            return ["#include <%s>" % word for word in what.split()
                    if word.endswith(".h") and not word.startswith("nopoll")]
    raise KeyError(header)


def macros(tables):
    for name, _, arguments, _, _, check in rows(tables, "macros"):
        if name in DESCRIBED:
            yield "#define " + DESCRIBED[name]
            continue
        value = re.match(re.escape(name) + r" == (-?\w+)(?: &&|$)", check)
        # FD_SETSIZE is what libc says.
        if value and arguments == "-" and name != "FD_SETSIZE":
            yield "#define %s (%s)" % (name, value[1])


def enumerations(tables, defined):
    """an enumerator with a guard is there when its macro is among DEFINED"""
    found = {}
    for typedef, enumerator, value, guard, _, _ in rows(tables, "enums"):
        if guard == "-" or guard in defined:
            found.setdefault(typedef, []).append("%s = %s" % (enumerator, value))
    for typedef, enumerators in found.items():
        yield "typedef enum { %s } %s;" % (", ".join(enumerators), typedef)


def tags(tables):
    return {typedef: tag for tag, typedef, *_ in rows(tables, "layouts")}


def functions(tables):
    for name, status, _, result, types, variadic, _, guard in rows(tables, "functions"):
        if status == "public" and guard == "-":
            yield "%s %s (%s);" % (result, name, parameters(types, variadic))


def handlers(tables):
    for name, result, types, _ in rows(tables, "handlers"):
        yield "typedef %s (*%s) (%s);" % (result, name, parameters(types))


def public_header(tables):
    known = tags(tables)
    lines = includes(tables, "nopoll_decl.h")
    lines += ["typedef int nopoll_bool;", "typedef void * noPollPtr;"]
    defines = [*macros(tables)]
    lines += defines
    lines += ["typedef struct %s %s;" % (tag, name) for name, tag in known.items()
              if name != "noPollCertificate"]
    lines += enumerations(tables, {line.split()[1] for line in defines})
    body = [*handlers(tables), *functions(tables)]
    return "".join([PROLOGUE % {"guard": "NOPOLL_H"}, "\n".join(lines), "\n", OPEN,
                    "\n".join(body), "\n", SHUT])


def declaration(kind, name):
    array = re.match(r"(.*)\[(\d+)\]$", kind)
    return "%s %s[%s];" % (array[1], name, array[2]) if array else "%s %s;" % (kind, name)


def check(what, left, right):
    return "typedef char recorded_%s[(%s) == %s ? 1 : -1];" % (what, left, right)


def structs(tables):
    found = {}
    for tag, typedef, _, field, offset, size, kind in rows(tables, "layouts"):
        found.setdefault((tag, typedef), []).append((field, offset, size, kind))
    for (tag, typedef), fields in found.items():
        if typedef == "noPollCertificate":
            yield "typedef struct %s %s;" % (tag, typedef)
    for (tag, _), fields in found.items():
        yield "struct %s {" % tag
        yield from (declaration(kind, field) for field, _, _, kind in fields
                    if field != "(sizeof)")
        yield "};"
        for field, offset, size, _ in fields:
            if field == "(sizeof)":
                yield check("size_of" + tag, "sizeof (struct %s)" % tag, size)
            else:
                yield check("offset_of%s_%s" % (tag, field),
                            "offsetof (struct %s, %s)" % (tag, field), offset)


def private_header(tables):
    return "".join([PROLOGUE % {"guard": "NOPOLL_PRIVATE_H"}, "#include <nopoll.h>\n",
                    "#include <stddef.h>\n", "\n".join(includes(tables, "nopoll_private.h")),
                    "\n", OPEN, "\n".join(structs(tables)), "\n", SHUT])


def write(tables, folder):
    os.makedirs(folder, exist_ok=True)
    for name, text in (("nopoll.h", public_header(tables)),
                       ("nopoll_private.h", private_header(tables))):
        with open(os.path.join(folder, name), "w", encoding="ascii") as file:
            file.write(text)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    write(*sys.argv[1:])
