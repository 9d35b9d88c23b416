# SPDX-License-Identifier: Apache-2.0
"""What may be imported because it was installed: `found`, the names at the top
of `directory` that an import would take from there. Runs in the zygote, over
hostile names: looks for modules, imports none.
"""

import importlib.machinery
import os
import sys


def is_there(place):
    return isinstance(place, str) and place.startswith(directory + "/")


# More than anybody installs, and no more than a zygote has the time for.
MOST = 10000

found = []
for entry in sorted({name.partition(".")[0]
                     for name in os.listdir(directory)})[:MOST]:
    if (not entry.isidentifier() or entry == "__pycache__"
            or entry in sys.stdlib_module_names):
        continue
    spec = importlib.machinery.PathFinder.find_spec(entry)
    if spec is not None and (is_there(spec.origin) or any(
            map(is_there, spec.submodule_search_locations or ()))):
        found.append(entry)
