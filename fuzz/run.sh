#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# run.sh BUILD MINUTES [TARGET...]   runs each fuzz target that long, as many at once as there are
#                                    processors (JOBS), and says what it came to
# run.sh BUILD merge                 takes over into the corpus what earlier runs have found and
#                                    what reaches something new
# BUILD is the folder of a build with NOPOLL_BUILD_FUZZERS. What a run finds is kept in BUILD/found,
# inputs that break something in BUILD/broken: minimise those with -minimize_crash=1, mend what is
# broken, and put them into the corpus.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
[ $# -ge 2 ] || {
    sed -n 's/^# \{0,1\}//p' "${BASH_SOURCE[0]}" | sed -n '2,8p' >&2
    exit 2
}
build=$(realpath "$1")
what=$2
shift 2
targets=("$@")
[ ${#targets[@]} -gt 0 ] || mapfile -t targets < <(ls "$here/corpus")
export here build what

# Longer inputs make the runs slow before they reach anything new.
longest() {
    case $1 in
        connection) echo 1500 ;;
        *) echo 4096 ;;
    esac
}

run_one() {
    local target=$1 log=$build/log/fuzz-$1.log status=0
    mkdir -p "$build/log" "$build/found/$target" "$build/broken"
    "$build/fuzz/fuzz_$target" -max_total_time=$((what * 60)) -max_len="$(longest "$target")" \
        -timeout=20 -print_final_stats=1 -artifact_prefix="$build/broken/$target-" \
        "$build/found/$target" "$here/corpus/$target" </dev/null >"$log" 2>&1 || status=$?
    awk -v target="$target" '
        /^INFO: Loaded 1 modules/ { sub(/^.*\(/, ""); edges = $1 }
        / cov: / { for (i = 1; i < NF; i++) { if ($i == "cov:") seen = $(i + 1)
                                              if ($i == "ft:") features = $(i + 1) } }
        /^stat::number_of_executed_units/ { runs = $2 }
        END { printf "%-18s %10d executions, %5d of %5d edges, %6d features\n",
                     target, runs, seen, edges, features }' "$log"
    [ $status -eq 0 ] && return
    printf 'FAIL %s (status %d), the end of %s:\n' "$target" $status "$log"
    grep -vE ' (NEW|REDUCE|pulse) ' "$log" | tail -n 40
    return 1
}

merge_one() {
    mkdir -p "$build/found/$1"
    "$build/fuzz/fuzz_$1" -merge=1 -max_len="$(longest "$1")" "$here/corpus/$1" \
        "$build/found/$1" </dev/null 2>&1 | grep -E '^MERGE-OUTER: .* new files' || true
}

export -f longest run_one merge_one
step=run_one
[ "$what" != merge ] || step=merge_one
printf '%s\n' "${targets[@]}" | xargs -P "${JOBS:-$(nproc)}" -I{} bash -c "$step {}"
