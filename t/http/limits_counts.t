# SPDX-License-Identifier: Apache-2.0
# Descriptors, threads and nested calls just below, at and just above their
# limits, and what is like meeting one but is not.
use strict;
use warnings FATAL => 'all';
use PyExec::Test;
use Test::More;

my $place = '/policy-off/execute';

# name, how COUNT are taken, [how many, ended_by]...
my @counts = (
    # 64, of which three are the streams.
    ['descriptors', <<'END', [60, 'done'], [61, 'done'], [62, 'descriptors']],
import os
held = [os.dup(0) for _ in range(COUNT)]
assert max(held) == COUNT + 2
END
    ['files', <<'END', [60, 'done'], [61, 'done'], [62, 'descriptors']],
import os
held = [open(os.__file__) for _ in range(COUNT)]
END
    # Of one that fails nothing is left.
    ['pipes', <<'END', [29, 'done'], [30, 'done'], [31, 'descriptors']],
import os
held = [os.pipe() for _ in range(COUNT)]
END
    # 64, the main thread among them.
    ['threads', <<'END', [62, 'done'], [63, 'done'], [64, 'threads']],
import threading
go = threading.Event()
threads = [threading.Thread(target=go.wait, daemon=True) for _ in range(COUNT)]
for t in threads: t.start()
go.set()
for t in threads: t.join()
END
    ['workers', <<'END', [62, 'done'], [63, 'done'], [64, 'threads']],
import concurrent.futures, threading
go = threading.Barrier(COUNT)
with concurrent.futures.ThreadPoolExecutor(COUNT) as pool:
    try:
        list(pool.map(lambda _: go.wait(), range(COUNT)))
    finally:
        go.abort()
END
    # 1,000 frames, of which one is the module's and one is f(0).
    ['calls', <<'END', [997, 'done'], [998, 'done'], [999, 'recursion']],
def f(n): return n and f(n - 1)
f(COUNT)
END
    ['calls in C', <<'END', [900, 'done'], [1100, 'recursion']],
x = []
for _ in range(COUNT): x = [x]
repr(x)
END
    ['calls beyond a limit that was lowered', <<'END',
import sys
sys.setrecursionlimit(300)
def f(n): return n and f(n - 1)
f(COUNT)
END
     [297, 'done'], [298, 'done'], [299, 'recursion']],
);

# name, source, ended_by, returncode, error
my @ways = (
    ['descriptors, caught', <<'END', 'done', 0, qr/^$/],
import os
try:
    while True: os.dup(0)
except OSError as e: assert e.errno == 24
END
    ['descriptors, then another error', <<'END', 'exit', 1, qr/ValueError/],
import os
try:
    while True: os.dup(0)
except OSError as e: raise ValueError()
END
    ['threads, caught', <<'END', 'done', 0, qr/^$/],
import threading
go = threading.Event()
try:
    while True: threading.Thread(target=go.wait, daemon=True).start()
except RuntimeError: go.set()
END
    ['RuntimeError of another kind', "raise RuntimeError('threads')",
     'exit', 1, qr/RuntimeError: threads/],
    ['recursion, caught', <<'END', 'done', 0, qr/^$/],
def f(): f()
try: f()
except RecursionError: pass
END
    ['OSError without errno', "raise OSError('mine')", 'exit', 1, qr/mine/],
    ['a read that would wait', <<'END', 'exit', 1, qr/BlockingIOError/],
import os
ends = os.pipe()
os.set_blocking(ends[0], False)
os.read(ends[0], 1)
END
    ['a process', "import os\nos.fork()", 'exit', 1, qr/PermissionError/],
    ['a program', "import subprocess\nsubprocess.run(['/bin/true'])",
     'exit', 1, qr/PermissionError|FileNotFoundError/],
);

# What the call of main() meets, in a dialect that reports it: [name, source,
# ended_by, error]; what is told beside ended_by is what Python says.
my @calls = (
    ['recursion', "def main(): return main()", 'recursion',
     qr/^RecursionError: maximum recursion depth exceeded/],
    ['descriptors',
     "import os\ndef main():\n    while True: os.dup(0)\n", 'descriptors',
     qr/^OSError: \[Errno 24\] Too many open files/],
    ['threads', "import threading\ndef main():\n    go = threading.Event()\n"
     . "    while True: threading.Thread(target=go.wait, daemon=True).start()\n",
     'threads', qr/^RuntimeError: can't start new thread/],
    ['nothing', "def main(): return 1", 'done', qr/^$/],
);

my $counts = 0;
$counts += @$_ - 2 for @counts;
plan tests => $counts + @ways + @calls;

for (@counts) {
    my ($name, $source, @cases) = @$_;

    for my $case (@cases) {
        my ($count, $end) = @$case;
        my $script = "print('begun')\n$source\nprint('there')\n";
        my $got = run_code($place, $script =~ s/COUNT/$count/gr);

        ok($got->{usage}{ended_by} eq $end
           && ($end eq 'done' ? $got->{returncode} eq '0'
                                && $got->{output} eq "begun\nthere\n"
               : $got->{returncode} eq '1' && $got->{output} eq "begun\n"),
           "$count $name: $end") or diag(json_text($got));
    }
}

for (@ways) {
    my ($name, $source, $end, $code, $error) = @$_;
    my $got = run_code($place, $source);

    ok($got->{usage}{ended_by} eq $end && $got->{returncode} eq $code
       && $got->{error} =~ $error, "$name: $end") or diag(json_text($got));
}

for (@calls) {
    my ($name, $source, $end, $error) = @$_;
    my $answer = post_json($place, { script => $source, usage => \1 });
    my $got = $answer->{json};

    ok($answer->{status} == 200 && $got->{usage}{ended_by} eq $end
       && ($got->{message} // '') =~ $error, "main() meets $name: $end")
        or diag($answer->{body});
}
