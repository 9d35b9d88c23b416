#!/usr/bin/python3 -B
# SPDX-License-Identifier: Apache-2.0
"""A CGI script that attacks the helper as httpd's own user; see t/http/cgi.t.
The query is the helper's socket and the processes to look into. Answers what
it has reached, as JSON."""
import ctypes
import json
import os
import socket
import struct
import subprocess

libc = ctypes.CDLL(None, use_errno=True)
PTRACE_SEIZE, PTRACE_DETACH = 0x4206, 17
PIDFD_OPEN, PIDFD_GETFD = 434, 438


def field(tag, value):
    return struct.pack('<HHI', tag, 0, len(value)) + value


def frame(kind, body):
    return struct.pack('<4sHHI', b'PYXW', 1, kind, len(body)) + body


def number(tag, value):
    return field(tag, struct.pack('<I', value))


def run():
    """A whole RUN with GO, which needs nothing but the token before it."""
    body = field(2, b'tenant:127.0.0.1') + field(4, b'print(1)')
    for tag, value in (8, 0), (9, 1000), (10, 1000), (12, 1000), (13, 16), (14, 16):
        body += number(tag, value)
    return frame(4, body + field(11, struct.pack('<Q', 1 << 26))) + frame(10, b'')


GUESSES = [
    os.urandom(500),
    b'GET / HTTP/1.0\r\n\r\n',
    run(),                                             # no token at all
    frame(2, field(1, bytes(32))) + run(),             # zeros
    frame(2, field(1, os.urandom(32))) + run(),        # a guess
    frame(2, field(1, b'')) + frame(6, b''),           # none, and a question
]


def ask(path, guess):
    """What comes back, or None where one cannot even connect."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
        s.settimeout(10)
        s.connect(path)
        got = b''
        try:
            s.sendall(guess)
            s.shutdown(socket.SHUT_WR)
            while part := s.recv(4096):
                got += part
        except OSError:
            pass
        return got


def read_memory(pid):
    with open(f'/proc/{pid}/maps') as maps:
        line = next(l for l in maps if 'rw-p' in l)
    start = int(line.split('-')[0], 16)
    with open(f'/proc/{pid}/mem', 'rb') as mem:
        mem.seek(start)
        return something(mem.read(16))


def vm_readv(pid):
    with open(f'/proc/{pid}/maps') as maps:
        line = next(l for l in maps if 'rw-p' in l)
    room = ctypes.create_string_buffer(16)
    local = (ctypes.c_void_p * 2)(ctypes.addressof(room), 16)
    remote = (ctypes.c_void_p * 2)(int(line.split('-')[0], 16), 16)
    return check(libc.process_vm_readv(pid, local, 1, remote, 1, 0))


def check(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), 'refused')
    return result


def attach(pid):
    check(libc.ptrace(PTRACE_SEIZE, pid, None, None))
    os.kill(pid, 0)
    # It need not be stopped for what we wanted to know; our end detaches.


def pidfd_getfd(pid):
    pidfd = check(libc.syscall(PIDFD_OPEN, pid, 0))
    for fd in range(10):
        try:
            return check(libc.syscall(PIDFD_GETFD, pidfd, fd, 0))
        except OSError as error:
            last = error
    raise last


def something(got):
    """Of a process that is ending everything is there, and empty."""
    if not got:
        raise OSError('nothing')
    return got


def open_one(path):
    with open(path, 'rb') as file:
        something(file.read(1))


ATTEMPTS = {
    'attach': attach,
    'environ': lambda pid: open_one(f'/proc/{pid}/environ'),
    'fd': lambda pid: something(os.listdir(f'/proc/{pid}/fd')),
    'maps': lambda pid: open_one(f'/proc/{pid}/maps'),
    'mem': read_memory,
    'pidfd_getfd': pidfd_getfd,
    'vm_readv': vm_readv,
}


def reach(pid):
    done = []
    for name, attempt in ATTEMPTS.items():
        try:
            attempt(pid)
            done.append(name)
        except (OSError, StopIteration):
            pass
    return done


def main():
    path, *pids = os.environ['QUERY_STRING'].split(',')
    told = {'uid': os.getuid(), 'connected': 0, 'answers': [], 'reached': []}
    for guess in GUESSES:
        try:
            got = ask(path, guess)
            told['connected'] += 1
            if got:
                told['answers'].append(repr(got[:80]))
        except OSError:
            pass
    for pid in pids:
        for name in reach(int(pid)):
            told['reached'].append(f'{name} of {pid}')
    with subprocess.Popen(['cat'], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, bufsize=0) as child:
        child.stdin.write(b'x')
        child.stdout.read(1)  # its loader is done
        told['witness'] = sorted(reach(child.pid))
        child.stdin.close()
    print('Content-Type: application/json\r\n\r\n' + json.dumps(told))


main()
