# SPDX-License-Identifier: Apache-2.0
# An httpd that was started with less than most: runs have less as well, and
# everything else stays the same.
use strict;
use warnings FATAL => 'all';
use PyExec::Test;
use Test::More;

my $place = '/policy-off/execute';
my $overflow = "import sys\nsys.setrecursionlimit(10 ** 9)\nx = []\n"
    . "for _ in range(DEPTH): x = [x]\nrepr(x)";

# What it is started under, and [fields of the request, ended_by, what the
# answer has].
my @servers = (
    # The descriptor on which a job reports cannot go where it usually is.
    ['-n 400',
     [{ code => "print(6 * 7)" }, 'done', { output => "42\n" }],
     [{ code => "def main(): return [1, 2]", function => 'main' }, 'done',
      { result => [1, 2] }],
     [{ code => "def f(): f()\nf()" }, 'recursion', { returncode => 1 }],
     [{ code => "x = bytearray(1 << 30)" }, 'memory', { returncode => 1 }],
     # One fewer is left: the report is among them.
     [{ code => "import os\nfor _ in range(60): os.dup(0)" }, 'done', {}],
     [{ code => "import os\nfor _ in range(61): os.dup(0)" }, 'descriptors',
      {}],
     # Closing it is the script's own affair.
     [{ code => "import os\nos.closerange(3, 1000)\nprint('left')" }, 'done',
      { output => "left\n" }],
     [{ code => "import os\nos.closerange(3, 1000)\n1/0" }, 'exit', {}]],
    # Half of the stack that runs usually have.
    ['-s 4096',
     [{ code => "print(6 * 7)" }, 'done', { output => "42\n" }],
     [{ code => "import resource\n"
        . "print(resource.getrlimit(resource.RLIMIT_STACK)[1] >> 10)" },
      'done', { output => "4096\n" }],
     [{ code => $overflow =~ s/DEPTH/10000/r }, 'done', { returncode => 0 }],
     [{ code => $overflow =~ s/DEPTH/200000/r },
      sanitized() ? ('exit', { returncode => 1 })
                  : ('stack', { returncode => -11 })]],
);

my $cases = 0;
$cases += @$_ - 1 for @servers;
plan tests => $cases;

for (@servers) {
    my ($ulimit, @requests) = @$_;
    my $server = own_server("PyExecConcurrency 2\n", ulimit => $ulimit);

    for (@requests) {
        my ($fields, $end, $has) = @$_;
        my $answer = post_json($place, { usage => \1, %$fields },
                               port => $server->{port});
        my $got = $answer->{json};
        my @wrong = grep { json_text($got->{$_}) ne json_text($has->{$_}) }
            keys %$has;

        ok($answer->{status} == 200 && $got->{usage}{ended_by} eq $end
           && !@wrong, "ulimit $ulimit: $end: "
           . ($fields->{code} =~ s/\n.*//sr)) or diag($answer->{body});
    }
    $server->{stop}->();
}
