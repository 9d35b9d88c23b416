# SPDX-License-Identifier: Apache-2.0
"""What a job that installs packages runs, instead of a script: pip, in a virtual
environment that begins as a copy of the packages that are there already.

It runs confined like any script, and can write to two directories in memory.
Where a package is built rather than unpacked, code of strangers runs beside it:
nothing here protects anything, and nothing of it is believed afterwards.

Arguments: the new environment, its packages, those to begin with ("": none),
a directory for temporary files, the index, the proxy, `wheels` or `sources`,
`install` or `uninstall`, and names with or without versions.
"""

import importlib.machinery
import os
import pathlib
import re
import shutil
import sys

# As the module checks it. An option, a path or an address is none of these.
NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
REQUIREMENT = re.compile(
    NAME.pattern + r"(?:\[[A-Za-z0-9._,-]*\])?"
    r"(?:(?:~=|===?|!=|<=?|>=?)[A-Za-z0-9._*+!-]+"
    r"(?:,(?:~=|===?|!=|<=?|>=?)[A-Za-z0-9._*+!-]+)*)?")
# What pip knows as a version (PEP 440); newer ones give up at anything else.
VERSION = re.compile(
    r"v?(?:[0-9]+!)?[0-9]+(?:\.[0-9]+)*"
    r"(?:[-_.]?(?:alpha|beta|preview|pre|rc|a|b|c)[-_.]?[0-9]*)?"
    r"(?:-[0-9]+|[-_.]?(?:post|rev|r)[-_.]?[0-9]*)?"
    r"(?:[-_.]?dev[-_.]?[0-9]*)?"
    r"(?:\+[a-z0-9]+(?:[-_.][a-z0-9]+)*)?", re.ASCII | re.IGNORECASE)

PARTS = re.compile(r"^content-type:", re.IGNORECASE | re.MULTILINE)
REQUIREMENTS = re.compile(r"^requires-dist:.*(?:\n[ \t].*)*",
                          re.IGNORECASE | re.MULTILINE)

# Of metadata, of one file and of all packages together: what 600 packages have
# (135 that were at hand weigh 6500 each), and no more than pip has time and
# memory for.
MOST_BYTES = 16 << 20
MOST_WEIGHT = 4000000
MOST_NAME = 200  # as who uninstalls it may name it
MOST_NESTED = 30  # in a requirement
DEEPER = 200  # calls that pip makes before it reads one
LINE_ENDS = "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"  # of str.splitlines()

# What job_main.h knows as JOB_EXIT_UNCHANGED.
UNCHANGED = 120


def fail(text):
    print("ERROR: " + text, file=sys.stderr)
    sys.exit(1)


def copy(source, target):
    """With the times of the files, which compiled ones are valid for."""
    os.mkdir(target)
    for entry in os.scandir(source):
        there = os.path.join(target, entry.name)
        if entry.is_dir(follow_symlinks=False):
            copy(entry.path, there)
        elif entry.is_file(follow_symlinks=False):
            shutil.copyfile(entry.path, there)
            times = entry.stat(follow_symlinks=False)
            os.utime(there, ns=(times.st_atime_ns, times.st_mtime_ns))


class Blind(importlib.machinery.FileFinder):
    """Of a directory that is looked into, but that nothing is imported from."""

    def find_spec(self, name, target=None):
        return None


def enter(prefix, packages, base):
    """Makes this interpreter the environment's, where pip looks: all that is
    importable in one directory, wherever a distribution would put it. That is
    strangers' code, which pip would ask for by name: itself, what it can do
    without (brotli), what tells of a platform (_manylinux). Who had installed
    one that is of no use could not uninstall it, nor anybody anything else."""
    sys.path_importer_cache[packages] = Blind(packages)
    sys.prefix = sys.exec_prefix = prefix
    sys.modules.pop("sysconfig", None)  # it keeps what the prefix was
    import sysconfig
    paths = dict.fromkeys(["purelib", "platlib"], packages)
    for name in "stdlib", "platstdlib", "include", "platinclude":
        paths[name] = prefix + "/" + name
    paths["scripts"] = prefix + "/bin"
    paths["data"] = prefix
    sysconfig._INSTALL_SCHEMES["venv"] = paths
    if sysconfig.get_path("platlib", "venv") != packages:
        fail("this Python's sysconfig has no scheme that could be set")
    if base in sys.path:
        sys.path[sys.path.index(base)] = packages
    else:
        place = next((i for i, name in enumerate(sys.path)
                      if name.endswith("-packages")), len(sys.path))
        sys.path.insert(place, packages)


def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def look(packages):
    """What is there: names as they are compared, with versions. One that
    brings the metadata of another makes two of a name."""
    import importlib.metadata
    there = []
    for found in importlib.metadata.distributions(path=[packages]):
        try:
            name, version = found.metadata["Name"], found.version
        except Exception:
            continue
        there.append((normal(name or ""), str(version)))
    return sorted(there)


def texts(metadata):
    """All that pip may read of it, with the names."""
    import importlib.metadata
    one = importlib.metadata.Distribution.at(metadata)
    for name in ("", "METADATA", "PKG-INFO", "RECORD", "requires.txt",
                 "entry_points.txt", "top_level.txt", "direct_url.json",
                 "installed-files.txt", "INSTALLER", "WHEEL"):
        path = metadata / name
        if path.is_file() and path.stat().st_size > MOST_BYTES:
            raise OverflowError(name)
        yield name, one.read_text(name) or ""


def requirements(name, text, headers):
    """The lengths of those in one of these files, as pip puts them together: in
    requires.txt a marker stands above many."""
    if name != "requires.txt":
        yield from map(len, REQUIREMENTS.findall(headers))
        return
    section = 0
    for line in text.splitlines():
        if line.strip().startswith("["):
            section = len(line)
        yield section + len(line)


