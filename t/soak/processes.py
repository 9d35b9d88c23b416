# SPDX-License-Identifier: Apache-2.0
"""Our processes as the host sees them: which there are, what they hold, and
how to kill one of them and no other."""
import asyncio
import collections
import os
import re
import signal

# Allowed growth of resident memory, in kB: allocators keep what they had.
MORE_KB = 24 << 10

Process = collections.namedtuple('Process', 'pid parent name inner key')


def read(pid):
    """None: there is no such living process."""
    try:
        with open('/proc/%d/status' % pid) as file:
            text = file.read()
        with open('/proc/%d/stat' % pid) as file:
            started = file.read().rpartition(') ')[2].split()[19]
    except (OSError, IndexError):
        return None
    field = dict(re.findall(r'^(\w+):\s*(.*)$', text, re.M))
    if field.get('State', 'Z')[0] in 'ZX':
        return None
    return Process(pid, int(field['PPid']), field['Name'],
                   [int(n) for n in field['NSpid'].split()], (pid, started))


def is_alive(key):
    process = read(key[0])
    return process is not None and process.key == key


def below(top):
    children = collections.defaultdict(list)
    for name in os.listdir('/proc'):
        process = read(int(name)) if name.isdigit() else None
        if process:
            children[process.parent].append(process)
    found, todo = [], [top]
    while todo:
        for process in children[todo.pop()]:
            found.append(process)
            todo.append(process.pid)
    return found


def kind(process, top):
    """What it is to us, by where it hangs and what number it has inside."""
    if process.parent == top:
        return 'keeper' if process.name == 'pyexecd' else 'child of httpd'
    if len(process.inner) > 1:
        return 'init of a slot' if process.inner[-1] == 1 else 'job'
    parent = read(process.parent)
    if parent is None:
        return 'other'
    return 'zygote' if parent.parent == top else 'slot maker'


def kill(process):
    """False: it has gone by itself."""
    try:
        pidfd = os.pidfd_open(process.pid)
    except OSError:
        return False
    try:
        if not is_alive(process.key):  # the number may be another's by now
            return False
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        return True
    except OSError:
        return False
    finally:
        os.close(pidfd)


def descriptors(pid):
    """None: closed to us, where we are not root."""
    try:
        return len(os.listdir('/proc/%d/fd' % pid))
    except OSError:
        return None


def memory_kb(pid):
    try:
        with open('/proc/%d/status' % pid) as file:
            return int(re.search(r'VmRSS:\s*(\d+)', file.read())[1])
    except (OSError, TypeError):
        return 0


def mounts():
    """Those that a sandbox has, as PyExec::Process::our_mounts: whatever else
    this machine mounts meanwhile is not ours."""
    with open('/proc/self/mountinfo') as file:
        return sum(1 for line in file if ' - tmpfs sandbox ' in line
                   or re.match(r'/sys(?!/fs/)', line.split()[4]))


def shared_memory(owners):
    """What these users have in /dev/shm."""
    found = []
    for entry in os.scandir('/dev/shm'):
        try:
            if entry.stat(follow_symlinks=False).st_uid in owners:
                found.append(entry.name)
        except OSError:
            pass  # it is gone
    return sorted(found)


def owner(pid):
    """The user whose process it is; /proc/PID belongs to root where it is
    closed."""
    try:
        with open('/proc/%d/status' % pid) as file:
            return int(re.search(r'^Uid:\s*(\d+)', file.read(), re.M)[1])
    except (OSError, TypeError):
        return None


def census(top):
    counts, fds, kbs = (collections.Counter() for _ in range(3))
    owners = set()
    for process in below(top) + [read(top)]:
        name = 'httpd' if process.pid == top else kind(process, top)
        counts[name] += 1
        count = descriptors(process.pid)
        if count is not None:
            fds[name] += count
        kbs[name] += memory_kb(process.pid)
        owners.add(owner(process.pid))
    return {'processes': dict(sorted(counts.items())),
            'descriptors': dict(sorted(fds.items())),
            'memory_kb': dict(sorted(kbs.items())), 'mounts': mounts(),
            'shared_memory': shared_memory(owners)}


async def quiet_census(top, seconds):
    """Once it has stayed the same for a second; else after so long."""
    last, same = None, 0
    for _ in range(int(seconds / 0.25)):
        now = census(top)
        counted = (now['processes'], now['descriptors'])
        same = same + 1 if counted == last else 0
        if same >= 4:
            break
        last = counted
        await asyncio.sleep(0.25)
    return now


def compare(before, after):
    """What there is more of than before, as a list of sentences. Children of
    httpd differ in their idle connections' descriptors, so only what all of
    one kind hold is compared, with room for one connection each."""
    more = []
    for kind_of in set(before['processes']) | set(after['processes']):
        was = before['processes'].get(kind_of, 0)
        now = after['processes'].get(kind_of, 0)
        if now > was:
            more.append('%d instead of %d: %s' % (now, was, kind_of))
        was = before['descriptors'].get(kind_of, 0)
        now_fds = after['descriptors'].get(kind_of, 0)
        if now_fds > was + (now if kind_of == 'child of httpd' else 0):
            more.append('%d descriptors instead of %d: %s'
                        % (now_fds, was, kind_of))
        was = before['memory_kb'].get(kind_of, 0)
        now_kb = after['memory_kb'].get(kind_of, 0)
        if now_kb > was + MORE_KB:
            more.append('%d kB instead of %d: %s' % (now_kb, was, kind_of))
    if after['mounts'] != before['mounts']:
        more.append('%d mounts instead of %d' % (after['mounts'],
                                                 before['mounts']))
    if set(after['shared_memory']) - set(before['shared_memory']):
        more.append('new in /dev/shm: %s' % sorted(
            set(after['shared_memory']) - set(before['shared_memory'])))
    return more
