import resource
import stat


def descriptors(test):
    found = False
    for fd in range(3, 1024):
        try:
            mode = os.fstat(fd).st_mode
        except OSError:
            continue
        found = found or test(mode)
    return found


attempt('an open file', lambda: descriptors(stat.S_ISREG))
attempt('an open socket', lambda: descriptors(stat.S_ISSOCK))
attempt('an open directory', lambda: descriptors(stat.S_ISDIR))
attempt('the environment of the server', lambda: os.environ['PYEXEC_TEST_SECRET'])
attempt('PATH', lambda: os.environ['PATH'] == '@PATH@')
attempt('no limit of core files', lambda: resource.getrlimit(resource.RLIMIT_CORE)[1] != 0)
attempt('no limit of file sizes', lambda: resource.getrlimit(resource.RLIMIT_FSIZE)[1] != 0)
attempt('no limit of processes', lambda: resource.getrlimit(resource.RLIMIT_NPROC)[1] > 64 or resource.getrlimit(resource.RLIMIT_NPROC)[1] < 0)
attempt('no limit of memory', lambda: resource.getrlimit(resource.RLIMIT_AS)[1] < 0)
attempt('raising a limit', lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (2000, 2000)), witness='root')
