#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# The two figures of the README, beside a cold interpreter, in one run on one
# machine: median time of one run over HTTP with one client, and runs a second
# with eight. Needs wrk and a server: `./bootstrap run` in another terminal.
#
#     t/bench/quick.sh [URL [SECONDS]]
set -eu
url=${1:-http://127.0.0.1:8080/execute}
seconds=${2:-5}
here=$(dirname "$0")
python=${PYTHON:-/usr/bin/python3}
command -v wrk >/dev/null || { echo "quick.sh: wrk is missing (apt-get install wrk)" >&2; exit 1; }

# Median wall time in microseconds of 41 cold starts, and starts a second
# with as many at a time as there are clients.
cold() {
    perl -MTime::HiRes=time -e '
        my ($clients, $seconds, @command) = @ARGV;
        my (%started, @times);
        my $end = time + $seconds;
        my $begin = time;
        while (1) {
            while (time < $end && keys %started < $clients) {
                my $at = time;
                my $pid = fork // die "fork: $!";
                if (!$pid) { exec @command or die "exec: $!" }
                $started{$pid} = $at;
            }
            last if !keys %started;
            my $pid = wait;
            die "@command failed" if $?;
            push @times, time - delete $started{$pid};
        }
        my @sorted = sort { $a <=> $b } @times;
        printf "%d %.0f\n", 1e6 * $sorted[@sorted / 2], @times / (time - $begin);
    ' "$1" "$seconds" "$python" -c pass
}

load() {
    wrk -t1 -c"$1" -d"${seconds}s" -s "$here/post.lua" "$url" \
        | sed -n 's/^RESULT //p'
}

row() {
    printf '| %-34s | %8s | %8s | %8s | %6s | %4s |\n' "$@"
}

row 'print(1+1)' 'median' 'p95' 'p99' 'runs/s' 'bad'
row '---' '---:' '---:' '---:' '---:' '---:'
for clients in 1 8; do
    # shellcheck disable=SC2046 # five words
    set -- $(load "$clients")
    row "POST /execute, $clients client(s)" "$1 us" "$2 us" "$3 us" "$4" "$5"
done
for clients in 1 8; do
    # shellcheck disable=SC2046
    set -- $(cold "$clients")
    row "cold $python -c pass, $clients at a time" "$1 us" '' '' "$2" 0
done
