#!/usr/bin/python3 -I
# SPDX-License-Identifier: Apache-2.0
# The plain CGI: a Python is started, which runs the posted script itself. No
# sandbox, no limit, no other process.
#
# mod_cgid's daemon ignores SIGCHLD, so the kernel adds the CPU time of a CGI
# to nobody's: each tells its own to a file, as its last deed.
import io
import json
import os
import resource
import sys


def run(code):
    output = sys.stdout = io.StringIO()
    errors = sys.stderr = io.StringIO()
    status = 0
    try:
        exec(compile(code, '<script>', 'exec'), {'__name__': '__main__'})
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(bool(end.code))
    except BaseException:
        import traceback
        traceback.print_exc()
        status = 1
    return {'output': output.getvalue(), 'error': errors.getvalue(),
            'returncode': status}


size = int(os.environ['CONTENT_LENGTH'])
answer = json.dumps(run(json.loads(sys.stdin.buffer.read(size))['code'])).encode()
out = sys.__stdout__.buffer
out.write(b'Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b'
          % (len(answer), answer))
out.flush()
used = resource.getrusage(resource.RUSAGE_SELF)
with open(os.environ['BENCH_ACCOUNT'], 'ab', 0) as account:
    account.write(b'%d\n' % (1e6 * (used.ru_utime + used.ru_stime)))
os._exit(0)  # what is left to take apart, the kernel takes apart faster
