# SPDX-License-Identifier: Apache-2.0
# Restarting httpd and killing our processes under load: what was not begun is
# repeated, what was is told, and nobody else notices.
use strict;
use warnings FATAL => 'all';
use File::Temp ();
use PyExec::Load;
use PyExec::Process qw(cpu_ticks);
use PyExec::Test;
use Test::More;
use Time::HiRes qw(sleep time);

# One zygote is enough, and one that dies is then the only one.
my $server = own_server("PyExecPreload none\nPyExecConcurrency 2\nPyExecMaxQueue 32\n"
    . "PyExecTimeout 20\nPyExecQueueTimeout 60\nKeepAliveTimeout 60\nMaxKeepAliveRequests 0\n"
    . "CustomLog served \"%s\" \"expr=%{REQUEST_STATUS} == 200 && %{REQUEST_METHOD} == 'POST'\"\n");
my $port = $server->{port};
my $spin = 'while True: pass';

graceful_thrice();
killed_under_load('keeper', sub { keeper($server->{pid}) });
killed_under_load('zygote', sub { my @all = zygotes($server->{pid}); $all[0] });
keeper_killed_with_a_queue();
killed_before_it_began('zygote', sub { map { zygote_of($_) } @_ });
killed_before_it_began('job', \&oldest_of_each_zygote);
socket_removed();
restarted_or_stopped('restart', 'HUP');
restarted_or_stopped('stop', 'TERM');
$server->{stop}->();
debugged();
socket_out_of_reach();
done_testing();

sub is_well
{
    return run_code('/execute', 'print(6 * 7)', port => $port)->{output}
        eq "42\n";
}

