# SPDX-License-Identifier: Apache-2.0
# Something that listens where a pool's proxy should be, and does what the first
# line of each connection says:
#   take N     reads N bytes and answers how many came until then, or the end
#   give N     sends N bytes and ends
#   pour       sends until nobody takes any more
#   drip N     sends N bytes, one each tenth of a second
#   still      reads nothing more and sends nothing
#   echo       sends back what comes, until the end, and ends
# or what a function that is given does with each connection.
package PyExec::Proxy;
use strict;
use warnings FATAL => 'all';

use Exporter 'import';
use IO::Poll qw(POLLHUP);
use IO::Socket::INET ();
use POSIX ();
use Time::HiRes qw(sleep);

our @EXPORT = qw(proxy_start proxy_stop proxy_children);

my %own;
my $owner = $$;

END {
    local $?;
    proxy_stop($_) for $$ == $owner ? values %own : ();
}

# { port, pid }
sub proxy_start
{
    my ($serve) = @_;
    my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
        Listen => 100) or die "listen: $@";
    my $pid = fork // die "fork: $!";

    if (!$pid) {
        local $SIG{CHLD} = 'IGNORE';
        local $SIG{PIPE} = 'IGNORE';
        local $SIG{TERM} = 'DEFAULT';
        POSIX::setpgid(0, 0);
        while (1) {
            my $peer = $listener->accept or next;
            my $child = fork // 0;

            if (!$child) {
                close $listener;
                ($serve || \&serve)->($peer);
                POSIX::_exit(0);
            }
            close $peer;
        }
    }
    POSIX::setpgid($pid, $pid);
    my $proxy = { pid => $pid, port => $listener->sockport };

    $own{$pid} = $proxy;
    return $proxy;
}

sub proxy_stop
{
    my ($proxy) = @_;

    delete $own{ $proxy->{pid} } or return;
    kill 'KILL', -$proxy->{pid};
    waitpid $proxy->{pid}, 0;
    return;
}

# How many connections it is busy with.
sub proxy_children
{
    my ($proxy) = @_;
    my $count = 0;

    for my $file (glob '/proc/[0-9]*/stat') {
        open my $in, '<', $file or next;
        my $line = <$in> // '';

        $count++ if $line =~ /\) [^Z] \Q$proxy->{pid}\E /;
    }
    return $count;
}

sub serve
{
    my ($peer) = @_;
    my $line = '';

    while ($line !~ /\n/) {
        sysread $peer, $line, 1, length $line or return;
    }
    my ($command, $count) = $line =~ /^(\w+)(?: (\d+))?$/ or return;

    if ($command eq 'take') {
        my ($seen, $bytes) = (0, '');

        while ($seen < $count) {
            my $got = sysread $peer, $bytes, 65536 or last;

            $seen += $got;
        }
        syswrite $peer, "$seen\n";
    }
    elsif ($command eq 'give') {
        my $bytes = 'x' x $count;

        while (length $bytes) {
            my $put = syswrite $peer, $bytes or return;

            substr $bytes, 0, $put, '';
        }
    }
    elsif ($command eq 'pour') {
        my $bytes = 'x' x 65536;

        while (syswrite $peer, $bytes) { }
    }
    elsif ($command eq 'drip') {
        for (1 .. $count) {
            syswrite $peer, '.' or return;
            sleep 0.1;
        }
    }
    elsif ($command eq 'still') {
        my $poll = IO::Poll->new;

        $poll->mask($peer => POLLHUP); # of both directions
        $poll->poll;
    }
    elsif ($command eq 'echo') {
        while (sysread $peer, my $bytes, 65536) {
            syswrite $peer, $bytes or return;
        }
    }
    return;
}

1;
