# SPDX-License-Identifier: Apache-2.0
"""Makes an index of packages without wheels for t/http/install_inside.t: what
builds each of them is hostile.

  inside.py INDEX PORT DIRECTORY

writes it to INDEX. PORT is one of this machine's that nobody may reach,
DIRECTORY the environment's.
"""
import hashlib
import io
import pathlib
import sys
import tarfile

ROOT = pathlib.Path(sys.argv[1])
PORT, DIRECTORY = sys.argv[2:4]

# What each backend begins with, and how it makes a wheel.
COMMON = f'''
import ctypes, errno, os, signal, socket, subprocess, sys, time, zipfile
PORT, DIRECTORY = {PORT}, {DIRECTORY!r}
HERE = os.environ['TMPDIR'] if 'TMPDIR' in os.environ else os.environ['HOME']
PACKAGES = os.path.dirname(HERE) + '/environment/packages'

def attempt(what, *arguments):
    try:
        return f'did {{what(*arguments)!r}}'
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error))
    except BaseException as error:
        return type(error).__name__

def write(path, data=b'x'):
    with open(path, 'wb') as file:
        file.write(data)
    return path

def make_wheel(directory, name, text):
    info = f'{{name}}-1.0.dist-info'
    file = f'{{name}}-1.0-py3-none-any.whl'
    with zipfile.ZipFile(os.path.join(directory, file), 'w') as wheel:
        wheel.writestr(f'{{name}}.py', text)
        wheel.writestr(f'{{info}}/METADATA', 'Metadata-Version: 2.1\\n'
                       f'Name: {{name}}\\nVersion: 1.0\\n')
        wheel.writestr(f'{{info}}/WHEEL', 'Wheel-Version: 1.0\\n'
                       'Root-Is-Purelib: true\\nTag: py3-none-any\\n')
        wheel.writestr(f'{{info}}/RECORD', ''.join(
            name + ',,\\n' for name in wheel.namelist()))
    return file

def build_wheel(directory, config_settings=None, metadata_directory=None):
    return make_wheel(directory, NAME, f'FOUND = {{attack()!r}}\\n')
'''

