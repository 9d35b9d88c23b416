# SPDX-License-Identifier: Apache-2.0
"""check.py WORK SOURCE: builds the image, runs it as conf/doc/container.md tells
to, and attacks it from outside. Prints TAP. Run by run.sh, in a network, mount
and PID namespace of its own."""
import http.client
import json
import os
import pathlib
import re
import subprocess
import sys
import traceback

import page
from engine import Engine, wait_for

WORK, SOURCE = (pathlib.Path(name).resolve() for name in sys.argv[1:3])
CONFINED = ('--read-only --tmpfs /run --cap-drop=ALL'
            ' --security-opt=no-new-privileges ')
FULL = '-e PYEXEC_ISOLATION=full '
# What this process was given, and what others were.
ENVIRONMENT = """import os
print(dict(os.environ))
for path in '/proc/1/environ', '/proc/self/environ':
    try:
        print(open(path).read())
    except OSError as problem:
        print(type(problem).__name__)
"""
# As t/sandbox/corpus.t has its servers.
CORPUS_CONF = 'PyExecConcurrency 4\n'
count = 0


def told(fine, what, why=''):
    global count
    count += 1
    print('%sok %d - %s' % ('' if fine else 'not ', count, what), flush=True)
    if why and not fine:
        print(''.join('# %s\n' % line for line in str(why).splitlines()), end='')


def is_equal(got, wanted, what):
    told(got == wanted, what, 'got %r, wanted %r' % (got, wanted))


# ---- asking ----

def ask(method, path, body=None):
    """Status and value; (0, None): nobody answers."""
    client = http.client.HTTPConnection('127.0.0.1', 8080, timeout=60)
    try:
        client.request(method, path, body and json.dumps(body),
                       {'Content-Type': 'application/json'} if body else {})
        answer = client.getresponse()
        return answer.status, json.loads(answer.read() or b'null')
    except (OSError, http.client.HTTPException):
        return 0, None
    finally:
        client.close()


def run_code(code, path='/execute'):
    return ask('POST', path, {'code': code})


class Container:
    def __init__(self, engine, options='', command='docker', more=''):
        self.engine = engine
        engine.shell('%s run -d --name pyexec %s %s localhost/pyexec '
                     '-D PYEXEC_POLICY_OFF %s' % (command, CONFINED, options, more))
        self.health = wait_for(lambda: self.known())

    def known(self):
        """Of /health: once it serves, or has found out why it cannot."""
        status, value = ask('GET', '/health')
        return (status, value) if status == 200 or (
            value and 'detail' in value) else None

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if kind:
            print(re.sub('^', '# ', self.log(), flags=re.M))
        self.engine.shell('podman rm -f -t 0 pyexec')

    def log(self):
        return self.engine.shell('podman logs pyexec')

    def pid(self):
        return self.engine.inspect('pyexec')['State']['Pid']

    def processes(self):
        """All in it, zombies too, as /proc/PID/status has them."""
        known = {}
        for path in pathlib.Path('/proc').glob('[0-9]*/status'):
            try:
                text = path.read_text()
            except OSError:
                continue  # it has ended meanwhile
            one = dict(line.split(':\t', 1) for line in text.splitlines())
            known[int(one['Pid'])] = one
        inside = {self.pid()}
        while True:
            more = {pid for pid, one in known.items()
                    if int(one['PPid']) in inside} - inside
            if not more:
                return [known[pid] for pid in inside]
            inside |= more


# ---- what is tested ----

def test_unprivileged(engine):
    """Docker's default profile, no capability: what the processes have."""
    with Container(engine) as container:
        is_equal(container.health[0], 200, 'docker: /health is 200')
        is_equal(container.health[1]['isolation'], 'restricted',
                 'docker: it tells the level')
        is_equal(run_code('import numpy\nprint(numpy.arange(3).sum())')[1]['output'],
                 '3\n', 'docker: numpy runs')
        all_of_it = container.processes()
        told(len(all_of_it) > 5, 'docker: processes were looked at')
        for field, wanted in (('CapPrm', '0' * 16), ('CapEff', '0' * 16),
                              ('CapBnd', '0' * 16), ('NoNewPrivs', '1'),
                              ('Seccomp', '2'),
                              ('Uid', '\t'.join(['10001'] * 4))):
            is_equal({one[field] for one in all_of_it}, {wanted},
                     'docker: %s of all processes' % field)
        status, text = engine.shell('podman exec pyexec '
            '/usr/local/libexec/pyexecd --check', check=False)
        is_equal(status, 1, 'docker: --check ends with the status of restricted')
        told('"restricted": reached and tested' in text, 'docker: --check says so',
             text)
        status, text = engine.shell('podman exec pyexec touch /etc/x', check=False)
        told('Read-only' in text, 'docker: the root is read-only', text)


def health_command(engine):
    """The image's HEALTHCHECK, as the runtime would run it: its status."""
    kind, *words = engine.inspect('localhost/pyexec')['Healthcheck']['Test']
    done = subprocess.run([engine.bin / 'podman', 'exec', 'pyexec', *words],
                          env=engine.environment, stderr=subprocess.DEVNULL)
    return kind, done.returncode


