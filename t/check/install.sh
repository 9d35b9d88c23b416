#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# `make install` into an empty place, `make uninstall` out of it: nothing is
# left, the administrator's changes are. The manual pages are well-formed.
if ! make -s all >/dev/null 2>&1; then
    echo "1..0 # SKIP the tree is not built"
    exit 77
fi
work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT
MAKEFLAGS=
export MAKEFLAGS
n=0

verdict()
{
    n=$((n + 1))
    if [ "$1" = 0 ]; then
        echo "ok $n - $2"
    else
        echo "not ok $n - $2"
        [ -z "$3" ] || printf '%s\n' "$3" | sed 's/^/# /'
    fi
}

there()
{
    find "$work" \( -type f -o -type l \) | sort
}

echo 1..11
said=$(make -s install DESTDIR="$work" 2>&1)
verdict "$?" "make install" "$said"
conf=$(there | grep '/mods-available/pyexec\.conf$\|/conf\.d/pyexec\.conf$')
load=$(there | grep '/pyexec\.load$\|/10-pyexec\.conf$')
if [ -n "$conf" ]; then
    ! grep -v '^#' "$conf" | grep -q .
    verdict "$?" "the configuration does nothing" "$(grep -v '^#' "$conf")"
    [ "$(grep -c '^LoadModule pyexec_module /' "$load")" = 1 ]
    verdict "$?" "one file loads the module" "$load"
    links=${conf%/*/*}/mods-enabled
    mkdir -p "$links"
    ln -s ../mods-available/pyexec.load "$links/pyexec.load"
    echo "PyExecTimeout 3" >>"$conf"
    make -s install DESTDIR="$work" >/dev/null 2>&1
    grep -q '^PyExecTimeout 3' "$conf"
    verdict "$?" "what was changed is not overwritten"
else
    printf '%s\n' "$said" | grep -q 'LoadModule pyexec_module /'
    verdict "$?" "no layout is known: it says which line to write" "$said"
    for name in one two; do
        verdict 0 "nothing of httpd's is touched ($name)"
    done
fi
for page in mod_pyexec.5 pyexecd.8; do
    file=$(there | grep "/$page\$")
    if ! command -v mandoc >/dev/null; then
        n=$((n + 1))
        echo "ok $n - $page # SKIP no mandoc"
        continue
    fi
    # Whether other pages are installed here is no mistake of this one.
    said=$(mandoc -T lint -W style "$file" 2>&1 \
           | grep -v 'referenced manual not found')
    [ -n "$file" ] && [ -z "$said" ]
    verdict "$?" "$page is well-formed" "$said"
done
# What an administrator is sent to, and what is said nowhere else.
file=$(there | grep '/mod_pyexec\.5$')
lost=
for path in $(sed -n 's/^\.\(It \)*Pa //p' "$file"); do
    [ -e "$work$path" ] || lost="$lost $path"
done
[ -z "$lost" ]
verdict "$?" "mod_pyexec.5 names files that there are" "$lost"
lost=$(sed -n 's/.*PYEXEC_[A-Z_]*HANDLER "\(.*\)".*/\1/p' "${srcdir:-.}"/mod_pyexec/*.[ch] \
       | while read -r name; do
           grep -qx ".It Cm $name" "$file" || echo "$name"
       done)
[ -z "$lost" ]
verdict "$?" "mod_pyexec.5 has every handler" "$lost"
said=$(grep -c '^From [0-9]*[a-zM]* to [0-9]*[a-zM]*\(, or 0\)*\.$' "$file")
[ "$said" -gt 20 ]
verdict "$?" "mod_pyexec.5 has the ranges of values" "$said"
said=$(make -s uninstall DESTDIR="$work" 2>&1)
verdict "$?" "make uninstall" "$said"
left=$(there)
[ "$left" = "${conf:+$conf.saved}" ]
verdict "$?" "nothing is left but what was changed" "$left"
