# SPDX-License-Identifier: Apache-2.0
# The corpus of attacks, honest programs and abusive requests at both isolation
# levels, each with the policy on and with the kernel layers alone.
# t/corpus/replay.py sends the cases and judges the answers; every case is a
# test here.
use strict;
use warnings FATAL => 'all';
use PyExec::Parallel;
use PyExec::Test;
use Test::More;

my $dir = var('t_dir') . '/corpus';
# AddressSanitizer has a handler of its own for a null dereference, and ends
# with status 1.
my %instead = ('lim-080' => 1);
my %path = (on => '/execute', off => '/policy-off/execute');
# Where root has just been through all of it (./bootstrap check), an ordinary
# user sees each level and each policy once.
my %policies = $ENV{PYEXEC_CHECK_AGAIN}
    ? (full => ['off'], restricted => ['on'])
    : map { $_ => ['on', 'off'] } qw(full restricted);

# Fewer cases than the files hold would mean that something was passed over.
my $cases = 0;
for my $name (qw(attacks faithful requests)) {
    open my $in, '<', "$dir/$name.jsonl" or die "$name: $!\n";
    $cases += grep { /\S/ } <$in>;
}

# What replay.py says of them at one level, with each policy in turn.
sub replay
{
    my ($level, $port) = @{ $_[0] };

    return [map { [$_, said($level, $port, $_)] } @{ $policies{$level} }];
}

sub said
{
    my ($level, $port, $policy) = @_;

    open my $out, '-|', '/usr/bin/python3', "$dir/replay.py",
        '--url', "http://127.0.0.1:$port$path{$policy}", '--usage', '-v', '-j', 4,
        '--policy', $policy, '--level', $level,
        map { "$dir/$_.jsonl" } qw(attacks faithful requests)
        or die "replay.py: $!\n";
    return <$out>;
}

sub judge
{
    my ($name, $policy, @lines) = @_;
    my ($judged, $skipped) = (0, 0);

    for my $line (@lines) {
        next unless $line =~ /^(PASS|FAIL|WARN|SKIP) (\S+) (.*)/;
        if ($1 eq 'SKIP') { $skipped++; next }
        # Advisory cases are no promise: WARN is told, and counts as seen.
        my $failed = $1 eq 'FAIL' && !(sanitized() && $instead{$2});
        ok(!$failed, "$name: $2 $3");
        note("advisory: $2 $3") if $1 eq 'WARN';
        $judged++;
    }
    is($judged + $skipped, $cases, "$name: every case was judged");
    # Cases that are about the check itself, and nothing else.
    is($skipped, $policy eq 'off' ? 28 : 0, "$name: cases passed over");
    return;
}

sub level
{
    my ($port) = @_;

    return request('GET', '/health', port => $port)->{json}{isolation};
}

is(level(var('port')), 'full', 'the server under test is at level full');
# As in a container under Docker's default profile.
my $server = own_server("PyExecIsolation restricted\nPyExecConcurrency 4",
                        hide => ['container']);
is(level($server->{port}), 'restricted', 'another one is at level restricted');
# Most of their time they wait for limits.
my @levels = (['full', var('port')], ['restricted', $server->{port}]);
my @said = in_parallel(2, \&replay, @levels);
$server->{stop}->();
for my $level (@levels) {
    judge("$level->[0], policy $_->[0]", @$_) for @{ shift @said };
}
done_testing();
