# SPDX-License-Identifier: Apache-2.0
# The systems that are compared: how each is started and stopped, what is
# missing for it, and how much CPU time it has used so far.
import json
import os
import pathlib
import shutil
import signal
import socket
import string
import subprocess
import time
import urllib.error
import urllib.request

import cpu

HERE = pathlib.Path(__file__).resolve().parent / 'systems'
AS_ROOT = os.geteuid() == 0
USER, GROUP = 'www-data', 'www-data'


def free_port():
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


def post(url, body, timeout=60):
    """Status and parsed answer."""
    request = urllib.request.Request(
        url, body.encode(), {'Content-Type': 'application/json'})
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(errors='replace')


class Template(string.Template):
    """The words between at signs, as in configure's files."""
    pattern = r'@(?:(?P<named>[a-z]+)@|(?P<escaped>(?!))|(?P<braced>(?!))|(?P<invalid>(?!)))'


class Service:
    """A server in a session of its own, on a port of its own."""

    def __init__(self, name, title, work):
        self.name, self.title, self.work = name, title, work
        self.port = free_port()
        self.url = f'http://127.0.0.1:{self.port}/execute'
        self.process = None

    def missing(self):
        return None

    def start(self, environment):
        self.prepare()
        # Should this script be killed, the kernel ends the server.
        self.process = subprocess.Popen(
            ['/usr/bin/setpriv', '--pdeathsig', 'TERM', *self.command()],
            stdin=subprocess.DEVNULL, start_new_session=True, cwd=self.work,
            env=environment | self.environment())
        deadline = time.monotonic() + 30
        while True:
            try:
                status, answer = post(self.url, '{"code": "print(1+1)"}')
                if status == 200 and answer['output'] == '2\n':
                    return
            except OSError as error:
                answer = error
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f'bench: {self.name} does not come up: {answer}\n'
                                 + self.log())
            time.sleep(0.1)

    def stop(self):
        if self.process is None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for pid in cpu.session(self.process.pid):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def log(self):
        file = self.work / f'{self.name}.log'
        return file.read_text(errors='replace')[-4000:] if file.exists() else ''

    def cpu_seconds(self):
        return cpu.tree(self.process.pid)[0]

    def running(self):
        """How many runs there are that cpu_seconds() does not see yet."""
        return 0

    def environment(self):
        return {}


class Httpd(Service):
    def __init__(self, name, title, work, setup):
        super().__init__(name, title, work)
        self.setup = setup

    def words(self):
        return {'port': self.port, 'dir': self.work, 'system': self.name,
                'modules': self.setup.modules, 'user': USER, 'group': GROUP,
                'module': self.setup.top / '.libs/mod_pyexec.so',
                'helper': self.setup.top / 'pyexecd'}

    def fill(self, source, name):
        text = Template((HERE / source).read_text()).substitute(self.words())
        (self.work / name).write_text(text)

    def prepare(self):
        (self.work / 'htdocs').mkdir(exist_ok=True)
        (self.work / f'run-{self.name}').mkdir()
        self.fill('httpd.conf.in', f'{self.name}-httpd.conf')
        self.fill(self.part, f'{self.name}.conf')

    def command(self):
        options = ['-D', 'BENCH_AS_ROOT'] if AS_ROOT else []
        return [self.setup.httpd, '-D', 'FOREGROUND', '-f',
                self.work / f'{self.name}-httpd.conf', *options]


class Pyexec(Httpd):
    part = 'pyexec.conf.in'


class Cgi(Httpd):
    """The tree's own account lacks the CGI programs: they keep one."""
    part = 'cgi.conf.in'

    def __init__(self, name, title, work, setup, program, needs=()):
        super().__init__(name, title, work, setup)
        self.program, self.needs = program, needs
        self.account = work / f'{name}.account'

    def missing(self):
        for program in self.needs:
            if shutil.which(program) is None:
                return f'{program} is not installed'
        return None

    def words(self):
        return super().words() | {'program': self.program.name,
                                  'account': self.account}

    def prepare(self):
        super().prepare()
        # The checkout may be closed to httpd's user.
        copy = self.work / self.program.name
        shutil.copyfile(self.program, copy)
        copy.chmod(0o755)
        self.account.touch()
        self.account.chmod(0o666)

    def cpu_seconds(self):
        told = sum(map(int, self.account.read_text().split()))
        return super().cpu_seconds() + told / 1e6

    def running(self):
        return cpu.tree(self.process.pid)[1]


class Gunicorn(Service):
    def missing(self):
        if not os.path.exists('/usr/bin/gunicorn'):
            return 'gunicorn is not installed'
        try:
            import flask  # noqa: F401 only whether it is there
        except ImportError:
            return 'python3-flask is not installed'
        return None

    def prepare(self):
        shutil.copyfile(HERE / 'flask_app.py', self.work / 'flask_app.py')

    def command(self):
        options = ['--user', USER, '--group', GROUP] if AS_ROOT else []
        return ['/usr/bin/gunicorn', '--workers', '2', '--worker-class',
                'gthread', '--threads', '4', '--bind', f'127.0.0.1:{self.port}',
                '--timeout', '120', '--log-level', 'warning', '--log-file',
                self.work / f'{self.name}.log', *options, 'flask_app:app']

    def environment(self):
        return {'PYTHONDONTWRITEBYTECODE': '1'}


class Floor:
    """No server: a program that is started for each cell."""
    name = 'floor'
    title = 'fork of a warm CPython, no HTTP, no isolation'
    url = None

    def missing(self):
        return None

    def start(self, environment):
        pass

    def stop(self):
        pass

    def cpu_seconds(self):
        return 0  # a child of this process


def all_systems(work, setup):
    return [
        Floor(),
        Pyexec('pyexec', 'mod_pyexec', work, setup),
        Cgi('cgi', 'mod_cgid + Python CGI, no sandbox', work, setup,
            HERE / 'python_cgi.py'),
        Cgi('bwrap', 'mod_cgid + bubblewrap + python3', work, setup,
            setup.top / 't/bench/bwrap_cgi', ['bwrap']),
        Gunicorn('flask', 'Flask + gunicorn + subprocess, no sandbox', work),
    ]
