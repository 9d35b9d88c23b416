# SPDX-License-Identifier: Apache-2.0
# What a run could leave behind in the process: name | what is looked at | what
# changes it. t/sandbox/hygiene.t says `look` or `leave` at the end.
import abc, atexit, builtins, codecs, collections, copyreg, csv, ctypes
import decimal, faulthandler, fnmatch, gc, importlib, json, linecache, locale
import logging, mimetypes, os, random, re, resource, signal, socket, string
import sys, tempfile, threading, time, types, warnings
import numpy

libc = ctypes.CDLL(None, use_errno=True)
libc.getenv.restype = ctypes.c_char_p
libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
libc.sbrk.restype = ctypes.c_ulong


def umask():
    now = os.umask(0o22)
    os.umask(now)
    return now


def descriptors():
    found = []
    for fd in range(1024):
        try:
            os.fstat(fd)
        except OSError:
            continue
        found.append(fd)
    return [fd for fd in found if fd < 100]


def process_name():
    name = ctypes.create_string_buffer(16)
    libc.prctl(16, name, 0, 0, 0)
    return name.value


def small_int():
    return ctypes.c_uint32.from_address(id(251) + 24)


def address(function):
    return ctypes.cast(function, ctypes.c_void_p).value


def lower_memory():
    now = resource.getrlimit(resource.RLIMIT_DATA)[0]
    resource.setrlimit(resource.RLIMIT_DATA, (now - 4096, now - 4096))


def patch_libc():
    place = address(libc.ffsll)
    if libc.mprotect(place & ~4095, 8192, 7) != 0:
        raise OSError(ctypes.get_errno(), 'mprotect')
    ctypes.memmove(place, b'\x90', 1)


class Left:
    find_spec = staticmethod(lambda *args: None)


def refuse(path):
    raise ImportError(path)


