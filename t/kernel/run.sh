#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# run.sh BUILD: boots a stock Debian kernel under qemu, without KVM, and has
# check.py run in it. Prints TAP; ends with 0 when every test passed, 77 when
# something it needs is missing. KERNEL_DEB names another kernel's package.
set -eu
build=$1
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
work=$build/t/kernel/work
PATH=$PATH:/usr/sbin:/sbin
limit=${KERNEL_SECONDS:-1500}

missing=
for tool in qemu-system-x86_64 busybox cpio mke2fs depmod modprobe dpkg-deb; do
    command -v "$tool" >/dev/null || missing="$missing $tool"
done
if [ -z "${KERNEL_DEB-}" ]; then
    for file in "$work"/linux-image-*.deb; do
        [ ! -f "$file" ] || KERNEL_DEB=$file
    done
fi
[ -n "${KERNEL_DEB-}" ] || missing="$missing KERNEL_DEB"
if [ -n "$missing" ]; then
    echo "1..0 # SKIP missing:$missing (./bootstrap check-kernel gets it)"
    exit 77
fi

sh "$here/image.sh" "$build" "$work" "$KERNEL_DEB" >&2
rm -f "$work/tap" "$work/console"
# The image is only written to in memory. No network is there.
timeout "$limit" qemu-system-x86_64 -machine q35 -accel tcg,thread=multi \
    -cpu max -smp 2 -m 2048 -display none -no-reboot -nic none \
    -kernel "$work/kernel" -initrd "$work/initrd.gz" \
    -append "console=ttyS0 panic=-1 quiet cgroup_no_v1=all no_timer_check pyexec.run=${KERNEL_CHECKS-}" \
    -drive "file=$work/root.img,if=virtio,format=raw,snapshot=on" \
    -serial "file:$work/console" -serial "file:$work/tap" </dev/null >&2 \
    || echo "# qemu ended with status $?"
tr -d '\r' <"$work/tap"
# A plan that is kept, and no failure.
tr -d '\r' <"$work/tap" | awk '
    /^ok/ { ran++ }
    /^not ok/ { ran++; failed++ }
    /^1\.\./ { planned = substr($0, 4) }
    END { exit ran == 0 || failed > 0 || ran != planned }' || {
    echo "# not all of it passed; the console is in $work/console"
    exit 1
}
