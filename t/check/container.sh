#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# conf/container/seccomp-full.py: what it makes of a profile, and of none. And
# the image is built of all that Makefile.am includes.
cd "${srcdir:-.}" || exit 99
exec python3 -B - <<'END'
import json
import re
import subprocess
import sys

ADDED = ['clone', 'unshare', 'setns', 'mount', 'mount_setattr', 'umount2',
         'pivot_root', 'sethostname', 'setdomainname']
ALLOW, REFUSE = 'SCMP_ACT_ALLOW', 'SCMP_ACT_ERRNO'
CAPS = {'caps': ['CAP_SYS_ADMIN']}
# As Docker's and podman's: both a condition and its contrary for one call.
RULES = [
    {'names': ['read', 'clone', 'write'], 'action': ALLOW},
    {'names': ['clone'], 'action': ALLOW, 'excludes': CAPS,
     'args': [{'index': 0, 'value': 2114060288, 'op': 'SCMP_CMP_MASKED_EQ'}]},
    {'names': ['bpf', 'unshare', 'mount'], 'action': ALLOW, 'includes': CAPS},
    {'names': ['setns', 'bpf'], 'action': REFUSE, 'errnoRet': 1,
     'excludes': CAPS},
    {'names': ['clone3'], 'action': REFUSE, 'errnoRet': 38, 'excludes': CAPS},
]
count = 0


def told(fine, what):
    global count
    count += 1
    print('%sok %d - %s' % ('' if fine else 'not ', count, what))


def made_of(profile):
    done = subprocess.run(
        [sys.executable, '-B', 'conf/container/seccomp-full.py', '/dev/stdin'],
        input=json.dumps(profile), capture_output=True, text=True)
    return done.returncode, done.stdout


status, text = made_of({'defaultAction': REFUSE, 'archMap': [1],
                        'syscalls': RULES})
made = json.loads(text or '{"syscalls": []}')
rules = made['syscalls']
told(status == 0, 'a profile is made')
told(made.get('archMap') == [1] and made.get('defaultAction') == REFUSE,
     'what is beside the rules stays')
told(rules[-1:] == [{'names': ADDED, 'action': ALLOW}],
     'the last rule is the one that is added, without a condition')
told(not [one for one in rules[:-1] if set(one['names']) & set(ADDED)],
     'no other rule is about the same calls')
told(rules[:-1] == [dict(RULES[0], names=['read', 'write']),
                    dict(RULES[2], names=['bpf']),
                    dict(RULES[3], names=['bpf']), RULES[4]],
     'all other rules stay as they were, with their conditions')
told(made_of({'defaultAction': ALLOW, 'syscalls': RULES})[0] != 0
     and made_of({'syscalls': RULES})[0] != 0,
     'a list of what is forbidden is refused')
copied = open('conf/container/Containerfile').read().split()
parts = re.findall(r'^include (?:\$\(srcdir\)/)?(t/\S+)', open('Makefile.am').read(),
                   re.M)
told(len(parts) > 2 and set(parts) <= set(copied),
     'Containerfile copies %s' % ' '.join(parts))
print('1..%d' % count)
END
