#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes a seccomp profile under which a container without capabilities
reaches isolation "full", of the profile that the container would get anyhow:

    seccomp-full.py DEFAULT.json >seccomp-full.json

DEFAULT.json is the default of the runtime, as Docker publishes it and as podman
has it in /usr/share/containers/seccomp.json. Allowed in addition is what our
zygote calls to make namespaces and its root, and nothing else. The kernel lets
nobody call these with success who has no capability, except in a user
namespace of his own: that is what a script that had broken out of all other
layers could use, and what the profile is there to prevent otherwise.
"""
import json
import sys

# Namespaces and going into one; a root; a name for it.
ADDED = ('clone', 'unshare', 'setns', 'mount', 'mount_setattr', 'umount2',
         'pivot_root', 'sethostname', 'setdomainname')


def without_added(rule):
    """The rule, without the names that get one of their own; None: no rest.

    A second rule for the same call would contradict it: runtimes refuse that,
    or take the first."""
    names = [name for name in rule.get('names', [rule.get('name')])
             if name not in ADDED]
    rest = {key: value for key, value in rule.items() if key != 'name'}
    return dict(rest, names=names) if names else None


def derived(profile):
    rules = [without_added(rule) for rule in profile['syscalls']]
    return dict(profile, syscalls=[rule for rule in rules if rule] + [
        {'names': list(ADDED), 'action': 'SCMP_ACT_ALLOW'}])


def main():
    if len(sys.argv) != 2 or sys.argv[1].startswith('-'):
        sys.exit(__doc__)
    with open(sys.argv[1], encoding='utf-8') as file:
        profile = json.load(file)
    # In one that allows what it does not name there is nothing to add.
    if profile.get('defaultAction') not in ('SCMP_ACT_ERRNO', 'SCMP_ACT_KILL',
                                            'SCMP_ACT_KILL_PROCESS'):
        sys.exit('%s: this is no list of what is allowed' % sys.argv[1])
    json.dump(derived(profile), sys.stdout, indent=1)
    print()


if __name__ == '__main__':
    main()
