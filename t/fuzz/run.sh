#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# `make fuzz`: builds the targets named as arguments with clang's libFuzzer and
# lets each look for FUZZ_SECONDS, beginning with the corpus. What it finds new
# stays in t/fuzz/work of the build; the corpus grows by hand.
set -eu

module='dialect_auto dialect_code dialect_main dialect_report dialect_run
    pyexec_buffer pyexec_form pyexec_json pyexec_json_write
    pyexec_jsoncheck pyexec_optional pyexec_outcome pyexec_utf8'
helper='wire wire_writer'

if ! command -v "$FUZZ_CC" >/dev/null; then
    echo "make fuzz needs $FUZZ_CC (packages clang and libclang-rt-14-dev)" >&2
    exit 1
fi
sources=
for name in $module; do
    sources="$sources $srcdir/mod_pyexec/$name.c"
done
for name in $helper; do
    sources="$sources $srcdir/sandbox-helper/$name.c"
done
mkdir -p t/fuzz/work
for target in "$@"; do
    work=t/fuzz/work/$target
    mkdir -p "$work/found"
    # shellcheck disable=SC2086
    "$FUZZ_CC" -g -O1 -fsanitize=fuzzer,address,undefined \
        -fno-sanitize-recover=all $FUZZ_CPPFLAGS \
        "$srcdir/t/fuzz/fuzz_$target.c" $sources $FUZZ_LIBS -o "$work/fuzz"
    echo "fuzzing $target for $FUZZ_SECONDS s"
    # Deep nesting and long texts are of interest: longer than the corpus is.
    "$work/fuzz" -max_total_time="$FUZZ_SECONDS" -max_len=20000 -timeout=10 \
        -print_final_stats=1 -artifact_prefix="$work/" "$work/found" \
        "$srcdir/t/fuzz/corpus/$target" >"$work/log" 2>&1 || {
        tail -n 60 "$work/log" >&2
        exit 1
    }
    grep -E '^(stat::|Done)' "$work/log"
done
