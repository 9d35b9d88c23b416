#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Runs scripts with plain python3, unconfined, in a place that is thrown away.

Reads one JSON object: scripts (texts), concurrent, form, port, seconds, how
many processes and how much memory (bytes) each there may be, and idle: whether
they run only where a processor has nothing else to do. Writes one: runs
(stdout, stderr, result, returncode, seconds; returncode null: was still
running), or error. Exit status 3: this machine has no such place.

The scripts are root of user namespaces of nobody's: of a root of their own on
a tmpfs with the system's /usr read-only, of a network without a way out, of
PIDs that end with the first. The mounts belong to an outer user namespace, so
that no script can make them writable again.
"""
import ctypes, fcntl, json, os, resource, selectors, shutil, signal, socket
import stat, struct, subprocess, sys, threading, time

libc = ctypes.CDLL(None, use_errno=True)
NEWNS, NEWCGROUP, NEWUTS, NEWIPC = 0x20000, 0x2000000, 0x4000000, 0x8000000
NEWUSER, NEWPID, NEWNET = 0x10000000, 0x20000000, 0x40000000
RDONLY, NOSUID, NODEV, REMOUNT, BIND, REC, PRIVATE = 1, 2, 4, 32, 4096, 16384, 1 << 18
RELATIME = 1 << 21
NOBODY = 65534
OUTPUT = 8 << 20  # more is as good as no end
NEW = '/tmp'  # becomes the root; it is everywhere
# What the corpus looks for in the environment of a service.
ENVIRONMENT = {'PATH': '/usr/bin:/bin', 'HOME': '/root', 'LANG': 'C.UTF-8',
               'SECRET_TOKEN': 'token', 'APACHE_CONFDIR': '/etc/apache2',
               'NOTIFY_SOCKET': '/run/notify', 'OPENBLAS_NUM_THREADS': '1'}
FILES = {
    '/etc/passwd': 'root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1::/:/usr/sbin/nologin\n'
                   'bin:x:2:2::/:/usr/sbin/nologin\nsys:x:3:3::/:/usr/sbin/nologin\n'
                   'www-data:x:33:33::/var/www:/usr/sbin/nologin\n',
    '/etc/group': 'root:x:0:\n', '/etc/shadow': 'root:*:1:0:99999:7:::\n',
    '/etc/hosts': '127.0.0.1 localhost resolver.test\n', '/etc/hostname': 'witness\n',
    '/etc/resolv.conf': 'nameserver 127.0.0.1\n', '/etc/fstab': '# none\n',
    '/etc/apache2/apache2.conf': '# none\n', '/etc/ssh/ssh_host_rsa_key': 'key\n',
    '/root/.ssh/id_rsa': 'key\n', '/home/user/notes': 'notes\n',
    '/var/www/html/index.html': 'index\n', '/var/log/apache2/access.log': 'log\n',
}


def check(result, what):
    if result == -1:
        raise OSError(ctypes.get_errno(), '%s: %s' % (what, os.strerror(ctypes.get_errno())))


def unshare(flags, uid, gid):
    check(libc.unshare(flags), 'unshare')
    for name, text in (('setgroups', 'deny'), ('uid_map', '0 %d 1' % uid), ('gid_map', '0 %d 1' % gid)):
        with open('/proc/self/' + name, 'w') as file:
            file.write(text)


def mount(source, target, kind=None, flags=0, data=None):
    text = [None if word is None else word.encode() for word in (source, target, kind)]
    check(libc.mount(*text, ctypes.c_ulong(flags), data and data.encode()), 'mount ' + target)


def bind(path, read_only):
    target = NEW + path
    if stat.S_ISDIR(os.stat(path).st_mode):
        os.makedirs(target, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        open(target, 'w').close()
    mount(path, target, None, BIND | REC)
    if read_only:
        # What is locked must be said again; relatime has another bit there.
        now = os.statvfs(target).f_flag
        keep = now & (NOSUID | NODEV | 8 | 1024 | 2048) | (RELATIME if now & 4096 else 0)
        mount(None, target, None, REMOUNT | BIND | RDONLY | keep)


def build_root():
    mount(None, '/', None, REC | PRIVATE)
    cache = os.path.join(os.path.dirname(os.__file__), '__pycache__')
    kept = {name: open(os.path.join(cache, name), 'rb').read()
            for name in sorted(os.listdir(cache)) if name.endswith('.pyc')}
    mount('tmpfs', NEW, 'tmpfs', 0, 'size=256m,mode=755')
    for path in ('/usr', '/etc/alternatives', '/etc/ld.so.cache'):
        if os.path.exists(path):
            bind(path, True)
    for path in ('/bin', '/sbin', '/lib', '/lib64'):
        if os.path.islink(path):
            os.symlink(os.readlink(path), NEW + path)
        elif os.path.exists(path):
            bind(path, True)
    # The library's compiled files can be written to: a copy.
    mount('tmpfs', NEW + cache, 'tmpfs', 0, 'size=64m,mode=755')
    for name, content in kept.items():
        with open(os.path.join(NEW + cache, name), 'wb') as file:
            file.write(content)
    for path in ('null', 'zero', 'full', 'random', 'urandom'):
        bind('/dev/' + path, False)
    for path in ('/proc', '/sys'):
        bind(path, False)
    for path, content in FILES.items():
        os.makedirs(os.path.dirname(NEW + path), exist_ok=True)
        with open(NEW + path, 'w') as file:
            file.write(content)
    for path in ('/tmp', '/var/tmp', '/var/lib', '/run/lock', '/srv/place', '/dev/shm', '/dev/mqueue', '/mnt'):
        os.makedirs(NEW + path, exist_ok=True)
        os.chmod(NEW + path, 0o1777)
    os.chdir(NEW)
    check(libc.syscall(155, b'.', b'.'), 'pivot_root')
    check(libc.umount2(b'.', 2), 'umount')
    os.chdir('/srv/place')


def limit(kind, value):
    hard = resource.getrlimit(kind)[1]
    value = value if hard < 0 else min(value, hard)
    resource.setrlimit(kind, (value, value))


def services(port):
    """What a script may find: servers, a helper's socket, descriptors."""
    loopback = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    fcntl.ioctl(loopback, 0x8914, struct.pack('16sH14x', b'lo', 0x1 | 0x40))
    for name in ('/run/helper.sock', '\0pyx-abstract'):
        unix = socket.socket(socket.AF_UNIX)
        unix.bind(name)
        unix.listen(8)
        os.set_inheritable(unix.detach(), True)
    os.set_inheritable(os.open('/', os.O_RDONLY), True)
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagrams.bind(('127.0.0.1', 8099))
    threading.Thread(target=echo, args=(datagrams,), daemon=True).start()
    for number in {80, port}:
        server = socket.create_server(('127.0.0.1', number))
        threading.Thread(target=serve, args=(server,), daemon=True).start()


