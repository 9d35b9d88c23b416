# SPDX-License-Identifier: Apache-2.0
# Ports for servers that are started later: t/TEST's own and those of the tests.
package PyExec::Port;
use strict;
use warnings FATAL => 'all';

use Exporter 'import';
use IO::Socket::INET ();
use Time::HiRes ();

our @EXPORT_OK = qw(free_port);

# Where Linux takes ports for connections from, unless it is told otherwise, and
# below that what few services have.
my ($lowest, $above) = (12000, 32768);
my $next;

# A port of 127.0.0.1 that is free, as are the $more behind it. Nobody gets it by
# chance before it is used: it is below those that the kernel gives to whoever
# connects or wants any port, and none is returned twice.
sub free_port
{
    my ($more) = @_;
    my $end = range_begins();
    my $count = $end - $lowest;

    # Two processes do not begin at the same.
    $next //= ($$ * 7919 + int Time::HiRes::time() * 1000) % $count;
    for (1 .. $count) {
        my $port = $lowest + $next;

        $next = ($next + 1 + ($more // 0)) % $count;
        next if $port + ($more // 0) >= $end;
        return $port unless grep { !is_free($_) } $port .. $port + ($more // 0);
    }
    die "no free port from $lowest to $end";
}

# Where there is nothing between, what is usual has to do.
sub range_begins
{
    my $begins;

    if (open my $in, '<', '/proc/sys/net/ipv4/ip_local_port_range') {
        ($begins) = (<$in> // '') =~ /^(\d+)/;
    }
    return $begins && $begins >= $lowest + 1000 ? $begins : $above;
}

sub is_free
{
    my ($port) = @_;

    return defined IO::Socket::INET->new(LocalAddr => '127.0.0.1',
        LocalPort => $port, Listen => 1, ReuseAddr => 1);
}

1;
