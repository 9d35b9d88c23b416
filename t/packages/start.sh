#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# start.sh LAYERS RUN CGROUP: boots systemd in the layers of overlayfs, whose
# changes go to RUN/upper. Process, mount, network, IPC, UTS and cgroup namespaces
# are its own, so nothing that happens in there reaches this machine, and all of
# it, mounts included, ends with its first process. Only loopback is there.
set -eu
layers=$1 run=$2 cgroup=$3
if [ "${PYEXEC_MACHINE_NS-}" != yes ]; then
    echo $$ >"$cgroup/cgroup.procs"
    PYEXEC_MACHINE_NS=yes exec unshare --mount --pid --net --ipc --uts --cgroup \
        --fork --kill-child=KILL --propagation private sh "$0" "$@"
fi
mkdir "$run/upper" "$run/ovl" "$run/root"
mount -t overlay overlay -o \
    "lowerdir=$layers,upperdir=$run/upper,workdir=$run/ovl" "$run/root"
cd "$run/root"
mount -t proc proc proc
# What the kernel is set to is this machine's.
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755,nosuid tmpfs dev
for name in null zero full random urandom tty; do
    touch "dev/$name"
    mount --bind "/dev/$name" "dev/$name"
done
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts dev/pts
mount -t tmpfs -o mode=1777 tmpfs dev/shm
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
ln -s fd/0 dev/stdin
ln -s fd/1 dev/stdout
ln -s fd/2 dev/stderr
mount -t tmpfs -o mode=755 tmpfs run
echo debian >etc/hostname
printf '127.0.0.1 localhost debian\n' >etc/hosts
hostname debian
mkdir .machine
pivot_root . .machine
umount -l /.machine
rmdir /.machine
ip link set lo up
exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    /lib/systemd/systemd --system </dev/null
