#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# headers_compile.sh INCLUDE_DIR
#
# Holds the headers in INCLUDE_DIR/nopoll against what programs do with them: each alone and in
# several orders, with and without the folder in the name, inside extern "C", in every dialect that
# programs are known to be built with, warnings being errors; and the contracts of the macros.
# Compilers: CC and CXX of the environment if set, else gcc/g++ and, where installed, clang/clang++.
# Prints a line for each check; exit status 1 when one has failed.
set -u
export LC_ALL=C

if [ $# -ne 1 ] || [ ! -f "$1/nopoll/nopoll.h" ]; then
    sed -n '3,9s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
include=$(cd "$1" && pwd)
flat=$include/nopoll
here=$(cd "$(dirname "$0")/headers" && pwd)
scratch=$(mktemp -d "${TMPDIR:-/tmp}/headers_compile.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
parallel=$(nproc 2>/dev/null || echo 2)

c_compilers=(gcc)
cxx_compilers=(g++)
command -v clang >/dev/null && c_compilers+=(clang)
command -v clang++ >/dev/null && cxx_compilers+=(clang++)
[ -n "${CC:-}" ] && read -ra c_compilers <<<"$CC" && c_compilers=("${c_compilers[*]}")
[ -n "${CXX:-}" ] && read -ra cxx_compilers <<<"$CXX" && cxx_compilers=("${cxx_compilers[*]}")

# C90 without -pedantic: nopoll_log() is a variadic macro.
c90="-ansi -Wall -Wstrict-prototypes -Werror"
c_dialects=("$c90")
for std in c99 c11 c17; do
    c_dialects+=("-std=$std -pedantic -Wall -Wextra -Wstrict-prototypes -Wundef -Werror")
done
cxx_dialects=()
for std in c++11 c++17 c++20; do
    cxx_dialects+=("-std=$std -pedantic -Wall -Wextra -Wundef -Werror")
done

headers=()
for path in "$flat"/*.h; do
    headers+=("$(basename "$path")")
done
if ! echo '#include <openssl/ssl.h>' | ${c_compilers[0]} -fsyntax-only -x c - 2>/dev/null; then
    echo "skip nopoll_private.h: the headers of OpenSSL are not installed"
    kept=()
    for header in "${headers[@]}"; do
        [ "$header" != nopoll_private.h ] && kept+=("$header")
    done
    headers=("${kept[@]}")
fi

# job LABEL COMMAND...: runs in the background, at most $parallel at a time.
job() {
    while [ "$(jobs -rp | wc -l)" -ge "$parallel" ]; do
        wait -n
    done
    run_job "$@" &
}
run_job() {
    local label=$1 log
    shift
    log=$(mktemp "$scratch/log.XXXXXX")
    if "$@" >"$log" 2>&1; then
        echo "ok   $label"
    else
        echo "FAIL $label"
        echo "$label" >>"$scratch/failed"
        head -n 20 "$log" | sed 's/^/     /'
    fi
    rm -f "$log"
}

# source NAME: stdin becomes $scratch/NAME, with a declaration because ISO C wants at least one.
source_file() {
    { cat; echo "extern int headers_compile_unused;"; } >"$scratch/$1"
}
includes() { # includes PREFIX HEADER...
    local prefix=$1 header
    shift
    for header in "$@"; do
        echo "#include <$prefix$header>"
    done
}

# _GNU_SOURCE must be in force whichever header comes first.
gnu_extensions='
#if defined(__GLIBC__) && !defined(__USE_GNU)
#error "included a system header without _GNU_SOURCE"
#endif'
for header in "${headers[@]}"; do
    { includes "" "$header"; echo "$gnu_extensions"; } | source_file "alone-$header.c"
    { includes nopoll/ "$header"; echo "$gnu_extensions"; } | source_file "folder-$header.c"
done

# Orders: as listed, backwards, from the middle, nopoll.h last; each header also a second time.
backwards=() most=()
for header in "${headers[@]}"; do
    backwards=("$header" ${backwards[@]+"${backwards[@]}"})
    [ "$header" != nopoll.h ] && most+=("$header")
done
middle=$((${#headers[@]} / 2))
includes "" "${headers[@]}" "${headers[@]}" | source_file order-listed.c
includes "" "${backwards[@]}" "${headers[@]}" | source_file order-backwards.c
includes "" "${headers[@]:middle}" "${headers[@]:0:middle}" | source_file order-middle.c
includes "" "${most[@]}" nopoll.h | source_file order-nopoll_last.c
includes "" stdio.h sys/select.h netdb.h nopoll.h nopoll_decl.h | source_file order-system_first.c
orders=(listed backwards middle nopoll_last system_first)

{ includes "" nopoll.h; includes nopoll/ nopoll.h "${headers[@]}"; } | source_file mixed-flat_first.c
{ includes nopoll/ nopoll.h; includes "" nopoll.h "${headers[@]}"; } | source_file mixed-folder_first.c
{ includes nopoll/ nopoll_conn.h; includes "" nopoll_msg.h nopoll.h; } | source_file mixed-single.c
mixed=(flat_first folder_first single)

# Words that programs define as macros, after their system headers.
{
    includes "" stdio.h stdlib.h string.h unistd.h sys/types.h sys/stat.h fcntl.h ctype.h netdb.h \
        sys/socket.h netinet/in.h arpa/inet.h sys/select.h sys/time.h sys/resource.h time.h errno.h
    for word in foreach interface socket SSL SSL_CTX byte index min max signals slots emit; do
        echo "#define $word ]"
    done
    printf '#ifndef __cplusplus\n#define bool ]\n#endif\n'
    includes "" nopoll.h
} | source_file words.c

# Kept if the program has its own; and the table for 32-bit pointers, which needs no system header.
cat <<'EOF' | source_file own_pointer_macros.c
#define INT_TO_PTR(integer) ((void*)&own[integer])
#define PTR_TO_INT(ptr) ((int)((const char*)(ptr)-own))
extern const char own[4];
#include <nopoll.h>
#if !defined(NOPOLL_OS_UNIX) || defined(NOPOLL_OS_WIN32)
#error "not Unix"
#endif
int own_index(void);
int own_index(void) { return PTR_TO_INT(INT_TO_PTR(3)); }
EOF
cat <<'EOF' | source_file pointer_size.c
#include <nopoll_config.h>
#if defined(NOPOLL_64BIT_PLATFORM) != (__SIZEOF_POINTER__ == 8)
#error "NOPOLL_64BIT_PLATFORM does not follow the size of a pointer"
#endif
typedef void* noPollPtr;
int there_and_back(int value);
int there_and_back(int value) { return PTR_TO_INT(INT_TO_PTR(value)); }
EOF

syntax() { # syntax LANGUAGE "FLAGS" NAME COMPILER: include paths are in FLAGS
    # shellcheck disable=SC2086 # flags and compilers with options are split on purpose
    $4 $2 -fsyntax-only -x "$1" "$scratch/$3"
}
run_contracts() { # run_contracts LANGUAGE "FLAGS" COMPILER
    local program
    program=$(mktemp "$scratch/contracts.XXXXXX")
    # shellcheck disable=SC2086
    $3 $2 -I"$flat" -x "$1" "$here/contracts.c" -o "$program" && "$program"
}

each_dialect() { # each_dialect LANGUAGE COMPILER "FLAGS" THOROUGH
    local language=$1 compiler=$2 flags=$3 thorough=$4 header name std
    std=${flags%% *}
    for header in "${headers[@]}"; do
        job "$compiler $std <$header>" \
            syntax "$language" "$flags -I$flat" "alone-$header.c" "$compiler"
    done
    for name in "${orders[@]}"; do
        job "$compiler $std order $name" \
            syntax "$language" "$flags -I$flat" "order-$name.c" "$compiler"
    done
    job "$compiler $std <nopoll/nopoll.h>" \
        syntax "$language" "$flags -I$include" folder-nopoll.h.c "$compiler"
    job "$compiler $std macros" run_contracts "$language" "$flags" "$compiler"
    $thorough || return 0
    # What depends on names and paths, not on the dialect.
    for header in "${headers[@]}"; do
        job "$compiler $std <nopoll/$header>" \
            syntax "$language" "$flags -I$include" "folder-$header.c" "$compiler"
    done
    for name in "${mixed[@]}"; do
        job "$compiler $std mixed $name" \
            syntax "$language" "$flags -I$include -I$flat" "mixed-$name.c" "$compiler"
    done
    for name in words own_pointer_macros; do
        job "$compiler $std $name" syntax "$language" "$flags -I$flat" "$name.c" "$compiler"
    done
    for name in SHOW_DEBUG_LOG SHOW_FORMAT_BUGS; do
        job "$compiler $std macros $name" \
            run_contracts "$language" "$flags -D$name" "$compiler"
    done
}

for compiler in "${c_compilers[@]}"; do
    for flags in "${c_dialects[@]}"; do
        thorough=false
        [[ $flags == -std=c99* ]] && thorough=true
        each_dialect c "$compiler" "$flags" $thorough
    done
    job "$compiler -ansi macros SHOW_DEBUG_LOG" \
        run_contracts c "$c90 -DSHOW_DEBUG_LOG" "$compiler"
    for size in 32 64; do
        if echo | $compiler -m$size -fsyntax-only -x c - 2>/dev/null; then
            job "$compiler -m$size pointer size" \
                syntax c "-std=c99 -pedantic -Wall -Wextra -Werror -m$size -I$flat" \
                pointer_size.c "$compiler"
        fi
    done
done

for header in "${headers[@]}"; do
    { echo 'extern "C" {'; includes "" "$header"; echo '}'; } | source_file "extern-$header.c"
done
{ echo 'extern "C" {'; includes nopoll/ "${headers[@]}"; echo '}'; } | source_file extern-all.c
for compiler in "${cxx_compilers[@]}"; do
    for flags in "${cxx_dialects[@]}"; do
        thorough=false
        [[ $flags == -std=c++17* ]] && thorough=true
        each_dialect c++ "$compiler" "$flags" $thorough
        std=${flags%% *}
        for header in "${headers[@]}"; do
            $thorough || [ "$header" = nopoll.h ] || continue
            job "$compiler $std extern \"C\" { <$header> }" \
                syntax c++ "$flags -I$flat" "extern-$header.c" "$compiler"
        done
        job "$compiler $std extern \"C\" { all }" \
            syntax c++ "$flags -I$include" extern-all.c "$compiler"
    done
done
wait

if [ -s "$scratch/failed" ]; then
    echo "$(wc -l <"$scratch/failed") of the checks failed:"
    sed 's/^/FAIL /' "$scratch/failed"
    exit 1
fi
echo "all checks passed"
