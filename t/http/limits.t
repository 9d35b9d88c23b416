# SPDX-License-Identifier: Apache-2.0
# Every limit just below, at and just above; what a run wrote before its end is
# there, whatever ended it.
use strict;
use warnings FATAL => 'all';
use PyExec::Test;
use Test::More;

my $mib = 1 << 20;
# How late an answer may be; an instrumented build is slower.
my $slack = sanitized() ? 0.5 : 0.1;

# name, place, source, expected: returncode, output, error
my @ends = (
    ['spinning', '/t/wall-700ms', "print('begun', end='')\nwhile True: pass",
     -9, qr/^begun$/, qr/timed out after 0\.7/],
    ['sleeping', '/t/wall-700ms',
     "import time\nprint('begun', end='')\ntime.sleep(60)",
     -9, qr/^begun$/, qr/timed out after 0\.7/],
    ['deaf to signals', '/t/wall-700ms',
     "import signal\nfor n in range(1, 65):\n    try: signal.signal(n, signal.SIG_IGN)\n"
     . "    except (OSError, ValueError): pass\nprint('begun', end='')\nwhile True: pass",
     -9, qr/^begun$/, qr/timed out/],
    ['abort', '/policy-off/execute',
     "import os\nprint('begun', end='')\nos.abort()", -6, qr/^begun$/, qr/^/],
    ['_exit', '/policy-off/execute',
     "import os\nprint('begun', end='')\nos._exit(3)", 3, qr/^begun$/, qr/^$/],
    ['SIGTERM to itself', '/policy-off/execute',
     "import os, signal\nprint('begun', end='')\nos.kill(os.getpid(), 15)",
     -15, qr/^begun$/, qr/^/],
    ['SIGKILL to itself', '/policy-off/execute',
     "import os\nprint('begun', end='')\nos.kill(os.getpid(), 9)",
     -9, qr/^begun$/, qr/^/],
    ['a crash', '/policy-off/execute',
     "import ctypes\nprint('begun', end='')\nctypes.string_at(8)",
     # AddressSanitizer has a handler of its own for that.
     sanitized() ? 1 : -11, qr/^begun$/, qr/^/],
    ['stderr without newline', '/policy-off/execute',
     "import os, sys\nsys.stderr.write('half')\nos._exit(4)",
     4, qr/^$/, qr/^half$/],
    ['an exception', '/policy-off/execute', "print('a', end='')\n1/0",
     1, qr/^a$/, qr/ZeroDivisionError: division by zero\n$/],
    ['exit status 255', '/policy-off/execute', "raise SystemExit(255)",
     255, qr/^$/, qr/^$/],
    ['exit with a text', '/policy-off/execute', "raise SystemExit('bye')",
     1, qr/^$/, qr/^bye\n$/],
    ['endless recursion', '/policy-off/execute',
     "def f(): f()\nf()", 1, qr/^$/, qr/RecursionError/],
    ['process creation', '/policy-off/execute',
     "import os\ntry: os.fork()\nexcept OSError as e: print(type(e).__name__)",
     0, qr/^PermissionError\n$/, qr/^$/],
);

# place, seconds of sleep, does it end by itself
my @walls = (
    ['/t/wall-700ms', 0.5, 1], ['/t/wall-700ms', 0.7, undef],
    ['/t/wall-700ms', 0.9, 0], ['/t/wall-2s', 1.8, 1], ['/t/wall-2s', 2.2, 0],
);

# place, bytes written, limit, to which stream, is it cut
my @outputs = (
    ['/t/output-1000', 999, 1000, 'stdout', 0],
    ['/t/output-1000', 1000, 1000, 'stdout', 0],
    ['/t/output-1000', 1001, 1000, 'stdout', 1],
    ['/t/output-1000', 1000, 1000, 'stderr', 0],
    ['/t/output-1000', 1001, 1000, 'stderr', 1],
    ['/t/output-1000', 15_999, 1000, 'stdout', 1],
    ['/execute', $mib - 1, $mib, 'stdout', 0],
    ['/execute', $mib, $mib, 'stdout', 0],
    ['/execute', $mib + 1, $mib, 'stdout', 1],
    ['/execute', 16 * $mib - 1, $mib, 'stdout', 1],
);

