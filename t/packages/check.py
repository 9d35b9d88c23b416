# SPDX-License-Identifier: Apache-2.0
"""check.py WORK DEBS ARCHIVE TOP [NAME ...]: installs, uses, upgrades and
removes the packages as conf/doc tells to, each test in a Debian of its own,
and runs every page. Prints TAP. Root only; run.sh prepares all that it needs."""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import traceback

import doc
import files
from machine import Machine, wait_for

WORK, DEBS, ARCHIVE, TOP = (pathlib.Path(name).resolve()
                            for name in sys.argv[1:5])
PACKAGES = ('pyexecd', 'libapache2-mod-pyexec')
POST = ("curl -s -w '\\n%%{http_code}' -H 'Content-Type: application/json' "
        "-d '%s' http://localhost/execute")
RUN = POST % '{"code":"print(6*7)"}'
# A run that is still going on when something else has happened.
LONG = POST % '{"code":"import time\\ntime.sleep(4)\\nprint(1)"}'
count = 0


def told(fine, what, why=''):
    global count
    count += 1
    print('%sok %d - %s' % ('' if fine else 'not ', count, what), flush=True)
    if not fine and why:
        print(''.join('# %s\n' % line for line in str(why).splitlines()), end='')


def is_equal(got, wanted, what):
    told(got == wanted, what, 'got %r, wanted %r' % (got, wanted))


def skipped(block):
    global count
    count += 1
    print('ok %d - %s # SKIP %s' % (count, block, block.value.replace('_', ' ')))


def status(machine, command=RUN):
    return machine.run(command).stdout.splitlines()[-1]


def helpers(machine):
    return machine.run('pgrep -x pyexecd || :').stdout.split()


def put_packages(machine):
    for package in DEBS.glob('*.deb'):
        if 'dbgsym' not in package.name:
            machine.put(package, '/root/' + package.name)


def newer_packages():
    """The same with a higher version, as a rebuild makes them."""
    new = WORK / 'new'
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir()
    for name in PACKAGES:
        old, = DEBS.glob(name + '_*.deb')
        subprocess.run(['dpkg-deb', '-R', old, new / name], check=True)
        control = new / name / 'DEBIAN/control'
        lines = control.read_text().splitlines()
        version, = (line.split()[1] for line in lines
                    if line.startswith('Version:'))
        # The one package depends on the very version of the other.
        text = control.read_text().replace(version, version + '+next')
        control.write_text(text)
        subprocess.run(['dpkg-deb', '--root-owner-group', '-b', new / name,
                        new / ('%s_%s+next.deb' % (name, version))],
                       check=True, stdout=subprocess.DEVNULL)
        shutil.rmtree(new / name)
    return sorted(new.glob('*.deb'))


def put_newer(machine):
    for package in newer_packages():
        machine.put(package, '/root/new/' + package.name)


def prepared(system):
    """The machine that a page says it needs."""
    return Machine(WORK, ['base', 'build'] if system == 'source' else ['base'])


def put_for(machine, page):
    if page.system == 'source':
        machine.put(ARCHIVE, '/root/' + ARCHIVE.name)
        return
    put_packages(machine)
    if page.name == 'upgrade.md':
        put_newer(machine)


class Load:
    """Clients that never pause, for the time of a with."""

    def __init__(self, machine):
        self.machine = machine
        machine.put(TOP / 't/lib/load.py', '/run/load.py')
        self.process = machine.start(
            'exec python3 -I /run/load.py --port 80 --clients 2')

    def requests(self):
        return int(self.machine.run('cat /var/log/apache2/access.log* '
                                    '| grep -c "POST /execute" || :').stdout)

    def wait_for_more(self):
        before = self.requests()
        wait_for('requests', lambda: self.requests() > before + 4)

    def __enter__(self):
        self.wait_for_more()
        return self

    def __exit__(self, kind, *_):
        # What happened is only over when some came after it.
        if kind is None:
            self.wait_for_more()
        out, _ = self.process.communicate('\n', timeout=300)
        self.summary = json.loads(out)


def without_fault(load, what):
    summary = load.summary
    told(summary['bad'] == 0 and set(summary['statuses']) == {'200'}
         and summary['answers'] > 8, what, summary)


# ---- the tests ----------------------------------------------------------

