#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# No file over 500 lines. conf/openapi.yaml is one document, served as it lies,
# and pyexec_openapi_data.h is made of it, as *_py.h of the Python beside
# them, and mod_pyexec.5 of the list of directives and conf/pyexec.conf.in.
cd "${srcdir:-.}" || exit 99
n=0
fault=
for file in mod_pyexec/*.[ch] sandbox-helper/*.[ch] sandbox-helper/*.py \
            t/*/*.c t/*/*.t t/*/*.pm \
            t/*/*/*.pm t/*/*.sh t/*.py t/*/*.py t/*.in bootstrap configure.ac \
            Makefile.am conf/* conf/*/*; do
    case $file in
    conf/openapi.yaml|mod_pyexec/pyexec_openapi_data.h) continue ;;
    conf/man/mod_pyexec.5) continue ;;
    sandbox-helper/*_py.h) continue ;;
    esac
    [ -f "$file" ] || continue
    n=$((n + 1))
    lines=$(wc -l <"$file")
    [ "$lines" -le 500 ] || fault="$fault
# $file has $lines lines, more than 500"
done
echo 1..2
[ "$n" -gt 20 ] && echo "ok 1 - files were looked at" \
    || echo "not ok 1 - only $n files were looked at"
[ -z "$fault" ] && echo "ok 2 - every file is small" \
    || echo "not ok 2 - every file is small$fault"
