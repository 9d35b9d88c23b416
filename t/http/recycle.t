# SPDX-License-Identifier: Apache-2.0
# Zygotes are replaced after a number of runs or a time: no run fails of it, and
# afterwards hash seed and address layout are others.
use strict;
use warnings FATAL => 'all';
use PyExec::Test;
use Test::More;

my $source = "print(hash('x'), hex(id(print)))";

plan tests => 7;

# What the runs printed, in order; counts what was no good answer.
sub ask
{
    my ($port, $count, $failed) = @_;

    return map {
        my $answer = run_code('/execute', $source, port => $port);

        $$failed++ unless ($answer->{returncode} // '') eq '0';
        $answer->{output};
    } 1 .. $count;
}

sub different { my %seen = map { $_ => 1 } @_; return scalar keys %seen }

my $failed = 0;
my $server = own_server("PyExecRecycle 20\nPyExecRecycleAfter 0\n");
# All of them, so that they are the same later.
all_zygotes($server);
my @outputs = ask($server->{port}, 300, \$failed);
is($failed, 0, 'after 20 runs: none of 300 fails');
cmp_ok(different(@outputs), '>=', 3, '... and there were several zygotes');
cmp_ok(different(@outputs), '<=', 300 / 18, '... but not one for each run');
# The keeper, its zygote, what the zygote has: nothing of the earlier ones.
my $before = () = descendants($server->{pid});
ask($server->{port}, 200, \$failed);
ok(wait_for(sub { (() = descendants($server->{pid})) <= $before + 8 }, 20),
   '... and their processes do not pile up');
$server->{stop}->();

$server = own_server("PyExecRecycle 0\nPyExecRecycleAfter 300ms\n");
my ($first) = ask($server->{port}, 1, \$failed);
ok(wait_for(sub { (ask($server->{port}, 1, \$failed))[0] ne $first }, 10),
   'after 300 ms: another zygote serves');
$server->{stop}->();

$server = own_server("PyExecRecycle 0\nPyExecRecycleAfter 0\n");
is(different(ask($server->{port}, 60, \$failed)), 1,
   'never: one zygote serves them all');
$server->{stop}->();
is($failed, 0, 'no run failed');
