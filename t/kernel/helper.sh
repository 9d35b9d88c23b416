#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The program of PyExecHelperProgram in the guest: does for the keeper what
# systemd does for a service with Delegate=yes, then becomes it. Started by
# httpd as root; its last argument is --user=UID:GID. The group above has no
# processes and hands its controllers on (see guest.sh).
set -eu
group=/sys/fs/cgroup/pyexec-test/service-$$
mkdir "$group"
for user; do :; done
chown "${user#--user=}" "$group" "$group/cgroup.procs" \
    "$group/cgroup.subtree_control" "$group/cgroup.threads"
echo $$ >"$group/cgroup.procs"
exec /pyexec/real/pyexecd "$@"
