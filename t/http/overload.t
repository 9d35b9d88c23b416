# SPDX-License-Identifier: Apache-2.0
# Ten times what the server can carry: runs that are accepted take as long as
# before, beside their turn in the queue, the others are told no at once, and
# other URLs do not notice. OVERLOAD_SECONDS: how long (default 5; make soak
# takes 60). The bounds are wide, for other processes of the machine are busy
# too; the figures are told.
use strict;
use warnings FATAL => 'all';
use PyExec::Test;
use Test::More;

once_only();
my $seconds = $ENV{OVERLOAD_SECONDS} || 5;
# As Debian sets it up. Prefork has no threads that could be kept free: there
# the queue has to be shorter than MaxRequestWorkers.
my $prefork = mpm() eq 'prefork';
my $mpm = mpm_workers(2, 25, 150) . ($prefork ? "PyExecMaxQueue 40\n" : '');

overloaded();
warned();
done_testing();

sub overloaded
{
    my $server = own_server("PyExecConcurrency 2\n$mpm"
        . 'DocumentRoot "' . var('documentroot') . "\"\n");
    my $got;

    all_zygotes($server);
    # Again where others keep the machine from it; what is slow stays slow.
    for my $try (1 .. 3) {
        $got = measured($server) or return;
        is_right($got);
        last unless grep { $_->[0] >= $_->[1] } bounds($got);
    }
    cmp_ok($_->[0], '<', $_->[1], $_->[2]) for bounds($got);
    like(error_log($server), $prefork ? qr/PYX0203/ : qr/PYX0214/,
         'the log tells why');
    $server->{stop}->();
    return;
}

sub measured
{
    my ($server) = @_;
    my ($text, $got);

    open my $out, '-|', 'timeout', 300 + 2 * $seconds, '/usr/bin/python3', '-B',
        var('t_dir') . '/soak/overload.py', '--port', $server->{port},
        '--parent', $server->{pid}, '--concurrency', 2, '--seconds', $seconds
        or die "overload.py: $!";
    {
        local $/ = undef;
        $text = <$out>;
    }
    close $out;
    note($text);
    diag($text) if $ENV{OVERLOAD_SECONDS}; # make soak is for the figures
    $got = json_value($text);
    ok($got, 'overload.py has measured');
    return $got;
}

# However fast it was.
sub is_right
{
    my ($got) = @_;
    my $over = $got->{overload};
    my %more = map { my $who = $_;
        $who => $got->{memory_kb}{during}{$who} - $got->{memory_kb}{before}{$who}
    } qw(keeper httpd);

    cmp_ok($over->{offered_per_second}, '>', 4 * $over->{capacity_per_second},
           'far more was offered than could be carried');
    is($got->{bad}, 0, 'every request had one well-formed answer, its own')
        or diag(json_text($got->{examples}));
    is(join(' ', sort keys %{ $over->{statuses} }), '200 503',
       'some were served, the others told no');
    cmp_ok($over->{served}{count}, '>',
           0.3 * $seconds * $over->{capacity_per_second},
           'the capacity was used');
    is($got->{static_bad}, 0, 'a file: always served');
    cmp_ok($more{keeper}, '<', sanitized() ? 200_000 : 20_000,
           'memory: the keeper');
    cmp_ok($more{httpd}, '<',
           sanitized() ? 2_000_000 : $prefork ? 800_000 : 200_000,
           'memory: httpd');
    return;
}

# What took how many milliseconds, the bound, the name.
sub bounds
{
    my ($got) = @_;
    my ($over, $alone) = @$got{qw(overload alone)};
    my $twice = 2 * $alone->{runs}{median} + 100;

    return (
        [$over->{without_queue}{median}, $twice,
         'served: twice the time of a run alone at most, beside the queue'],
        [$over->{refused}{median}, 100, 'refused: at once'],
        [$over->{refused}{p95}, 1000, 'refused: nearly all of them'],
        (map { (
            [$over->{static}{$_}{median}, 3 * $alone->{static}{$_}{median} + 20,
             "a file, $_ connections: as fast as before"],
            [$over->{static}{$_}{p95}, 500,
             "a file, $_ connections: nearly always"],
        ) } 'kept', 'new'),
        [$got->{recovered_after}, 3000, 'afterwards: as before, soon'],
        [$got->{after}{runs}{median}, $twice,
         'afterwards: runs as fast as before'],
    );
}

# What would let runs take all of httpd is told before it happens.
sub warned
{
    for my $case (["PyExecMaxWorkers 25\nPyExecMaxQueue 150", 1],
                  ["PyExecMaxWorkers 24\nPyExecMaxQueue 150", $prefork],
                  ["PyExecMaxWorkers 25\nPyExecMaxQueue 64", 0]) {
        my ($lines, $wanted) = @$case;
        my $server = own_server("$mpm$lines\nPyExecConcurrency 2\n");
        my $log = PyExec::Test::slurp("$server->{dir}/error_log");

        is($log =~ /PYX0006/ ? 1 : 0, $wanted ? 1 : 0,
           join(', ', split /\n/, $lines) . ': '
           . ($wanted ? 'warned of' : 'nothing to warn of'));
        $server->{stop}->();
    }
    return;
}
