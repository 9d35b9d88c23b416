# SPDX-License-Identifier: Apache-2.0
# `make bench`: every system under every workload, side by side; README.md
# tells what is measured and how.
#
#     bench.py TOP HTTPD MODULES [OUT]
#
# TOP is the build directory, HTTPD the server, MODULES the directory of its
# modules, OUT where bench.md, bench.json and bench.svg go.
#
# Environment: BENCH_SECONDS a cell (2), BENCH_REPEATS (2), BENCH_ONLY: names of
# systems, workloads and numbers of clients, or "all".
import dataclasses
import json
import os
import pathlib
import shutil
import signal
import statistics
import sys
import tempfile
import time

import machine
import report
import systems
import workloads
from load import Load, environment

CLIENTS = (1, 8, 32, 256)
# Whose own account lacks the end of each process: it would count as others'.
UNTOLD = ('cgi', 'bwrap')


@dataclasses.dataclass
class Setup:
    top: pathlib.Path
    httpd: str
    modules: str


class Choice:
    """What BENCH_ONLY leaves of the systems, workloads and clients."""

    def __init__(self, words, known_systems, known_workloads):
        numbers = {str(number) for number in CLIENTS}
        names = {'systems': {it.name for it in known_systems},
                 'workloads': {it.name for it in known_workloads}}
        unknown = set(words) - numbers - {'all'}
        unknown -= names['systems'] | names['workloads']
        if unknown:
            raise SystemExit(f"bench: BENCH_ONLY: {' '.join(sorted(unknown))}? "
                             f"known are {' '.join(sorted(names['systems']))}, "
                             f"{' '.join(sorted(names['workloads']))}, "
                             f"{' '.join(map(str, CLIENTS))}, all")
        self.numbers = [n for n in CLIENTS if str(n) in words]
        self.every = 'all' in words
        self.systems = [it for it in known_systems if it.name in words] \
            or known_systems
        self.workloads = [it for it in known_workloads if it.name in words] \
            or known_workloads

    def clients(self, workload):
        return self.numbers or (CLIENTS if self.every else workload.clients)


class Driver:
    def __init__(self, load, seconds):
        self.load, self.seconds = load, seconds
        self.rates = {}

    def cell_seconds(self, system, workload, clients):
        """Long enough for six runs a client, four times the usual at most:
        else the figures of the slow are those of their first answers."""
        rate = self.rates.get((system.name, workload.name))
        needed = 6 * clients / rate if rate else 0
        return round(min(max(self.seconds, needed), 4 * self.seconds))

    def warm_up(self, system, workload, clients):
        """Tells the first cell how long to be, too. Where a second brings no
        answer to each client, it is left out."""
        key = system.name, workload.name
        if key in self.rates and self.rates[key] < 2 * clients:
            return
        rate = self.load.warm_up(system, workload, clients)
        self.rates.setdefault(key, rate)

    def measure(self, system, workload, clients):
        self.warm_up(system, workload, clients)
        seconds = self.cell_seconds(system, workload, clients)
        result = self.load.cell(system, workload, clients, seconds)
        runs = result['answers'] - result['refused']
        result['rate'] = runs / result['seconds']
        result['cpu_ms'] = 1e3 * result['cpu'] / runs if runs else None
        # None in all the time: at best one just afterwards.
        self.rates[system.name, workload.name] = \
            result['rate'] or 1 / result['seconds']
        say(f"{workload.name:10} {clients:3} {system.name:7} "
            f"{result['rate']:8.1f} runs/s  median {result['p50'] / 1e3:9.2f} ms")
        return result


def say(text):
    print(text, file=sys.stderr, flush=True)


def summary(repetitions, floors):
    """The medians over the repetitions; the ratios are made in each first."""
    row = {key: statistics.median(it[key] for it in repetitions)
           for key in ('rate', 'p50', 'p95', 'p99', 'others')}
    cpu = [it['cpu_ms'] for it in repetitions if it['cpu_ms'] is not None]
    row['cpu_ms'] = statistics.median(cpu) if cpu else None
    for key in ('answers', 'refused', 'lost'):
        row[key] = sum(it[key] for it in repetitions)
    if floors and row['cpu_ms'] is not None:
        pairs = list(zip(repetitions, floors))
        row['rate_to_floor'] = statistics.median(
            it['rate'] / floor['rate'] for it, floor in pairs)
        row['p50_to_floor'] = statistics.median(
            it['p50'] / floor['p50'] for it, floor in pairs)
    return row


def run_all(choice, driver, repeats):
    results = {}
    for workload in choice.workloads:
        driver.load.prepare(workload)
        for system in choice.systems:
            driver.load.verify(system, workload)
    for _ in range(repeats):
        for workload in choice.workloads:
            for clients in choice.clients(workload):
                for system in choice.systems:
                    key = workload.name, clients, system.name
                    results.setdefault(key, []).append(
                        driver.measure(system, workload, clients))
    return [{'workload': workload, 'clients': clients, 'system': system,
             **summary(repetitions, results.get((workload, clients, 'floor')))}
            for (workload, clients, system), repetitions in results.items()]


def start_all(choice):
    for system in list(choice.systems):
        reason = system.missing()
        if reason is not None:
            say(f'bench: no {system.name}: {reason} (./bootstrap bench)')
            choice.systems.remove(system)
        else:
            system.start(environment())


def main(top, httpd, modules, out):
    if shutil.which('wrk') is None:
        raise SystemExit('bench: wrk is not installed (./bootstrap bench)')
    seconds = int(os.environ.get('BENCH_SECONDS') or 2)
    repeats = int(os.environ.get('BENCH_REPEATS') or 2)
    if seconds < 1 or repeats < 1:
        raise SystemExit('bench: BENCH_SECONDS and BENCH_REPEATS are 1 or more')
    here = pathlib.Path(__file__).resolve().parent
    setup = Setup(pathlib.Path(top).resolve(), httpd, modules)
    out = pathlib.Path(out)
    out.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    work = pathlib.Path(tempfile.mkdtemp(prefix='pyexec-bench.', dir='/tmp'))
    known = systems.all_systems(work, setup)
    try:
        work.chmod(0o755)
        choice = Choice((os.environ.get('BENCH_ONLY') or '').split(), list(known),
                        workloads.all_workloads(
                            here.parent / 'data/HumanEval.jsonl.gz'))
        head = machine.describe(setup, seconds, repeats)
        began = time.monotonic()
        start_all(choice)
        load = Load(work, setup.top / 't/bench/floor', environment())
        rows = run_all(choice, Driver(load, seconds), repeats)
        head['others'] = statistics.mean([0] + [row['others'] for row in rows
                                                if row['system'] not in UNTOLD])
        head['took_seconds'] = round(time.monotonic() - began)
    finally:
        for system in known:
            system.stop()
        shutil.rmtree(work, ignore_errors=True)
    data = {'head': head, 'rows': rows,
            'systems': {it.name: it.title for it in choice.systems},
            'workloads': {it.name: it.title for it in choice.workloads}}
    (out / 'bench.json').write_text(json.dumps(data, indent=1) + '\n')
    text = report.markdown(data)
    (out / 'bench.md').write_text(text)
    print(text)
    try:
        import picture
    except ImportError:
        say('bench: no picture: python3-matplotlib is not installed')
    else:
        picture.draw(data, out / 'bench.svg')
    say(f"bench: {out}/bench.md, bench.json, bench.svg")


if __name__ == '__main__':
    main(*sys.argv[1:5])
