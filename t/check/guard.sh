#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Sees t/check/directives.sh fail: each of what a directive must have is taken
# away once, in a copy, and the guard has to name what is missing.
cd "${srcdir:-.}" || exit 99
work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM HUP
n=0
row='PLACE, FLAG, invented, "PyExecInvented", 0, 0, 1, "On: something (default Off)"'
# Behind the first of the list, as somebody would add one.
add='s/^(#define PYEXEC_PLACE_DIRECTIVES\(X\)[^\n]*\n)/$1    X(ROW)    \\\n/m'

fresh()
{
    rm -rf "$work/tree"
    mkdir -p "$work/tree/t" "$work/tree/sandbox-helper"
    cp -R mod_pyexec conf t/check t/http t/sandbox t/conf README.md \
        SECURITY.md "$work/tree/"
    for dir in check http sandbox; do
        mv "$work/tree/$dir" "$work/tree/t/"
    done
    mkdir "$work/tree/t/conf"
    cp t/conf/extra.conf.in "$work/tree/t/conf/"
    cp t/TEST.in "$work/tree/t/"
    cp sandbox-helper/*.c sandbox-helper/*.md "$work/tree/sandbox-helper/"
    chmod -R u+w "$work/tree"
}

# One change (a file, an expression of perl's), then what the guard must say.
# The row of the directive that is added may be another.
sees()
{
    name=$1 wanted=$2
    shift 2
    n=$((n + 1))
    fresh
    while [ $# -gt 1 ]; do
        perl -0pi -e "$2" "$work/tree/$1" || exit 99
        if cmp -s "$1" "$work/tree/$1"; then
            echo "not ok $n - $name: $1 was not changed"
            return
        fi
        shift 2
    done
    said=$(srcdir=$work/tree sh "$work/tree/t/check/directives.sh" 2>&1 \
           | grep '^not ok')
    case $said in
    *"$wanted"*) echo "ok $n - $name" ;;
    *) echo "not ok $n - $name"
       printf '%s\n' "$said" | sed 's/^/# /' ;;
    esac
}

list=mod_pyexec/pyexec_directives.h
# The list with that row in it, changed by an expression of sed's.
with()
{
    printf '%s' "$add" | ROW=$(printf '%s' "$row" | sed "$1") perl -pe 's/ROW/$ENV{ROW}/'
}

echo 1..14
n=1
fresh
srcdir=$work/tree sh "$work/tree/t/check/directives.sh" | grep -q '^not ok' \
    && echo "not ok 1 - as it is nothing is missing" \
    || echo "ok 1 - as it is nothing is missing"

sees 'no default' 'PyExecInvented has a default' "$list" \
    "$(with 's/", 0, 0/", , 0/')"
sees 'no range' 'PyExecInvented has a default and a range' "$list" \
    "$(with 's/0, 0, 1/0, 0/')"
sees 'no help' 'PyExecInvented has help' "$list" \
    "$(with 's/"On:.*"/""/')"
sees 'a kind that nobody tests' 'PyExecInvented is of a kind' "$list" \
    "$(with 's/FLAG/COLOUR/')"
sees 'no example' 'PyExecInvented is explained' "$list" \
    "$(with '')"
sees 'no line in README.md' 'PyExecInvented is in README.md' "$list" \
    "$(with '')"
sees 'no test' 'a test uses PyExecInvented' "$list" \
    "$(with '')"
sees 'a scope is not merged' 'WISH is merged' mod_pyexec/pyexec_config.c \
    's/PYEXEC_WISH_DIRECTIVES\(MERGE\)//g'
sees 'merging does nothing' 'merging takes what is inside' \
    mod_pyexec/pyexec_config.c 's/place->field = inner->field;/;/'
sees 'pools get no default' 'pools take what they lack' \
    mod_pyexec/pyexec_config.c 's/, defaults->field\)/, made.field)/'
sees 'a scope gets no defaults' 'GLOBAL is filled with defaults' \
    mod_pyexec/pyexec_config.c 's/PYEXEC_GLOBAL_DIRECTIVES\(FILL\)//'
sees 'documentation of what is gone' 'PyExecWithdrawn of the documentation' \
    README.md 's/\z/`PyExecWithdrawn`\n/'
sees 'a paragraph is gone' 'PyExecIdle is explained' conf/pyexec.conf.in \
    's/PyExecIdle \d+//'
