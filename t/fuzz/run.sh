#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# `make fuzz`: builds the targets named as arguments with clang's libFuzzer and
# lets each look for FUZZ_SECONDS, beginning with the corpus. What it finds new
# stays in t/fuzz/work of the build; the corpus grows by hand.
set -eu

module='dialect_auto dialect_code dialect_main dialect_report dialect_run
    pyexec_buffer pyexec_form pyexec_json pyexec_json_write
    pyexec_install pyexec_jsoncheck pyexec_optional pyexec_outcome pyexec_pip
    pyexec_utf8'
wire='wire wire_proxy wire_writer'
keeper='cgroup_own fdio helper_conf helper_install helper_pythons log'

if ! command -v "$FUZZ_CC" >/dev/null; then
    echo "make fuzz needs $FUZZ_CC (packages clang and libclang-rt-14-dev)" >&2
    exit 1
fi

# Prints what the target "$1" is linked with: the keeper's targets know nothing
# of the module, and config.h belongs to them alone.
parts_of()
{
    case $1 in
    wire|form|json|jsoncheck|pip)
        printf "$srcdir/mod_pyexec/%s.c " $module
        printf "$srcdir/sandbox-helper/%s.c " $wire
        printf '%s ' "$FUZZ_LIBS" ;;
    *)
        printf '%s ' -DHAVE_CONFIG_H -I. "$srcdir"/sandbox-helper/keeper*.c
        printf "$srcdir/sandbox-helper/%s.c " $wire $keeper
        printf '%s ' "$FUZZ_KEEPER_LIBS" ;;
    esac
    if [ "$1" = keeper ]; then
        printf '%s ' "$srcdir/t/fuzz/world.c" "$FUZZ_WRAPS"
    fi
}

mkdir -p t/fuzz/work
for target in "$@"; do
    work=t/fuzz/work/$target
    mkdir -p "$work/found"
    # shellcheck disable=SC2046,SC2086
    "$FUZZ_CC" -g -O1 -fsanitize=fuzzer,address,undefined \
        -fno-sanitize-recover=all $FUZZ_CPPFLAGS \
        "$srcdir/t/fuzz/fuzz_$target.c" $(parts_of "$target") -o "$work/fuzz"
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
