#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The guest's first process: prepares the machine, runs check.py, which writes
# TAP to the second serial port, and switches off.
PATH=/usr/sbin:/usr/bin:/sbin:/bin
LC_ALL=C.UTF-8
export PATH LC_ALL
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t tmpfs tmpfs /run
mount -t tmpfs -o mode=1777 tmpfs /tmp
mkdir -p /dev/shm && mount -t tmpfs tmpfs /dev/shm
mount -t cgroup2 none /sys/fs/cgroup
ip link set lo up 2>/dev/null || python3 - <<'END'
import fcntl, socket, struct
request = struct.pack('16sh14x', b'lo', 0x1 | 0x40)
fcntl.ioctl(socket.socket(), 0x8914, request)
END
hostname pyexec-guest
# What the tests' witnesses look for on any machine.
(umask 077 && echo 'root:*:20000:0:99999:7:::' >/etc/shadow)
echo "+memory +pids +cpu" >/sys/fs/cgroup/cgroup.subtree_control
mkdir /sys/fs/cgroup/pyexec-test
echo "+memory +pids +cpu" >/sys/fs/cgroup/pyexec-test/cgroup.subtree_control
cd /pyexec || exit 1
chown -R nobody: t
for word in $(cat /proc/cmdline); do
    case $word in
    pyexec.run=*) run=${word#pyexec.run=} ;;
    esac
done
/usr/bin/python3 t/kernel/check.py "${run-}" >/dev/ttyS1
echo "# the guest ends" >/dev/ttyS1
sync
echo o >/proc/sysrq-trigger
sleep 60
