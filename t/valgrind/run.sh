#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# `make check-valgrind`: the unit tests and the replays of the fuzz targets (the
# arguments behind the first), then httpd with the module and the keeper, each
# in a valgrind of its own, while the server tests of the first argument run.
# No error of memory and no lost block is accepted, in whosever code; the
# zygote and the jobs run as they are.
set -eu

tests=$1
shift
if ! command -v "$VALGRIND" >/dev/null; then
    echo "make check-valgrind needs valgrind (package valgrind)" >&2
    exit 1
fi
if [ -n "$sanitizers" ]; then
    echo "make check-valgrind needs a build without --enable-sanitizers" >&2
    exit 1
fi
here=$(pwd -P)
logs=$here/t/valgrind/logs
memcheck="$VALGRIND --leak-check=full --errors-for-leak-kinds=definite,indirect
    --show-leak-kinds=definite,indirect --num-callers=30 --vgdb=no
    --keep-debuginfo=yes --trace-children=no"
memcheck=$(printf '%s ' $memcheck)
failed=0

verdict()
{
    echo "$2 - $1"
    [ "$2" = ok ] || failed=$((failed + 1))
}

# ---- without a server ----

rm -rf "$logs"
mkdir -p "$logs"
for program in "$@"; do
    case " $without " in
    *" $program "*) continue ;;
    esac
    log=$logs/$(basename "$program")
    status=0
    # shellcheck disable=SC2086
    CMOCKA_MESSAGE_OUTPUT=TAP ./libtool --mode=execute $memcheck \
        --error-exitcode=99 --log-file="$log" "$program" \
        >"$log.out" 2>&1 || status=$?
    if [ "$status" = 77 ]; then
        # Without what valgrind cannot do (setdomainname(2)), with its reason.
        verdict "$program $(sed -n 's/^1\.\.0 //p' "$log.out")" ok
    elif [ "$status" = 0 ] && [ -s "$log" ]; then
        verdict "$program" ok
    else
        verdict "$program" 'not ok'
        grep '^not ok' "$log.out" || :
        grep '^==' "$log" || :
    fi
done

# ---- with one ----

helper=$here/t/valgrind/pyexecd.sh
cat >"$helper" <<WRAPPER
#!/bin/sh
LD_PRELOAD='$here/t/valgrind/.libs/preload.so' \\
PYEXEC_VALGRIND_PIDFD='$here/t/valgrind/pidfd' exec $memcheck \\
    --child-silent-after-fork=yes --log-file='$logs/keeper.%p' \\
    '$here/pyexecd' "\$@"
WRAPPER
chmod 755 "$helper"
"$PERL" t/TEST -clean >/dev/null
# shellcheck disable=SC2086
if PYEXEC_TEST_HELPER=$helper \
        PYEXEC_TEST_BEFORE="$memcheck --log-file=$logs/httpd.%p" \
        "$PERL" t/TEST $tests; then
    verdict "$tests" ok
else
    verdict "$tests" 'not ok'
fi
"$PERL" t/TEST -clean >/dev/null

# One of httpd's children became a keeper and has its log there.
for log in "$logs"/httpd.* "$logs"/keeper.*; do
    pid=${log##*.}
    case $log in
    */httpd.*) [ ! -e "$logs/keeper.$pid" ] || continue ;;
    esac
    if grep -q '^==.*ERROR SUMMARY: 0 errors' "$log"; then
        verdict "${log##*/}" ok
    else
        verdict "${log##*/}" 'not ok'
        cat "$log"
    fi
done
[ -e "$log" ] || verdict 'a keeper was seen' 'not ok'
[ "$failed" = 0 ]
