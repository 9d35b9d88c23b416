#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# systemd accepts the units, and what conf/doc/service.md says of their
# confinement is what systemd says.
top=$(pwd)
cd "${srcdir:-.}" || exit 99
if ! command -v systemd-analyze >/dev/null; then
    echo "1..0 # SKIP no systemd-analyze"
    exit 77
fi
work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT
units='pyexecd.service pyexecd.socket pyexecd-control.socket'
for unit in $units; do
    # With a program that is there, wherever it will be installed.
    sed -e "s,@libexecdir@,$top,g" -e 's,@httpd_group@,root,g' \
        "conf/systemd/$unit.in" >"$work/$unit"
done
cd "$work" || exit 99

echo 1..4
# shellcheck disable=SC2086
said=$(systemd-analyze verify --man=no $units 2>&1)
status=$?
if [ "$status" = 0 ] && [ -z "$said" ]; then
    echo "ok 1 - systemd accepts the units"
else
    echo "not ok 1 - systemd accepts the units"
    printf '%s\n' "$said" | sed 's/^/# /'
fi
sed 's/^ExecStart=.*/ExecStart=\/nowhere/' pyexecd.service >wrong.service
systemd-analyze verify --man=no wrong.service >/dev/null 2>&1 \
    && echo "not ok 2 - it finds a mistake" || echo "ok 2 - it finds a mistake"
score=$(systemd-analyze security --offline=true --no-pager pyexecd.service \
        2>/dev/null | sed -n 's/.*exposure level for pyexecd.service: \([0-9.]*\).*/\1/p')
told=$(sed -n 's/.*exposure level for pyexecd.service: \([0-9.]*\).*/\1/p' \
       "$OLDPWD/conf/doc/service.md")
# Another systemd weighs other things: only its own kind can be compared.
version=$(systemd-analyze --version | sed -n 's/^systemd \([0-9]*\).*/\1/p')
if [ "$version" != 252 ]; then
    echo "ok 3 - the score # SKIP systemd $version, not 252: $score"
elif [ -n "$score" ] && [ "$score" = "$told" ]; then
    echo "ok 3 - the score is $score, as told"
else
    echo "not ok 3 - the score is \"$score\", told is \"$told\""
fi
# A line that is off tells why, in a comment above it or above its neighbour.
bare=$(awk '/^#/ { told = 1; next }
            /=no$|=all$/ { if (!told) print; next }
            { told = 0 }' pyexecd.service)
[ -z "$bare" ] && echo "ok 4 - what is off has its reason" \
    || printf 'not ok 4 - without a reason: %s\n' "$bare" | head -n 1
