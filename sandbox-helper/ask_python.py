# SPDX-License-Identifier: Apache-2.0
"""What a zygote program must know of the interpreter that it is built for.

Run by that interpreter, with -I, when the programs are built:

    PYTHON -I ask_python.py QUESTION

prints the answer, or ends with a sentence and status 1. Any Python from 3.8 on
is asked to say no in a way that can be read.
"""
import os
import sys
import sysconfig

# Where the linker and the loader look unasked.
SYSTEM_LIBS = ("/lib", "/lib64", "/usr/lib", "/usr/lib64")
# Prefixes that others share: their lib is more than one interpreter's.
SHARED_PREFIXES = ("/usr", "/usr/local")

var = sysconfig.get_config_var
path = sysconfig.get_path


def first(candidates, name):
    """The first of these directories that has the file, or the first."""
    found = [d for d in candidates if d and os.path.exists(os.path.join(d, name))]
    return (found or candidates)[0]


def executable():
    """Its name, from which it finds its library: the real one where a link
    leads into another prefix."""
    usual = os.path.join(sys.base_prefix, "bin")
    name = sys.executable
    return name if os.path.dirname(name) == usual else os.path.realpath(name)


def multiarch():
    return var("MULTIARCH") or ""


def is_system_lib(directory):
    return directory in SYSTEM_LIBS + ("/usr/lib/" + multiarch(),)


def library_dir():
    """Beside its standard library before where it was once built for: whole
    trees are moved, and go on working."""
    shared = var("INSTSONAME") or var("LDLIBRARY") or ""
    return first([os.path.join(sys.base_prefix, "lib"), var("LIBDIR")], shared)


def library():
    return os.path.join(library_dir(), var("INSTSONAME") or "")


def include_dir():
    return first([path("include"), var("INCLUDEPY")], "Python.h")


def loader_dir():
    """Shared libraries of this architecture."""
    debian = "/usr/lib/" + multiarch()
    return debian if multiarch() and os.path.isdir(debian) else library_dir()


def private_libs():
    """Its own libraries: all, where the prefix is its alone."""
    if is_system_lib(library_dir()):
        return loader_dir()
    return library() if sys.base_prefix in SHARED_PREFIXES else library_dir()


def packaged():
    schemes = sysconfig.get_scheme_names()
    return path("purelib", "deb_system") if "deb_system" in schemes \
        else path("purelib")


def version():
    return "%d.%d" % sys.version_info[:2]


def libs():
    words = ["-L" + library_dir(), "-lpython" + var("LDVERSION")]
    # What it was linked with, but not where others' libraries were.
    words += [w for w in "{} {}".format(var("LIBS") or "",
                                        var("SYSLIBS") or "").split()
              if w.startswith("-l")]
    if not is_system_lib(library_dir()):
        words.append("-Wl,-rpath," + library_dir())
    return " ".join(words)


def paths():
    return {
        "PYEXEC_PYTHON": executable(),
        "PYEXEC_PYTHON_STDLIB": path("stdlib"),
        "PYEXEC_PYTHON_PLATSTDLIB": path("platstdlib"),
        "PYEXEC_PYTHON_PACKAGED": packaged(),
        "PYEXEC_PYTHON_SITE": path("purelib"),
        "PYEXEC_PYTHON_LIBS": private_libs(),
        "PYEXEC_MULTIARCH_LIBDIR": loader_dir(),
    }


def header():
    lines = ["/* Made by ask_python.py for %s. */" % executable()]
    lines += ['#define %s "%s"' % pair for pair in sorted(paths().items())]
    return "\n".join(lines)


def check():
    """Why it cannot be embedded, or nothing."""
    if sys.version_info < (3, 11):
        return "it is Python %s, and 3.11 is the oldest that is served" % version()
    if sys.prefix != sys.base_prefix:
        return ("it is a virtual environment: build for %s, and name the"
                " environment's modules with PyExecSitePackages"
                % os.path.realpath(sys.executable))
    if any(c in "\"\\\n'$ " for p in paths().values() for c in p):
        return "a path of it has a blank or a quote in it"
    if not os.path.exists(os.path.join(include_dir(), "Python.h")):
        return ("%s/Python.h is missing (apt-get install libpython3-dev?)"
                % include_dir())
    return ""


QUESTIONS = {
    "cflags": lambda: "-isystem " + include_dir(),
    "check": check,
    "full": lambda: sys.version.split()[0],
    "header": header,
    "libs": libs,
    "make": lambda: "PYTHON_CFLAGS = -isystem %s\nPYTHON_LIBS = %s"
                    % (include_dir(), libs()),
    "modules": lambda: "%s, %s" % (path("stdlib"), packaged()),
    "names": lambda: "\n".join('"%s",' % n for n in sys.stdlib_module_names),
    "version": version,
}

print(QUESTIONS[sys.argv[1]]())
