# SPDX-License-Identifier: Apache-2.0
# The C stack just below, at and just above its 8 MiB; every other
# segmentation fault is none of it; and what a script claims about its end only
# refines what the kernel saw.
use strict;
use warnings FATAL => 'all';
use PyExec::Test;
use Test::More;

# AddressSanitizer has a handler of its own, and larger frames.
plan skip_all => 'AddressSanitizer handles the signal itself' if sanitized();

my $place = '/policy-off/execute';
# The depth of frames in C that one run has to itself: a tuple in a tuple.
my $nested = <<'END';
x = ()
for _ in range(DEPTH): x = (x,)
print('begun')
hash(x)
END

# name, source, ended_by, returncode
my @faults = (
    ['overflow through functools', <<'END', 'stack', -11],
import functools, sys
sys.setrecursionlimit(10 ** 9)
def f(a, b): return functools.reduce(f, (1, 2))
f(1, 2)
END
    ['overflow through __getattr__', <<'END', 'stack', -11],
import sys
sys.setrecursionlimit(10 ** 9)
class A:
    def __getattr__(self, name): return getattr(self, name)
A().x
END
    ['overflow of a stack that the script made smaller', <<'END', 'stack', -11],
import resource
resource.setrlimit(resource.RLIMIT_STACK, (1 << 20, 8 << 20))
x = ()
for _ in range(40000): x = (x,)
hash(x)
END
    ['overflow, after a handler was taken back', <<'END', 'signal', -11],
import signal
signal.signal(signal.SIGSEGV, lambda *a: None)
signal.signal(signal.SIGSEGV, signal.SIG_DFL)
x = ()
for _ in range(400000): x = (x,)
hash(x)
END
    ['overflow with faulthandler', <<'END', 'signal', -11],
import faulthandler
faulthandler.enable()
x = ()
for _ in range(400000): x = (x,)
hash(x)
END
    ['faulthandler and the signal', <<'END', 'signal', -11],
import faulthandler, os
faulthandler.enable()
os.kill(os.getpid(), 11)
END
    ['no address', "import ctypes\nctypes.string_at(0)", 'signal', -11],
    ['a wild address', "import ctypes\nctypes.string_at(1 << 46)",
     'signal', -11],
    # Not canonical: the kernel tells no address.
    ['no address there can be', "import ctypes\nctypes.string_at(1 << 62)",
     'signal', -11],
    ['read-only memory', "import ctypes\n"
     . "ctypes.memset(ctypes.pythonapi.Py_Initialize, 0, 1)", 'signal', -11],
    ['the stack of a thread', <<'END', 'signal', -11],
import threading
x = ()
for _ in range(400000): x = (x,)
t = threading.Thread(target=hash, args=(x,))
t.start()
t.join()
END
    ['a fault in a thread', <<'END', 'signal', -11],
import ctypes, threading
t = threading.Thread(target=ctypes.string_at, args=(8,))
t.start()
t.join()
END
    ['kill', "import os\nos.kill(os.getpid(), 11)", 'signal', -11],
    ['raise_signal', "import signal\nsignal.raise_signal(11)", 'signal', -11],
    ['pthread_kill', "import signal, threading\n"
     . "signal.pthread_kill(threading.get_ident(), 11)", 'signal', -11],
    ['a handler of its own', <<'END', 'done', 0],
import os, signal
seen = []
assert signal.getsignal(signal.SIGSEGV) is signal.SIG_DFL
assert signal.signal(signal.SIGSEGV, lambda *a: seen.append(a)) is signal.SIG_DFL
os.kill(os.getpid(), 11)
assert seen
END
    ['ignored', <<'END', 'done', 0],
import os, signal
signal.signal(signal.SIGSEGV, signal.SIG_IGN)
os.kill(os.getpid(), 11)
END
);

# A frame that the script writes itself: which outcome it claims (wire.h), how
# it then ends, ended_by, returncode.
my $claim = <<'END';
import os, signal, struct, time
body = struct.pack('<HHII', 20, 0, 4, CLAIM)
os.write(900, b'PYXW' + struct.pack('<HHI', 1, 43, len(body)) + body)
END
my ($exit, $fault, $abort, $fine) =
    ('os._exit(3)', 'os.kill(os.getpid(), 11)', 'os.abort()', 'os._exit(0)');
my @claims = (
    # Memory, threads, the stack: where that can be.
    [6, $exit, 'memory', 3], [11, $exit, 'threads', 3],
    [13, $fault, 'stack', -11], [6, $fault, 'memory', -9],
    [13, $exit, 'exit', 3], [11, $fault, 'signal', -11],
    [6, $abort, 'signal', -6], [13, $abort, 'signal', -6],
    # Never better than it was.
    [6, $fine, 'done', 0], [2, $exit, 'exit', 3], [2, $fault, 'signal', -11],
    # What the keeper alone can know, what is ours, and what is nothing.
    [4, $exit, 'exit', 3], [5, $exit, 'exit', 3], [7, $exit, 'exit', 3],
    [9, $exit, 'exit', 3], [1, $exit, 'exit', 3], [32, $exit, 'exit', 3],
    [35, $exit, 'exit', 3], [0, $exit, 'exit', 3], [14, $exit, 'exit', 3],
    [0xffffffff, $exit, 'exit', 3], [0xffffffff, $fault, 'signal', -11],
    # What the keeper did comes first.
    [6, 'time.sleep(60)', 'time', -9, '/t/wall-700ms'],
);

plan tests => 5 + @faults + @claims;

# Where the stack ends, to a few frames.
my ($fits, $overflows) = (1000, 1 << 20);
while ($overflows - $fits > 16) {
    my $depth = int(($fits + $overflows) / 2);

    if (overflow($depth)->{usage}{ended_by} eq 'done') {
        $fits = $depth;
    }
    else {
        $overflows = $depth;
    }
}
# A frame has some hundred bytes: it was the 8 MiB, not something else.
ok($fits > 10_000 && $fits < 200_000, 'about 8 MiB') or diag($fits);
for ([$fits - 16, 'done', 0], [$overflows + 16, 'stack', -11],
     [$overflows * 4, 'stack', -11]) {
    my ($depth, $end, $code) = @$_;
    my $got = overflow($depth);

    ok($got->{usage}{ended_by} eq $end && $got->{returncode} eq $code
       && $got->{output} eq "begun\n", "$depth frames: $end")
        or diag(json_text($got));
}

# Where main() is called, what to do about it.
my $report = post_json($place, { usage => \1, script =>
    ($nested =~ s/DEPTH/400000/r) =~ s/^hash/def main(): hash/mr })->{json};
ok(!$report->{success} && $report->{usage}{ended_by} eq 'stack'
   && $report->{message} eq 'The script was ended by signal 11'
   && grep({ /setrecursionlimit/ } @{ $report->{suggestions} }),
   'in main(): what it was, and what to do') or diag(json_text($report));

for (@faults) {
    my ($name, $source, $end, $code) = @$_;
    my $got = run_code($place, $source);

    ok($got->{usage}{ended_by} eq $end && $got->{returncode} eq $code,
       "$name: $end") or diag(json_text($got));
}

for (@claims) {
    my ($number, $way, $end, $code, $other) = @$_;
    my $got = run_code($other // $place,
                       ($claim =~ s/CLAIM/$number/r) . "$way\n");

    ok($got->{usage}{ended_by} eq $end && $got->{returncode} eq $code,
       "claims $number and ends by $way: $end") or diag(json_text($got));
}

sub overflow
{
    my ($depth) = @_;

    return run_code($place, $nested =~ s/DEPTH/$depth/r);
}
