#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# compile.sh PREFIX FOLDER PEER...: our own programs against the library installed in PREFIX, and
# the peers in C++ and Node.js among the PEERs, into FOLDER. A peer whose package cannot be had gets
# a note FOLDER/PROGRAM.skipped with the reason; one that does not compile is an error.
set -euo pipefail
prefix=$(realpath "$1")
folder=$(realpath -m "$2")
shift 2
cd "$(dirname "${BASH_SOURCE[0]}")"
mkdir -p "$folder"
rm -f "$folder"/*.skipped
launcher=$(command -v ccache || true)
status=0

# Ordinary programs, compiled as any program would be.
export PKG_CONFIG_PATH=$prefix/lib/pkgconfig
flags=$(pkg-config --cflags --libs nopoll)
common="-D_GNU_SOURCE -Wall -Wextra -Wno-unused-parameter -O1 -g"
# shellcheck disable=SC2086  # the flags are words
${CC:-cc} -std=c11 $common -o "$folder/server" programs/server.c $flags
# shellcheck disable=SC2086
${CC:-cc} -std=c11 $common -o "$folder/client" programs/client*.c $flags
for role in server client; do
    # shellcheck disable=SC2086
    ${CC:-cc} -std=c11 $common -o "$folder/echo_$role" conformance/echo_$role.c \
        conformance/echo.c $flags
done

# cpp_peer NAME HEADER PACKAGE LIBRARY...
cpp_peer() {
    local name=$1 header=$2 package=$3 source
    shift 3
    rm -f "$folder/$name"
    if ! echo "#include <$header>" | ${CXX:-c++} -std=c++17 -E -x c++ - >/dev/null 2>&1; then
        echo "there is no <$header>: the Debian package $package is not installed" \
            >"$folder/$name.skipped"
        return
    fi
    for source in "$name" expectations; do
        # shellcheck disable=SC2086  # no word at all without ccache
        $launcher ${CXX:-c++} -std=c++17 -O1 -Wall -Wextra -c -o "$folder/$source.o" \
            "peers/cpp/$source.cpp" || { status=1 && return; }
    done
    ${CXX:-c++} -o "$folder/$name" "$folder/$name.o" "$folder/expectations.o" "$@" -lssl -lcrypto \
        -lpthread || status=1
}

node_peer() {
    if [ -d "$folder/node/node_modules/ws" ] &&
        cmp -s peers/node/package-lock.json "$folder/node/package-lock.json"; then
        return
    fi
    rm -rf "$folder/node"
    mkdir -p "$folder/node"
    if ! command -v npm >/dev/null; then
        echo "there is no program npm" >"$folder/node.skipped"
        return
    fi
    cp peers/node/package.json peers/node/package-lock.json "$folder/node"
    # A registry that does not answer is not waited for for long.
    if ! (cd "$folder/node" && npm ci --ignore-scripts --no-audit --no-fund --prefer-offline \
        --fetch-retries=1 --fetch-timeout=30000); then
        rm -rf "$folder/node/node_modules"
        echo "the npm package ws could not be installed" >"$folder/node.skipped"
    fi
}

for peer in "$@"; do
    case $peer in
        beast) cpp_peer beast_peer boost/beast.hpp libboost-dev ;;
        websocketpp) cpp_peer websocketpp_peer websocketpp/client.hpp libwebsocketpp-dev ;;
        libwebsockets)
            cpp_peer libwebsockets_peer libwebsockets.h libwebsockets-dev -lwebsockets
            ;;
        node-ws) node_peer ;;
    esac
done
exit $status
