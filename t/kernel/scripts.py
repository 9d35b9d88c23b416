# SPDX-License-Identifier: Apache-2.0
"""What the tests of check.py have run."""
# Threads that work outside of the interpreter's lock, for two seconds.
BURN = '''
import hashlib, threading, time
block = bytes(1 << 20)
end = time.monotonic() + 2
def burn():
    while time.monotonic() < end:
        hashlib.sha256(block)
threads = [threading.Thread(target=burn) for _ in range(2)]
[t.start() for t in threads]
[t.join() for t in threads]
'''
# Memory that counts for no resource limit: what lies in pipes.
PIPES = '''
import os
pipes = []
for i in range(1000):
    pipe = os.pipe()
    os.set_blocking(pipe[1], False)
    try:
        while True:
            os.write(pipe[1], bytes(65536))
    except BlockingIOError:
        pass
    pipes.append(pipe)
print(len(pipes))
'''
THREADS = '''
import threading, time
stop = threading.Event()
n = 1
try:
    for i in range(40):
        threading.Thread(target=stop.wait).start()
        n += 1
except RuntimeError:
    pass
stop.set()
print(n)
'''
# As many processes as there may be, each with so much memory, for a while.
TREE = '''
import os, time
ends = []
try:
    while len(ends) < 60:
        if os.fork() == 0:
            held = bytearray(%d << 20)
            end = time.monotonic() + %d
            while time.monotonic() < end:
                pass
            os._exit(0)
        ends.append(0)
except BlockingIOError:
    print(len(ends), flush=True)
while ends:
    os.wait()
    ends.pop()
print('end')
'''
SLEEP = 'import time; time.sleep(5); print(len(bytearray(%d)))'
