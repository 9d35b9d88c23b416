#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a job costs, phase by phase: page faults, system calls and time.

    t/bench/phases.py [URL [RUNS]]

Needs perf (apt-get install linux-perf), the right to watch other users'
processes (root) and a server: `./bootstrap run` in another terminal. Where
there is more than one, KEEPER is the process id of the pyexecd to look at.
CODE is the script. The counts are exact and the same on a busy machine; the
times are medians and have perf's own share in them.
"""
import collections
import http.client
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import urllib.parse

EXIT_GROUP, READ, SETSID, SIGPROCMASK, SECCOMP = 231, 0, 112, 14, 317  # x86-64

# Each ends with the first of this system call.
PHASES = (('fork hooks', SETSID), ('confinement', SIGPROCMASK),
          ('refresh', SECCOMP), ('filter, ready', READ), ('run', EXIT_GROUP))
LINE = re.compile(r'\s*(\d+)/\s*\d+\s+([\d.]+):\s+(\S+):\s*(?:NR (\d+))?')


def children(pid):
    return [int(child) for task in pathlib.Path(f'/proc/{pid}/task').iterdir()
            for child in (task / 'children').read_text().split()]


def keepers():
    if 'KEEPER' in os.environ:
        return [int(os.environ['KEEPER'])]
    return [int(path.parent.name) for path in pathlib.Path('/proc').glob('[0-9]*/comm')
            if path.read_text().strip() == 'pyexecd']


def post(url, runs, code):
    """In this process, one after the other."""
    parts = urllib.parse.urlsplit(url)
    body = json.dumps({'code': code})
    client = http.client.HTTPConnection(parts.netloc)
    for _ in range(runs):
        client.request('POST', parts.path, body, {'Content-Type': 'application/json'})
        answer = client.getresponse()
        text = answer.read().decode()
        if answer.status != 200:
            raise SystemExit(f'phases.py: {answer.status}: {text}')


def record(zygotes, load):
    """Every event of the zygotes and their jobs, as (pid, µs, call or None)."""
    with tempfile.TemporaryDirectory() as work:
        data = f'{work}/perf.data'
        perf = subprocess.Popen(
            ['perf', 'record', '-q', '-c', '1', '-e', 'page-faults',
             '-e', 'raw_syscalls:sys_enter', '-p', ','.join(map(str, zygotes)),
             '-o', data, '--', *load], stdout=subprocess.DEVNULL)
        if perf.wait() != 0:
            raise SystemExit('phases.py: perf failed')
        text = subprocess.run(
            ['perf', 'script', '-i', data, '-F', 'pid,tid,time,event,trace'],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True).stdout
    for line in text.splitlines():
        found = LINE.match(line)
        if found:
            yield (int(found[1]), float(found[2]) * 1e6,
                   None if found[4] is None else int(found[4]))


def phases_of(events):
    """(faults, calls, µs) of each phase, or None for a job that is not whole.

    The run begins with what follows the wait for it: its second read."""
    rows, at, faults, calls, began = [], 0, 0, 0, events[0][0]
    for time, call in events:
        faults += call is None
        calls += call is not None
        if at < len(PHASES) and call == PHASES[at][1]:
            rows.append((faults, calls, time - began))
            at, faults, calls, began = at + 1, 0, 0, time
        elif at == len(PHASES) - 1 and call == READ:
            began = time
    return rows if at == len(PHASES) else None


def main():
    if len(sys.argv) > 1 and sys.argv[1] == '--load':
        post(sys.argv[2], int(sys.argv[3]), sys.argv[4])
        return
    url = sys.argv[1] if len(sys.argv) > 1 else 'http://127.0.0.1:8080/execute'
    runs = sys.argv[2] if len(sys.argv) > 2 else '100'
    zygotes = [child for keeper in keepers() for child in children(keeper)]
    if not zygotes:
        raise SystemExit('phases.py: no pyexecd with a zygote is running')
    jobs = collections.defaultdict(list)
    for pid, time, call in record(zygotes, [sys.executable, __file__, '--load', url, runs,
                                            os.environ.get('CODE', 'print(1+1)')]):
        jobs[pid].append((time, call))
    parent = [events for pid, events in jobs.items() if pid in zygotes]
    whole = [rows for pid, events in jobs.items() if pid not in zygotes
             for rows in [phases_of(events)] if rows]
    if not whole:
        raise SystemExit('phases.py: no job was forked and run meanwhile')
    row = '| {:14} | {:>6} | {:>5} | {:>6} |'.format
    print(row('phase', 'faults', 'calls', 'us'), row('---', '---:', '---:', '---:'), sep='\n')
    for i, (name, _) in enumerate(PHASES):
        print(row(name, *(f'{statistics.median(rows[i][j] for rows in whole):.0f}'
                          for j in range(3))))
    sums = [statistics.median(sum(part[j] for part in rows) for rows in whole)
            for j in range(2)]
    print(row('the job', *(f'{value:.0f}' for value in sums), ''))
    calls = [call for events in parent for _, call in events]
    faults = calls.count(None)
    print(row('zygote, a run', *(f'{count / len(whole):.1f}'
                                 for count in (faults, len(calls) - faults)), ''))


main()
