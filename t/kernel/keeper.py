# SPDX-License-Identifier: Apache-2.0
"""A keeper without httpd, as a service manager starts it, and the frames of
sandbox-helper/wire.h to talk to it."""
import os
import signal
import socket
import struct
import subprocess
import tempfile
import time

HELPER = '/pyexec/pyexecd'
USER = 65534
TOKEN = bytes(range(32))
MEBI = 1 << 20

HELLO, RUN, STATUS, SETUP, GO = 2, 4, 6, 8, 10
OUTCOMES = {1: 'refused', 2: 'done', 3: 'exit', 4: 'wall', 5: 'cpu',
            6: 'memory', 7: 'output', 8: 'processes', 9: 'signal',
            32: 'busy', 34: 'lost', 35: 'broken'}


def field(tag, value):
    if isinstance(value, str):
        value = value.encode()
    return struct.pack('<HHI', tag, 0, len(value)) + value


def u32(tag, value):
    return field(tag, struct.pack('<I', value))


def u64(tag, value):
    return field(tag, struct.pack('<Q', value))


def frame(kind, body=b''):
    return struct.pack('<4sHHI', b'PYXW', 1, kind, len(body)) + body


def fields(body):
    found, at = {}, 0
    while at < len(body):
        tag, _, size = struct.unpack_from('<HHI', body, at)
        found[tag] = body[at + 8:at + 8 + size]
        at += 8 + size
    return found


def number(value):
    return int.from_bytes(value or b'', 'little')


class Group:
    """A cgroup that is delegated to the helper's user, or not."""

    def __init__(self, name, delegated=True,
                 controllers='+memory +pids +cpu'):
        top = '/sys/fs/cgroup/pyexec-test'
        parent = f'{top}/{name}-slice'
        os.makedirs(parent, exist_ok=True)
        self.path = f'{parent}/service'
        if controllers:
            write(f'{parent}/cgroup.subtree_control', controllers)
        os.mkdir(self.path)
        for file in ('', 'cgroup.procs', 'cgroup.subtree_control',
                     'cgroup.threads'):
            if delegated:
                os.chown(f'{self.path}/{file}', USER, USER)

    def below(self, prefix):
        return sorted(name for name in os.listdir(self.path)
                      if name.startswith(prefix))

    def processes(self, prefix):
        return [int(pid) for name in self.below(prefix)
                for pid in read(f'{self.path}/{name}/cgroup.procs').split()]


def setup_frame(level='full', concurrency=2, pools=None, processes=1,
                more=b''):
    setup = field(1, TOKEN) + more
    for name, preload in (pools or {'default': ''}).items():
        setup += field(40, field(2, name) + u32(43, concurrency)
                       + u32(44, 64) + u32(45, 60000) + u32(9, 120000)
                       + u32(10, 120000) + u64(11, 1 << 40)
                       + u32(12, MEBI) + u32(13, 4096) + u32(14, 64)
                       + u32(48, processes)
                       + field(60, level) + field(41, preload))
    return frame(SETUP, setup)


class Keeper:
    def __init__(self, group, level='full', concurrency=2, pools=None,
                 processes=1):
        """`pools`: name -> modules to preload."""
        self.directory = tempfile.mkdtemp(dir='/run')
        os.chmod(self.directory, 0o755)
        self.path = f'{self.directory}/socket'
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(self.path)
        listener.listen(64)
        lifeline, self.lifeline = os.pipe()
        os.write(self.lifeline, setup_frame(level, concurrency, pools,
                                            processes))
        self.log = open(f'{self.directory}/log', 'w+')
        os.dup2(listener.fileno(), 200)
        os.dup2(lifeline, 201)
        self.process = subprocess.Popen(
            ['/bin/bash', '-c',
             'exec 3<&200 4<&201 200<&- 201<&-; echo $$ >"$0/cgroup.procs";'
             f' LISTEN_FDS=1 LISTEN_PID=$$ exec {HELPER} --lifeline=4'
             f' --socket={self.path} --user={USER}:{USER}', group.path]
            if isinstance(group, Group) else group,
            pass_fds=(200, 201), stderr=self.log)
        for fd in (200, 201, lifeline):
            os.close(fd)
        listener.close()

    def text(self):
        self.log.flush()
        return read(f'{self.directory}/log')

    def ask(self, kind, body=b'', timeout=180):
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(timeout)
            client.connect(self.path)
            client.sendall(frame(HELLO, field(1, TOKEN)) + frame(kind, body)
                           + (frame(GO) if kind == RUN else b''))
            answer = b''
            while chunk := client.recv(65536):
                answer += chunk
        return fields(answer[12:])

    def status(self):
        got = self.ask(STATUS)
        return {'ready': number(got.get(62)), 'level': got[60].decode(),
                'cgroup': got.get(65, b'').decode()}

    def wait_ready(self):
        def is_ready():
            try:
                return self.status()['ready']
            except OSError:  # it has ended
                return self.process.wait(60) is not None
        wait_for(is_ready, 120)
        if self.process.poll() is not None:
            raise RuntimeError(self.text())
        return self

    def run(self, source, memory=64 * MEBI, threads=16, wall_ms=60000,
            cpu_ms=60000, files=256, pool='default'):
        body = (field(2, pool) + field(4, source) + u32(8, 0)
                + u32(9, wall_ms) + u32(10, cpu_ms) + u64(11, memory)
                + u32(12, MEBI) + u32(13, files) + u32(14, threads))
        got = self.ask(RUN, body)
        code = number(got.get(22))
        return {'outcome': OUTCOMES.get(number(got.get(20))),
                'exit': code if code < 256 else -(code - 256),
                'out': got.get(26, b'').decode(),
                'err': got.get(27, b'').decode(),
                'text': got.get(21, b'').decode(),
                'cpu': number(got.get(24)) / 1e6,
                'wall': number(got.get(23)) / 1e6,
                'peak': number(got.get(25))}

    def end(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        self.process.wait(60)
        os.close(self.lifeline)


class Service(Keeper):
    """The same behind `pyexecd --service`, which root or the helper's user
    starts in the group."""

    def __init__(self, group, as_root):
        self.directory = tempfile.mkdtemp(dir='/run')
        os.chmod(self.directory, 0o755)
        self.path = f'{self.directory}/socket'
        self.log = open(f'{self.directory}/log', 'w+')
        who = [] if as_root else ['setpriv', f'--reuid={USER}',
                                  f'--regid={USER}', '--clear-groups']
        if not as_root:
            os.chown(self.directory, USER, USER)
        self.process = subprocess.Popen(
            ['/bin/bash', '-c', 'echo $$ >"$0/cgroup.procs"; exec "$@"',
             group.path, *who, HELPER, '--service', f'--socket={self.path}']
            + ([f'--user={USER}:{USER}'] if as_root else []),
            stderr=self.log)
        wait_for(lambda: os.path.exists(self.path), 60)
        self.lifeline = None
        self.tell(1)

    def tell(self, generation):
        """Sends the set-up as httpd would; true: it was taken."""
        former = self.lifeline
        self.lifeline = socket.socket(socket.AF_UNIX)
        self.lifeline.settimeout(60)
        self.lifeline.connect(f'{self.path}.control')
        self.lifeline.sendall(setup_frame(more=u64(76, generation)))
        answer = fields(self.lifeline.recv(4096)[12:])
        if former:
            former.close()
        return number(answer.get(62)) == 1

    def end(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        self.process.wait(60)
        self.lifeline.close()


def read(path):
    with open(path) as file:
        return file.read()


def write(path, text):
    with open(path, 'w') as file:
        file.write(text)


def wait_for(condition, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return False
