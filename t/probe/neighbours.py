# What goes on beside a run: how busy the machine is, what others have used.
import ctypes
import fcntl
import mmap
import struct
import time

libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mincore.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p]


def done(result):
    if result == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return True


def library():
    return os.open(os.__file__, os.O_RDONLY)


def cached():
    place = libc.mmap(None, ctypes.c_size_t(4096), 1, mmap.MAP_PRIVATE, library(), ctypes.c_long(0))
    return done(libc.mincore(place, 4096, ctypes.create_string_buffer(1)))


def clock_of(pid):
    """CPU time of another process: clocks have numbers made of PIDs."""
    return time.clock_gettime(~pid << 3 | 2)


def has_clock(pid):
    try:
        clock_of(pid)
    except OSError:
        return False
    return True


def has_processes(user):
    try:
        os.getpriority(os.PRIO_USER, user)
    except OSError:
        return False
    return True


attempt('load of the machine', os.getloadavg)
attempt('memory of the machine', lambda: done(libc.sysinfo(ctypes.create_string_buffer(128))))
attempt('space on the disk', lambda: os.statvfs('/').f_blocks)
attempt('space behind a descriptor', lambda: os.fstatvfs(library()).f_blocks)
attempt('times of the processors', lambda: open('/proc/stat').read())
attempt('pressure', lambda: open('/proc/pressure/cpu').read(), witness='none')
attempt('what is in the page cache', cached)
attempt('whether a read would wait', reaches_kernel(lambda: os.preadv(library(), [bytearray(1)], 0, os.RWF_NOWAIT)))
attempt('throwing pages out of the cache', lambda: os.posix_fadvise(library(), 0, 0, os.POSIX_FADV_DONTNEED) is None)
attempt('CPU time of the parent', lambda: os.getppid() != 0 and clock_of(os.getppid()))
attempt('CPU time of another process', lambda: [pid for pid in range(3, 5000) if pid != os.getpid() and has_clock(pid)] != [])
attempt('process group of the parent', lambda: os.getppid() != 0 and os.getpgid(os.getppid()))
attempt('session of the parent', lambda: os.getppid() != 0 and os.getsid(os.getppid()))
attempt('priority of the parent', lambda: os.getppid() != 0 and os.getpriority(os.PRIO_PROCESS, os.getppid()) is not None)
attempt('which users have processes', lambda: [user for user in range(1, 65536) if has_processes(user)] != [])
attempt('lock of a record', lambda: fcntl.fcntl(library(), fcntl.F_SETLK, struct.pack('hhqqi', fcntl.F_RDLCK, 0, 0, 0, 0)))
attempt('lock of a description', lambda: fcntl.fcntl(library(), 37, struct.pack('hhqqi', fcntl.F_RDLCK, 0, 0, 0, 0)))
attempt('lease', lambda: fcntl.fcntl(library(), fcntl.F_SETLEASE, fcntl.F_RDLCK), witness='root')
attempt('notification', lambda: fcntl.fcntl(os.open('/', os.O_RDONLY), fcntl.F_NOTIFY, fcntl.DN_ACCESS))
attempt('size of a pipe', lambda: fcntl.fcntl(os.pipe()[0], fcntl.F_GETPIPE_SZ))
attempt('sharing a page', lambda: mmap.mmap(-1, 4096))
attempt('merging of equal pages', lambda: mmap.mmap(-1, 4096, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS).madvise(mmap.MADV_MERGEABLE) is None, witness='none')
attempt('queue of messages', lambda: done(libc.msgget(0x505958, 0o1600)) and done(libc.msgctl(libc.msgget(0x505958, 0o600), 0, None)))
attempt('keyring', lambda: done(libc.syscall(250, 0, -3, 0)))
