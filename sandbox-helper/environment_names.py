# SPDX-License-Identifier: Apache-2.0
"""What may be imported because it was installed: `found`, the names at the top
of `directory` that an import would take from there; of these `own`, those that
would come from nowhere else, too; and `kept`, those that the standard library
would take, in any run, for what it can do without here. Runs in the zygote,
over hostile names: looks for modules, imports none.
"""

from importlib.machinery import BuiltinImporter, FrozenImporter, PathFinder
import os
import sys


def is_there(place):
    return isinstance(place, str) and place.startswith(directory + "/")


def places(name):
    """Whether it is there, of each place that an import would take it from: a
    package without a file of its own has several."""
    spec = (BuiltinImporter.find_spec(name) or FrozenImporter.find_spec(name)
            or PathFinder.find_spec(name))
    return [] if spec is None else [
        is_there(place) for place in (spec.origin,
                                      *(spec.submodule_search_locations or ()))
        if place is not None]


# More than anybody installs, and no more than a zygote has the time for.
MOST = 10000

names = {name.partition(".")[0] for name in os.listdir(directory)}
there = {name: places(name)
         for name in sorted(names - sys.stdlib_module_names)[:MOST]
         if name.isidentifier() and name != "__pycache__"}
found = [name for name in there if any(there[name])]
own = [name for name in found if all(there[name])]

# _winapi and msvcrt, say, which are another system's, or tkinter, where that is
# not installed. Until 3.11 copy and pickle ask for org.python.core as well.
kept = [name for name in sorted(names & sys.stdlib_module_names)
        if any(places(name))]
if "org" in names:
    kept.append("org.python")
