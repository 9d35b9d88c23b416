#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A mixed load for a long time, while our processes are killed one after
another.

  soak.py --port N --parent PID [--seconds 1800] [--kill-every 3]
          --data DIR (t/) [--link URL] [--seed N]

The load: scripts that print a token of their own, the 164 programs of
HumanEval, the scripts of the corpus (honest ones and attacks, with the policy
and without), its abusive requests, and with --link that of packages.py. The
victims, by SIGKILL: keeper, zygotes, jobs, inits of slots, their makers,
children of httpd; never httpd's parent. At the end everything must be as it
was at the beginning, after the same graceful restart and the same short load.

Every request is to have exactly one well-formed answer: 200, 4xx or 503, in
JSON, 503 with Retry-After. Three things are excused, and counted: a connection
that closes without an answer while a child of httpd was killed, a link that
could not be fetched then, and a run that ended by signal 9, when a job or what
it lives in was. Prints one JSON object; `bad` and `left` must be empty.
"""
import argparse
import asyncio
import collections
import gzip
import json
import os
import random
import signal
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '..', 'lib'))
sys.path.insert(0, HERE)
import load  # noqa: E402
import packages  # noqa: E402
import processes  # noqa: E402

# A keeper that dies more often than this is replaced after a pause only.
KEEPER_LIVES_S = 35
QUIET_S = 30
# How long a keeper may take to come up, on however busy a machine.
UP_S = 120
TOKENS, PROGRAMS, SCRIPTS, REQUESTS = 6, 4, 3, 1


class Soak:
    def __init__(self, options):
        self.options = options
        self.random = random.Random(options.seed)
        self.statuses = collections.Counter()
        self.kills = collections.Counter()
        self.excused = collections.Counter()
        self.bad, self.bad_count = [], 0
        self.child_kills, self.run_kills = [], []
        self.seen = {}
        self.slowest = 0.0
        self.stop = False
        self.packages = options.link and packages.Packages(self, options.link)

    # ---- judging ----

    def wrong(self, name, why):
        self.bad_count += 1
        if len(self.bad) < 20:
            self.bad.append('%.1f s %s: %s' % (time.monotonic() - self.start,
                                               name, why))

    def killed_since(self, times, start):
        """Shortly before counts: a death takes a moment."""
        return any(when > start - 1 for when in times[-20:])

    async def ask(self, name, path, request, check):
        """One request on a connection of its own."""
        start = time.monotonic()
        connection = load.Connection(self.options.port)
        try:
            answer = await connection.ask('POST', path,
                                          json.dumps(request).encode())
            self.judge(name, start, answer, check)
        except (load.Bad, load.Closed, OSError) as error:
            if self.killed_since(self.child_kills, start):
                self.excused['closed'] += 1
            else:
                self.wrong(name, repr(error))
        except asyncio.TimeoutError:
            self.wrong(name, 'no answer for a minute')
        finally:
            connection.close()

    def judge(self, name, start, answer, check):
        value = answer.json()
        status = answer.status
        self.statuses[status] += 1
        self.slowest = max(self.slowest, answer.seconds)
        if status == 200:
            if value.get('returncode') == -9 and check is not None \
                    and self.killed_since(self.run_kills, start):
                self.excused['killed'] += 1
            elif check is not None and not check(value):
                self.wrong(name, 'not its result: %r' % answer.body[:200])
        elif status == 503:
            if not answer.headers.get('retry-after', '').isdigit():
                self.wrong(name, '503 without Retry-After')
        elif status == 400 and 'was not fetched' in value.get('error', '') \
                and self.killed_since(self.child_kills, start):
            self.excused['unfetched'] += 1
        elif not 400 <= status < 500 or check is not None:
            self.wrong(name, '%d: %r' % (status, answer.body[:200]))

    # ---- the load ----

    async def tokens(self, number):
        count = 0
        while not self.stop:
            count += 1
            token = 'token-%d-%d' % (number, count)
            spin = self.random.choice((0, 0, 1, 20))
            await self.ask(token, '/execute', json.loads(
                load.script(token, spin)),
                lambda value: value.get('output') == token + '\n'
                and value.get('returncode') == 0)
            await asyncio.sleep(0.01)

    async def programs(self, programs):
        while not self.stop:
            name, source = self.random.choice(programs)
            path = self.random.choice(('/compat/code/execute',
                                       '/policy-off/execute'))
            await self.ask(name, path, {'code': source},
                           lambda value: (value['output'], value['error'],
                                          value['returncode']) == ('', '', 0))
            await asyncio.sleep(0.01)

    async def scripts(self, cases):
        while not self.stop:
            case = self.random.choice(cases)
            form = 'script' if case.get('form') == 'script' else 'code'
            path = self.random.choice(('/execute', '/policy-off/execute'))
            for step in case.get('steps', [case]):
                await self.ask(case['id'], path,
                               {form: step['code'], 'usage': True}, None)

    async def requests(self, cases):
        """What replay.py sends; one whole answer, or none where the client
        itself gave up or is to be thrown out."""
        sys.path.insert(0, os.path.join(self.options.data, 'corpus'))
        import replay
        target = replay.Target('http://127.0.0.1:%d/execute'
                               % self.options.port)
        while not self.stop:
            case = self.random.choice(cases)
            start = time.monotonic()
            answers, may_reset = await asyncio.to_thread(
                self.replay, replay, target, case)
            for status, headers, body, complete in answers:
                if status is None or not complete:
                    if self.killed_since(self.child_kills, start):
                        self.excused['closed'] += 1
                    else:
                        self.wrong(case['id'], 'half an answer: %r'
                                   % body[:100])
                elif status >= 200:
                    self.statuses[status] += 1
                    if not (status in (200, 204, 503) or 400 <= status < 500
                            or status in (501, 505)):
                        self.wrong(case['id'], 'status %d' % status)
            if not answers and not may_reset \
                    and not self.killed_since(self.child_kills, start):
                self.wrong(case['id'], 'no answer')

    @staticmethod
    def replay(replay, target, case):
        expect = case['expect']
        if 'http' in case:
            part = case['http']
            body = replay.base64.b64decode(part['body_b64']) \
                if 'body_b64' in part \
                else replay.build(target, part['body_parts']) \
                if 'body_parts' in part \
                else target.fill(part['body']).encode(
                    'utf-8', 'surrogatepass') if 'body' in part else None
            answer = replay.request(target, part['method'],
                                    target.fill(part['path']),
                                    part['headers'], body)
            answers = [] if answer.status is None else [
                (answer.status, answer.headers, answer.body, True)]
            return answers, expect.get('may_reset', False)
        data, error, _ = replay.raw(target, replay.build(target, case['send']))
        return replay.parse_stream(data or b''), \
            'status' not in expect or None in expect['status'] or bool(error)

    # ---- the killer ----

    def note_processes(self):
        found = processes.below(self.options.parent)
        for process in found:
            self.seen[process.key] = process.name
        return found

    def kill_one(self, last_keeper):
        found = collections.defaultdict(list)
        for process in self.note_processes():
            found[processes.kind(process, self.options.parent)].append(process)
        if time.monotonic() - last_keeper < KEEPER_LIVES_S:
            found.pop('keeper', None)
        found.pop('other', None)
        if not found:
            return None
        kind = self.random.choice(sorted(found))
        victim = self.random.choice(found[kind])
        # Noted first: what it causes may come before we go on.
        if kind == 'child of httpd':
            self.child_kills.append(time.monotonic())
        self.run_kills.append(time.monotonic())
        if not processes.kill(victim):
            return None
        self.kills[kind] += 1
        return kind

    async def killer(self):
        last_keeper = 0.0
        while not self.stop:
            await asyncio.sleep(self.options.kill_every
                                * self.random.uniform(0.3, 1.7))
            if self.stop:
                return
            if self.kill_one(last_keeper) == 'keeper':
                last_keeper = time.monotonic()

    # ---- all of it ----

    def read_cases(self):
        data = self.options.data
        with gzip.open(os.path.join(data, 'data/HumanEval.jsonl.gz')) as file:
            problems = [json.loads(line) for line in file if line.strip()]
        programs = [(p['task_id'], '%s%s\n%s\ncheck(%s)\n' % (
            p['prompt'], p['canonical_solution'], p['test'],
            p['entry_point'])) for p in problems]
        corpus = []
        for name in ('attacks', 'faithful', 'requests'):
            with open(os.path.join(data, 'corpus/%s.jsonl' % name)) as file:
                corpus += [json.loads(line) for line in file if line.strip()]
        scripts = [c for c in corpus if 'layer' in c]
        # Loads of their own would be nothing but load here.
        requests = [c for c in corpus if 'layer' not in c
                    and ('http' in c or 'send' in c)
                    and c.get('connections', 1) == 1]
        return programs, scripts, requests

    def clients(self, cases):
        programs, scripts, requests = cases
        return ([self.tokens(i) for i in range(TOKENS)]
                + [self.programs(programs) for _ in range(PROGRAMS)]
                + [self.scripts(scripts) for _ in range(SCRIPTS)]
                + [self.requests(requests) for _ in range(REQUESTS)]
                + (self.packages.clients() if self.packages else []))

    async def load_for(self, seconds, tasks):
        self.stop = False
        running = [asyncio.create_task(task) for task in tasks]
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            # One that has ended has failed; gather() tells.
            if any(task.done() for task in running):
                break
            await asyncio.sleep(0.2)
        self.stop = True
        await asyncio.gather(*running)

    def keepers(self):
        parent = self.options.parent
        return {p.key for p in processes.below(parent)
                if processes.kind(p, parent) == 'keeper'}

    async def are_up(self):
        """The three zygotes of the first pool, and one of each other that is
        not started by what asks for it."""
        connection = load.Connection(self.options.port)
        try:
            answer = await connection.ask('GET', '/health')
            return answer.status == 200 \
                and answer.json()['pools'][0]['branches_up'] >= 3
        except (load.Bad, load.Closed, OSError, KeyError, ValueError,
                asyncio.TimeoutError):
            return False
        finally:
            connection.close()

    async def come_up(self, old=frozenset()):
        """Waits for one keeper that is none of these, and for its zygotes."""
        end = time.monotonic() + UP_S
        while time.monotonic() < end:
            now = self.keepers()
            if len(now) == 1 and not now & old and await self.are_up():
                break
            await asyncio.sleep(0.1)

    async def settle(self):
        """The same beginning each time: a new keeper, and its zygotes up:
        without modules, with the light ones, with all."""
        old = self.keepers()
        os.kill(self.options.parent, signal.SIGUSR1)
        await self.come_up(old)
        await self.load_for(4, [self.tokens(1000 + i) for i in range(4)])
        return await processes.quiet_census(self.options.parent, QUIET_S)

    async def run(self):
        cases = self.read_cases()
        self.start = time.monotonic()
        if self.packages:
            await self.packages.once()  # an environment that has something
        before = await self.settle()
        await self.load_for(self.options.seconds,
                            self.clients(cases) + [self.killer()])
        during = await processes.quiet_census(self.options.parent, QUIET_S)
        if self.packages:
            await self.packages.once()
        after = await self.settle()
        alive = {p.key for p in processes.below(self.options.parent)}
        orphans = [name for key, name in self.seen.items()
                   if key not in alive and processes.is_alive(key)]
        left = processes.compare(before, after) + [
            'process %s' % name for name in orphans]
        return {'seconds': self.options.seconds,
                'installed': self.packages and self.packages.done,
                'not_installed': self.packages and self.packages.failed,
                'answers': sum(self.statuses.values()),
                'statuses': dict(sorted(self.statuses.items())),
                'kills': dict(self.kills), 'excused': dict(self.excused),
                'slowest': round(self.slowest, 2),
                'bad': self.bad_count, 'examples': self.bad, 'left': left,
                'before': before, 'during': during, 'after': after}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--port', type=int, required=True)
    parser.add_argument('--parent', type=int, required=True)
    parser.add_argument('--data', required=True)
    parser.add_argument('--link')
    parser.add_argument('--seconds', type=float, default=1800)
    parser.add_argument('--kill-every', type=float, default=3)
    parser.add_argument('--seed', type=int, default=None)
    options = parser.parse_args()
    if options.seed is None:
        options.seed = int.from_bytes(os.urandom(4), 'big')
    result = asyncio.run(Soak(options).run())
    result['seed'] = options.seed
    print(json.dumps(result, indent=1))


if __name__ == '__main__':
    main()
