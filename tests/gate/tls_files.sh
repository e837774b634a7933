#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What TLS handshakes do to the file system, as strace sees it: tls_files.sh PROGRAM, where PROGRAM
# is the built tests/abi/test_tls_files.c, which marks its later handshakes. Fails when one of those
# opens or reads a file; looking at it with stat is how a changed certificate is noticed.
set -euo pipefail

[ $# -eq 1 ] || { echo "usage: $0 PROGRAM" >&2; exit 2; }
command -v strace >/dev/null || { echo "strace is not installed" >&2; exit 2; }
log=$(mktemp)
trap 'rm -f "$log"' EXIT

strace -f -qq -y -s 200 -o "$log" \
    -e trace=open,openat,openat2,read,pread64,readv,mmap,stat,newfstatat,statx,access,faccessat2 \
    "$1" >/dev/null || { echo "the program failed: $1" >&2; exit 2; }

# With -y a descriptor is followed by what it is: <socket:[...]>, <anon_inode:...> or </a/path>.
awk '
    /"\/mark\/end\/0"/ { what = ""; next }
    match($0, /"\/mark\/[^"]*"/) {
        split(substr($0, RSTART + 7, RLENGTH - 8), mark, "/")
        what = mark[1]
        if (!(what in handshakes)) order[++kinds] = what
        handshakes[what]++
        next
    }
    what == "" { next }
    / open(at2?)?\(/ { opened[what]++; print "opened: " $0; next }
    / (read|pread64|readv)\([0-9]+<\// { reads[what]++; print "read: " $0; next }
    / mmap\(.*, [0-9]+<\// { reads[what]++; print "mapped: " $0; next }
    / (stat|newfstatat|statx)\(.*"\// { looked[what]++ }
    END {
        printf "%-16s %10s %8s %8s %8s\n", "kind", "handshakes", "opened", "read", "stat"
        for (i = 1; i <= kinds; i++) {
            what = order[i]
            printf "%-16s %10d %8d %8d %8d\n", what, handshakes[what], opened[what], reads[what],
                looked[what]
            bad += opened[what] + reads[what]
        }
        exit (bad > 0 || kinds == 0)
    }' "$log"