def weight(metadata):
    """What pip has to do with it, in lines of text that is just read: some for
    its files, however short, for a file of RECORD and for a program, and many
    for a header and for a requirement, where it grows with the square. None is
    a mail of parts in parts, where each line is compared with all their ends."""
    total = 250
    try:
        for name, text in texts(metadata):
            lines = sum(map(text.count, LINE_ENDS))
            total += len(text) // 40
            total += lines * (8 if name in ("RECORD", "entry_points.txt")
                              else 1)
            if name != "RECORD":
                headers = text.partition("\n\n")[0]
                if PARTS.search(headers):
                    raise ValueError(name)
                total += 40 * headers.count("\n") + sum(
                    4 * size + size ** 2 // 100
                    for size in requirements(name, text, headers))
    except Exception:
        return MOST_WEIGHT + 1
    return total


def says_what_it_is(one, requirement):
    for text in one.requires or ():
        if text.count("(") > MOST_NESTED:
            return False
        requirement(text)
    name, version = one.metadata["Name"], one.version.strip()
    return (max(len(name), len(version)) <= MOST_NAME
            and NAME.fullmatch(name) is not None
            and VERSION.fullmatch(version) is not None)


def can_be_uninstalled(one, metadata):
    """What is listed includes the metadata, or pip would have nothing to do; no
    file and no script has a name that none can have."""
    import csv
    if any("\0" in point.name for point in one.entry_points):
        return False
    if not metadata.name.lower().endswith(".dist-info"):
        files = one.read_text("installed-files.txt")
        return files is not None and "\0" not in files
    files = {row[0] for row in csv.reader(one.read_text("RECORD").splitlines())}
    return (metadata.name + "/METADATA" in files
            and not any("\0" in name for name in files))


def is_sound(metadata, requirement):
    """Whether pip can make something of it; all that it may read is text."""
    import importlib.metadata
    deepest = sys.getrecursionlimit()
    sys.setrecursionlimit(deepest - DEEPER)
    try:
        one = importlib.metadata.Distribution.at(metadata)
        return (says_what_it_is(one, requirement)
                and can_be_uninstalled(one, metadata))
    except Exception:
        return False
    finally:
        sys.setrecursionlimit(deepest)


def mend(packages):
    """pip reads the metadata of all that is there, and gives up at what it
    cannot read, whatever it was asked for, or does not uninstall, and at more
    than it has the time for. A package can bring that, also by the name of
    another: it is taken out, of too much the largest, and the others can be
    changed. Whether there was any."""
    from pip._vendor.packaging.requirements import Requirement
    left = MOST_WEIGHT
    kept = set()
    found = [name for name in os.listdir(packages) if name.lower().endswith(
        (".dist-info", ".egg-info"))]
    for size, name in sorted((weight(pathlib.Path(packages, name)), name)
                             for name in found):
        if size <= left and is_sound(pathlib.Path(packages, name),
                                     Requirement):
            left -= size
            kept.add(name)
    unsound = [entry for entry in os.scandir(packages)
               if entry.name not in kept and entry.name.lower().endswith(
                   # No wheel has the latter two.
                   (".dist-info", ".egg-info", ".egg", ".egg-link"))]
    for entry in unsound:
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path)
        else:
            os.unlink(entry.path)
    return len(unsound) > 0


def check_there(names, there):
    """pip takes what is not there for a warning."""
    found = {name for name, _ in there}
    for name in names:
        if normal(name) not in found:
            fail(f"{name} is not installed in this environment")


def common():
    return ["--isolated", "--disable-pip-version-check", "--no-input",
            "--no-color", "--quiet", "--root-user-action=ignore"]


def options(index, proxy, sources):
    chosen = ["--no-cache-dir", "--progress-bar=off", "--retries=1",
              "--timeout=15", "--no-warn-script-location",
              "--proxy=" + proxy, "--index-url=" + index]
    certificates = os.environ.get("SSL_CERT_FILE")
    if certificates:
        chosen.append("--cert=" + certificates)
    # pip passes by what is not TLS and not this machine's, with a warning; an
    # administrator who writes http:// means it.
    scheme, _, rest = index.partition("://")
    if scheme.lower() == "http":
        chosen.append("--trusted-host=" + rest.partition("/")[0])
    if not sources:
        chosen.append("--only-binary=:all:")
    return chosen


def main():
    (prefix, packages, base, temporary, index, proxy, kinds,
     verb) = sys.argv[1:9]
    names = sys.argv[9:]
    pattern = {"install": REQUIREMENT, "uninstall": NAME}.get(verb)
    if pattern is None or not names:
        fail("there is nothing to install or to uninstall")
    for name in names:
        if not pattern.fullmatch(name):
            fail("this is no name of a package: " + ascii(name))
    os.environ.update(HOME=temporary, TMPDIR=temporary)
    os.chdir(temporary)
    if base:
        copy(base, packages)
    else:
        os.mkdir(packages)
    enter(prefix, packages, base)
    try:
        from pip._internal.cli.main import main as pip
    except ImportError as error:
        fail(f"this machine's Python has no pip ({error})")
    mended = mend(packages)
    before = look(packages)
    if verb == "uninstall":
        check_there(names, before)
        arguments = ["uninstall", *common(), "--yes"]
    else:
        arguments = ["install", *common(),
                     *options(index, proxy, kinds == "sources")]
    sys.argv = ["pip"]
    status = pip([*arguments, "--", *names])
    os.makedirs(packages, exist_ok=True)  # it goes with the last file in it
    if status == 0 and base and not mended and look(packages) == before:
        sys.exit(UNCHANGED)
    sys.exit(status)


main()
