# SPDX-License-Identifier: Apache-2.0
"""What a kernel with cgroup v2 does with delegated groups: TAP. Runs as root
in the guest of run.sh, and only there; the keeper runs as nobody."""
import os
import re
import signal
import subprocess
import sys
import threading
import time
import traceback

from keeper import (Group, HELPER, Keeper, MEBI, Service, USER, read,
                    wait_for, write)
from measure import measure, measure_runs, note
from scripts import BURN, PIPES, SLEEP, THREADS, TREE

count = 0
ALL = 'memory pids cpu'
# What says most of isolation, and is not about speed.
SUITE = [f't/{name}.t' for name in (
    'sandbox/files_read', 'sandbox/files_write', 'sandbox/inherited',
    'sandbox/cgroup', 'sandbox/network', 'sandbox/process',
    'sandbox/syscalls')]


def ok(good, name, why=''):
    global count
    count += 1
    print('ok' if good else 'not ok', count, '-', name, flush=True)
    if not good:
        for line in str(why).splitlines() or ['']:
            print('#', line, flush=True)
    return good


def same(got, wanted, name):
    return ok(got == wanted, name, f'got {got!r}, wanted {wanted!r}')


def during(keeper, source, look, **limits):
    """The answer of a run, and what `look` saw while it ran."""
    answer = []
    thread = threading.Thread(
        target=lambda: answer.append(keeper.run(source, **limits)))
    thread.start()
    seen = look()
    thread.join()
    return answer[0], seen


def busy_leaf(group, keeper):
    """The group of the one job that has been given its run's limits."""
    def found():
        return [name for name in group.below('pyexec-job-')
                if read(f'{group.path}/{name}/pids.max').strip() == '7']
    wait_for(found, 60)
    return f'{group.path}/{found()[0]}'


def check_tree(group, keeper):
    same(keeper.status()['cgroup'], ALL, 'the status names the controllers')
    ok('PYX0382' in keeper.text(), 'the log tells that cgroups are used',
       keeper.text())
    same(group.processes('pyexec-keeper-'), [keeper.process.pid],
         'the keeper is in its leaf')
    same(read(f'{group.path}/cgroup.procs'), '', 'nobody is above the leaves')
    ok(wait_for(lambda: group.processes('pyexec-job-'), 60),
       'standby jobs are in leaves of their own',
       group.processes('pyexec-job-'))
    ok(len(group.processes('pyexec-zygotes-')) >= 1, 'the zygote is in its leaf')
    names = {read(f'/proc/{pid}/comm').strip()
             for pid in group.processes('pyexec-zygotes-')}
    same(names, {'pyexec-zygote'}, 'and what it made, but no job')


def check_limits(group, keeper):
    def look():
        leaf = busy_leaf(group, keeper)
        return {name: read(f'{leaf}/{name}').strip()
                for name in ('memory.max', 'memory.oom.group', 'pids.max',
                             'cpu.max', 'memory.swap.max')
                if os.path.exists(f'{leaf}/{name}')}
    answer, seen = during(keeper, SLEEP % 1, look, threads=7)
    same(answer['outcome'], 'done', 'a run in a group ends well')
    same(answer['out'], '1\n', 'with its output')
    least = 64 * MEBI
    ok(least < int(seen['memory.max']) < least + 128 * MEBI,
       'memory.max is the run\'s limit and some room', seen)
    same(seen.get('memory.swap.max', '0'), '0', 'no swap')
    same(seen['memory.oom.group'], '1', 'all of a group die together')
    same(seen['pids.max'], '7', 'pids.max is the run\'s limit of threads')
    same(seen['cpu.max'], '100000 100000', 'cpu.max is one processor')


