# SPDX-License-Identifier: Apache-2.0
# The memory limit, 64 MiB here, below, at and above it, by everything that
# takes memory. What is left below the limit is what Python itself needs.
use strict;
use warnings FATAL => 'all';
use PyExec::Test;
use Test::More;

my $place = '/t/memory-64m';
# Where the whole and its pieces are there at the same time. AddressSanitizer
# keeps what was freed.
my $half = sanitized() ? 4 : 16;

# How SIZE MiB are taken, and how much fits. 65 do not: what the warm
# interpreter has free is less than 1 MiB.
my @kinds = (
    ['a list', 56, "x = [None] * (SIZE * 131072)"],
    ['a growing list', $half,
     "x = []\nwhile len(x) < SIZE * 131072: x.extend([None] * 4096)"],
    ['a bytearray', 56, "x = bytearray(SIZE << 20)"],
    ['a string', 56, "x = 'x' * (SIZE << 20)"],
    # 30 bits in 4 bytes.
    ['a big int', 56, "x = 1 << (SIZE * 7864320)"],
    ['private memory', 56,
     "import mmap\nx = mmap.mmap(-1, SIZE << 20, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)"],
    ['an array of numpy', 56,
     "import numpy\nx = numpy.ones(SIZE * 131072)"],
    ['zlib', $half, <<'END'],
import zlib
z = zlib.compressobj(1)
z = b''.join([z.compress(bytes(1 << 20)) for _ in range(SIZE)] + [z.flush()])
x = zlib.decompress(z)
END
    ['bz2', $half, <<'END'],
import bz2
z = bz2.compress(bytes(1 << 20))
x = bz2.decompress(z * SIZE)
END
    ['lzma', $half, <<'END'],
import lzma
z = lzma.compress(bytes(1 << 20), preset=0)
x = lzma.decompress(z * SIZE)
END
    ['stacks of threads', 48, <<'END'],
import threading
go = threading.Event()
threading.stack_size(4 << 20)
x = [threading.Thread(target=go.wait, daemon=True) for _ in range(SIZE // 4)]
for t in x: t.start()
go.set()
END
);

# Shared memory is refused in any size, as memory that is not there.
my $shared = "import mmap\nmmap.mmap(-1, SIZE << 20)";

# source, ended_by, returncode, error
my @ways = (
    ['caught', "try: x = bytearray(80 << 20)\nexcept MemoryError: pass",
     'done', 0, qr/^$/],
    ['caught, then another end',
     "try: x = bytearray(80 << 20)\nexcept MemoryError: raise SystemExit(3)",
     'exit', 3, qr/^$/],
    ['in a thread that nobody waits for', <<'END', 'done', 0, qr/MemoryError/],
import threading
t = threading.Thread(target=lambda: bytearray(80 << 20))
t.start()
t.join()
END
    ['behind another exception', <<'END', 'exit', 1, qr/ValueError/],
try: x = bytearray(80 << 20)
except MemoryError as e: raise ValueError() from e
END
    ['of a class of its own', <<'END', 'memory', 1, qr/Mine: all of it/],
class Mine(MemoryError): pass
raise Mine('all of it')
END
);

plan tests => 3 * @kinds + 3 + @ways + 4;

for my $kind (@kinds) {
    my ($name, $below, $source) = @$kind;

    takes($name, $source, $below, 'done');
    takes($name, $source, $_, 'memory') for 65, 80;
}
takes('shared memory', $shared, $_, 'memory') for 1, 65, 80;

for (@ways) {
    my ($name, $source, $end, $code, $error) = @$_;
    my $got = run_code($place, $source);

    ok($got->{usage}{ended_by} eq $end && $got->{returncode} eq $code
       && $got->{error} =~ $error, "MemoryError $name: $end")
        or diag(json_text($got));
}

# A function that is called for its value.
for ([56, 'done'], [65, 'memory'], [80, 'memory']) {
    my ($size, $end) = @$_;
    my $got = run_code($place, "def main(): return len(bytearray($size << 20))",
                       fields => { function => 'main' });

    is($got->{usage}{ended_by}, $end, "$size MiB in a call: $end")
        or diag(json_text($got));
}

# C code's frames need memory as well: a stack that may grow, and cannot.
my $got = run_code($place, <<'END');
import mmap, sys
sys.setrecursionlimit(10 ** 9)
x = []
for _ in range(30000): x = [x]
held = []
size = 64 << 20
while size >= 4096:
    try:
        held.append(mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))
    except OSError:
        size //= 2
print('begun')
repr(x)
END
my ($end, $code) = sanitized() ? ('exit', 1) : ('memory', -9);
ok($got->{usage}{ended_by} eq $end && $got->{returncode} eq $code
   && $got->{output} eq "begun\n", 'a stack without memory to grow')
    or diag(json_text($got));

sub takes
{
    my ($name, $source, $size, $end) = @_;
    my $script = "print('begun')\n$source\nprint('there')\n";
    my $got = run_code($place, $script =~ s/SIZE/$size/gr);
    my $output = $end eq 'done' ? "begun\nthere\n" : "begun\n";

    ok($got->{usage}{ended_by} eq $end && $got->{output} eq $output
       && ($end eq 'done' ? $got->{returncode} eq '0' && $got->{error} eq ''
           : $got->{returncode} ne '0'
             && $got->{error} =~ /the memory limit of 64 MiB was exceeded$/),
       "$size MiB by $name: $end") or diag(json_text($got));
    return;
}
