# SPDX-License-Identifier: Apache-2.0
# CPU time of a tree of processes, the dead ones included: what a process
# waited for is in its own account (cutime, cstime). That holds as long as
# everybody waits: a parent that ignores SIGCHLD gets nothing, and its children
# are left out here, because they would come and go in the sum; whoever measures
# such a tree needs another way for them (systems.py: the CGI programs' account).
import os
import resource

TICK = os.sysconf('SC_CLK_TCK')
SIGCHLD_BIT = 1 << 16


def processes():
    """(parent, CPU ticks) of every process."""
    found = {}
    for name in os.listdir('/proc'):
        if not name.isdigit():
            continue
        try:
            with open(f'/proc/{name}/stat', 'rb') as file:
                # The name, in parentheses, may hold anything.
                fields = file.read().rpartition(b')')[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        found[int(name)] = int(fields[1]), sum(map(int, fields[11:15]))
    return found


def ignores_children(pid):
    try:
        with open(f'/proc/{pid}/status', encoding='ascii') as file:
            for line in file:
                if line.startswith('SigIgn:'):
                    return bool(int(line.split()[1], 16) & SIGCHLD_BIT)
    except (FileNotFoundError, ProcessLookupError):
        pass
    return False


def tree(root):
    """CPU seconds of `root`'s tree so far, and how many were left out."""
    found = processes()
    children = {}
    for pid, (parent, _) in found.items():
        children.setdefault(parent, []).append(pid)
    ticks = left_out = 0
    todo = [root]
    while todo:
        pid = todo.pop()
        if pid not in found:
            continue
        ticks += found[pid][1]
        if pid not in children:
            continue
        if ignores_children(pid):
            left_out += len(children[pid])
        else:
            todo += children[pid]
    return ticks / TICK, left_out


def machine():
    """CPU seconds that all processors were busy for, or taken away."""
    with open('/proc/stat', encoding='ascii') as file:
        user, nice, system, _, _, irq, softirq, steal = map(
            int, file.readline().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / TICK


def own_children():
    """CPU seconds of this process's children, as far as it waited for them."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def session(leader):
    """The processes of a session, the leader included."""
    found = []
    for pid in processes():
        try:
            if os.getsid(pid) == leader:
                found.append(pid)
        except ProcessLookupError:
            pass
    return found
