#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# No test is forgotten: unit test functions are in their group, unit tests and
# guards in Makefile.am, probes are run by a test, and the tests that SECURITY.md
# names are there.
cd "${srcdir:-.}" || exit 99
verdicts=$(
    for file in t/unit/test_*.c; do
        for name in $(sed -n \
            's/^static void \(test_[a-z0-9_]*\)(void \*\*state).*/\1/p' "$file")
        do
            grep -q "cmocka_unit_test[a-z_]*(${name}[,)]" "$file" \
                && echo "ok - $file runs $name" \
                || echo "not ok - $file runs $name"
        done
    done
    for file in t/unit/test_*.c t/fuzz/fuzz_*.c t/tools/*.c t/check/*.sh; do
        grep -q "${file%.c}\([^a-z_]\|\$\)" Makefile.am t/*/*.am \
            && echo "ok - Makefile.am has $file" \
            || echo "not ok - Makefile.am has $file"
    done
    for file in t/probe/*.py; do
        name=${file##*/}
        name=${name%.py}
        [ "$name" != prelude ] || continue
        grep -q "probe_tests('$name')" t/sandbox/*.t \
            && echo "ok - a test runs $file" \
            || echo "not ok - a test runs $file"
    done
    for file in $(grep -o '`t/[a-z_/]*[.tc]*`' SECURITY.md | tr -d '`' \
                  | sort -u); do
        [ -e "$file" ] \
            && echo "ok - SECURITY.md names $file" \
            || echo "not ok - SECURITY.md names $file"
    done)
printf '%s\n' "$verdicts" | awk '
    { sub(/ok - /, "ok " NR " - "); print }
    END { print "1.." NR; exit NR < 10 }'
