# SPDX-License-Identifier: Apache-2.0
"""Makes a package index (PEP 503) for t/http/install.t.

  packages.py DIRECTORY PORT

writes DIRECTORY/simple/NAME/index.html and DIRECTORY/files, for a server with
that port. A wheel is a zip file; those that are hostile no tool would make.
"""
import base64
import hashlib
import io
import os
import pathlib
import sys
import tarfile
import zipfile

ROOT = pathlib.Path(sys.argv[1])
PAGES = {}


def put(name, file, data, fragment=None):
    """A file of a package, and the line about it on the package's page."""
    target = ROOT / 'files' / file
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data)
    fragment = fragment or 'sha256=' + hashlib.sha256(data).hexdigest()
    PAGES.setdefault(name, []).append(
        f'<a href="../../files/{file}#{fragment}">{file}</a><br>')


def digest(data):
    text = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode()
    return 'sha256=' + text.rstrip('=')


def wheel_bytes(name, version, files, metadata=''):
    """files: {path in the wheel: text or bytes}."""
    info = f'{name}-{version}.dist-info'
    files = {path: data if isinstance(data, bytes) else data.encode()
             for path, data in files.items()}
    files[f'{info}/METADATA'] = (f'Metadata-Version: 2.1\nName: {name}\n'
                                 f'Version: {version}\n{metadata}').encode()
    files.setdefault(f'{info}/WHEEL', b'Wheel-Version: 1.0\nGenerator: test\n'
                     b'Root-Is-Purelib: true\nTag: py3-none-any\n')
    record = ''.join(f'{path},{digest(data)},{len(data)}\n'
                     for path, data in files.items())
    files[f'{info}/RECORD'] = (record + f'{info}/RECORD,,\n').encode()
    out = io.BytesIO()
    with zipfile.ZipFile(out, 'w') as wheel:
        for path, data in files.items():
            wheel.writestr(path, data)
    return out.getvalue()


