# SPDX-License-Identifier: Apache-2.0
# Whether runs have cgroups of their own is told, and it is the truth: here as
# /proc shows it from outside. t/kernel/README.md has the tests of what a
# group does.
use strict;
use warnings FATAL => 'all';
use PyExec::Test;
use Test::More;

# The path in version 2; other lines are version 1.
sub group_of
{
    my ($pid) = @_;

    open my $in, '<', "/proc/$pid/cgroup" or return '';
    return join '', map { /^0::(.*)\n/ } <$in>;
}

sub log_lines
{
    open my $in, '<', var('t_logs') . '/error_log' or die "error_log: $!";
    return grep { /PYX038[0-2]/ } <$in>;
}

plan tests => 5;

my $health = request('GET', '/health')->{json};
my $used = ($health->{cgroup} // '') ne 'none';
my ($told) = reverse log_lines();
my $keeper = keeper();
my $top = group_of($keeper) =~ s{/pyexec-keeper-$keeper\z}{}r;
my $jobs = $used ? qr{^\Q$top\E/pyexec-job-$keeper-\d+\z} : qr{^\Q$top\E\z};

like($health->{cgroup} // '', qr/^(?:none|memory pids(?: cpu)?)$/,
     'health: which controllers there are');
like($told // '', $used ? qr/PYX0382.*: \Q$health->{cgroup}\E$/m
                        : qr/PYX038[01].* is not used.*: \S/,
     'the log says the same, or why not');
is(group_of($keeper) ne $top, $used, 'the keeper has a group if and only if so');
like(group_of((zygotes())[0]),
     $used ? qr{^\Q$top\E/pyexec-zygotes-$keeper\z} : qr{^\Q$top\E\z},
     'zygote: a group of its own, or the keeper\'s');
# A job that has just been forked is not there yet.
ok(wait_for(sub { grep { group_of($_->{Pid}) =~ $jobs } jobs() }, 20),
   'jobs: groups of their own, or the keeper\'s')
    or diag(map { group_of($_->{Pid}) . "\n" } jobs());
