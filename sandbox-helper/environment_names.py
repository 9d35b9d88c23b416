# SPDX-License-Identifier: Apache-2.0
"""What may be imported because it was installed: `found`, the names at the top
of `directory` that an import would take from there; and `kept`, those that the
standard library would take, in any run, for what it can do without here. Runs
in the zygote, over hostile names: looks for modules, imports none.
"""

from importlib.machinery import BuiltinImporter, FrozenImporter, PathFinder
import os
import sys


def is_there(place):
    return isinstance(place, str) and place.startswith(directory + "/")


def comes_from_there(name):
    spec = (BuiltinImporter.find_spec(name) or FrozenImporter.find_spec(name)
            or PathFinder.find_spec(name))
    return spec is not None and (is_there(spec.origin) or any(
        map(is_there, spec.submodule_search_locations or ())))


# More than anybody installs, and no more than a zygote has the time for.
MOST = 10000

names = {name.partition(".")[0] for name in os.listdir(directory)}
found = [name for name in sorted(names - sys.stdlib_module_names)[:MOST]
         if name.isidentifier() and name != "__pycache__"
         and comes_from_there(name)]

# _winapi and msvcrt, say, which are another system's, or tkinter, where that is
# not installed. Until 3.11 copy and pickle ask for org.python.core as well.
kept = [name for name in sorted(names & sys.stdlib_module_names)
        if comes_from_there(name)]
if "org" in names:
    kept.append("org.python")