ATTACKS = {
    # Tells what became of each; the test knows what should.
    'probes': '''
def attack():
    found = {}
    def probe(name, what, *arguments):
        found[name] = attempt(what, *arguments)
    libc = ctypes.CDLL(None, use_errno=True)
    def call(number, *arguments):
        if libc.syscall(number, *arguments) < 0:
            raise OSError(ctypes.get_errno(), 'x')
    def connect(port):
        socket.create_connection(('127.0.0.1', port), 2).close()
    def execute(path):
        return subprocess.run([path], capture_output=True).stdout
    probe('write the temporary directory', write, HERE + '/file')
    probe('write the packages', write, PACKAGES + '/inside_was_here.py')
    probe('write above them', write, os.path.dirname(HERE) + '/file')
    probe('write the root', write, '/file')
    probe('write the library', write, os.__file__)
    probe('see the directory', lambda: sorted(os.listdir(DIRECTORY)))
    probe('write the directory', write, DIRECTORY + '/file')
    probe('replace the link', os.symlink, 'x', DIRECTORY + '/current')
    for generation in sorted(os.listdir(DIRECTORY)):
        probe('write a generation', write,
              DIRECTORY + '/' + generation + '/file')
    probe('make a link', os.symlink, '/etc', HERE + '/link')
    probe('make a link by descriptor', call, 266, b'/etc', -100,
          (HERE + '/link2').encode())
    probe('make a hard link', os.link, HERE + '/file', HERE + '/hard')
    probe('make a fifo', os.mkfifo, HERE + '/fifo')
    probe('make a device', os.mknod, HERE + '/device', 0o20600, 0x103)
    probe('make a nameless file', os.open, HERE, os.O_TMPFILE | os.O_WRONLY)
    probe('set attributes', os.setxattr, HERE + '/file', 'user.x', b'x')
    probe('own a file', os.chown, HERE + '/file', 0, 0)
    write(HERE + '/program', b'#!/bin/sh\\necho ran\\n')
    os.chmod(HERE + '/program', 0o4755)
    probe('execute its own file', execute, HERE + '/program')
    probe('execute a program', execute, '/usr/bin/id')
    probe('reach another port', connect, PORT)
    probe('reach the proxy', connect, 3128)
    probe('listen', socket.create_server, ('127.0.0.1', 0))
    probe('send datagrams', socket.socket, socket.AF_INET, socket.SOCK_DGRAM)
    probe('see processes', os.listdir, '/proc')
    probe('signal PID 1', os.kill, 1, 9)
    probe('mount', call, 165, b'x', b'/', b'tmpfs', 0, 0)
    probe('make a namespace', call, 272, 0x10000000)
    probe('make memory files', call, 319, b'x', 0)
    found['accounts'] = open('/etc/passwd').read().count('\\n')
    found['root'] = sorted(os.listdir('/'))
    return found
''',
    # Somebody else goes on after the build, and writes what is taken over.
    'lingers': '''
def attack():
    if os.fork() == 0:
        os.setsid()
        os.closerange(0, 100)  # or pip would wait for it
        while True:
            try:
                write(PACKAGES + '/lingering.py', b'x' * 100000)
                write(HERE + '/lingering', b'x' * 100000)
            except OSError:
                pass
    return 'left one behind'
''',
    'fills': '''
def attack():
    number = 0
    while True:
        write(f'{PACKAGES}/fill{number}', bytes(1 << 20))
        number += 1
''',
    'inodes': '''
def attack():
    number = 0
    while True:
        write(f'{PACKAGES}/i{number}', b'')
        number += 1
''',
    'deep': '''
def attack():
    os.chdir(PACKAGES)
    for number in range(300):
        os.mkdir('deep')
        os.chdir('deep')
''',
    'shuts': '''
def attack():
    os.mkdir(PACKAGES + '/shut')
    write(PACKAGES + '/shut/file')
    os.chmod(PACKAGES + '/shut', 0)
''',
    'kills': '''
def attack():
    os.kill(os.getppid(), 9)
''',
    'exits': '''
def attack():
    # Into the process that would say that all went well.
    write(PACKAGES + '/packaging.py', b'import os; os._exit(0)')
    write(PACKAGES + '/inside_exits.py', b'')
    os.kill(os.getppid(), 15)
''',
    'forks': '''
def attack():
    children = 0
    while children < 1000:
        if os.fork() == 0:
            time.sleep(1000)
        children += 1
''',
    'loops': '''
def attack():
    while True:
        pass
''',
    'removes': '''
def attack():
    import shutil
    shutil.rmtree(PACKAGES)
    write(PACKAGES)
''',
    # Goes on when somebody says so.
    'stops': '''
def attack():
    os.kill(os.getpid(), signal.SIGSTOP)
    return 'went on'
''',
    # So that pip warns of nearly all that it may print before this goes on, and
    # of more than the rest once all is installed: at its very end.
    'floods': '''
EXTRA = 'x' * 5000

def prepare_metadata_for_build_wheel(directory, config_settings=None):
    info = directory + '/floods-1.0.dist-info'
    os.mkdir(info)
    write(info + '/METADATA', ('Metadata-Version: 2.1\\nName: floods\\n'
          'Version: 1.0\\nRequires-Dist: honest[' + ','.join(
          EXTRA + str(number) for number in range(203)) + ']\\n').encode())
    return os.path.basename(info)

def attack():
    info = PACKAGES + '/torn-1.0.dist-info'
    os.mkdir(info)
    write(info + '/METADATA', ('Metadata-Version: 2.1\\nName: torn\\n'
          'Version: 1.0\\nRequires-Dist: floods\\n' + ''.join(f'Requires-Dist: {EXTRA}{number}\\n'
          for number in range(9))).encode())
    os.kill(os.getpid(), signal.SIGSTOP)
    return 'flooded'
''',
}


def source(name, backend):
    files = {
        'pyproject.toml': '[build-system]\nrequires = []\nbuild-backend = '
                          '"backend"\nbackend-path = ["."]\n',
        'backend.py': f'NAME = {name!r}\n{COMMON}\n{backend}',
        'PKG-INFO': f'Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n',
    }
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode='w:gz') as tar:
        for path, text in files.items():
            entry = tarfile.TarInfo(f'{name}-1.0/{path}')
            entry.size = len(text.encode())
            tar.addfile(entry, io.BytesIO(text.encode()))
    data = out.getvalue()
    page = ROOT / 'simple' / name
    page.mkdir(parents=True)
    (page / f'{name}-1.0.tar.gz').write_bytes(data)
    (page / 'index.html').write_text(
        f'<a href="{name}-1.0.tar.gz#sha256={hashlib.sha256(data).hexdigest()}">'
        f'{name}-1.0.tar.gz</a>\n')


for attack, text in ATTACKS.items():
    source(attack, text)
source('honest', 'def attack():\n    return "nothing"\n')
