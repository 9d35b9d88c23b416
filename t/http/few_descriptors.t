# SPDX-License-Identifier: Apache-2.0
# An httpd that may open fewer files than most: the descriptor on which a job
# reports cannot go where it usually is, and everything else stays the same.
use strict;
use warnings FATAL => 'all';
use PyExec::Test;
use Test::More;

my $server = own_server("PyExecConcurrency 2\n", files => 400);
my $place = '/policy-off/execute';

# fields of the request, ended_by, what the answer has
my @cases = (
    [{ code => "print(6 * 7)" }, 'done', { output => "42\n" }],
    [{ code => "def main(): return [1, 2]", function => 'main' }, 'done',
     { result => [1, 2] }],
    [{ code => "def f(): f()\nf()" }, 'recursion', { returncode => 1 }],
    [{ code => "x = bytearray(1 << 30)" }, 'memory', { returncode => 1 }],
    # One fewer is left: the report is among them.
    [{ code => "import os\nfor _ in range(60): os.dup(0)" }, 'done', {}],
    [{ code => "import os\nfor _ in range(61): os.dup(0)" }, 'descriptors', {}],
    # Closing it is the script's own affair.
    [{ code => "import os\nos.closerange(3, 1000)\nprint('left')" }, 'done',
     { output => "left\n" }],
    [{ code => "import os\nos.closerange(3, 1000)\n1/0" }, 'exit', {}],
);

plan tests => 1 + @cases;

for (@cases) {
    my ($fields, $end, $has) = @$_;
    my $answer = post_json($place, { usage => \1, %$fields },
                           port => $server->{port});
    my $got = $answer->{json};
    my @wrong = grep { json_text($got->{$_}) ne json_text($has->{$_}) }
        keys %$has;

    ok($answer->{status} == 200 && $got->{usage}{ended_by} eq $end && !@wrong,
       "$end: " . ($fields->{code} =~ s/\n.*//sr)) or diag($answer->{body});
}

my ($files) = slurp_limit($server->{pid});
is($files, 400, 'it was started so');
$server->{stop}->();

# The hard limit of descriptors of a process.
sub slurp_limit
{
    my ($pid) = @_;

    open my $in, '<', "/proc/$pid/limits" or die "/proc/$pid/limits: $!";
    return map { /^Max open files\s+\d+\s+(\d+)/ } <$in>;
}
