#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# `./bootstrap run` in the tree that it lies in, which is built, and the first
# command that README.md shows: its answer is the one that is shown, and nothing
# is left when the server was told to end. Says what it misses.
set -u
cd "$(dirname "$0")/../.." || exit 99
work=$(mktemp -d /tmp/pyexec-try.XXXXXX) || exit 99
trap 'rm -rf "$work"' EXIT

fail()
{
    echo "./bootstrap run: $*" >&2
    cat "$work/out" >&2
    [ -z "${pid-}" ] || kill "$pid" 2>/dev/null
    exit 1
}

# What may differ is how long it took.
alike()
{
    sed 's/[0-9][0-9.]* seconds/N seconds/'
}

port=$(perl -MIO::Socket::INET -e 'print IO::Socket::INET->new(
    LocalAddr => "127.0.0.1", Listen => 1)->sockport') || exit 99
command=$(sed -n 's/^    \(curl .*\)/\1/p' README.md | head -n 1 \
          | sed "s/:8080/:$port/")
shown=$(sed -n 's/^    \({"output".*\)/\1/p' README.md | head -n 1 | alike)
./bootstrap run --port "$port" >"$work/out" 2>&1 &
pid=$!
tries=0
until grep -q "^Serving on http://127.0.0.1:$port/execute" "$work/out"; do
    tries=$((tries + 1))
    kill -0 "$pid" 2>/dev/null && [ "$tries" -lt 1200 ] \
        || fail "it does not serve"
    sleep 0.1
done
answer=$(sh -c "$command" | alike)
[ -n "$shown" ] && [ "$answer" = "$shown" ] || fail "$command: $answer"
kill -s TERM "$pid"
wait "$pid" || fail "it ended with status $?"
! curl -s "http://127.0.0.1:$port/" >/dev/null || fail "it still serves"
