# SPDX-License-Identifier: Apache-2.0
# The helper as a service that no httpd starts, with sockets and a state file
# in a directory of its own.
package PyExec::Service;
use strict;
use warnings FATAL => 'all';

use Exporter 'import';
use File::Path ();
use File::Temp ();
use IO::Socket::UNIX ();
use POSIX ();
use PyExec::Process;
use PyExec::Test;
use Socket qw(SOCK_STREAM);

our @EXPORT = qw(service_place service_start service_stop service_log
    service_says control_connect control_ask wire_frame wire_field setup_frame);

my %places;
my $owner = $$;

END {
    local $?;
    for my $place ($$ == $owner ? values %places : ()) {
        service_stop($place, 'KILL');
        File::Path::remove_tree($place->{dir});
    }
}

# A directory for a service, which is not started yet.
sub service_place
{
    my $dir = File::Temp::tempdir('pyxXXXXX', DIR => '/tmp');
    my $place = { dir => $dir, path => "$dir/runs.sock", log => "$dir/log",
                  directive => "PyExecHelper unix:$dir/runs.sock" };

    chmod 0711, $dir or die;
    return $places{$dir} = $place;
}

# service_start($place, how => 'own' | 'activated' | 'perl', options => [...],
#               notify => the path of a socket of ours)
sub service_start
{
    my ($place, %opt) = @_;
    my $how = $opt{how} || 'own';
    my @user = getpwnam 'daemon';
    my @command = (var('service_program'), '--service', '--debug',
                   as_root() ? "--user=$user[2]:$user[3]" : (),
                   @{ $opt{options} || [] });
    my $pid;

    push @command, "--socket=$place->{path}" if $how eq 'own';
    unlink $place->{path}, "$place->{path}.control" if $how ne 'own';
    $pid = fork // die "fork: $!";
    if (!$pid) {
        open STDERR, '>>', $place->{log} or POSIX::_exit(127);
        open STDOUT, '>&', \*STDERR or POSIX::_exit(127);
        open STDIN, '<', '/dev/null' or POSIX::_exit(127);
        $ENV{RUNTIME_DIRECTORY} = $place->{dir};
        $ENV{NOTIFY_SOCKET} = $opt{notify} if $opt{notify};
        POSIX::setsid();
        run_activated($place, @command) if $how eq 'activated';
        run_with_sockets($place, @command) if $how eq 'perl';
        exec @command or POSIX::_exit(127);
    }
    $place->{pid} = $pid;
    wait_for(sub { listens("$place->{path}.control") && listens($place->{path})
                   || !is_alive($pid) }, 20);
    # What a socket unit says by SocketMode=.
    chmod 0666, $place->{path} if $how ne 'own';
    return $place;
}

# A socket's file is there before anybody listens, and after that.
sub listens
{
    my ($path) = @_;

    return slurp('/proc/net/unix') =~ /^\S+ \S+ \S+ 00010000 .* \Q$path\E$/m;
}

# systemd's own, which starts the service when somebody connects.
sub run_activated
{
    my ($place, @command) = @_;

    exec 'systemd-socket-activate', '-l', $place->{path},
        '-l', "$place->{path}.control", '--fdname=runs:control',
        '-E', 'RUNTIME_DIRECTORY', @command
        or POSIX::_exit(127);
}

# The same in a few lines, with the order turned round.
sub run_with_sockets
{
    my ($place, @command) = @_;
    my @sockets;

    for my $path ("$place->{path}.control", $place->{path}) {
        push @sockets, IO::Socket::UNIX->new(Local => $path, Listen => 64,
                                             Type => SOCK_STREAM)
            || POSIX::_exit(126);
    }
    POSIX::dup2(fileno $sockets[0], 10);
    POSIX::dup2(fileno $sockets[1], 11);
    POSIX::dup2(10, 3);
    POSIX::dup2(11, 4);
    @ENV{qw(LISTEN_FDS LISTEN_FDNAMES LISTEN_PID)} = (2, 'control:runs', $$);
    exec @command or POSIX::_exit(127);
}

# Also for its keepers, which listen at its sockets until they end: the next
# service cannot while they do.
sub service_stop
{
    my ($place, $signal) = @_;
    my $pid = delete $place->{pid} or return;
    my @below = descendants($pid);
    my $status;

    kill $signal || 'TERM', $pid;
    waitpid $pid, 0;
    $status = $?;
    wait_for(sub { !grep { is_alive($_->{Pid}) } @below }, 20);
    return $status;
}

sub service_log { return slurp($_[0]{log}) // '' }

sub service_says
{
    my ($place, $pattern) = @_;

    return wait_for(sub { service_log($place) =~ $pattern }, 10);
}

# ---- the protocol, for those who break its rules ----

sub control_connect
{
    my ($place) = @_;

    return IO::Socket::UNIX->new(Peer => "$place->{path}.control",
                                 Type => SOCK_STREAM)
        || die "connect: $!";
}

# What comes back for these bytes until the end of the connection, or until a
# whole frame is there.
sub control_ask
{
    my ($socket, $bytes) = @_;
    my $answer = '';

    local $SIG{PIPE} = 'IGNORE';
    syswrite $socket, $bytes if length $bytes;
    while (IO::Select->new($socket)->can_read(10)) {
        last unless sysread $socket, $answer, 4096, length $answer;
        last if length $answer >= 12
            && length $answer >= 12 + unpack 'V', substr $answer, 8, 4;
    }
    return $answer;
}

sub wire_frame
{
    my ($type, $body, $version) = @_;

    return pack('a4 v v V', 'PYXW', $version // 1, $type, length $body) . $body;
}

sub wire_field
{
    my ($tag, $value) = @_;

    return pack('v v V', $tag, 0, length $value) . $value;
}

# A set-up with one pool and this token; more fields for the pool.
sub setup_frame
{
    my ($token, %more) = @_;
    my $number = sub { wire_field($_[0], pack 'V', $_[1]) };
    my $pool = wire_field(2, 'p')
        . join('', map { $number->(@$_) } [43, 1], [44, 1], [45, 1000],
               [9, 1000], [10, 1000], [12, 1000], [13, 16], [14, 16])
        . wire_field(11, pack 'Q<', 1 << 20) . ($more{pool} // '');

    return wire_frame(8, wire_field(1, $token) . wire_field(40, $pool)
                         . ($more{body} // ''));
}

1;
