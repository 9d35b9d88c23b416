#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Offers a server ten times what it can carry, and measures who notices.

  overload.py --port N [--parent PID] [--concurrency N] [--seconds 60]
              [--times 10] [--spin 100]

One process, many connections, an open loop: requests come at their rate
whether or not earlier ones were answered. Each is a run of `spin` ms that
prints a token of its own, so that an answer is checked as in t/lib/load.py.
Meanwhile a static file is asked for all the time, over connections that were
there before and over new ones. Prints one JSON object; times are in ms.
"""
import argparse
import asyncio
import json
import os
import re
import statistics
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
import load  # noqa: E402

STATIC_EVERY_S = 0.02


def ms(seconds):
    return round(seconds * 1000, 2)


def figures(seconds):
    """Median, p95 and worst of a list."""
    if not seconds:
        return {'count': 0}
    ordered = sorted(seconds)
    return {'count': len(ordered), 'median': ms(statistics.median(ordered)),
            'p95': ms(ordered[int(0.95 * (len(ordered) - 1))]),
            'worst': ms(ordered[-1])}


class Statics:
    """Asks for a static file over and over until it is stopped."""

    def __init__(self, port):
        self.port, self.seconds, self.bad = port, {'kept': [], 'new': []}, []
        self.retried, self.stopped = 0, False
        self.tasks = [asyncio.create_task(self.ask('kept')) for _ in range(8)]
        self.tasks.append(asyncio.create_task(self.ask('new')))

    async def ask(self, kind):
        connection = load.Connection(self.port, kind == 'kept')
        while not self.stopped:
            try:
                reused = connection.writer is not None
                answer = await connection.ask('GET', '/index.html')
                if answer.status != 200:
                    self.bad.append(answer.status)
                self.seconds[kind].append(answer.seconds)
            except load.Closed as error:
                connection.close()
                if not reused:
                    self.bad.append(repr(error))
                self.retried += 1
            except (load.Bad, OSError, asyncio.TimeoutError) as error:
                self.bad.append(repr(error))
                connection.close()
            await asyncio.sleep(STATIC_EVERY_S)

    def take(self):
        """What was measured since the last time."""
        taken, self.seconds = self.seconds, {'kept': [], 'new': []}
        return {kind: figures(values) for kind, values in taken.items()}

    async def stop(self):
        # Not by cancelling: wait_for() loses that when it ends right then.
        self.stopped = True
        await asyncio.gather(*self.tasks)


def memory_kb(parent):
    """Resident memory of httpd with its children, and of the keeper."""
    if not parent:
        return None
    sums = {'httpd': 0, 'keeper': 0}
    for pid in os.listdir('/proc'):
        try:
            with open('/proc/%s/status' % pid) as file:
                text = file.read()
        except OSError:
            continue
        field = dict(re.findall(r'^(\w+):\s*(.*)$', text, re.M))
        if 'VmRSS' not in field or str(parent) not in (pid, field['PPid']):
            continue
        name = 'keeper' if field['Name'] == 'pyexecd' else 'httpd'
        sums[name] += int(field['VmRSS'].split()[0])
    return sums


class Runs:
    def __init__(self, options):
        self.options, self.tally = options, load.Tally()
        self.served, self.own, self.queue, self.refused = [], [], [], []
        self.count, self.tasks = 0, set()

    async def one(self):
        self.count += 1
        token = 'token-%d' % self.count
        connection = load.Connection(self.options.port)
        try:
            answer = await connection.ask(
                'POST', self.options.path,
                load.script(token, self.options.spin))
            value = load.check(answer, token)
        except (load.Bad, load.Closed, OSError, asyncio.TimeoutError) as error:
            self.tally.wrong('%s: %r' % (token, error))
            return
        finally:
            connection.close()
        self.tally.good(answer)
        if answer.status == 200:
            queue = value['usage']['queue_seconds']
            self.served.append(answer.seconds)
            self.queue.append(queue)
            self.own.append(answer.seconds - queue)
        else:
            self.refused.append(answer.seconds)

    async def offer(self, rate, seconds):
        """`rate` a second, whatever becomes of them."""
        start = time.monotonic()
        offered = 0
        while time.monotonic() - start < seconds:
            due = int((time.monotonic() - start) * rate) - offered
            for _ in range(due):
                task = asyncio.create_task(self.one())
                self.tasks.add(task)
                task.add_done_callback(self.tasks.discard)
            offered += due
            await asyncio.sleep(0.005)
        return offered / (time.monotonic() - start)

    async def leave(self):
        """Those that still wait go away; that is how overloads end."""
        left = list(self.tasks)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        return len(left)


async def measure(options):
    alone, loaded, after = Runs(options), Runs(options), Runs(options)
    statics = Statics(options.port)
    for _ in range(options.probes):
        await alone.one()
    result = {'alone': {'runs': figures(alone.served),
                        'static': statics.take()}}
    rate = options.times * options.concurrency / statistics.median(alone.served)
    before = memory_kb(options.parent)

    offered = await loaded.offer(rate, options.seconds)
    result['overload'] = {
        'offered_per_second': round(offered, 1),
        'capacity_per_second': round(rate / options.times, 1),
        'served': figures(loaded.served), 'queued': figures(loaded.queue),
        'without_queue': figures(loaded.own),
        'refused': figures(loaded.refused), 'static': statics.take(),
        'statuses': loaded.tally.statuses}
    result['memory_kb'] = {'before': before,
                           'during': memory_kb(options.parent)}
    result['left'] = await loaded.leave()
    start = time.monotonic()
    while time.monotonic() - start < 30:
        await after.one()
        if after.served and after.own[-1] < 2 * statistics.median(alone.own) \
                and after.queue[-1] < 0.05:
            break
    result['recovered_after'] = ms(time.monotonic() - start
                                   - options.spin / 1000)
    for _ in range(options.probes):
        await after.one()
    result['after'] = {'runs': figures(after.served),
                       'static': statics.take()}
    result['memory_kb']['after'] = memory_kb(options.parent)
    await statics.stop()
    result['static_bad'] = len(statics.bad)
    result['bad'] = sum(r.tally.bad_count for r in (alone, loaded, after))
    result['examples'] = (statics.bad + loaded.tally.bad)[:10]
    return result


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--port', type=int, required=True)
    parser.add_argument('--path', default='/execute')
    parser.add_argument('--parent', type=int, default=0)
    parser.add_argument('--concurrency', type=int, default=os.cpu_count())
    parser.add_argument('--seconds', type=float, default=60)
    parser.add_argument('--times', type=float, default=10)
    parser.add_argument('--spin', type=float, default=100)
    parser.add_argument('--probes', type=int, default=20)
    print(json.dumps(asyncio.run(measure(parser.parse_args())), indent=1))


if __name__ == '__main__':
    main()