ROWS = '''
environment | os.environ.get('PYX_LEFT') | os.environ['PYX_LEFT'] = '1'
environment of C | libc.getenv(b'PYX_LEFT_C') | libc.setenv(b'PYX_LEFT_C', b'1', 1)
working directory | os.getcwd() | os.chdir(os.path.dirname(os.__file__))
umask | umask() | os.umask(0o77)
blocked signals | signal.pthread_sigmask(signal.SIG_BLOCK, []) | signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
signal handler | signal.getsignal(signal.SIGUSR2) | signal.signal(signal.SIGUSR2, signal.SIG_IGN)
interrupt handler | signal.getsignal(signal.SIGINT) | signal.signal(signal.SIGINT, signal.SIG_DFL)
pending signal | signal.sigpending() | os.kill(os.getpid(), signal.SIGUSR1)
interval timer | signal.getitimer(signal.ITIMER_REAL)[0] > 0 | signal.setitimer(signal.ITIMER_REAL, 100)
CPU timer | signal.getitimer(signal.ITIMER_PROF)[0] > 0 | signal.setitimer(signal.ITIMER_PROF, 100)
wakeup descriptor | signal.set_wakeup_fd(-1) | os.set_blocking(os.dup2(1, 41), False), signal.set_wakeup_fd(41)
name of the process | process_name() | libc.prctl(15, b'left', 0, 0, 0)
limit of descriptors | resource.getrlimit(resource.RLIMIT_NOFILE) | resource.setrlimit(resource.RLIMIT_NOFILE, (50, 50))
limit of memory | resource.getrlimit(resource.RLIMIT_DATA) | lower_memory()
descriptors | descriptors() | os.dup2(1, 40)
mode of stdin | os.get_blocking(0) | os.set_blocking(0, False)
mode of stdout | os.get_blocking(1) | os.set_blocking(1, False)
modules | sorted(set(sys.modules) & {'pyx_left', 'this'}) | sys.modules.update(pyx_left=sys)
function of a module | json.dumps.__name__ | json.dumps = lambda *args: ''
attribute of a class | json.JSONEncoder.item_separator | json.JSONEncoder.item_separator = ';'
builtins | hasattr(builtins, 'left') | builtins.left = 1
subclasses | len(object.__subclasses__()) | globals().update(kept=type('Kept', (), {}))
abstract classes | issubclass(Left, collections.abc.Sized) | collections.abc.Sized.register(Left)
small integers | small_int().value | setattr(small_int(), 'value', 250)
code of libc | ctypes.string_at(address(libc.ffsll), 4) | patch_libc()
path | 'left' in sys.path | sys.path.append('left')
meta path | len(sys.meta_path) | sys.meta_path.append(Left)
path hooks | len(sys.path_hooks) | sys.path_hooks.append(refuse)
importer cache | 'left' in sys.path_importer_cache | sys.path_importer_cache['left'] = None
lines of sources | 'left' in linecache.cache | linecache.cache['left'] = (1, None, [], 'left')
regular expressions | len(re._cache) | re.compile('left.*behind')
cached patterns | fnmatch._compile_pattern.cache_info().currsize | fnmatch.fnmatch('left', 'b*')
warning filters | len(warnings.filters) | warnings.simplefilter('ignore')
warnings seen | 'left' in getattr(warnings, 'onceregistry') | warnings.onceregistry.update(left=1)
recursion limit | sys.getrecursionlimit() | sys.setrecursionlimit(5000)
switch interval | sys.getswitchinterval() | sys.setswitchinterval(1)
digits of integers | sys.get_int_max_str_digits() | sys.set_int_max_str_digits(0)
collector | gc.isenabled(), gc.get_threshold() | gc.disable()
collector's callbacks | len(gc.callbacks) | gc.callbacks.append(lambda *args: None)
frozen objects | gc.get_freeze_count() > 0 and 1 or 0, gc.get_debug() | gc.set_debug(gc.DEBUG_SAVEALL)
exception hook | sys.excepthook is sys.__excepthook__ | sys.excepthook = lambda *args: None
hook of threads | threading.excepthook.__name__ | threading.excepthook = lambda *args: None
unraisable hook | sys.unraisablehook is sys.__unraisablehook__ | sys.unraisablehook = lambda *args: None
profile | sys.getprofile() is None | sys.setprofile(lambda *args: None)
exit functions | atexit._ncallbacks() | atexit.register(int)
fault handler | faulthandler.is_enabled() | faulthandler.enable()
decimal context | decimal.getcontext().prec | decimal.getcontext().prec = 3
default context | decimal.DefaultContext.prec | setattr(decimal.DefaultContext, 'prec', 5)
locale | locale.setlocale(locale.LC_NUMERIC) | locale.setlocale(locale.LC_NUMERIC, 'C.UTF-8')
time zone | time.tzname | os.environ.update(TZ='XYZ-3'), time.tzset()
codecs | codecs_known() | codecs.register(lambda name: codecs.lookup('utf-8') if name == 'left' else None)
pickling | Left in copyreg.dispatch_table | copyreg.pickle(Left, str)
log level | logging.getLogger().level | logging.getLogger().setLevel(7)
log handlers | len(logging.getLogger().handlers) | logging.getLogger().addHandler(logging.NullHandler())
CSV dialects | csv.list_dialects() | csv.register_dialect('left')
CSV limit | csv.field_size_limit() | csv.field_size_limit(9)
types of files | mimetypes.inited | mimetypes.init()
timeout of sockets | socket.getdefaulttimeout() | socket.setdefaulttimeout(3)
temporary directory | tempfile.tempdir | setattr(tempfile, 'tempdir', '/left')
numpy printing | numpy.get_printoptions()['precision'] | numpy.set_printoptions(precision=3)
numpy errors | numpy.geterr() | numpy.seterr(all='ignore')
random generator | random.getstate() == random.Random(1).getstate() | random.seed(1)
numpy generator | numpy.random.get_state()[1][0] == numpy.random.RandomState(1).get_state()[1][0] | numpy.random.seed(1)
arguments | sys.argv | sys.argv.append('left')
standard output | type(sys.stdout).__name__ | sys.stdout = Both()
'''


class Both:
    def write(self, text):
        return sys.__stdout__.write(text)

    def flush(self):
        sys.__stdout__.flush()


def codecs_known():
    try:
        return codecs.lookup('left').name
    except LookupError:
        return None


def rows():
    for line in ROWS.strip().split('\n'):
        yield line.split(' | ')


# Before anything is changed that it may need.
encode = json.JSONEncoder(separators=(',', ':')).encode


def look():
    seen = {name: repr(eval(get)) for name, get, _ in rows()}
    os.write(1, encode(seen).encode())


def leave():
    for name, _, put in rows():
        exec(put)
    look()
