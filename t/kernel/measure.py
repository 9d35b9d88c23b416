# SPDX-License-Identifier: Apache-2.0
"""What cgroups cost on this kernel. Times are told, not judged."""
import os
import subprocess
import threading
import time

from keeper import Group, Keeper, write


def note(text):
    for line in text.splitlines():
        print('#', line, flush=True)


def spread(times):
    times = sorted(times)
    return (f'median {times[len(times) // 2] * 1e3:.2f} ms, '
            f'worst {times[-1] * 1e3:.2f} ms')


def measure_steps(name):
    """How long the kernel takes for what the keeper's theory speaks of."""
    note(name)
    top = f'/sys/fs/cgroup/pyexec-test/{name}'
    steps = {'mkdir with memory, pids, cpu': [], 'a process moves': [],
             'it moves right after that': [], 'memory.max is written': [],
             'rmdir': []}
    times = list(steps.values())

    def timed(row, call, *arguments):
        begin = time.perf_counter()
        call(*arguments)
        row.append(time.perf_counter() - begin)
    os.mkdir(top)
    for i in range(30):
        group = f'{top}-{i}'
        timed(times[0], os.mkdir, group)
        child = subprocess.Popen(['sleep', '1000'])
        time.sleep(0.1)
        timed(times[1], write, f'{group}/cgroup.procs', str(child.pid))
        timed(times[2], write, f'{top}/cgroup.procs', str(child.pid))
        timed(times[3], write, f'{group}/memory.max', '100000000')
        child.kill()
        child.wait()
        timed(times[4], os.rmdir, group)
        # Waits, so that the kernel has come to rest before the next one.
        time.sleep(0.2)
    for name, row in steps.items():
        note(f'{name}: {spread(row)}')


def measure():
    measure_steps('plain')
    subprocess.run(['mount', '-o', 'remount,favordynmods', '/sys/fs/cgroup'],
                   check=True)
    measure_steps('favordynmods')


def throughput(keeper, seconds=6):
    """Runs a second, two at a time."""
    done = []
    end = time.monotonic() + seconds

    def ask():
        while time.monotonic() < end:
            done.append(keeper.run('print(1)')['outcome'])
    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return f'{len(done) / seconds:.1f} runs a second ({set(done)})'


def measure_runs():
    keeper = Keeper(Group('measure-none', delegated=False)).wait_ready()
    note('without groups: ' + throughput(keeper))
    keeper.end()
    keeper = Keeper(Group('measure-all')).wait_ready()
    note('with groups: ' + throughput(keeper))
    keeper.end()
