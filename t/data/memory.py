# SPDX-License-Identifier: Apache-2.0
# Searches all memory of this very process for a secret that never stands in it
# as a whole: neither in the source, nor in what searches for it. Which memory
# there is tells the kernel: a mapping of one's own that must not replace
# another one is refused where something lies already.
import ctypes, errno, mmap, os, re, sys

libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + [ctypes.c_int] * 3 + [ctypes.c_long]
libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
libc.write.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t]
libc.malloc.restype = ctypes.c_void_p
FIXED_NOREPLACE = 0x100000
PAGE = 4096
# Of a process: the last page is nobody's.
END = (1 << 47) - PAGE


def taken(start, size):
    place = libc.mmap(start, size, 0, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
                      | 0x4000 | FIXED_NOREPLACE, -1, 0)
    if place != ctypes.c_void_p(-1).value:
        libc.munmap(place, size)
        return False
    return ctypes.get_errno() == errno.EEXIST


def ranges(start, size):
    """Ranges that are taken, as [start, end) of whole pages."""
    if start >= END or start + size <= END and not taken(start, size):
        return
    if size == PAGE:
        yield start, start + PAGE
        return
    half = size // 2
    yield from ranges(start, half)
    yield from ranges(start + half, half)


def readable(start, end, pipe):
    """Parts of a range that can be read: the kernel tries first."""
    begin = None
    for page in range(start, end, PAGE):
        fine = libc.write(pipe[1], page, 1) == 1
        if fine:
            os.read(pipe[0], 1)
        if fine and begin is None:
            begin = page
        if not fine and begin is not None:
            yield begin, page
            begin = None
    if begin is not None:
        yield begin, end


def search(letters):
    """Where the letters stand one after the other: a count and a size."""
    # Each in brackets: the pattern itself is no match.
    wanted = re.compile(b''.join(b'[%c]' % letter for letter in letters))
    pipe = os.pipe()
    hits = size = 0
    whole = []
    for start, end in ranges(0, 1 << 47):
        if whole and whole[-1][1] == start:
            whole[-1][1] = end
        else:
            whole.append([start, end])
    for start, end in whole:
        for begin, stop in readable(start, end, pipe):
            view = (ctypes.c_char * (stop - begin)).from_address(begin)
            hits += len(wanted.findall(view))
            size += stop - begin
    return hits, size