def echo(datagrams):
    while True:
        content, peer = datagrams.recvfrom(64)
        datagrams.sendto(content, peer)


def serve(server):
    while True:
        peer, _ = server.accept()
        with peer:
            peer.settimeout(1)
            try:
                peer.recv(65536)
                peer.sendall(b'HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nhi\n')
            except OSError:
                pass


# What a service without care does to call main().
CALL = '''
import json, os, runpy
result = runpy.run_path('%s', run_name='script')['main']()
os.write(%d, json.dumps(result).encode('utf-8', 'surrogatepass'))
'''


def read_streams(streams, end):
    """Everything until it is time, it is too much, or all are closed."""
    found = {name: bytearray() for name in streams}
    with selectors.DefaultSelector() as poll:
        for name, fd in streams.items():
            os.set_blocking(fd, False)
            poll.register(fd, selectors.EVENT_READ, name)
        while poll.get_map() and time.monotonic() < end:
            for key, _ in poll.select(min(0.2, max(0, end - time.monotonic()))):
                part = os.read(key.fd, 1 << 16)
                if not part:
                    poll.unregister(key.fd)
                found[key.data] += part
            if sum(map(len, found.values())) > OUTPUT:
                return {name: b'' for name in found}, False
        return found, not poll.get_map()


def run(number, script, form, seconds):
    name = '/srv/place/script%d.py' % number
    with open(name, 'w', encoding='utf-8', errors='surrogatepass') as file:
        file.write(script)
    result = os.pipe()
    command = ['/usr/bin/python3', name]
    if form == 'script':
        command = ['/usr/bin/python3', '-c', CALL % (name, result[1])]
        os.set_inheritable(result[1], True)
    os.makedirs('/srv/place/work', exist_ok=True)
    start = time.monotonic()
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, close_fds=False, cwd='/srv/place/work')
    os.close(result[1])
    streams = {'stdout': child.stdout.fileno(), 'stderr': child.stderr.fileno(), 'result': result[0]}
    found, closed = read_streams(streams, start + seconds)
    # Who still holds a stream writes to it, and holds up who reads it.
    status = None
    if closed:
        try:
            status = child.wait(max(0, start + seconds - time.monotonic()))
        except subprocess.TimeoutExpired:
            pass
    if status is None:
        child.kill()
    answer = {key: value.decode('utf-8', 'replace') for key, value in found.items()}
    return answer | {'returncode': status, 'seconds': time.monotonic() - start}