def test_refused(engine):
    """What is demanded and cannot be had: nothing runs, everybody is told."""
    with Container(engine, FULL) as container:
        status, value = container.health
        is_equal(status, 503, 'full demanded: /health is 503')
        told('PyExecIsolation' in value['detail'], 'full demanded: it says why')
        is_equal(run_code('print(1)')[0], 503, 'full demanded: a run is refused')
        is_equal(health_command(engine), ('CMD', 1),
                 'full demanded: so says the health check')
        told('PYX0369' in container.log(), 'full demanded: so does the log')


def kill_one(container, name):
    """Whether one of that name was killed, that had not ended by itself."""
    for one in container.processes():
        if one['Name'] == name and not one['State'].startswith('Z'):
            try:
                os.kill(int(one['Pid']), 9)
                return True
            except ProcessLookupError:
                pass
    return False


def test_process_one(engine):
    """Nothing piles up below httpd as process 1, whatever is killed."""
    with Container(engine) as container:
        is_equal(health_command(engine), ('CMD', 0), 'pid 1: health check')
        for name in ('pyexecd', 'pyexec-zygote'):
            for _ in range(3):
                told(wait_for(lambda: kill_one(container, name)),
                     'pid 1: there is a %s' % name)
                told(wait_for(lambda: run_code('print(6*7)')[0] == 200),
                     'pid 1: %s is killed, runs are served again' % name)
        run_code('import os\nos.abort()', '/policy-off/execute')
        # httpd looks once a second, at one after the other.
        left = wait_for(lambda: not [one for one in container.processes()
                                     if one['State'].startswith('Z')])
        told(left, 'pid 1: no zombies are left', container.processes())
        names = [one['Name'] for one in container.processes()]
        is_equal(names.count('pyexecd'), 1, 'pid 1: one keeper')


def test_stop(engine):
    """`docker stop` lets a run finish."""
    with Container(engine) as container:
        code = 'import time\nprint(1, flush=True)\ntime.sleep(3)\nprint(2)'
        client = subprocess.Popen(
            [sys.executable, '-c', 'import http.client as h, sys\n'
             'c = h.HTTPConnection("127.0.0.1", 8080, timeout=60)\n'
             'c.request("POST", "/policy-off/execute", sys.argv[1], '
             '{"Content-Type": "application/json"})\n'
             'print(c.getresponse().read().decode())',
             json.dumps({'code': code})], stdout=subprocess.PIPE, text=True)
        told(wait_for(lambda: (ask('GET', '/health')[1] or {}).get('running')),
             'stop: a run goes on')
        engine.shell('docker stop -t 30 pyexec')
        said = client.communicate()[0]
        told('"1\\n2\\n"' in said, 'stop: it was finished', said)
        state = engine.inspect('pyexec')['State']
        is_equal(state['ExitCode'], 0, 'stop: httpd ended by itself')


def test_any_user(engine):
    """Of another user, and with something that scripts must not get to know."""
    with Container(engine, '--user 12345:12345 -e SECRET=of-the-container ') \
            as container:
        is_equal(run_code('print(6*7)')[1]['output'], '42\n',
                 'any user: a run is served')
        is_equal({one['Uid'].split()[0] for one in container.processes()},
                 {'12345'}, 'any user: it is that')
        is_equal(engine.shell('podman exec pyexec printenv SECRET'),
                 'of-the-container\n', 'any user: the container has a variable')
        said = run_code(ENVIRONMENT, '/policy-off/execute')[1]['output']
        told(said.startswith('{') and 'of-the-container' not in said
             and said.count('PermissionError') == 2,
             'any user: a run cannot know it', said)


def test_podman(engine):
    """podman's own default profile: namespaces, but no name for the host."""
    with Container(engine, FULL, command='podman') as container:
        is_equal(container.health[0], 503, 'podman: full is not reached')
        told('--hostname=sandbox' in container.log(), 'podman: the log has a remedy')
    with Container(engine, FULL + '--hostname sandbox ',
                   command='podman') as container:
        is_equal(container.health[1]['isolation'], 'full',
                 'podman: full with that name')
        code = 'import os\nprint(os.getpid(), os.uname().nodename, os.listdir("/"))'
        told(run_code(code, '/policy-off/execute')[1]['output']
             .startswith('2 sandbox ['), 'podman: a run has namespaces')


ROOTLESS = """
cd '%s'
image=$(podman image mount localhost/pyexec)
cp -a "$image" rootfs
podman image unmount localhost/pyexec
mkdir home run
chmod 700 run
chown -R nobody: rootfs home run
echo 'nobody:200000:65536' >numbers
for file in /etc/subuid /etc/subgid; do
    [ -f $file ] || : >$file
    mount --bind numbers $file
done
cat >podman.sh <<'END'
exec setpriv --reuid=nobody --regid=nogroup --clear-groups env HOME="$PWD/home" \\
    XDG_RUNTIME_DIR="$PWD/run" USER=nobody LOGNAME=nobody \\
    CONTAINERS_CONF="$PWD/../containers.conf" \\
    /usr/bin/podman --storage-driver vfs "$@"
END
sh podman.sh run -d --name pyexec --no-healthcheck %s --hostname sandbox \\
    -e PYEXEC_ISOLATION=full --user 10001:10001 --rootfs "$PWD/rootfs" \\
    /usr/sbin/apache2 -D FOREGROUND -f /etc/pyexec/httpd.conf
"""


