# SPDX-License-Identifier: Apache-2.0
# Our processes, as the host sees them. PyExec::Test passes all of this on.
package PyExec::Process;
use strict;
use warnings FATAL => 'all';

use Exporter 'import';
use Time::HiRes qw(sleep time);

our @EXPORT = qw(descendants keepers keeper zygotes all_zygotes zygote_of burst
    jobs spinning_job proc_status is_alive oldest_first server_pid our_mounts
    slurp cpu_ticks);

sub slurp
{
    my ($file) = @_;

    open my $in, '<', $file or return;
    local $/ = undef;
    return scalar <$in>;
}

# Fields of /proc/PID/status as a hash; undef when there is no such process.
sub proc_status
{
    my ($pid) = @_;
    my $text = slurp("/proc/$pid/status");

    return unless $text;
    return { $text =~ /^(\w+):[ \t]*(.*)$/mg };
}

sub is_alive
{
    my ($pid) = @_;
    my $status = proc_status($pid);

    return $status && $status->{State} !~ /^[ZX]/;
}

sub server_pid { return slurp(PyExec::Test::var("t_pid_file")) + 0 }

# All living processes below $pid (default: the server's parent), as statuses.
sub descendants
{
    my ($top) = @_;
    my %children;
    my @found;
    my @todo = $top || server_pid();

    for my $dir (glob '/proc/[0-9]*') {
        my $status = proc_status($dir =~ s{.*/}{}r) or next;

        push @{ $children{ $status->{PPid} } }, $status
            unless $status->{State} =~ /^[ZX]/;
    }
    while (defined(my $pid = shift @todo)) {
        my $below = delete $children{ $pid + 0 } || [];

        push @found, @$below;
        push @todo, map { $_->{Pid} } @$below;
    }
    return @found;
}

# The keepers, oldest first. A zygote has its keeper's name until it executes its
# own program.
sub keepers
{
    my %named = map { $_->{Pid} => $_ }
        grep { $_->{Name} eq 'pyexecd' } descendants(@_);

    return oldest_first(grep { !$named{ $named{$_}{PPid} } } keys %named);
}

# The keeper that serves: the newest.
sub keeper { return (undef, keepers(@_))[-1] }

# The zygotes: the keeper's own children.
sub zygotes
{
    my $keeper = keeper(@_) or return;

    return oldest_first(map { $_->{Pid} }
        grep { $_->{PPid} == $keeper } descendants($keeper));
}

# All that are started unasked, without modules, with the light ones, with all,
# when they are up: those of a test's own server, or of the one under test.
sub all_zygotes
{
    my ($server) = @_;
    my @port = $server ? (port => $server->{port}) : ();

    return PyExec::Test::wait_for(sub {
        my $health = PyExec::Test::request('GET', '/health', @port)->{json} || {};

        return (($health->{pools} || [])->[0]{branches_up} // 0) >= 3;
    }, 60) ? zygotes($server ? $server->{pid} : ()) : ();
}

# As many runs at a time as the server takes, of both kinds that need no module
# of their own: from then on as many jobs stand by as may run at a time.
sub burst
{
    for my $source ('sum(range(3000000))', "import math\nsum(range(3000000))") {
        my $body = PyExec::Test::json_text({ code => $source });
        my @sockets = map { PyExec::Test::raw_open() } 1 .. 12;

        print $_ "POST /policy-off/execute HTTP/1.1\r\nHost: x\r\n"
            . "Content-Type: application/json\r\nConnection: close\r\n"
            . 'Content-Length: ' . length($body) . "\r\n\r\n$body"
            for @sockets;
        PyExec::Test::raw_answer($_, 20) for @sockets;
    }
    return;
}

# The zygote of a job.
sub zygote_of { return proc_status($_[0])->{PPid} }

# Jobs, standby ones too: in a PID namespace of a slot, and not its init.
sub jobs
{
    return grep { my @pids = split ' ', $_->{NSpid};
                  @pids > 1 && $pids[-1] > 1 } descendants(@_);
}

# What /proc/PID/stat says from the state on, or nothing.
sub stat_fields
{
    my $stat = slurp("/proc/$_[0]/stat") or return;

    return split ' ', $stat =~ s/.*\) //sr;
}

sub cpu_ticks
{
    my @fields = stat_fields($_[0]) or return -1;

    return $fields[11] + $fields[12];
}

# By when they began: the numbers of processes start again at the lowest.
sub oldest_first
{
    my %began = map { $_ => (stat_fields($_))[19] // 0 } @_;
    my @sorted = sort { $began{$a} <=> $began{$b} || $a <=> $b } @_;

    return @sorted;
}

# What a sandbox is built of, as far as this process has it mounted. Others may
# mount what they like meanwhile.
sub our_mounts
{
    return grep { (split)[4] =~ m{^/sys(?!/fs/)} || / - tmpfs sandbox / }
        slurp('/proc/self/mountinfo') =~ /^.*$/mg;
}

# The pid of a job that is computing (the caller has started one that spins): it
# has used more than a job does that gets ready for a run.
sub spinning_job
{
    my (@top) = @_;
    my %first;

    return PyExec::Test::wait_for(sub {
        for my $job (jobs(@top)) {
            my $pid = $job->{Pid};
            my $ticks = cpu_ticks($pid);

            $first{$pid} = $ticks unless exists $first{$pid};
            return $pid if $ticks - $first{$pid} >= 10;
        }
        return;
    }, 20);
}

1;