def execute(task):
    """In a process of its own, so that a script can end it: a weak executor."""
    services(task['port'])
    answers = [None] * len(task['scripts'])

    def one(number):
        answers[number] = run(number, task['scripts'][number], task['form'], task['seconds'])

    if task['concurrent']:
        threads = [threading.Thread(target=one, args=(n,)) for n in range(len(answers))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    else:
        for number in range(len(answers)):
            one(number)
    return {'runs': answers}


def first(task, out):
    """PID 1: everything ends with it."""
    mount('proc', '/proc', 'proc')
    mount('sysfs', '/sys', 'sysfs')
    mount('tmpfs', '/dev/shm', 'tmpfs', 0, 'size=64m')
    mount('mqueue', '/dev/mqueue', 'mqueue')
    limit(resource.RLIMIT_NPROC, task['processes'])
    limit(resource.RLIMIT_AS, task['memory'])
    limit(resource.RLIMIT_CORE, 0)
    limit(resource.RLIMIT_NOFILE, 6000)
    limit(resource.RLIMIT_CPU, 30)
    if task['idle']:
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    executor = os.fork()
    if executor == 0:
        os.setpgid(0, 0)
        os.write(out, json.dumps(execute(task)).encode())
        os._exit(0)
    while os.waitpid(-1, 0)[0] != executor:
        pass


def enter():
    """What can fail for want of namespaces; nothing has run by then."""
    if os.getuid() == 0:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
        check(libc.prctl(4, 1, 0, 0, 0), 'prctl')
    check(libc.prctl(1, signal.SIGKILL, 0, 0, 0), 'prctl')
    os.chdir('/')
    unshare(NEWUSER | NEWNS, os.getuid(), os.getgid())
    build_root()
    unshare(NEWUSER | NEWNS | NEWPID | NEWNET | NEWIPC | NEWUTS | NEWCGROUP, 0, 0)


def main():
    task = json.loads(sys.stdin.buffer.read())
    out = os.dup(1)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    os.environ.clear()
    os.environ.update(ENVIRONMENT)
    try:
        enter()
    except OSError as problem:
        print(json.dumps({'error': 'no such place here: %s' % problem}))
        return 3
    child = os.fork()
    if child == 0:
        check(libc.prctl(1, signal.SIGKILL, 0, 0, 0), 'prctl')
        try:
            first(task, out)
        finally:
            os._exit(0)
    # From outside: a script may have stopped all that is inside.
    end = time.monotonic() + len(task['scripts']) * task['seconds'] + 3
    while os.waitpid(child, os.WNOHANG)[0] == 0:
        if time.monotonic() > end:
            os.kill(child, signal.SIGKILL)
        time.sleep(0.005)
    return 0


if __name__ == '__main__':
    sys.exit(main())