# Until that many more runs have been answered with 200.
sub more_served
{
    my ($count) = @_;
    my $file = "$server->{dir}/served";
    my $wanted = (-s $file // 0) + $count * length "200\n";

    return wait_for(sub { (-s $file // 0) >= $wanted }, 60);
}

sub served_by
{
    my ($old) = @_;

    return wait_for(sub {
        my $keeper = keeper($server->{pid});

        return $keeper && $keeper != $old ? $keeper : undef;
    }, 20);
}

# Half of them with a connection for each request, where nothing may fail at
# all; the other half keep theirs.
sub graceful_thrice
{
    my @loads = (load_start($port, '--clients', 8),
                 load_start($port, '--clients', 8, '--keep-alive'));
    my $long = started($port, "import time\ntime.sleep(6)\nprint('survived')");
    my (@done, $answer);

    more_served(64);
    for my $nth (1 .. 3) {
        my $old = keeper($server->{pid});

        kill 'USR1', $server->{pid};
        ok(served_by($old), "graceful $nth: another keeper serves");
        more_served(64);
    }
    @done = map { load_end($_) } @loads;
    for my $i (0, 1) {
        my $name = 'graceful x 3, ' . ('a new connection each', 'keep-alive')[$i];

        is($done[$i]{bad}, 0, "$name: no request failed")
            or diag(json_text($done[$i]));
        cmp_ok($done[$i]{statuses}{200} || 0, '>', 20, "$name: runs went on");
        is(join(' ', keys %{ $done[$i]{statuses} }), '200', "$name: only 200");
        note(json_text($done[$i]));
    }
    $answer = raw_answer($long, 20);
    is($answer && $answer->{json}{output}, "survived\n",
       'graceful x 3: a long run survives all of them');
    ok(wait_for(sub { 1 == keepers($server->{pid}) }, 10),
       'graceful x 3: one keeper is left');
    open my $log, '<', "$server->{dir}/error_log" or die;
    ok(!grep({ /AH00488|exit signal/ } <$log>), 'graceful x 3: no lost child');
}

# Two runs go on at a time: no more than these may be lost.
sub killed_under_load
{
    my ($name, $find) = @_;
    my $load = load_start($port, '--clients', 16, '--spin', 50);
    my $done;

    more_served(16);
    kill 'KILL', $find->() || die "no $name";
    more_served(48);
    $done = load_end($load);
    note(json_text($done));
    is($done->{bad}, 0, "$name killed under load: every request is answered")
        or diag(json_text($done));
    cmp_ok($done->{statuses}{503} || 0, '<=', 2,
           "$name killed under load: it cost the runs in flight alone");
    cmp_ok($done->{statuses}{200} || 0, '>', 16,
           "$name killed under load: runs go on");
    return;
}

# The keeper's death tells which runs had begun.
sub keeper_killed_with_a_queue
{
    my @running = map { started($port, $spin) } 1 .. 2;
    my (@waiting, @statuses, @answers);

    ok(spinning_job($server->{pid}), 'queue: runs are going on');
    @waiting = map { started($port, "print('waited $_')") } 1 .. 8;
    ok(wait_for(sub {
        my $health = request('GET', '/health', port => $port)->{json};

        return $health->{running} == 2 && $health->{queued} == 8;
    }, 10), 'queue: more wait behind them');
    kill 'KILL', keeper($server->{pid});
    @statuses = map { my $answer = raw_answer($_, 20);
                      $answer ? $answer->{status} : 'none' } @running;
    is("@statuses", '503 503', 'keeper killed: what had begun is told');
    @answers = map { my $answer = raw_answer($_, 20);
                     $answer && $answer->{json}{output} || 'none' } @waiting;
    is(join('', @answers), join('', map { "waited $_\n" } 1 .. 8),
       'keeper killed: what had not is run');
    return;
}

# Standby jobs that were stopped take a run as if they were busy for a moment,
# and have not begun when they are killed.
sub killed_before_it_began
{
    my ($name, $find) = @_;
    my ($socket, $answer, @stopped);

    ok(wait_for(\&is_well, 10), "$name killed before it began: all is well");
    # One that was stopped while it got ready would be given no run.
    wait_for(\&jobs_rest, 20) or die 'jobs do not rest';
    wait_for(sub {
        @stopped = map { $_->{Pid} } jobs($server->{pid});
        kill 'STOP', @stopped;
        return @stopped && !grep { $_->{State} !~ /^T/ } jobs($server->{pid});
    }, 10) or die 'jobs do not stop';
    $socket = started($port, "print('at last')");
    ok(wait_for(sub {
        request('GET', '/health', port => $port)->{json}{running};
    }, 10), "$name killed before it began: a job has the run");
    kill 'KILL', $find->(@stopped);
    # The others may get it now; those of a dead zygote are killed as they are.
    kill 'CONT', @stopped if $name eq 'job';
    $answer = raw_answer($socket, 40);
    is($answer && $answer->{json}{output}, "at last\n",
       "$name killed before it began: the run is repeated")
        or diag($answer ? $answer->{body} : 'no answer');
    return;
}

# As many stand by as there may be runs, and have done nothing for half a second.
sub jobs_rest
{
    my %ticks = map { $_->{Pid} => cpu_ticks($_->{Pid}) } jobs($server->{pid});

    sleep 0.5;
    return keys %ticks == 2
        && join(' ', sort keys %ticks) eq join(' ', sort map { $_->{Pid} } jobs($server->{pid}))
        && !grep { cpu_ticks($_) != $ticks{$_} } keys %ticks;
}

# As purging the package does, after which it may be installed again.
sub socket_removed
{
    my ($path) = glob "$server->{dir}/pyexec/*.sock";
    my $old = keeper($server->{pid});

    ok($path && unlink($path), 'socket removed: it was there') or diag($path);
    is(run_code('/execute', 'print(1)', port => $port)->{status}, 503,
       'socket removed: 503');
    kill 'USR1', $server->{pid};
    ok(served_by($old), 'socket removed: another keeper after a restart');
    ok(wait_for(\&is_well, 20), 'socket removed: another one is made');
    return;
}

# Of the ready jobs of a zygote the oldest gets the run.
sub oldest_of_each_zygote
{
    my %oldest;

    for (oldest_first(@_)) {
        $oldest{ zygote_of($_) } ||= $_;
    }
    return values %oldest;
}

sub restarted_or_stopped
{
    my ($name, $signal) = @_;
    my @sockets = map { started($port, $spin) } 1 .. 6;
    my $job = spinning_job($server->{pid});
    my @children = grep { $_->{PPid} == $server->{pid} }
        descendants($server->{pid});
    my $took;

    ok($job, "$name: runs are going on");
    kill $signal, $server->{pid};
    # Ten seconds is what httpd waits for a child that does not leave.
    $took = seconds(sub {
        wait_for(sub { !grep { is_alive($_->{Pid}) } @children }, 15);
    });
    cmp_ok($took, '<', 5, "$name: httpd's children and our keeper leave");
    note("$name took $took s");
    ok(wait_for(sub { !is_alive($job) }, 2), "$name: so does the run");
    ok(wait_for(\&is_well, 10), "$name: the next run works")
        if $signal eq 'HUP';
    close $_ for @sockets;
    return;
}

# With -X httpd is one process, which has become its User: it may not signal a
# helper of another one, who must see by himself that it is gone.
sub debugged
{
    my $own = own_server('', ulimit => '-n 4096 && set -- "$@" -X');
    my @ours = descendants($own->{pid});
    my $socket = started($own->{port}, $spin);

    ok(spinning_job($own->{pid}), '-X: a run is going on');
    push @ours, descendants($own->{pid});
    ok(!grep({ $_->{Name} !~ /^(?:pyexec|python)/ } @ours),
       '-X: httpd has no children but ours')
        or diag(join ' ', map { $_->{Name} } @ours);
    kill 'INT', $own->{pid};
    waitpid $own->{pid}, 0;
    ok(wait_for(sub { !grep { is_alive($_->{Pid}) } @ours }, 2),
       '-X and SIGINT: nothing of ours is left');
    $own->{stop}->();
    return;
}

# The directory of the socket is ours while httpd runs as another user.
sub socket_out_of_reach
{
  SKIP: {
        skip 'only root runs httpd as another user', 2 unless as_root();
        my $dir = File::Temp->newdir('pyxXXXXX', DIR => '/tmp');
        my $own = own_server("DefaultRuntimeDir \"$dir\"", health => 503);

        is(request('GET', '/health', port => $own->{port})->{status}, 503,
           'socket out of reach: no health');
        ok(wait_for(sub {
            error_log($own) =~ /PYX0109: .*may not search the directory '$dir'/;
        }, 10), 'socket out of reach: the log names the directory');
        $own->{stop}->();
    }
    return;
}