# place, MiB asked for, how, is it there
my @memory = (
    ['/policy-off/execute', 200, 'bytearray', 1],
    ['/policy-off/execute', 240, 'bytearray', 1],
    ['/policy-off/execute', 257, 'bytearray', 0],
    ['/policy-off/execute', 300, 'bytearray', 0],
    ['/t/memory-64m', 48, 'bytearray', 1],
    ['/t/memory-64m', 65, 'bytearray', 0],
    ['/t/memory-64m', 48, 'mmap', 1],
    ['/t/memory-64m', 80, 'mmap', 0],
);

# source, pattern of output
my @counts = (
    ['descriptors', "import os\nheld = []\ntry:\n    while True: held.append(os.dup(0))\n"
     . "except OSError as e: print(e.errno, max(held))", qr/^24 63$/],
    ['threads', <<'END', qr/^RuntimeError (\d|[1-5]\d|6[0-3])$/],
import threading
go = threading.Event()
threading.stack_size(65536)
started = 0
try:
    while started < 1000:
        threading.Thread(target=go.wait, daemon=True).start()
        started += 1
except RuntimeError as e:
    print(type(e).__name__, started)
go.set()
END
    ['a few threads work', <<'END', qr/^45$/],
import threading
found = []
threads = [threading.Thread(target=found.append, args=(n,)) for n in range(10)]
for t in threads: t.start()
for t in threads: t.join()
print(sum(found))
END
);

plan tests => @ends + 2 * @walls + @outputs + 3 + @memory + @counts;

for (@ends) {
    my ($name, $place, $source, $code, $output, $error) = @$_;
    my $got = run_code($place, $source);

    ok($got->{returncode} eq $code && $got->{output} =~ $output
       && $got->{error} =~ $error, "how it ends: $name")
        or diag(json_text($got));
}

for (@walls) {
    my ($place, $sleep, $ends) = @$_;
    my ($limit) = $place =~ /700ms/ ? 0.7 : 2;
    my $got;
    my $took = seconds(sub {
        $got = run_code($place,
                        "import time\ntime.sleep($sleep)\nprint('done')");
    });
    my $done = $got->{returncode} eq '0' && $got->{output} eq "done\n";
    my $ended = $got->{returncode} eq '-9' && $got->{error} =~ /timed out/;

    ok(defined $ends ? ($ends ? $done : $ended) : $done || $ended,
       "$sleep s of $limit s") or diag(json_text($got));
    cmp_ok($took, '<', $limit + $slack, "$sleep s of $limit s: in time");
}

for (@outputs) {
    my ($place, $size, $limit, $stream, $cut) = @$_;
    my $got = run_code($place, "import sys\nsys.$stream.write('x' * $size)");
    my $text = $got->{ $stream eq 'stdout' ? 'output' : 'error' };
    my $kept = $cut ? $limit : $size;

    # The mark stands behind what was kept, and is short.
    ok($got->{returncode} eq '0' && $text =~ /\A(x*)/ && length $1 == $kept
       && ($cut ? length $text > $kept && length $text < $kept + 200
                : length $text == $kept), "$size bytes to $stream of $limit")
        or diag('returncode ', $got->{returncode}, ', length ', length $text,
                ', end: ', substr $text, -100);
}

for (['/t/output-1000', 1000], ['/execute', $mib]) {
    my ($place, $limit) = @$_;
    my $got;
    my $took = seconds(sub {
        $got = run_code($place, "while True: print('x' * 8191)");
    });

    ok($got->{returncode} ne '0' && $got->{error} =~ /output/i
       && length $got->{output} < $limit + 200,
       "ended beyond 16 times $limit bytes")
        or diag($got->{returncode}, ' ', substr $got->{error}, 0, 200);
    cmp_ok($took, '<', 3, 'and not by its time') if $limit == 1000;
}

for (@memory) {
    my ($place, $size, $how, $there) = @$_;
    my $source = $how eq 'bytearray'
        ? "b = bytearray($size * 1048576)\nprint(len(b))"
        : "import mmap\nb = mmap.mmap(-1, $size * 1048576, mmap.MAP_PRIVATE"
          . " | mmap.MAP_ANONYMOUS)\nprint(len(b))";
    my $got = run_code($place, $source);

    ok($there ? $got->{output} eq $size * $mib . "\n"
       : $got->{returncode} ne '0' && $got->{output} eq ''
         && $got->{error} =~ /MemoryError|Cannot allocate memory|memory/,
       "$size MiB by $how at $place") or diag(json_text($got));
}

for (@counts) {
    my ($name, $source, $output) = @$_;
    my $got = run_code('/policy-off/execute', $source);

    like($got->{output}, $output, $name) or diag(json_text($got));
}