def check_memory(group, keeper):
    answer = keeper.run('print(len(bytearray(40 << 20)))')
    same(answer['out'], f'{40 << 20}\n', 'memory below the limit is there')
    answer = keeper.run('bytearray(80 << 20)')
    ok('MemoryError' in answer['err'], 'above it there is MemoryError', answer)
    answer = keeper.run(PIPES, memory=8 * MEBI, files=3000)
    same((answer['outcome'], answer['exit']), ('memory', -signal.SIGKILL),
         'memory in pipes ends the run, and it is called memory')
    answer = keeper.run('import os; os.kill(os.getpid(), 9)')
    same((answer['outcome'], answer['exit']), ('signal', -signal.SIGKILL),
         'a script that kills itself did not run out of memory')

    def shrink():
        leaf = busy_leaf(group, keeper)
        write(f'{leaf}/memory.max', str(24 * MEBI))
        return leaf
    answer, leaf = during(keeper, SLEEP % (48 * MEBI), shrink, threads=7)
    same(answer['outcome'], 'memory', 'the kernel\'s kill is called memory')
    ok(wait_for(lambda: not os.path.exists(leaf), 10),
       'a group with a kill in its counts is not used again')
    answer = keeper.run('print(1)')
    same(answer['outcome'], 'done', 'and the next run is not blamed')
    answer = keeper.run('x = bytearray(30 << 20)')
    ok(answer['peak'] >= 30 * MEBI, 'the peak is told', answer)


def check_peak(group, keeper):
    leaf = group.below('pyexec-job-')[0]
    can_reset = os.stat(f'{group.path}/{leaf}/memory.peak').st_mode & 0o200
    note('memory.peak can ' + ('be' if can_reset else 'not be') + ' reset')
    answer = keeper.run(PIPES, files=3000, memory=256 * MEBI)
    same(answer['out'], '1000\n', 'pipes within the limit are there')
    if can_reset:
        ok(answer['peak'] >= 50 * MEBI, 'the peak has what lies in pipes',
           answer)
    for _ in range(5):
        answer = keeper.run('print(1)')
        ok(answer['peak'] < 50 * MEBI, 'the peak is the run\'s own', answer)


def check_processor(group, keeper):
    answer = keeper.run(BURN)
    same(answer['outcome'], 'done', 'two threads that burn end')
    ok(answer['cpu'] < 1.3 * answer['wall'],
       'with no more than one processor', answer)
    answer = keeper.run(BURN, cpu_ms=700)
    same(answer['outcome'], 'cpu', 'the limit of CPU time holds')
    answer = keeper.run('while True: pass', wall_ms=500)
    same(answer['outcome'], 'wall', 'the deadline holds')
    answer = keeper.run('import threading, time\nfor i in range(9):\n'
                        '    threading.Thread(target=time.sleep, args=(60,))'
                        '.start()', wall_ms=1500)
    same(answer['outcome'], 'wall', 'and ends a job of many threads')


def check_view(group, keeper):
    answer = keeper.run('print(open("/sys/fs/cgroup/cgroup.procs").read())')
    ok('FileNotFoundError' in answer['err'], 'a script sees no cgroups', answer)
    ok(read('/sys/fs/cgroup/cgroup.procs'), 'witness: they are there')


def check_reuse(group, keeper):
    before = set(group.below('pyexec-job-'))
    answers = {keeper.run('print(1)')['outcome'] for _ in range(20)}
    same(answers, {'done'}, 'many runs end well')
    after = set(group.below('pyexec-job-'))
    ok(len(after) <= 5, 'with no more groups than jobs', after)
    ok(before & after, 'which are used again', (before, after))
    answers = {keeper.run('import os; os.abort()')['outcome']
               for _ in range(5)}
    same(answers, {'signal'}, 'runs that die are told')
    ok(len(group.below('pyexec-job-')) <= 5, 'and leave no more groups',
       group.below('pyexec-job-'))


