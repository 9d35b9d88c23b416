import ctypes
import subprocess
import sys


def fork():
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)


def vfork():
    subprocess.run([sys.executable, '-I', '-c', ''], check=True)


def spawn():
    os.waitpid(os.posix_spawn('/bin/true', ['true'], {}), 0)


attempt('fork', fork)
attempt('subprocess', vfork)
attempt('shell', lambda: os.system('true') == 0)
attempt('posix_spawn', spawn)
attempt('exec', reaches_kernel(lambda: os.execv('/nonexistent', ['x'])))
attempt('exec by descriptor', reaches_kernel(lambda: os.execve(-1, ['x'], {})))
attempt('signal to the parent', lambda: os.kill(os.getppid(), 0))
attempt('signal to pid 1', reaches_kernel(lambda: os.kill(1, 0)), witness='root')
attempt('signal to everybody', lambda: os.kill(-os.getpgrp(), 0))
attempt('pidfd', lambda: os.close(os.pidfd_open(os.getpid())))
attempt('session', reaches_kernel(os.setsid))
attempt('priority', lambda: os.setpriority(os.PRIO_PROCESS, 0, 1))
attempt('affinity', lambda: os.sched_setaffinity(0, os.sched_getaffinity(0)))
attempt('executable memory file', lambda: ctypes.CDLL(None).memfd_create(b'x', 0) >= 0)
