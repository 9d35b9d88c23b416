# SPDX-License-Identifier: Apache-2.0
"""What is on a machine's disk: to show that nothing is left behind."""
import re

# Logs, caches and records of the package manager, of systemd and logrotate about
# themselves, what they know of us is asked for in other ways; and which of his
# own files the administrator has switched on and off.
PASSED_OVER = ('/var/log', '/var/cache', '/var/lib/apt', '/var/lib/dpkg',
               '/var/lib/systemd/timers', '/var/lib/systemd/catalog',
               '/var/lib/systemd/random-seed', '/var/lib/logrotate',
               '/var/lib/apache2/conf', '/etc/ld.so.cache', '/root', '/tmp',
               '/var/tmp', '/etc/machine-id')
# Where the user is written down, each with the copy of the time before.
ACCOUNTS = ('/etc/passwd', '/etc/group', '/etc/shadow', '/etc/gshadow')

LIST = r'''
find / -xdev \( %s \) -prune -o -printf '%%y %%m %%U:%%G %%p -> %%l\n' \
    | grep -v '/__pycache__' | sort
find / -xdev \( %s \) -prune -o -type f -print0 | grep -zv /__pycache__ \
    | sort -z | xargs -0 sha256sum
''' % ((' -o '.join('-path ' + path for path in PASSED_OVER),) * 2)


def snapshot(machine):
    """Lines, each a file with its type, rights and owner, or its checksum."""
    lines = machine.run(LIST).stdout.splitlines()
    accounts = {name + end for name in ACCOUNTS for end in ('', '-')}
    # a2dismod makes directories for its records, and leaves them.
    kept = {line for line in lines
            if not re.match('d .* /var/lib/apache2/module/', line)
            and line.split('  ')[-1] not in accounts
            and not any(' %s -> ' % name in line for name in accounts)}
    if len(kept) < 5000:
        raise AssertionError('only %d lines: not a whole system' % len(kept))
    return kept


def accounts(machine):
    return {name: set(machine.run('cat ' + name).stdout.splitlines())
            for name in ACCOUNTS}
