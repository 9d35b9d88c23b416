# SPDX-License-Identifier: Apache-2.0
"""The commands `podman` and `docker` of the tests: podman with a storage of its
own. `docker` is podman with Docker's default seccomp profile, and takes the same
options as the real one in what is tested here."""
import json
import os
import pathlib
import subprocess
import time

CONFIG = '''[containers]
netns = "host"
cgroups = "disabled"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "none"
'''
# Health checks of their own need a systemd to be timers of; check.py does one.
COMMAND = '''#!/bin/sh
set -eu
store='%(store)s' work='%(work)s'
CONTAINERS_CONF=$store/containers.conf
export CONTAINERS_CONF
command=$1
shift
case $command in
build)
    exec nsenter --net="$store/net" /usr/bin/podman --root "$store/images" \\
        --runroot "$store/run" --tmpdir "$store/tmp" \\
        --storage-driver '%(driver)s' build --isolation chroot \\
        --network host --format docker --layers=false \\
        -v "$work/apt/sources.list:/etc/apt/sources.list:ro" \\
        -v "$work/apt/90machine:/etc/apt/apt.conf.d/90machine:ro" \\
        --build-arg BASE=localhost/debian:12 "$@" ;;
run)
    set -- --no-healthcheck --pull=never "$@"
    case " $* " in
    *" seccomp="*|*"=seccomp="*) ;;
    *) set -- %(default)s "$@" ;;
    esac ;;
esac
exec /usr/bin/podman --root "$store/images" --runroot "$store/run" \\
    --tmpdir "$store/tmp" --runtime crun --storage-driver '%(driver)s' \\
    "$command" "$@"
'''


class Engine:
    def __init__(self, store, work):
        self.store, self.work = pathlib.Path(store), pathlib.Path(work)
        self.bin = self.store / 'bin'
        self.bin.mkdir()
        (self.store / 'containers.conf').write_text(CONFIG)
        overlay = 'overlay' in open('/proc/filesystems').read()
        for name, default in (
                ('podman', ''),
                ('docker', '--security-opt seccomp=%s/docker.json' % self.work)):
            (self.bin / name).write_text(COMMAND % {
                'store': self.store, 'work': self.work, 'default': default,
                'driver': 'overlay' if overlay else 'vfs'})
            (self.bin / name).chmod(0o755)
        self.environment = dict(os.environ, LC_ALL='C.UTF-8', PATH='%s:%s' % (
            self.bin, os.environ['PATH']))

    def shell(self, text, check=True, cwd=None):
        """What the commands print, both streams; with check they succeed."""
        done = subprocess.run(['sh', '-ec', text], env=self.environment,
                              cwd=cwd, stdin=subprocess.DEVNULL, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if check and done.returncode != 0:
            raise RuntimeError('%s\nended with %d:\n%s' % (
                text, done.returncode, done.stdout))
        return done.stdout if check else (done.returncode, done.stdout)

    def inspect(self, name):
        found, = json.loads(self.shell('podman inspect ' + name))
        return found


def wait_for(condition, seconds=60):
    """The first true value, or the last one."""
    end = time.monotonic() + seconds
    value = condition()
    while not value and time.monotonic() < end:
        time.sleep(0.1)
        value = condition()
    return value
