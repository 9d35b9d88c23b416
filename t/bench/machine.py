# SPDX-License-Identifier: Apache-2.0
# Where the figures come from: without it they say nothing.
import os
import platform
import subprocess
import time


def said_by(*command):
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, text=True, check=False)
    except OSError:
        return ''
    return done.stdout.strip()


def processor():
    with open('/proc/cpuinfo', encoding='utf-8') as file:
        for line in file:
            if line.startswith('model name'):
                return line.split(':', 1)[1].strip()
    return platform.machine()


def memory_gib():
    return os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30


def describe(setup, seconds, repeats):
    server = said_by(setup.httpd, '-v').splitlines()
    return {
        'date': time.strftime('%Y-%m-%d %H:%M', time.gmtime()) + ' UTC',
        'commit': said_by('git', '-C', str(setup.top), 'describe', '--always',
                          '--dirty') or 'unknown',
        'processor': processor(),
        'cores': len(os.sched_getaffinity(0)),
        'memory_gib': round(memory_gib()),
        'kernel': platform.release(),
        'virtual': said_by('systemd-detect-virt') not in ('', 'none'),
        'python': platform.python_version(),
        'httpd': server[0].split(':', 1)[1].strip() if server else 'unknown',
        'seconds': seconds,
        'repeats': repeats,
    }
