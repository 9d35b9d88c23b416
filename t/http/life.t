# SPDX-License-Identifier: Apache-2.0
# Restarting, reloading and killing: no answer is lost that could be given, no
# run outlives its client, nothing is left behind.
use strict;
use warnings FATAL => 'all';
use PyExec::Test;
use Test::More;
use Time::HiRes qw(sleep time);

my $slack = sanitized() ? 0.5 : 0.1;
my $runs = 1000;

killed_in_time('keeper', sub { keeper() });
killed_in_time('zygote', \&zygote_of);
reloaded();
left_alone();
many_runs();
parent_killed();
done_testing();

# Starts a run without waiting for it; raw_answer() has its answer later.
sub started
{
    my ($source, $port) = @_;
    my $socket = raw_open($port ? (port => $port) : ());
    my $body = json_text({ code => $source });
    my $place = $port ? '/policy-off/execute' : '/t/wall-20s';

    print $socket "POST $place HTTP/1.1\r\nHost: x\r\n"
        . "Content-Type: application/json\r\nConnection: close\r\n"
        . 'Content-Length: ' . length($body) . "\r\n\r\n$body";
    return $socket;
}

sub is_well
{
    my (%opt) = @_;

    return run_code('/execute', 'print(6 * 7)', %opt)->{output} eq "42\n";
}

sub killed_in_time
{
    my ($name, $find) = @_;
    my $took = usual(2, sub { return killed($name, $find) });

    cmp_ok($took, '<', 2, "$name killed: all of it within 2 s");
    return;
}

# How long it took until the client was told and the next had its answer, the
# longer of both.
sub killed
{
    my ($name, $find) = @_;
    my $socket = started('while True: pass');
    my $job = spinning_job();
    my $victim = $job && $find->($job);
    my @below = ($job, map { $_->{Pid} } descendants($victim));
    my ($answer, $told, $took);

    ok($victim && $job, "a run is going on below the $name")
        or die "there is no $name to kill";
    kill 'KILL', $victim;
    $told = seconds(sub { $answer = raw_answer($socket, 10) });
    is($answer && $answer->{status}, 503, "$name killed: its run is told")
        or diag($answer ? $answer->{body} : 'no answer');
    ok($answer && $answer->{headers}{'retry-after'}
       && ref $answer->{json} eq 'HASH', "$name killed: when to try again");
    $took = seconds(sub {
        ok(is_well(), "$name killed: the next run works");
    });
    ok(wait_for(sub { !grep { is_alive($_) } @below }, 20),
       "$name killed: nothing is left of it");
    return $told > $took ? $told : $took;
}

sub reloaded
{
    my $keeper = keeper();
    my $socket = started("import time\nend = time.time() + 3\n"
        . "while time.time() < end: pass\nprint('survived')");
    my $job = spinning_job();
    my $end = time + 2;
    my $failed = 0;
    my $answers = 0;
    my $answer;

    ok($keeper && $job, 'a run is going on');
    kill 'USR1', server_pid();
    while (time < $end) {
        $answers++;
        $failed++ unless is_well();
    }
    cmp_ok($answers, '>', 0, 'graceful restart: others are served meanwhile');
    is($failed, 0, 'graceful restart: all of them');
    $answer = raw_answer($socket, 10);
    is($answer && $answer->{json} && $answer->{json}{output}, "survived\n",
       'graceful restart: the run in flight finishes');
    ok(wait_for(sub { !is_alive($keeper) }, 20),
       'graceful restart: the old keeper is gone');
    is(scalar(() = keepers()), 1, 'graceful restart: one keeper is there');
    return;
}

# A client that leaves takes its run along.
sub left_alone
{
    my $job;
    my $took = usual($slack, sub {
        my $socket = started('while True: pass');
        my $seconds;

        $job = spinning_job() or die 'no run goes on';
        $seconds = seconds(sub {
            close $socket;
            wait_for(sub { !is_alive($job) }, 5);
        });
        note("its client leaves: $seconds s");
        return $seconds;
    });

    ok($job, 'a run is going on');
    cmp_ok($took, '<', $slack, 'its client leaves: over at once');
    ok(is_well(), 'its client leaves: the next run works');
    return;
}

sub census
{
    my %seen = (processes => scalar descendants(keeper()));

    for ([keeper => keeper()], [zygotes => zygotes()]) {
        my ($name, @pids) = @$_;
        my @fds = map { glob "/proc/$_/fd/*" } @pids;

        $seen{"$name descriptors"} = @fds;
        $seen{"$name kB"} += (split ' ', proc_status($_)->{VmRSS})[0]
            for @pids;
    }
    return \%seen;
}

# Standby jobs are forked behind the answers' backs.
sub settled
{
    my $last = census();
    my $same = 0;

    return wait_for(sub {
        my $before = $last;

        sleep 0.3;
        $last = census();
        $same = grep({ !/kB/ && $last->{$_} != $before->{$_} } keys %$last)
            ? 0 : $same + 1;
        return $same >= 4 ? $last : undef;
    }, 60) || $last;
}

sub many_runs
{
    my ($before, $after);
    my $wrong = 0;

    all_zygotes();
    is_well() for 1 .. 10;
    burst();
    $before = settled();
    for (1 .. $runs - 10) {
        $wrong++ unless is_well();
    }
    is($wrong, 0, "$runs runs in a row");
    wait_for(sub {
        $after = census();
        return !grep { !/kB/ && $after->{$_} != $before->{$_} } keys %$before;
    }, 20);
    is($after->{processes}, $before->{processes}, 'as many processes as before');
    for my $name ('keeper', 'zygotes') {
      SKIP: {
            # They are closed to their own user.
            skip "only root may count the descriptors of the $name", 1
                unless as_root();
            is($after->{"$name descriptors"}, $before->{"$name descriptors"},
               "$name: as many descriptors");
        }
    }
    cmp_ok($after->{$_} - $before->{$_}, '<', sanitized() ? 300_000 : 2048,
           "$_: about the same") for grep { /kB/ } sort keys %$before;
    return;
}

sub parent_killed
{
    my $mounts = join "\n", our_mounts();
    my $server = own_server('');
    my $socket = started('while True: pass', $server->{port});
    my $job = spinning_job($server->{pid});
    my @ours = grep { $_->{Name} =~ /pyexec/ || $_->{NSpid} =~ /\s/ }
        descendants($server->{pid});
    my @left;

    cmp_ok(scalar @ours, '>=', 3, 'a server of its own: keeper, zygote, job');
    ok($job, 'a run is going on');
    cmp_ok(scalar(sockets($server)), '>', 0, 'a socket is there');
    kill 'KILL', $server->{pid};
    wait_for(sub {
        @left = grep { is_alive($_->{Pid}) } @ours;
        return !@left && !sockets($server);
    }, 20);
    is(join(' ', map { "$_->{Name}:$_->{Pid}" } @left), '',
       'httpd killed: no process of ours is left');
    is(join(' ', sockets($server)), '', 'httpd killed: no socket is left');
    is(join("\n", our_mounts()), $mounts, 'httpd killed: no mount is left');
    close $socket;
    $server->{stop}->();
    return;
}

sub sockets
{
    my ($server) = @_;

    return grep { -S } glob "$server->{dir}/* $server->{dir}/*/*";
}
