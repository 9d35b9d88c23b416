#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Every directive of the module's list is in the commented example, and the
# configuration files know no other.
cd "${srcdir:-.}" || exit 99
listed=$(sed -n 's/.*"\(PyExec[A-Za-z]*\)".*/\1/p' \
             mod_pyexec/pyexec_directives.h | sort -u)
used=$(cat conf/*.conf conf/*.conf.in t/conf/*.conf.in \
       | sed -n 's/^#*[[:space:]]*\(PyExec[A-Za-z]*\)[[:space:]].*/\1/p' \
       | sort -u)
{
    for name in $listed; do
        grep -q "^#* *$name " conf/pyexec.conf.in \
            && echo "ok $name is in the example" \
            || echo "not ok $name is in the example"
    done
    for name in $used; do
        printf '%s\n' "$listed" | grep -qx "$name" \
            && echo "ok $name of the configuration exists" \
            || echo "not ok $name of the configuration exists"
    done
} | awk '{ sub(/ok /, "ok " NR " - "); print }
         END { print "1.." NR; exit NR < 20 }'