def check_lintian(_):
    """Debian's own judge of packages; what it need not mind is in overrides,
    each with its reason."""
    if not shutil.which('lintian'):
        told(True, 'lintian # SKIP not installed')
        return
    changes, = DEBS.glob('*.changes')
    done = subprocess.run(['lintian', '--allow-root', '-EviIL', '+pedantic',
                           changes], capture_output=True, text=True)
    tags = [line for line in done.stdout.splitlines() if line[:2] != 'N:']
    told(done.returncode == 0 and not tags, 'lintian has nothing to say',
         '\n'.join(tags + [done.stderr]))


def check_install(pages):
    """A plain install changes nothing for whoever uses httpd."""
    with prepared('packages') as machine:
        put_packages(machine)
        is_equal(status(machine), '404', 'before: nothing is there')
        blocks = pages['packages.md'].blocks
        doc.run_block(machine, blocks[0], '')
        is_equal(status(machine), '404', 'after: nothing is served')
        is_equal(helpers(machine), [], 'no helper runs')
        is_equal(machine.run('systemctl is-enabled pyexecd.socket '
                             'pyexecd-control.socket || :').stdout.split(),
                 ['disabled', 'disabled'], 'the units are not enabled')
        told('pyexec' in machine.run('apachectl -M').stdout,
             'the module is loaded')
        # Debian tells mistakes in units and manual pages at its build; these
        # are the installed ones.
        machine.run('systemd-analyze verify --man=no /lib/systemd/system/pyexecd*')
        told(True, 'systemd accepts the units')
        # The profile that conf/doc/ubuntu.md installs, where it is needed.
        profile = machine.run('cat /usr/share/doc/pyexecd/examples/apparmor/'
                              'pyexecd').stdout
        named, = re.findall('^profile pyexecd (.*) flags=', profile, re.M)
        is_equal(set(machine.run("bash -c 'ls %s'" % named).stdout.split()),
                 set(machine.run('ls /usr/libexec/pyexec*').stdout.split()),
                 'the AppArmor profile names all programs')
        is_equal(machine.run('getent passwd pyexec').stdout.split(':')[5:],
                 ['/', '/usr/sbin/nologin\n'], 'the user can do nothing else')


def check_life(pages):
    """Configure, rotate, upgrade and purge under load."""
    with prepared('packages') as machine:
        before, people = files.snapshot(machine), files.accounts(machine)
        put_packages(machine)
        put_newer(machine)
        doc.run_page(machine, pages['packages.md'])
        rotate(machine)
        upgrade(machine, pages)
        reconfigure(machine)
        with Load(machine) as load:
            machine.run('dpkg-reconfigure libapache2-mod-pyexec pyexecd')
        without_fault(load, 'dpkg-reconfigure costs no request')
        purge(machine, pages, before, people)


def rotate(machine):
    with Load(machine) as load:
        run = machine.start(LONG)
        wait_for('the run', lambda: machine.run(
            'curl -s http://localhost/health | grep -o \'"running": *[1-9]\' || :'
        ).stdout)
        machine.run('logrotate --force /etc/logrotate.d/apache2')
        out, _ = run.communicate(timeout=120)
    is_equal(out.splitlines()[-1], '200', 'a run goes on through a rotation')
    without_fault(load, 'a rotation costs no request')
    told(machine.run('test -s /var/log/apache2/error.log.1 && '
                     'grep -c resuming /var/log/apache2/error.log').stdout
         != '0\n', 'the new log is written')


def upgrade(machine, pages):
    first = helpers(machine)
    with Load(machine) as load:
        run = machine.start(LONG)
        doc.run_page(machine, pages['upgrade.md'])
        out, _ = run.communicate(timeout=120)
    is_equal(out.splitlines()[-1], '200', 'a run goes on through an upgrade')
    without_fault(load, 'an upgrade costs no request')
    wait_for('the end of the old helper',
             lambda: not set(first) & set(helpers(machine)))
    # What runs from a file that was replaced is called deleted.
    is_equal(machine.run('for pid in $(pgrep -x pyexecd); do '
                         'readlink /proc/$pid/exe; done').stdout,
             '/usr/libexec/pyexecd\n', 'the helper is the new one')
    told('+next' in machine.run('dpkg-query -W pyexecd').stdout, 'it is higher')