def packed(data):
    """The same wheel, made small."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, 'w', zipfile.ZIP_DEFLATED) as wheel:
        with zipfile.ZipFile(io.BytesIO(data)) as plain:
            for entry in plain.namelist():
                wheel.writestr(entry, plain.read(entry))
    return out.getvalue()


def wheel(name, version, files=None, metadata='', fragment=None):
    files = files or {f'{name}/__init__.py': f'VERSION = "{version}"\n',
                      f'{name}/later.py': f'VERSION = "{version}"\n'}
    put(name, f'{name}-{version}-py3-none-any.whl',
        wheel_bytes(name, version, files, metadata), fragment)


# A backend within the package: it needs nothing of an index, and tells by what
# it builds that its code was executed.
BACKEND = '''
import os
import pathlib
import sys
sys.path.insert(0, os.getcwd())
def build_wheel(directory, config_settings=None, metadata_directory=None):
    data = pathlib.Path('built.whl').read_bytes()
    name = 'source-1.0-py3-none-any.whl'
    pathlib.Path(directory, name).write_bytes(data)
    return name
'''


def source(name, version):
    files = {
        'pyproject.toml': '[build-system]\nrequires = []\nbuild-backend = '
                          '"backend"\nbackend-path = ["."]\n',
        'backend.py': BACKEND,
        'PKG-INFO': f'Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n',
        'built.whl': wheel_bytes(name, version,
                                 {f'{name}.py': 'BUILT = True\n'}),
    }
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode='w:gz') as tar:
        for path, data in files.items():
            data = data if isinstance(data, bytes) else data.encode()
            entry = tarfile.TarInfo(f'{name}-{version}/{path}')
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    put(name, f'{name}-{version}.tar.gz', out.getvalue())


for number in ('1.0', '2.0', '3.0rc1'):
    wheel('demo', number)
wheel('links', '1.0', metadata='Requires-Dist: source @ http://localhost:'
      f'{sys.argv[2]}/files/source-1.0.tar.gz\n')
wheel('humanize', '4.9.0')
wheel('needs', '1.0', metadata='Requires-Dist: demo>=2\n')
wheel('lacks', '1.0', metadata='Requires-Dist: nowhere\n')
wheel('extra', '1.0', metadata='Provides-Extra: more\n'
      'Requires-Dist: demo ; extra == "more"\n')
for letter in 'abcdef':
    wheel(f'pkg{letter}', '1.0')
wheel('forged', '1.0', fragment='sha256=' + '0' * 64)
wheel('escape', '1.0', {'escape.py': 'x = 1\n', '../escaped.py': 'x = 1\n'})
wheel('deepescape', '1.0', {'deepescape.py': 'x = 1\n',
                            'a/../../../../escaped.py': 'x = 1\n'})
wheel('absolute', '1.0', {'absolute.py': 'x = 1\n', '/tmp/escaped.py': 'x = 1\n'})
wheel('dataescape', '1.0', {'dataescape.py': 'x = 1\n',
                            'dataescape-1.0.data/data/../../../escaped': 'x'})
wheel('hooks', '1.0', {
    'hooks/__init__.py': 'VERSION = "1.0"\n'
                         'def main():\n    print("a console script")\n',
    'hooks.pth': 'import sys; sys.pth_was_executed = True\n',
    'sitecustomize.py': 'import sys; sys.site_was_executed = True\n',
    'usercustomize.py': 'import sys; sys.site_was_executed = True\n',
    'json.py': 'TAKEN = True\n',
    'hooks-1.0.dist-info/entry_points.txt':
        '[console_scripts]\nhooks-run = hooks:main\n',
    'hooks-1.0.data/scripts/hooks-shell': '#!/bin/sh\necho a script\n',
    'hooks-1.0.data/data/share/hooks/file': 'data\n',
})
# What an installing pip would import by name, were it to find it; metadata of
# another package that is no text.
wheel('pip', '99.0', {'pip/__init__.py': 'raise SystemExit(9)\n'})
wheel('tells', '1.0', {'_manylinux.py': 'raise SystemExit(9)\n'})
wheel('unread', '1.0', {
    'unread.py': 'x = 1\n',
    'unread-1.0.data/purelib/else-1.0.dist-info/METADATA': b'Name: \xff\n'})
# Say that they have brought a version of another one, by which pip could not
# uninstall it.
wheel('blocks', '1.0', {
    'blocks.py': 'x = 1\n',
    'blocks-1.0.data/purelib/pkga-7.dist-info/METADATA':
        'Metadata-Version: 2.1\nName: pkga\nVersion: 7\n'})
wheel('empties', '1.0', {
    'empties.py': 'x = 1\n',
    'empties-1.0.data/purelib/pkga-7.dist-info/METADATA':
        'Metadata-Version: 2.1\nName: pkga\nVersion: 7\n',
    'empties-1.0.data/purelib/pkga-7.dist-info/RECORD': 'nothing,,\n'})


def brings(name, metadata='', record='', points='', requires=''):
    """What pip reads of another one when it is asked for that; small on its
    way, whatever it is then."""
    info = f'{name}-1.0.data/purelib/pkga-7.dist-info'
    data = wheel_bytes(name, '1.0', {
        f'{name}.py': 'x = 1\n',
        f'{info}/METADATA': 'Metadata-Version: 2.1\nName: pkga\nVersion: 7\n'
                            + metadata,
        f'{info}/RECORD': 'pkga-7.dist-info/METADATA,,\n' + record,
        f'{info}/requires.txt': requires,
        f'{info}/entry_points.txt': '[console_scripts]\n' + points})
    put(name, f'{name}-1.0-py3-none-any.whl', packed(data))


brings('points', points='nowhere\n')
brings('zeros', record='a\0/b,,\n')
brings('asks', metadata='Requires-Dist: !!!\n')
brings('nests', metadata='Requires-Dist: demo; ' + '(' * 999
       + 'os_name == "x"' + ')' * 999 + '\n')
brings('lasts', metadata='X:\n' * 200000)
brings('compares', metadata='Requires-Dist: demo'
       + ','.join(f'>={number}' for number in range(40000)) + '\n')
brings('lists', requires='demo'
       + ','.join(f'>={number}' for number in range(40000)) + '\n')
# A marker stands for all lines below it.
brings('marks', requires='[x:' + ' or '.join(['os_name == "x"'] * 700) + ']\n'
       + 'demo\n' * 20000)
brings('mails', metadata=''.join(
    f'Content-Type: multipart/mixed; boundary="{number}"\n\n--{number}\n'
    for number in range(300)) + '\n' + 'x\n' * 100000)
# By a name that nobody can ask to be uninstalled.
wheel('names', '1.0', {
    'names.py': 'x = 1\n',
    'names-1.0.data/purelib/long-1.dist-info/RECORD':
        'long-1.dist-info/METADATA,,\n',
    'names-1.0.data/purelib/long-1.dist-info/METADATA':
        'Metadata-Version: 2.1\nName: ' + 'long' * 100 + '\nVersion: 1\n'})
wheel('claims', '1.0', {
    'claims.py': 'x = 1\n',
    'claims-1.0.data/purelib/demo-9.0.dist-info/RECORD':
        'demo-9.0.dist-info/METADATA,,\n',
    'claims-1.0.data/purelib/demo-9.0.dist-info/METADATA':
        'Metadata-Version: 2.1\nName: demo\nVersion: 9.0\n'})
# More than is taken of the pool that has 1 MiB, and no zip makes it smaller; one
# that a zip makes small, and unpacked is not.
wheel('large', '1.0', {'large.py': 'x = 1\n', 'large.bin': os.urandom(3 << 20)})
put('bomb', 'bomb-1.0-py3-none-any.whl', packed(wheel_bytes('bomb', '1.0', {
    'bomb.py': 'x = 1\n', 'bomb.bin': bytes(64 << 20)})))
put('broken', 'broken-1.0-py3-none-any.whl', b'PK\x03\x04 and no more')
wheel('other', '1.0', {'other-1.0.dist-info/WHEEL': 'Wheel-Version: 9.0\n'
                       'Root-Is-Purelib: true\nTag: py3-none-any\n',
                       'other.py': 'x = 1\n'})
source('source', '1.0')

for package, lines in PAGES.items():
    page = ROOT / 'simple' / package / 'index.html'
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text('<!DOCTYPE html>\n<html><body>\n' + '\n'.join(lines)
                    + '\n</body></html>\n')
