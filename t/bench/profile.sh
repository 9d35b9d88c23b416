#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Where the time of a run goes: perf, over all processors, while wrk keeps a
# server busy. Needs perf (apt-get install linux-perf), wrk, the right to watch
# other users' processes (root), and a server: `./bootstrap run` in another
# terminal.
#
#     t/bench/profile.sh [CLIENTS [SECONDS [URL]]]
#
# BODY is what is posted ({"code": "print(1+1)"}). Prints the counters a run,
# then the functions that take most, by process; other programs of the machine
# are among them. The recording stays in PERF_DATA (t/bench/out/perf.data) for
# `perf report`, `perf script`, ...
set -eu
clients=${1:-1}
seconds=${2:-5}
url=${3:-http://127.0.0.1:8080/execute}
here=$(dirname "$0")
data=${PERF_DATA:-$here/out/perf.data}
for tool in wrk perf; do
    command -v "$tool" >/dev/null \
        || { echo "profile.sh: $tool is missing" >&2; exit 1; }
done
mkdir -p "$(dirname "$data")"
result=$(mktemp)
trap 'rm -f "$result"' EXIT

# Runs "$@" (perf and its options) around wrk; sets `runs`.
under_load() {
    "$@" -- wrk -t1 -c"$clients" -d"${seconds}s" -s "$here/post.lua" "$url" \
        >"$result"
    # shellcheck disable=SC2046 # the words of the line
    set -- $(sed -n 's/^RESULT //p' "$result")
    runs=$(($6 - $7))
    echo "$runs runs in ${seconds}s, median $1 us, p95 $2 us, p99 $3 us"
    [ "$runs" -gt 0 ] || { echo "profile.sh: no run" >&2; exit 1; }
}

counters=context-switches,cpu-migrations,page-faults
under_load perf stat -a -x, -o "$data.stat" -e "$counters"
awk -F, -v runs="$runs" '$3 != "" && $1 + 0 > 0 {
    printf "  %8.2f %s a run\n", $1 / runs, $3 }' "$data.stat"
rm -f "$data.stat"

# Virtual machines often have no hardware counters.
event=cycles
perf stat -e cycles true 2>&1 | grep -q 'not supported' && event=cpu-clock
under_load perf record -q -a -g -F 1999 -e "$event" -o "$data"
perf report -i "$data" --no-children -g none --percent-limit 0.7 \
    --sort comm,dso,symbol --stdio 2>/dev/null | grep '^ *[0-9]' \
    | sed 's/[- ]*$//' || :
