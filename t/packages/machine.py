# SPDX-License-Identifier: Apache-2.0
"""A Debian in namespaces, with systemd, that forgets what happened in it when
it is left: see start.sh. Root only."""
import os
import pathlib
import shutil
import signal
import subprocess
import time

HERE = pathlib.Path(__file__).parent
ENVIRONMENT = ['env', '-i', 'PATH=/usr/sbin:/usr/bin:/sbin:/bin', 'HOME=/root',
               'LC_ALL=C.UTF-8', 'DEBIAN_FRONTEND=noninteractive']
# On a busy machine; nothing is measured by it.
PATIENCE_SECONDS = 120
COMMAND_SECONDS = 1500


class Failed(Exception):
    """A command in the machine ended with another status than 0."""


def wait_for(what, condition, seconds=PATIENCE_SECONDS):
    """Waits for what cannot be waited for in another way."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Failed('%s did not come' % what)
        time.sleep(0.05)


def own_cgroup():
    """Where in cgroup v2 this process is, and may make groups."""
    for line in open('/proc/self/mountinfo'):
        fields, _, kind = line.partition(' - ')
        if kind.startswith('cgroup2 '):
            mounted = pathlib.Path(fields.split()[4])
            break
    else:
        raise Failed('no cgroup v2 is mounted')
    for line in open('/proc/self/cgroup'):
        if line.startswith('0::'):
            return mounted / line[3:].strip().lstrip('/')
    raise Failed('this process is in no cgroup v2')


class Machine:
    """with Machine(work, ['base']) as machine: machine.run('id')"""

    def __init__(self, work, layers):
        # The uppermost first, as overlayfs has it.
        self.layers = ':'.join(str(work / name) for name in reversed(layers))
        self.directory = work / ('run.%d' % os.getpid())
        self.cgroup = own_cgroup() / ('pyexec-machine.%d' % os.getpid())
        self.process, self.first = None, None

    def __enter__(self):
        self.directory.mkdir()
        try:
            self.cgroup.mkdir()
            # Ends with us, however we end.
            self.process = subprocess.Popen(
                ['setpriv', '--pdeathsig', 'KILL', 'sh', HERE / 'start.sh',
                 self.layers, self.directory, self.cgroup],
                stdin=subprocess.DEVNULL,
                stderr=open(self.directory / 'log', 'w'))
            self.first = wait_for('systemd', self.find_first)
            wait_for('the end of booting', self.has_booted)
        except BaseException:
            self.__exit__()
            raise
        return self

    def find_first(self):
        if self.process.poll() is not None:
            raise Failed('the machine ended while it started: '
                         + (self.directory / 'log').read_text())
        pid = self.process.pid
        children = open('/proc/%d/task/%d/children' % (pid, pid)).read().split()
        for child in children:
            if open('/proc/%s/comm' % child).read() == 'systemd\n':
                return child
        return None

    def has_booted(self):
        told = self.run('systemctl is-system-running', check=False)
        if told.stdout.strip() == 'degraded':
            raise Failed(self.run('systemctl --failed').stdout)
        return told.stdout.strip() == 'running'

    def __exit__(self, *_):
        if self.process:
            if self.first and self.process.poll() is None:
                # The first process of a PID namespace takes the others along.
                os.kill(int(self.first), signal.SIGKILL)
            elif self.process.poll() is None:
                self.process.kill()
            self.process.wait()
        if self.cgroup.exists():
            wait_for('the end of all processes', lambda: 'populated 0' in (
                self.cgroup / 'cgroup.events').read_text())
            for path, _, _ in os.walk(self.cgroup, topdown=False):
                os.rmdir(path)
        # Its mounts were in its own namespace and are gone.
        shutil.rmtree(self.directory)

    def command(self, script, user=None):
        become = ['setpriv', '--reuid=' + user, '--regid=' + user,
                  '--init-groups'] if user else []
        return ['nsenter', '-t', self.first, '-m', '-p', '-n', '-i', '-u', '-C',
                '--wdns=/root', '--', *ENVIRONMENT, *become, 'sh', '-ec', script]

    def run(self, script, check=True, user=None, data=None):
        """Runs a shell script; with check, Failed tells what it said."""
        done = subprocess.run(self.command(script, user), input=data,
                              stdin=None if data else subprocess.DEVNULL,
                              capture_output=True, text=True,
                              timeout=COMMAND_SECONDS)
        if check and done.returncode != 0:
            raise Failed('%s\nended with status %d:\n%s%s' % (
                script, done.returncode, done.stdout[-3000:],
                done.stderr[-3000:]))
        return done

    def start(self, script):
        """The same in the background, with pipes."""
        return subprocess.Popen(self.command(script), text=True,
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def put(self, source, target):
        """Copies a file into it."""
        data = pathlib.Path(source).read_bytes()
        subprocess.run(self.command('mkdir -p "$(dirname %s)" && cat >%s'
                                    % (target, target)), input=data, check=True)