def reconfigure(machine):
    """A limit of the administrator's, in his own file, by a graceful restart."""
    slow = POST % '{"code":"import time\\ntime.sleep(3)"}'
    old = doc.children(machine)
    with Load(machine) as load:
        machine.run("sed -i 's/SetHandler pyexec$/&\\n        PyExecTimeout 1/' "
                    '/etc/apache2/conf-available/execute.conf; '
                    'apachectl configtest; systemctl reload apache2')
        wait_for('new children', lambda: not old & doc.children(machine))
    without_fault(load, 'another configuration costs no request')
    told('timed out' in machine.run(slow).stdout.lower()
         or '"returncode": -9' in machine.run(slow).stdout,
         'the new limit holds', machine.run(slow).stdout)


def purge(machine, pages, before, people):
    doc.run_page(machine, pages['uninstall.md'])
    is_equal(machine.run("curl -s -o /dev/null -w '%{http_code}' "
                         'http://localhost/').stdout, '200', 'httpd goes on')
    is_equal(status(machine), '404', 'nothing is served any more')
    wait_for('the end of the helper', lambda: not helpers(machine))
    is_equal(machine.run('pgrep -l pyexec || :').stdout, '', 'no process is left')
    is_equal(machine.run("find /run /dev/shm /tmp -iname '*pyexec*'").stdout, '',
             'nothing is left in /run')
    after = files.snapshot(machine)
    told(after == before, 'no file is left, none is changed',
         '\n'.join(['left: ' + line for line in sorted(after - before)][:20]
                   + ['gone: ' + line for line in sorted(before - after)][:20]))
    # The page's last command removes the user, which purging leaves.
    is_equal(files.accounts(machine), people, 'no user is left')
    is_equal(machine.run("dpkg-query -W -f '${Package}\\n' '*pyexec*' 2>&1 "
                         '|| :').stdout.count('Status'), 0, 'dpkg knows none')


def check_removal(pages):
    """Purged without a word to anybody: the user stays, httpd starts."""
    with prepared('packages') as machine:
        people = files.accounts(machine)
        put_packages(machine)
        doc.run_page(machine, pages['packages.md'])
        machine.run('apt-get purge -y libapache2-mod-pyexec pyexecd')
        # httpd is still the same process, and remembers a socket.
        doc.run_page(machine, pages['packages.md'])
        told(True, 'purged and installed again, it serves')
        machine.run('apt-get purge -y libapache2-mod-pyexec pyexecd')
        machine.run('apachectl configtest; systemctl restart apache2')
        told(True, 'httpd starts with a configuration that is still there')
        left = files.accounts(machine)
        for name in files.ACCOUNTS:
            is_equal([line.split(':')[0] for line in left[name] - people[name]],
                     ['pyexec'], '%s: the user alone is left' % name)


def check_pages(pages):
    """Every block of every page, or of those in $PACKAGE_PAGES; t/container
    has one of its own."""
    only = os.environ.get('PACKAGE_PAGES', '').split()
    for page in pages.values():
        if page.system == 'container' or only and page.name not in only:
            continue
        wanted = [block for block in page.blocks
                  if block.kind not in ('elsewhere', 'picture')]
        for block in page.blocks:
            if block.kind == 'elsewhere':
                skipped(block)
        if wanted:
            done, fault = run_with_those_before(pages, page)
            told(done == wanted and not fault, '%s: all of it' % page.name,
                 'after %s: %s' % (', '.join(map(str, done)), fault))


def run_with_those_before(pages, page):
    """The blocks of the page that were done, and why not more."""
    done = []
    try:
        with prepared(page.system) as machine:
            for one in doc.with_those_before(pages, page):
                put_for(machine, one)
                doc.run_page(machine, one, done.append)
        fault = ''
    except Exception:
        fault = traceback.format_exc()
    return [block for block in done if block.page == page.name
            and block.kind not in ('elsewhere', 'picture')], fault


