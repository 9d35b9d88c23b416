#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# run.sh BUILD SOURCE ARCHIVE [NAME ...]: installs the packages in BUILD/deb, and
# the source from ARCHIVE, as conf/doc tells administrators to. Needs root,
# debootstrap, overlayfs and cgroup v2; ends with 77 where one is missing.
set -eu
build=$1 source=$2 archive=$3
shift 3
work=$build/t/packages/work
PATH=$PATH:/usr/sbin:/sbin
missing=
for tool in debootstrap nsenter pivot_root unshare; do
    command -v "$tool" >/dev/null || missing="$missing $tool"
done
[ "$(id -u)" = 0 ] || missing="$missing root"
grep -q overlay /proc/filesystems || missing="$missing overlayfs"
grep -q ' - cgroup2 ' /proc/self/mountinfo || missing="$missing cgroup2"
if [ -n "$missing" ]; then
    echo "1..0 # SKIP missing:$missing"
    exit 77
fi
mkdir -p "$work"
# What a run that was killed left: its mounts went with it.
for run in "$work"/run.*; do
    [ ! -d "$run" ] || kill -0 "${run##*.}" 2>/dev/null \
        || rm -rf --one-file-system "$run"
done
sh "$source/t/packages/root.sh" "$work" "$build/deb" "$source"
rm -f "$work/tap"
python3 -B "$source/t/packages/check.py" "$work" "$build/deb" "$archive" \
    "$source" "$@" | tee "$work/tap"
# A plan that is kept, and no failure.
awk '/^ok/ { ran++ }
     /^not ok/ { ran++; failed++ }
     /^1\.\./ { planned = substr($0, 4) }
     END { exit ran == 0 || failed > 0 || ran != planned }' "$work/tap"
