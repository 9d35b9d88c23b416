import mmap

CREATE = os.O_CREAT | os.O_EXCL | os.O_WRONLY


def create(path):
    os.close(os.open(path, CREATE, 0o600))
    os.unlink(path)


def make(action, undo):
    def call():
        action()
        undo()
    return call


attempt('file here', lambda: create('pyx_file'))
attempt('file in /tmp', lambda: create('/tmp/pyx_file_%d' % os.getpid()))
attempt('file in /dev/shm', lambda: create('/dev/shm/pyx_%d' % os.getpid()))
attempt('file in /', lambda: create('/pyx_file_%d' % os.getpid()), witness='root')
attempt('file in the library', lambda: create(os.path.dirname(os.__file__) + '/pyx_file.py'), witness='root')
attempt('nameless file', lambda: os.close(os.open('.', os.O_TMPFILE | os.O_RDWR, 0o600)))
attempt('directory', make(lambda: os.mkdir('pyx_dir'), lambda: os.rmdir('pyx_dir')))
attempt('symbolic link', make(lambda: os.symlink('x', 'pyx_link'), lambda: os.unlink('pyx_link')))
attempt('fifo', make(lambda: os.mkfifo('pyx_fifo'), lambda: os.unlink('pyx_fifo')))
attempt('mode of a directory', lambda: os.chmod('.', 0o755))
attempt('times of a directory', lambda: os.utime('.'))
attempt('library opened for writing', lambda: os.close(os.open(os.__file__, os.O_RDWR)), witness='root')
attempt('memory file', lambda: os.close(os.memfd_create('pyx')))
attempt('shared memory', lambda: mmap.mmap(-1, 4096, mmap.MAP_SHARED | mmap.MAP_ANONYMOUS))
attempt('lock on a file', lambda: __import__('fcntl').flock(os.open(os.__file__, os.O_RDONLY), 5))