def test_rootless(engine):
    """podman of a user who is not root; from a directory, as one storage is
    enough."""
    place = engine.store / 'rootless'
    place.mkdir()
    engine.shell(ROOTLESS % (place, CONFINED))
    health = wait_for(lambda: ask('GET', '/health')[0] == 200
                      and ask('GET', '/health')[1])
    log = engine.shell('sh podman.sh logs pyexec', cwd=place)
    is_equal((health or {}).get('isolation'), 'full', 'rootless: full')
    is_equal(run_code('print(6*7)')[1].get('output'), '42\n',
             'rootless: a run is served')
    users = {line.split()[0] for line in
             engine.shell('ps -e -o uid=,comm=').splitlines() if 'apache2' in line}
    is_equal(users, {'210000'}, 'rootless: of a user that is nobody here')
    engine.shell('sh podman.sh rm -f -t 0 pyexec', cwd=place)
    if not health:
        print(re.sub('^', '# ', log, flags=re.M))


def test_profiles(engine):
    """seccomp-full.py of either default."""
    for name, path in (('docker', WORK / 'docker.json'),
                       ('podman', '/usr/share/containers/seccomp.json')):
        made = engine.store / ('full-%s.json' % name)
        engine.shell('%s conf/container/seccomp-full.py %s >%s'
                     % (sys.executable, path, made), cwd=SOURCE)
        with with_corpus(engine, FULL + '--security-opt seccomp=%s ' % made) \
                as container:
            is_equal(container.health[1]['isolation'], 'full',
                     'seccomp-full of %s: full' % name)
            told('full' in engine.shell('podman exec pyexec '
                 '/usr/local/libexec/pyexecd --check'),
                 'seccomp-full of %s: --check says so' % name)
            if name == 'docker':
                corpus('docker, full', 'full', [('off', '/policy-off/execute')])


def corpus(name, level, modes):
    """As t/sandbox/corpus.t; one verdict for all cases, with those that fail."""
    files = [SOURCE / 't/corpus' / ('%s.jsonl' % one)
             for one in ('attacks', 'faithful', 'requests')]
    cases = sum(1 for file in files for line in file.open() if line.strip())
    for policy, path in modes:
        done = subprocess.run(
            [sys.executable, '-B', SOURCE / 't/corpus/replay.py', '--url',
             'http://127.0.0.1:8080' + path, '--usage', '-v', '-j', '4',
             '--policy', policy, '--level', level, *files],
            stdout=subprocess.PIPE, text=True)
        verdicts = re.findall(r'^(?:PASS|FAIL|WARN|SKIP) \S+ .*', done.stdout,
                              re.M)
        bad = [one for one in verdicts if one.startswith('FAIL')]
        told(done.returncode == 0 and not bad and len(verdicts) == cases,
             'corpus: %s, policy %s: %s, of %d cases' % (
                 name, policy, done.stdout.split()[-1], len(verdicts)),
             '\n'.join(bad))


def with_corpus(engine, options=''):
    """Configured by a file of the administrator's own."""
    extra = engine.store / '10-corpus.conf'
    extra.write_text(CORPUS_CONF)
    extra.chmod(0o644)
    return Container(engine, options + '-v %s:/etc/pyexec/conf.d/%s:ro '
                     % (extra, extra.name))


def test_corpus(engine):
    with with_corpus(engine):
        corpus('docker, restricted', 'restricted',
               [('on', '/execute'), ('off', '/policy-off/execute')])


def test_page(engine):
    for block, fault in page.run(engine, SOURCE, WORK):
        told(not fault, str(block), fault)


def build(engine):
    engine.shell('podman import %s localhost/debian:12' % (WORK / 'base.tar'))


TESTS = [build, test_page, test_unprivileged, test_refused, test_process_one,
         test_stop, test_any_user, test_podman, test_rootless, test_profiles,
         test_corpus]


def main():
    subprocess.run(['ip', 'link', 'set', 'lo', 'up'], check=True)
    engine = Engine(os.environ['PYEXEC_STORE'], WORK)
    chosen = os.environ.get('CONTAINER_CHECKS', '').split(',')
    for test in TESTS:
        if test in TESTS[:2] or chosen == [''] or test.__name__ in chosen:
            try:
                test(engine)
            except Exception:
                told(False, test.__name__, traceback.format_exc())
                engine.shell('podman rm -f -t 0 pyexec', check=False)
        if engine.shell('podman image exists localhost/pyexec', check=False)[0] \
                and test is not build:
            print('Bail out! there is no image')
            break
    print('1..%d' % count)


main()
