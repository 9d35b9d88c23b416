# SPDX-License-Identifier: Apache-2.0
# One cell: so many clients put one workload on one system for some seconds.
import json
import os
import pathlib
import subprocess
import time

import cpu
import systems

HERE = pathlib.Path(__file__).resolve().parent


class Load:
    def __init__(self, work, floor_program, environment):
        self.work, self.floor = work, floor_program
        self.environment = environment

    def prepare(self, workload):
        """Writes the scripts for the floor, and the requests for wrk."""
        folder = self.work / f'load-{workload.name}'
        folder.mkdir(exist_ok=True)
        for i, script in enumerate(workload.scripts):
            (folder / f'{i:03d}.py').write_text(script)
        (folder / 'bodies').write_text(
            ''.join(body + '\n' for body in workload.bodies()))

    def verify(self, system, workload):
        """Every script once: the figures are of runs that do their work."""
        if system.url is None:
            return
        for body in workload.bodies():
            status, answer = systems.post(system.url, body)
            if (status != 200 or answer['output'] != workload.output
                    or answer['returncode'] != 0):
                raise SystemExit(f'bench: {system.name}, {workload.name}: '
                                 f'{status} {str(answer)[:500]}')

    def cell(self, system, workload, clients, seconds):
        began, busy = time.monotonic(), cpu.machine()
        ours = cpu.own_children() + system.cpu_seconds()
        if system.url is None:
            result = self.on_floor(workload, clients, seconds)
        else:
            before = system.cpu_seconds()
            result = self.by_wrk(system, workload, clients, seconds)
            result['cpu'] = system.cpu_seconds() - before
        # What others used of the machine meanwhile, as a share of its cores.
        busy = cpu.machine() - busy
        ours = cpu.own_children() + system.cpu_seconds() - ours
        result['others'] = max(0, busy - ours) / (
            os.cpu_count() * (time.monotonic() - began))
        if system.url is not None:
            settle(system)
        return result

    def warm_up(self, system, workload, clients):
        """A second of the same load, with every answer looked at; returns
        runs a second, 0 if unknown."""
        if system.url is None:
            return 0
        result = self.by_wrk(system, workload, clients, 1, check=True)
        settle(system)
        if result['wrong']:
            raise SystemExit(f"bench: {system.name}, {workload.name}, {clients} "
                             f"clients: {result['wrong']} of {result['answers']} "
                             'runs failed')
        return (result['answers'] - result['refused']) / result['seconds']

    def on_floor(self, workload, clients, seconds):
        scripts = sorted((self.work / f'load-{workload.name}').glob('*.py'))
        done = subprocess.run(
            [self.floor, str(seconds), str(clients),
             ','.join(workload.imports()), *scripts],
            stdout=subprocess.PIPE, check=True, env=self.environment)
        result = json.loads(done.stdout)
        if (result['failed'] or result['bytes']
                != result['answers'] * len(workload.output)):
            raise SystemExit(f'bench: floor, {workload.name}: {result}')
        return result | {'refused': 0, 'lost': 0}

    def by_wrk(self, system, workload, clients, seconds, check=False):
        bodies = self.work / f'load-{workload.name}' / 'bodies'
        environment = self.environment | {'BODIES': str(bodies),
                                          'CLIENTS': str(clients)}
        if check:
            environment['CHECK'] = '1'
        done = subprocess.run(
            ['wrk', '-t1', f'-c{clients}', f'-d{seconds}s', '--timeout', '60s',
             '-s', HERE / 'post.lua', system.url],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            check=False, env=environment)
        for line in done.stdout.splitlines():
            if line.startswith('RESULT '):
                p50, p95, p99, _, _, *counts = map(int, line.split()[1:])
                answers, refused, lost, wrong, size, duration = counts
                return {'p50': p50, 'p95': p95, 'p99': p99, 'answers': answers,
                        'refused': refused, 'lost': lost, 'wrong': wrong,
                        'bytes': size, 'seconds': duration / 1e6}
        raise SystemExit(f'bench: wrk: {done.stdout}')


def settle(system):
    """Waits until the runs that wrk left behind have ended (30 s at most)."""
    deadline = time.monotonic() + 30
    last = system.cpu_seconds()
    quiet = 0
    while quiet < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
        now = system.cpu_seconds()
        still = now - last < 0.01 + 1e-6 and system.running() == 0
        quiet = quiet + 1 if still else 0
        last = now


def environment():
    """Nothing of the caller's but what programs need."""
    return {'PATH': '/usr/sbin:/usr/bin:/sbin:/bin', 'LANG': 'C.UTF-8',
            'HOME': os.environ.get('HOME', '/'),
            # A thread pool in every cold interpreter would be unfair to it.
            'OPENBLAS_NUM_THREADS': '1'}