def check_ends(group, keeper):
    keeper.end(signal.SIGKILL)
    left = group.below('pyexec-job-')
    ok(left, 'a keeper that is killed leaves its groups')
    ok(wait_for(lambda: not group.processes('pyexec-'), 10),
       'but nothing in them', group.processes('pyexec-'))
    # Or nobody could be put where it was.
    write(f'{group.path}/cgroup.subtree_control', '-memory -pids -cpu')
    keeper = Keeper(group).wait_ready()
    same(keeper.status()['cgroup'], ALL, 'another one starts in its place')
    same([name for name in group.below('pyexec-') if name in left], [],
         'which removes them')
    same(len(group.below('pyexec-keeper-')), 1, 'and the other\'s own')
    same(keeper.run('print(1)')['out'], '1\n', 'and serves')
    keeper.end()
    same(keeper.process.returncode, 0, 'SIGTERM ends it in order')
    same(group.below('pyexec-'), [], 'and it leaves no group')
    same(read(f'{group.path}/cgroup.subtree_control').strip(), '',
         'and no controller switched on')


def check_full():
    group = Group('full')
    keeper = Keeper(group).wait_ready()
    for check in (check_tree, check_limits, check_memory, check_peak,
                  check_processor, check_view, check_reuse, check_ends):
        guarded(check, group, keeper)


def check_restricted():
    group = Group('restricted')
    keeper = Keeper(group, level='restricted')
    write('/proc/sys/user/max_user_namespaces', '0')
    keeper.wait_ready()
    same(keeper.status()['level'], 'restricted', 'no user namespaces')
    same(keeper.status()['cgroup'], ALL, 'cgroups all the same')
    same(keeper.run(THREADS, threads=9, memory=512 * MEBI)['out'], '9\n',
         'pids.max bounds the threads of one run')
    keeper.end()
    keeper = Keeper(Group('none', delegated=False), level='restricted')
    keeper.wait_ready()
    same(keeper.run(THREADS, threads=9, memory=512 * MEBI)['out'], '41\n',
         'witness: RLIMIT_NPROC only those of all runs')
    keeper.end()
    write('/proc/sys/user/max_user_namespaces', '10000')


def check_absent():
    for name, options, reason in (
            ('root-owned', {'delegated': False}, 'is not delegated'),
            ('bare', {'controllers': ''}, 'has not the controllers'),
            ('some', {'controllers': '+memory'}, 'has not the controllers')):
        keeper = Keeper(Group(name, **options)).wait_ready()
        same(keeper.status()['cgroup'], 'none', f'{name}: none are used')
        ok('PYX0380' in keeper.text() and reason in keeper.text(),
           f'{name}: the log tells why', keeper.text())
        same(keeper.run('print(1)')['out'], '1\n', f'{name}: runs are served')
        keeper.end()
    group = Group('shared')
    other = subprocess.Popen(['sleep', '1000'])
    write(f'{group.path}/cgroup.procs', str(other.pid))
    keeper = Keeper(group).wait_ready()
    ok('other processes' in keeper.text(), 'a group with others is left alone',
       keeper.text())
    same(group.below('pyexec-'), [], 'nothing was made in it')
    keeper.end()
    other.kill()
    other.wait()


def check_without_cpu():
    keeper = Keeper(Group('no-cpu', controllers='+memory +pids')).wait_ready()
    same(keeper.status()['cgroup'], 'memory pids', 'cpu is not a must')
    answer = keeper.run(BURN)
    ok(answer['cpu'] > 1.3 * answer['wall'],
       'witness: without cpu.max two threads have two processors', answer)
    keeper.end()


