# SPDX-License-Identifier: Apache-2.0
# Time and output just below, at and just above the limit; what a run wrote
# before its end is there, whatever ended it; and the answer says what did.
use strict;
use warnings FATAL => 'all';
use PyExec::Test;
use Test::More;

my $mib = 1 << 20;
# How late an answer usually may be; an instrumented build is slower.
my $slack = sanitized() ? 0.5 : 0.1;

# name, place, source, expected: ended_by, returncode, output, error
my @ends = (
    ['spinning', '/t/wall-700ms', "print('begun', end='')\nwhile True: pass",
     'time', -9, qr/^begun$/, qr/timed out after 0\.7/],
    ['sleeping', '/t/wall-700ms',
     "import time\nprint('begun', end='')\ntime.sleep(60)",
     'time', -9, qr/^begun$/, qr/timed out after 0\.7/],
    ['deaf to signals', '/t/wall-700ms',
     "import signal\nfor n in range(1, 65):\n    try: signal.signal(n, signal.SIG_IGN)\n"
     . "    except (OSError, ValueError): pass\nprint('begun', end='')\nwhile True: pass",
     'time', -9, qr/^begun$/, qr/timed out/],
    ['abort', '/policy-off/execute',
     "import os\nprint('begun', end='')\nos.abort()", 'signal', -6, qr/^begun$/, qr/^/],
    ['_exit', '/policy-off/execute',
     "import os\nprint('begun', end='')\nos._exit(3)", 'exit', 3, qr/^begun$/, qr/^$/],
    ['SIGTERM to itself', '/policy-off/execute',
     "import os, signal\nprint('begun', end='')\nos.kill(os.getpid(), 15)",
     'signal', -15, qr/^begun$/, qr/^/],
    ['SIGKILL to itself', '/policy-off/execute',
     "import os\nprint('begun', end='')\nos.kill(os.getpid(), 9)",
     'signal', -9, qr/^begun$/, qr/^/],
    ['a crash', '/policy-off/execute',
     "import ctypes\nprint('begun', end='')\nctypes.string_at(8)",
     # AddressSanitizer has a handler of its own for that.
     sanitized() ? ('exit', 1) : ('signal', -11), qr/^begun$/, qr/^/],
    ['stderr without newline', '/policy-off/execute',
     "import os, sys\nsys.stderr.write('half')\nos._exit(4)",
     'exit', 4, qr/^$/, qr/^half$/],
    ['an exception', '/policy-off/execute', "print('a', end='')\n1/0",
     'exit', 1, qr/^a$/, qr/ZeroDivisionError: division by zero\n$/],
    ['exit status 255', '/policy-off/execute', "raise SystemExit(255)",
     'exit', 255, qr/^$/, qr/^$/],
    ['exit with a text', '/policy-off/execute', "raise SystemExit('bye')",
     'exit', 1, qr/^$/, qr/^bye\n$/],
    ['endless recursion', '/policy-off/execute',
     "def f(): f()\nf()", 'recursion', 1, qr/^$/, qr/RecursionError/],
    ['process creation', '/policy-off/execute',
     "import os\ntry: os.fork()\nexcept OSError as e: print(type(e).__name__)",
     'done', 0, qr/^PermissionError\n$/, qr/^$/],
);

# place, seconds of sleep, does it end by itself
my @walls = (
    ['/t/wall-700ms', 0.4, 1], ['/t/wall-700ms', 0.7, undef],
    ['/t/wall-700ms', 0.9, 0], ['/t/wall-2s', 1.5, 1], ['/t/wall-2s', 2.2, 0],
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

# Far more than is kept: bytes written to one stream at /t/output-1000, where
# the run waits afterwards so that it does not end by itself; how it ends.
my @floods = ([15_999, 'done'], [16_000, 'done'], [16_001, 'output']);

plan tests => @ends + 2 * @walls + @outputs + 3 + @floods;

for (@ends) {
    my ($name, $place, $source, $end, $code, $output, $error) = @$_;
    my $got = run_code($place, $source);

    ok($got->{usage}{ended_by} eq $end && $got->{returncode} eq $code
       && $got->{output} =~ $output
       && $got->{error} =~ $error, "how it ends: $name")
        or diag(json_text($got));
}

for (@walls) {
    my ($place, $sleep, $ends) = @$_;
    my ($limit) = $place =~ /700ms/ ? 0.7 : 2;
    my (@wrong, $got);
    my $took = usual($limit + $slack, sub {
        my $seconds = seconds(sub {
            $got = run_code($place,
                            "import time\ntime.sleep($sleep)\nprint('done')");
        });

        push @wrong, json_text($got) unless ends_right($got, $ends);
        note("$sleep s of $limit s took $seconds s");
        return $seconds;
    });

    is("@wrong", '', "$sleep s of $limit s");
    cmp_ok($took, '<', $limit + $slack, "$sleep s of $limit s: in time");
}

# By itself, by its limit, or (undef) by one of them.
sub ends_right
{
    my ($got, $ends) = @_;
    my $done = $got->{returncode} eq '0' && $got->{output} eq "done\n"
        && $got->{usage}{ended_by} eq 'done';
    my $ended = $got->{returncode} eq '-9' && $got->{error} =~ /timed out/
        && $got->{usage}{ended_by} eq 'time';

    return defined $ends ? ($ends ? $done : $ended) : $done || $ended;
}

for (@outputs) {
    my ($place, $size, $limit, $stream, $cut) = @$_;
    my $got = run_code($place, "import sys\nsys.$stream.write('x' * $size)");
    my $text = $got->{ $stream eq 'stdout' ? 'output' : 'error' };
    my $kept = $cut ? $limit : $size;

    # The mark stands behind what was kept, and is short.
    ok($got->{returncode} eq '0' && $got->{usage}{ended_by} eq 'done'
       && $text =~ /\A(x*)/ && length $1 == $kept
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

    ok($got->{usage}{ended_by} eq 'output' && $got->{returncode} eq '-9'
       && $got->{error} =~ /output/i
       && length $got->{output} < $limit + 200,
       "ended beyond 16 times $limit bytes")
        or diag($got->{returncode}, ' ', substr $got->{error}, 0, 200);
    cmp_ok($took, '<', 3, 'and not by its time') if $limit == 1000;
}

for (@floods) {
    my ($size, $end) = @$_;
    my $got = run_code('/t/output-1000', "import sys, time\n"
                       . "sys.stdout.write('x' * $size)\ntime.sleep(1)");

    ok($got->{usage}{ended_by} eq $end && $got->{output} =~ /\Ax{1000}\n/,
       "$size bytes, 16 times what is kept: $end") or diag(json_text($got));
}
