#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""installed.py CHECK PREFIX SCRATCH

Holds an installed copy against what programs rely on.
files:   every file is where it belongs, and none besides.
version: pkg-config finds the module, newer than the original, with the variables programs query.
pkgconfig_shared, pkgconfig_static, cmake_shared, cmake_static: the README's server compiles, links
         in that way and answers a client.
"""
import glob
import os
import shlex
import shutil
import subprocess
import sys

import echo_check
import elf

PROJECT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SERVER = os.path.join(PROJECT, "interop", "demo", "server.c")
HEADERS = ["nopoll%s.h" % part for part in (
    "", "_config", "_conn", "_conn_opts", "_ctx", "_decl", "_ext", "_handlers", "_io", "_listener",
    "_log", "_loop", "_msg", "_private", "_win32")]
CONSUMER = """cmake_minimum_required(VERSION 3.22)
project(consumer LANGUAGES C)
find_package(nopoll 0.4.9 REQUIRED CONFIG)
add_executable(server "%s")
target_link_libraries(server PRIVATE %s)
"""


def run(*command, env=None):
    print("$ " + " ".join(command), flush=True)
    return subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE, env=env).stdout


def lib_dir(prefix):
    found = glob.glob(os.path.join(prefix, "**", "nopoll.pc"), recursive=True)
    if len(found) != 1:
        sys.exit("nopoll.pc is installed %d times" % len(found))
    return os.path.dirname(os.path.dirname(found[0]))


def pkg_config(prefix, *arguments):
    path = os.path.join(lib_dir(prefix), "pkgconfig")
    environment = dict(os.environ, PKG_CONFIG_PATH=path)
    return run("pkg-config", *arguments, "nopoll", env=environment).strip()


def check_files(prefix, _scratch):
    lib = os.path.relpath(lib_dir(prefix), prefix)
    wanted = {os.path.join("include", "nopoll", name) for name in HEADERS}
    wanted |= {os.path.join(lib, name) for name in (
        "libnopoll.so", "libnopoll.so.0", "libnopoll.so.0.0.0", "libnopoll.a",
        "pkgconfig/nopoll.pc")}
    found = {os.path.relpath(os.path.join(folder, name), prefix)
             for folder, _folders, names in os.walk(prefix) for name in names}
    package = {name for name in found if name.startswith(os.path.join(lib, "cmake", "nopoll"))}
    faults = ["not installed: " + name for name in sorted(wanted - found)]
    faults += ["not expected: " + name for name in sorted(found - wanted - package)]
    if not any(name.endswith("nopoll-config.cmake") for name in package):
        faults.append("no CMake package")
    links = {name: os.path.basename(os.path.realpath(os.path.join(prefix, lib, name)))
             for name in ("libnopoll.so", "libnopoll.so.0")}
    faults += ["%s leads to %s" % link for link in links.items() if link[1] != "libnopoll.so.0.0.0"]
    if faults:
        sys.exit("\n".join(faults))


def check_version(prefix, _scratch):
    print(pkg_config(prefix, "--modversion"))
    pkg_config(prefix, "--atleast-version=0.4.8.b456")
    pkg_config(prefix, "--atleast-version=0.4.9")
    for variable in ("prefix", "exec_prefix", "libdir", "includedir"):
        value = pkg_config(prefix, "--variable=" + variable)
        inside = os.path.realpath(value).startswith(os.path.realpath(prefix))
        if not os.path.isdir(value) or not inside:
            sys.exit("variable %s is %r" % (variable, value))
    include = os.path.join(pkg_config(prefix, "--variable=includedir"), "nopoll")
    if shlex.split(pkg_config(prefix, "--cflags"))[:1] != ["-I" + include]:
        sys.exit("the first flag must be -I" + include)


def check_program(program, prefix, linked_to_ours):
    needed = elf.dynamic(program, "NEEDED")
    print("needed: " + " ".join(needed))
    if ("libnopoll.so.0" in needed) != linked_to_ours:
        sys.exit("not linked as asked")
    environment = dict(os.environ)
    environment.pop("LD_LIBRARY_PATH", None)
    if linked_to_ours:
        environment["LD_LIBRARY_PATH"] = lib_dir(prefix)
    echo_check.echo_works(program, environment)


def compiled(prefix, scratch, flags):
    program = os.path.join(scratch, "server")
    compiler = shlex.split(os.environ.get("CC", "cc"))
    run(*compiler, "-Wall", "-Werror", "-o", program, SERVER, *flags)
    return program


def check_pkgconfig_shared(prefix, scratch):
    flags = shlex.split(pkg_config(prefix, "--cflags", "--libs"))
    check_program(compiled(prefix, scratch, flags), prefix, True)


def check_pkgconfig_static(prefix, scratch):
    flags = shlex.split(pkg_config(prefix, "--static", "--cflags", "--libs"))
    flags = ["-l:libnopoll.a" if flag == "-lnopoll" else flag for flag in flags]
    check_program(compiled(prefix, scratch, flags), prefix, False)


def built_with_cmake(prefix, scratch, target):
    source, build = os.path.join(scratch, "consumer"), os.path.join(scratch, "build")
    os.makedirs(source)
    with open(os.path.join(source, "CMakeLists.txt"), "w", encoding="utf-8") as file:
        file.write(CONSUMER % (SERVER, target))
    run("cmake", "-S", source, "-B", build, "-DCMAKE_PREFIX_PATH=" + prefix)
    run("cmake", "--build", build)
    return os.path.join(build, "server")


def check_cmake_shared(prefix, scratch):
    check_program(built_with_cmake(prefix, scratch, "nopoll::nopoll"), prefix, True)


def check_cmake_static(prefix, scratch):
    check_program(built_with_cmake(prefix, scratch, "nopoll::nopoll_static"), prefix, False)


CHECKS = {
    "files": check_files,
    "version": check_version,
    "pkgconfig_shared": check_pkgconfig_shared,
    "pkgconfig_static": check_pkgconfig_static,
    "cmake_shared": check_cmake_shared,
    "cmake_static": check_cmake_static,
}


def main(check, prefix, scratch):
    shutil.rmtree(scratch, ignore_errors=True)
    os.makedirs(scratch)
    try:
        CHECKS[check](os.path.abspath(prefix), os.path.abspath(scratch))
    except (OSError, RuntimeError, subprocess.CalledProcessError) as error:
        sys.exit("%s: %s" % (type(error).__name__, error))
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 4 or sys.argv[1] not in CHECKS:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