def check_processes():
    """The limits of a run that starts processes hold for all together."""
    group = Group('processes')
    keeper = Keeper(group, processes=7).wait_ready()

    def look():
        leaf = busy_leaf(group, keeper)
        wait_for(lambda: len(read(f'{leaf}/cgroup.procs').split()) == 7, 60)
        return {'processes': len(read(f'{leaf}/cgroup.procs').split()),
                'pids.max': read(f'{leaf}/pids.max').strip(), 'leaf': leaf}
    answer, seen = during(keeper, TREE % (1, 4), look)
    same((answer['outcome'], answer['out']), ('done', '6\nend\n'),
         'a run has its processes, and no more')
    same((seen['processes'], seen['pids.max']), (7, '7'),
         'all of them are in its group, whose pids.max is their number')
    ok(answer['cpu'] < 1.3 * answer['wall'],
       'they have one processor together', answer)
    ok(answer['cpu'] > 0.5 * answer['wall'], 'and their time is counted',
       answer)
    answer = keeper.run(TREE % (1, 60), cpu_ms=2000)
    same(answer['outcome'], 'cpu', 'the limit of CPU time is for all')
    # No resource limit of one process is met.
    answer = keeper.run(TREE % (40, 30), memory=100 * MEBI)
    same(answer['outcome'], 'memory', 'the limit of memory, too')
    answer = keeper.run('import os, time\nif os.fork() == 0:\n    os.setsid()\n'
                        '    if os.fork() == 0:\n        time.sleep(600)\n'
                        '    os._exit(0)\nprint(1)')
    same(answer['out'], '1\n', 'a run that leaves a daemon behind ends')

    def empty():
        return max([0] + [len(group.processes(name))
                          for name in group.below('pyexec-job-')]) <= 1
    ok(wait_for(empty, 20), 'and the daemon with it',
       {name: group.processes(name) for name in group.below('pyexec-job-')})
    same(keeper.run('print(1)')['out'], '1\n', 'the pool serves on')
    keeper.end()
    if group.below('pyexec-'):
        # What takes longer than a second to end is left to the next one.
        write(f'{group.path}/cgroup.subtree_control', '-memory -pids -cpu')
        Keeper(group).wait_ready().end()
    same(group.below('pyexec-'), [], 'and leaves no group')
    keeper = Keeper(Group('processes-none', delegated=False), processes=7)
    keeper.wait_ready()
    same(keeper.run(TREE % (40, 2), memory=100 * MEBI)['outcome'], 'done',
         'witness: without a group each has the limit of memory for itself')
    keeper.end()


def keepers_of(group):
    return [int(re.search(r'\d+$', leaf).group())
            for name in group.below('keeper-')
            for leaf in os.listdir(f'{group.path}/{name}')
            if leaf.startswith('pyexec-keeper-')]


def check_service():
    for who, delegated in (('user', True), ('root', False)):
        group = Group(f'service-{who}', delegated=delegated)
        service = Service(group, who == 'root').wait_ready()
        same(service.status()['cgroup'], ALL,
             f'service of {who}: each run has a cgroup')
        same(group.processes('supervisor'), [service.process.pid],
             'the supervisor has stepped aside')
        same(group.below('keeper-'), ['keeper-1'], 'its keeper has a group')
        same(service.run(PIPES, memory=8 * MEBI, files=3000)['outcome'], 'memory',
             'which bounds what lies in pipes')
        ok(service.tell(2), 'another set-up is taken')
        wait_for(lambda: group.below('keeper-') == ['keeper-2'], 60)
        same(group.below('keeper-'), ['keeper-2'],
             'the next keeper has the next group, and the first is removed')
        same(service.wait_ready().status()['cgroup'], ALL, 'as good as it')
        os.kill(keepers_of(group)[0], signal.SIGKILL)
        wait_for(lambda: group.below('keeper-') == ['keeper-3'], 60)
        same(group.below('keeper-'), ['keeper-3'],
             'what a killed one left is removed')
        same(service.wait_ready().run('print(1)')['out'], '1\n', 'runs go on')
        service.end()
        same(service.process.returncode, 0, 'SIGTERM ends it in order')
        same(group.below('keeper-'), [], 'and it leaves no group of a keeper')


def own_bytes(pid):
    return int(re.search(r'RssAnon:\s+(\d+)',
                         read(f'/proc/{pid}/status'))[1]) << 10


def room_of_jobs(group):
    """For each job what its group may have, and what its zygote has."""
    rows = []
    for name in group.below('pyexec-job-'):
        try:
            for pid in read(f'{group.path}/{name}/cgroup.procs').split():
                zygote = re.search(r'PPid:\s+(\d+)',
                                   read(f'/proc/{pid}/status'))
                most = read(f'{group.path}/{name}/memory.max').strip()
                rows.append((1 << 62 if most == 'max' else int(most),
                             own_bytes(zygote[1])))
        except (OSError, TypeError):
            continue  # it has just ended
    return rows


