# SPDX-License-Identifier: MIT
"""What readelf says about a shared library, for the gate scripts."""
import re
import subprocess


def _readelf(option, library):
    return subprocess.run(["readelf", "--wide", option, library], check=True, text=True,
                          stdout=subprocess.PIPE).stdout


def exports(library):
    """{name: ("func" or "data" or another kind, size in bytes)} of the defined dynamic symbols"""
    kinds = {"FUNC": "func", "OBJECT": "data"}
    found = {}
    for line in _readelf("--dyn-syms", library).splitlines():
        row = line.split()
        if len(row) < 8 or not row[0].endswith(":") or not row[0][:-1].isdigit():
            continue
        _number, _value, size, kind, bind, visibility, section, name = row[:8]
        if section != "UND" and bind != "LOCAL" and visibility in ("DEFAULT", "PROTECTED"):
            found[name] = (kinds.get(kind, kind), int(size, 0))
    return found


def dynamic(library, tag):
    """the values of one kind of entry in the dynamic section, for example NEEDED"""
    return re.findall(r"\(%s\).*?\[(.*?)\]" % tag, _readelf("--dynamic", library))


def defines_versions(library):
    return "Version definition section" in _readelf("--version-info", library)


def pointer_size(library):
    return 8 if re.search(r"Class:\s+ELF64", _readelf("--file-header", library)) else 4