def check_el(_):
    """Fedora's and EL's layout: a tree like theirs, without apxs."""
    script = '''
        tar -xf mod_pyexec-*.tar.xz && cd mod_pyexec-*/
        mkdir -p /el/usr/include /el/usr/lib64/httpd/modules \\
            /el/etc/httpd/conf.modules.d /el/etc/httpd/conf.d
        cp -R /usr/include/apache2 /el/usr/include/httpd
        ./configure --with-apxs=no HTTPD_INCLUDEDIR=/el/usr/include/httpd \\
            HTTPD_LIBEXECDIR=/el/usr/lib64/httpd/modules \\
            --with-httpd-confdir=/el/etc/httpd --prefix=/el/usr
        make
        find /el /usr /etc -type f | sort >/root/before
        make install
        find /el /usr /etc -type f | sort >/root/installed
        cat /el/etc/httpd/conf.modules.d/10-pyexec.conf
    '''
    with prepared('source') as machine:
        machine.put(ARCHIVE, '/root/' + ARCHIVE.name)
        said = machine.run(script).stdout
        told(said.endswith('LoadModule pyexec_module '
                           '/el/usr/lib64/httpd/modules/mod_pyexec.so\n'),
             'EL: the module is loaded by its own file', said[-300:])
        new = set(machine.run('comm -13 before installed').stdout.split())
        told({'/el/etc/httpd/conf.d/pyexec.conf', '/el/usr/libexec/pyexecd',
              '/el/usr/lib64/httpd/modules/mod_pyexec.so'} <= new
             and all(name.startswith('/el/') for name in new),
             'EL: all of it is where it belongs', sorted(new))
        # The server that is there, with such a configuration.
        machine.run('''
            printf '%s\\n' 'Include /etc/apache2/apache2.conf' \\
                'Include /el/etc/httpd/conf.modules.d/*.conf' \\
                'Include /el/etc/httpd/conf.d/*.conf' >/root/httpd.conf
            apachectl -f /root/httpd.conf -t''')
        told(True, 'EL: httpd accepts it')
        machine.run('cd mod_pyexec-*/ && make uninstall; '
                    'find /el /usr /etc -type f | sort >/root/after')
        is_equal(machine.run('comm -13 /root/before /root/after').stdout, '',
                 'EL: make uninstall leaves nothing')


# Lines of the unit that are off, and what is said of the machine when they are on.
REASONS = {
    'RestrictNamespaces=yes': 'cannot create user, mount, network',
    'ProtectHostname=yes': 'cannot set host and domain name',
    'ProtectKernelTunables=yes': 'ns_last_pid +no',
    'ProcSubset=pid': 'ns_last_pid +no',
}


# What pyexecd --check says of a pool with PyExecNetwork, in the unit and opened.
NETWORK_REACHED = 'with PyExecNetwork: reached and tested'
NETWORK_REFUSED = 'PYX0450: .*RestrictAddressFamilies=.*Address family not supp'


def check_service(pages):
    """The unit's confinement leaves the sandbox whole; the lines that it lacks
    would not. It is closed for networks until the page's lines open it."""
    with prepared('packages') as machine:
        put_packages(machine)
        machine.run('apt-get install -y ./pyexecd_*.deb')
        lines = [line for line in machine.run(
            'sed -n "/^NoNewPrivileges/,/^\\[Install/p" '
            '/lib/systemd/system/pyexecd.service').stdout.splitlines()
            if line and line[0] not in '#[']
        done = check_under(machine, lines)
        told(done.returncode == 0 and not re.search('ns_last_pid +no', done.stdout),
             'as the unit is, all is there', done.stdout + done.stderr)
        told(NETWORK_REACHED not in done.stdout
             and re.search(NETWORK_REFUSED, done.stdout),
             'no network in it, and it says why', done.stdout)
        opened, = (block.text.splitlines()[1:]
                   for block in pages['network.md'].blocks
                   if block.value.endswith('/network.conf'))
        done = check_under(machine, lines + [one for one in opened
                                             if one[0] != '#'])
        told(done.returncode == 0 and NETWORK_REACHED in done.stdout,
             "a network with the page's lines", done.stdout + done.stderr)
        for line, said in REASONS.items():
            name = line.partition('=')[0] + '='
            other = [line if one.startswith(name) else one for one in lines]
            told(other != lines and re.search(
                said, check_under(machine, other).stdout), '%s: it is not' % line)


def check_under(machine, lines):
    """What pyexecd --check says with these lines of a unit."""
    options = ' '.join("-p '%s'" % line for line in lines)
    return machine.run('systemd-run -q --wait --pipe -p User=pyexec %s '
                       '/usr/libexec/pyexecd --check 2>&1' % options,
                       check=False)


def main():
    pages = doc.read_pages(TOP / 'conf/doc')
    checks = [check_lintian, check_install, check_life, check_removal,
              check_service, check_el, check_pages]
    failed = False
    for check in checks:
        if sys.argv[5:] and check.__name__ not in sys.argv[5:]:
            continue
        print('# %s' % check.__name__, flush=True)
        try:
            check(pages)
        except Exception:
            told(False, check.__name__, traceback.format_exc())
    print('1..%d' % count)


main()