def check_pools():
    """A group that was small for one pool is large enough for the next."""
    write('/usr/lib/python3/dist-packages/pyexec_large.py',
          'data = b"x" * (60 << 20)\n')
    group = Group('pools')
    keeper = Keeper(group, pools={'default': '', 'large': 'pyexec_large'})
    keeper.wait_ready()
    seen = []
    for _ in range(6):
        # A group goes back, and the next job of any pool takes it.
        threads = [threading.Thread(
            target=keeper.run, args=('import time; time.sleep(1)',),
            kwargs={'pool': pool, 'memory': MEBI})
            for pool in ('default', 'large')]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        wait_for(lambda: len({row[1] // (30 * MEBI)
                              for row in room_of_jobs(group)}) == 2, 60)
        seen += room_of_jobs(group)
    ok([row for row in seen if row[1] > 60 * MEBI], 'one pool is large', seen)
    same([row for row in seen if row[0] < row[1]], [],
         'a group has room for what its job\'s pool has loaded')
    same(keeper.run('import pyexec_large; print(len(pyexec_large.data))',
                    pool='large')['out'], f'{60 << 20}\n', 'the pool serves')
    ok(not re.search('PYX03(41|5.)', keeper.text()), 'no job died of it',
       keeper.text())
    keeper.end()


def report(group):
    return subprocess.run(
        ['/bin/sh', '-c', 'echo $$ >"$0/cgroup.procs"; exec "$@"', group.path,
         'setpriv', f'--reuid={USER}', f'--regid={USER}', '--clear-groups',
         HELPER, '--check'], stdout=subprocess.PIPE, text=True)


def check_report():
    got = report(Group('report'))
    note(got.stdout)
    same(got.returncode, 0, '--check: isolation full is reached')
    ok(re.search(r'cgroup v2 +yes +delegated, controllers: ' + ALL, got.stdout),
       '--check: the group is delegated')
    got = report(Group('report-not', delegated=False))
    ok(re.search(r'cgroup v2 +no +.*not delegated', got.stdout),
       '--check: the group is not', got.stdout)


def check_httpd():
    """Tests of the suite; the helper that httpd starts has a group."""
    os.mkdir('/pyexec/real')
    for name in ('pyexecd', 'pyexec-zygote'):
        os.rename(f'/pyexec/{name}', f'/pyexec/real/{name}')
    os.rename('/pyexec/t/kernel/helper.sh', HELPER)
    os.chmod(HELPER, 0o755)
    # Emulation takes too long for large libraries.
    with open('/pyexec/t/conf/extra.conf.in', 'a') as conf:
        conf.write('PyExecPreload math\nPyExecQueueTimeout 60\n')
    for name in SUITE:
        got = subprocess.run(['perl', 't/TEST', '-verbose', name],
                             cwd='/pyexec', stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, text=True)
        ok(got.returncode == 0, f'with httpd: {name}', got.stdout)
    log = read('/pyexec/t/logs/error_log')
    ok('PYX0382' in log and 'PYX0381' not in log and 'PYX0380' not in log,
       'with httpd: groups were used', log)


def guarded(check, *arguments):
    try:
        check(*arguments)
    except Exception:
        ok(False, f'{check.__name__} ends', traceback.format_exc())


def main():
    note(f'Linux {os.uname().release}, {os.cpu_count()} processors')
    checks = (check_report, check_full, check_restricted, check_absent,
              check_without_cpu, check_service, check_pools, check_processes,
              measure_runs, check_httpd, measure)
    chosen = sys.argv[1].split(',') if sys.argv[1:] and sys.argv[1] else None
    for check in checks:
        if chosen and check.__name__ not in chosen:
            continue
        begin = time.monotonic()
        guarded(check)
        note(f'{check.__name__}: {time.monotonic() - begin:.0f} s')
    print(f'1..{count}', flush=True)


main()
