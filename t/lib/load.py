#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Keeps clients busy and checks that each request has exactly one well-formed
answer, with its own result.

  load.py --port N [--path /execute] [--clients 16] [--seconds S] [--spin MS]
          [--keep-alive]

Runs until its stdin ends, or for S seconds, then waits for the answers that
are due and prints one JSON object.

Every request is a script that prints a token of its own. An answer is good
when it is a 200 with that token, or a 503 or 429 with Retry-After and a JSON
error; which of these may be is the caller's to say. All else is bad: no
answer, half of one, a second one, another one's token, another status.

A connection that was kept alive may be closed by the server at any time
(RFC 9112, 9.3.1). A request that met this, i.e. not the first on its
connection, and not a byte of an answer to it came, is sent again on a new
one and counted as `retried`; that needs a request which may be repeated
(RFC 9110, 9.2.2), and these scripts have no effect but their answer. With
Connection: close, the default, nothing is ever sent twice.
"""
import argparse
import asyncio
import json
import sys
import time

ANSWER_SECONDS = 60


class Bad(Exception):
    """Not one well-formed answer."""


class Closed(Exception):
    """The connection ended before the first byte of an answer."""


class Answer:
    def __init__(self, status, headers, body, seconds):
        self.status, self.headers, self.body = status, headers, body
        self.seconds = seconds

    def json(self):
        try:
            value = json.loads(self.body)
        except ValueError:
            raise Bad('%d is not JSON: %r' % (self.status, self.body[:80]))
        if not isinstance(value, dict):
            raise Bad('%d is no object' % self.status)
        return value


class Connection:
    """HTTP/1.1, one request at a time."""

    def __init__(self, port, keep_alive=False):
        self.port, self.keep_alive = port, keep_alive
        self.reader = self.writer = None
        self.used = 0

    async def open(self):
        self.reader, self.writer = await asyncio.open_connection(
            '127.0.0.1', self.port, limit=1 << 24)
        self.used = 0

    def close(self):
        if self.writer:
            self.writer.close()
        self.reader = self.writer = None

    async def ask(self, method, path, body=b'', headers=()):
        start = time.monotonic()
        head = ['%s %s HTTP/1.1' % (method, path), 'Host: localhost',
                'Connection: %s' % ('keep-alive' if self.keep_alive
                                    else 'close')]
        if body:
            head += ['Content-Type: application/json',
                     'Content-Length: %d' % len(body)]
        head += ['%s: %s' % pair for pair in headers]
        if self.writer is None:
            await self.open()
        self.used += 1
        try:
            # What was sent already decides nothing: an answer may be there.
            self.writer.write('\r\n'.join(head).encode() + b'\r\n\r\n' + body)
            await self.writer.drain()
        except OSError:
            pass
        return await asyncio.wait_for(self.read(start), ANSWER_SECONDS)

    async def read(self, start):
        try:
            head = await self.reader.readuntil(b'\r\n\r\n')
            lines = head.decode('latin-1').split('\r\n')
            status = int(lines[0].split(' ')[1])
            headers = {k.lower(): v.strip() for k, _, v in
                       (line.partition(':') for line in lines[1:] if line)}
            body = await self.reader.readexactly(int(headers['content-length']))
        except asyncio.IncompleteReadError as error:
            if not error.partial and 'head' not in locals():
                raise Closed('the end')
            raise Bad('half an answer: %r' % error.partial[:80])
        except OSError as error:
            if 'head' not in locals():
                raise Closed(str(error))
            raise Bad('half an answer: %s' % error)
        except (KeyError, IndexError, ValueError) as error:
            raise Bad('malformed: %r %r' % (error, head[:80]))
        answer = Answer(status, headers, body, time.monotonic() - start)
        tokens = headers.get('connection', '').lower().split(',')
        if 'close' in [token.strip() for token in tokens] \
                or not self.keep_alive:
            try:
                rest = await self.reader.read(1)
            except OSError:
                rest = b''
            self.close()
            if rest:
                raise Bad('more than one answer')
        return answer

    def check_silent(self):
        """Between two requests nothing may be there."""
        if self.reader and self.reader._buffer:
            raise Bad('an answer that nobody asked for')


class Tally:
    def __init__(self):
        self.statuses, self.bad, self.bad_count = {}, [], 0
        self.retried, self.slowest, self.longest_503 = 0, 0.0, 0.0
        self.seconds = []

    def wrong(self, text):
        self.bad_count += 1
        if len(self.bad) < 10:
            self.bad.append(text)

    def good(self, answer):
        self.statuses[answer.status] = self.statuses.get(answer.status, 0) + 1
        self.slowest = max(self.slowest, answer.seconds)

    def summary(self):
        return {'answers': sum(self.statuses.values()),
                'statuses': {str(k): v for k, v in self.statuses.items()},
                'bad': self.bad_count, 'examples': self.bad,
                'retried': self.retried, 'slowest': round(self.slowest, 3)}


def check(answer, token):
    """Is it a good one? Its JSON."""
    value = answer.json()
    if answer.status == 200:
        if value.get('output') != token + '\n' or value.get('returncode') != 0:
            raise Bad('not its own result: %r, wanted %s'
                      % (answer.body[:200], token))
    elif answer.status in (429, 503):
        if not answer.headers.get('retry-after', '').isdigit():
            raise Bad('%d without Retry-After' % answer.status)
        if not isinstance(value.get('error'), str):
            raise Bad('%d without an error' % answer.status)
    else:
        raise Bad('status %d: %r' % (answer.status, answer.body[:200]))
    return value


def script(token, spin_ms):
    code = 'print("%s")' % token
    if spin_ms:
        code = ('import time\nend = time.perf_counter() + %g\n'
                'while time.perf_counter() < end: pass\n%s'
                % (spin_ms / 1000, code))
    return json.dumps({'code': code, 'usage': True}).encode()


async def ask_once(connection, path, body, tally):
    """One answer, with the one repetition that HTTP allows."""
    connection.check_silent()
    while True:
        reused = connection.used > 0 and connection.writer is not None
        try:
            return await connection.ask('POST', path, body)
        except Closed as error:
            connection.close()
            if not reused:
                raise Bad('no answer: %s' % error)
            tally.retried += 1


async def client(number, options, stop, tally):
    connection = Connection(options.port, options.keep_alive)
    count = 0
    while not stop.is_set():
        count += 1
        token = 'token-%d-%d' % (number, count)
        body = script(token, options.spin)
        try:
            answer = await ask_once(connection, options.path, body, tally)
            check(answer, token)
            tally.good(answer)
        except (Bad, OSError, asyncio.TimeoutError) as error:
            tally.wrong('%s: %r' % (token, error))
            connection.close()
            answer = None
        if answer is None or answer.status != 200:
            await asyncio.sleep(0.05)
    connection.close()


async def wait_for_end(stop, seconds):
    loop = asyncio.get_running_loop()
    if seconds:
        loop.call_later(seconds, stop.set)
    else:
        loop.add_reader(0, lambda: sys.stdin.buffer.raw.read(100) or stop.set())
    await stop.wait()


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--port', type=int, required=True)
    parser.add_argument('--path', default='/execute')
    parser.add_argument('--clients', type=int, default=16)
    parser.add_argument('--seconds', type=float, default=0)
    parser.add_argument('--spin', type=float, default=0)
    parser.add_argument('--keep-alive', action='store_true')
    options = parser.parse_args()
    stop, tally = asyncio.Event(), Tally()
    clients = [asyncio.create_task(client(i, options, stop, tally))
               for i in range(options.clients)]
    await wait_for_end(stop, options.seconds)
    await asyncio.gather(*clients)
    print(json.dumps(tally.summary()))


if __name__ == '__main__':
    asyncio.run(main())
