# SPDX-License-Identifier: Apache-2.0
# What a server costs that nobody uses: a pool at rest has no process but the
# keeper, which does nothing; the next run wakes it and knows nothing of that.
use strict;
use warnings FATAL => 'all';
use PyExec::Config;
use PyExec::Test;
use Test::More;
use Time::HiRes qw(sleep time);

my $most_own_kib = 4096;
my ($server, $port);

plan tests => 7 + 12 + 5 + 4 + 2 + 8 + 4;

at_rest();
wakes();
recycled();
kept();
standby_cost();
tenants();
defaults();

sub serve
{
    $server = own_server($_[0]);
    $port = $server->{port};
    return;
}

sub stop_server
{
    $server->{stop}->();
    undef $server;
    return;
}

END { local $?; stop_server() if $server }

# How many zygotes came up so far, or were let go, by what they have loaded.
sub came_up { return told('PYX0364') }
sub let_go { return told('PYX0376') }

sub told
{
    my ($code) = @_;
    my %count = (base => 0, light => 0, all => 0);

    open my $log, '<', "$server->{dir}/error_log" or die;
    while (<$log>) {
        $count{$1}++ if /$code.* zygote \d+ \((\w+)\)/;
    }
    return \%count;
}

sub all_came_up
{
    return wait_for(sub { !grep { $_ == 0 } values %{ came_up() } }, 30);
}

sub below { return descendants(keeper($server->{pid})) }

# The keeper is alone, and its zygotes are reaped.
sub is_at_rest { return keeper($server->{pid}) && wait_for(sub { !below() }, 20) }

sub health { return request('GET', '/health', port => $port) }

sub run_one
{
    my ($source) = @_;

    return run_code('/execute', $source || 'print(6 * 7)', port => $port);
}

# Without waiting for the answer.
sub begin_run
{
    my $body = json_text({ code => 'print(6 * 7)' });
    my $socket = raw_open(port => $port);

    print $socket "POST /execute HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        . "Content-Type: application/json\r\n"
        . 'Content-Length: ' . length($body) . "\r\n\r\n$body";
    return $socket;
}

sub slurp_file
{
    my ($file) = @_;

    open my $in, '<', $file or return '';
    local $/ = undef;
    return <$in> // '';
}

# What a process has done so far: it changes when it does anything at all.
sub activity
{
    my ($pid) = @_;
    my $status = proc_status($pid);
    my @stat = split ' ', slurp_file("/proc/$pid/stat") =~ s/.*\) //sr;

    return join ' ', @stat[11, 12],
        @$status{qw(voluntary_ctxt_switches nonvoluntary_ctxt_switches)};
}

sub at_rest
{
    serve("PyExecConcurrency 2\nPyExecIdle 1\n");
    ok(all_came_up(), 'every branch came up');
    ok(is_at_rest(), 'an idle server: no zygote, no job, no slot is left');
    my $health = health();
    is($health->{status}, 200, '... and it is ready')
        or diag($health->{body});
    is(join(' ', @{ $health->{json} }{qw(status isolation running queued)}),
       'healthy full 0 0', '... and healthy');

    my $keeper = keeper($server->{pid});
    # The answer's connection is closed by both a moment later.
    my $before;
    wait_for(sub {
        my $was = $before // '';

        $before = activity($keeper);
        sleep 1;
        return $was eq $before;
    }, 20);
    sleep 3;
    is(activity($keeper), $before, '... and does nothing for three seconds');
    is(keeper($server->{pid}), $keeper, '... the same keeper');
    unlike(slurp_file("$server->{dir}/error_log"),
           qr/PYX03\d\d[^\n]*(?:given up|died|did not start)/,
           '... and nobody complains');
    return;
}

# The same server goes on.
sub wakes
{
    my $before = came_up();

    is(run_one()->{output}, "42\n", 'at rest: a run is served');
    ok(is_at_rest(), '... then it rests again');
    is(came_up()->{all}, $before->{all}, '... and nothing else was woken');
    is(run_one("import numpy\nprint(numpy.arange(3).sum())")->{output}, "3\n",
       'a module that was loaded before is there');
    ok(is_at_rest(), '... and it rests again');

    my @sockets = map { begin_run() } 1 .. 12;
    is(join(' ', map { (raw_answer($_, 60) || { status => 0 })->{status} }
            @sockets), join(' ', (200) x 12), 'at rest: many at once');
    is(run_one("import time\ntime.sleep(3)\nprint(1)")->{output}, "1\n",
       'a run that takes longer than the time of idleness');
    ok(is_at_rest(), '... and it rests again');

    # As long as it takes: the time of the queue is for those who queue. One that
    # is up may have the run already, which would be lost.
    my ($socket, @zygotes) = stopped_while_waking();
    kill 'KILL', @zygotes;
    is((raw_answer($socket, 30) || { status => 0 })->{status}, 200,
       'the zygote dies that was to serve: another one does');

    ok(is_at_rest(), '... and it rests again');
    my $keeper = keeper($server->{pid});
    kill 'KILL', $keeper;
    ok(wait_for(sub {
        my $now = keeper($server->{pid});

        return $now && $now != $keeper && health()->{status} == 200;
    }, 10), 'the keeper is killed at rest: another one serves');
    is(run_one()->{output}, "42\n", '... really');
    stop_server();
    return;
}

# A run that waits for longer than the queue's timeout, and the zygotes that it
# waits for: caught before they are up, which may take several attempts.
sub stopped_while_waking
{
    for (1 .. 20) {
        is_at_rest();
        my $keeper = keeper($server->{pid});
        my $before = came_up();
        my $socket = begin_run();
        my $end = time + 10;
        my @zygotes;

        until (@zygotes || time > $end) {
            @zygotes = split ' ',
                slurp_file("/proc/$keeper/task/$keeper/children");
        }
        kill 'STOP', @zygotes;
        sleep 0.5;
        return ($socket, @zygotes) if came_up()->{base} == $before->{base};
        kill 'CONT', @zygotes;
        raw_answer($socket, 30);
    }
    return raw_open(port => $port);
}

# Waiting for what was let go is not queueing, and a zygote that is replaced
# while it is used brings none back that is not.
sub recycled
{
    serve("PyExecConcurrency 1\nPyExecIdle 2\nPyExecRecycleAfter 400ms\n"
          . "PyExecMaxQueue 0\nPyExecQueueTimeout 100ms\n");
    all_came_up();
    my $used = wait_for(sub {
        my $gone = let_go();

        run_one();
        return $gone->{light} && $gone->{all};
    }, 30);
    my $before = came_up();

    wait_for(sub { run_one(); came_up()->{base} >= $before->{base} + 3 }, 20);
    my $after = came_up();
    ok($used && $after->{base} > $before->{base},
       'one is used and replaced, the others are let go');
    is("$after->{light} $after->{all}", "$before->{light} $before->{all}",
       '... and stay so');

    my ($socket, @zygotes) = stopped_while_waking();
    ok(@zygotes, 'a zygote is stopped while it gets warm');
    is(health()->{status}, 200, '... the pool is ready all the same');
    kill 'CONT', @zygotes;
    is((raw_answer($socket, 30) || { status => 0 })->{status}, 200,
       '... and who waits is served, however little patience is configured');
    stop_server();
    return;
}

# Nothing of this where it is not wanted.
sub kept
{
    serve("PyExecConcurrency 2\n");
    my @zygotes = all_zygotes($server);
    my $keeper = keeper($server->{pid});
    my ($now, $before);

    ok(@zygotes >= 3, 'by default every branch comes up');
    wait_for(sub {
        ($before, $now) = ($now // '', join ' ', activity($keeper),
                           sort map { "$_->{Pid} $_->{State}" } below());
        # Longer than a standby job takes to get warm.
        sleep 1;
        return $now eq $before && $now !~ / R /;
    }, 30);
    sleep 3;
    is(activity($keeper), join(' ', (split ' ', $now)[0 .. 3]),
       '... and while nothing happens the keeper does nothing');
    is(join(' ', sort map { "$_->{Pid} $_->{State}" } below()),
       join(' ', (split ' ', $now, 5)[4]), '... and all stay');
    is(run_one()->{output}, "42\n", '... and serve');
    return;
}

# The same server goes on: what a job that waits has for itself, beside the
# pages that it shares with its zygote (of which PSS counts a part as its own:
# the fewer jobs there are, the more).
sub standby_cost
{
    my (@own, @pss);

  SKIP: {
        skip 'only root may look into the memory of jobs', 2 unless as_root();
        skip 'with sanitizers a job has more', 2 if sanitized();
        # The run before has taken one of them.
        wait_for(sub { jobs($server->{pid}) >= 3 }, 20);
        for my $job (jobs($server->{pid})) {
            my %kib = slurp_file("/proc/$job->{Pid}/smaps_rollup")
                =~ /^(\w+):\s+(\d+) kB/mg or next;

            push @own, $kib{Private_Clean} + $kib{Private_Dirty};
            push @pss, $kib{Pss};
        }
        @own = sort { $a <=> $b } @own;
        note("PSS: @pss KiB");
        cmp_ok(scalar @own, '>=', 3, 'jobs stand by');
        cmp_ok($own[@own / 2] // 'none', '<=', $most_own_kib,
               "... with at most $most_own_kib KiB of their own (@own)");
    }
    stop_server();
    return;
}

# A host has many of them, and few come at the same time.
sub tenants
{
    my $host = sub {
        "<VirtualHost *>\nServerName $_[0]\nPyExecEngine On\n$_[1]\n</VirtualHost>\n"
    };
    my $ask = sub {
        run_code('/execute', 'print(hash("x"))', port => $port,
                 host => $_[0])->{output}
    };
    my @hosts = map { "t$_.example" } 1 .. 3;
    my $of = sub {
        my ($pool) = @_;

        return scalar grep { /PYX0364: pool "$pool": zygote (\d+) / && is_alive($1) }
            split /\n/, error_log($server);
    };

    serve("PyExecConcurrency 1\nPyExecPreload none\nPyExecIdle 1\n"
        . "<PyExecPool kept>\nPyExecIdle 0\n</PyExecPool>\n"
        . join('', map { $host->($_, '') } 'main.example', @hosts)
        . $host->('kept.example', 'PyExecPool kept'));
    my $kept = $ask->('kept.example');

    like($kept, qr/^-?\d+$/, 'tenants: a <PyExecPool> serves');
    my %first = map { $_ => $ask->($_) } @hosts;
    is(scalar(grep { /^-?\d+$/ } values %first), 3, '... as do three of their own');
    ok(wait_for(sub { !grep { $of->("tenant:$_") } @hosts }, 30),
       '... whose interpreters end when nobody comes');
    cmp_ok($of->('kept'), '>', 0, '... unlike those of the other');
    is(health()->{status}, 200, '... which nobody calls a fault');
    my $again = $ask->($hosts[0]);

    like($again, qr/^-?\d+$/, 'tenants: who comes back is served');
    isnt($again, $first{ $hosts[0] }, '... by another interpreter');
    is($ask->('kept.example'), $kept, '... and who stayed by the same');
    stop_server();
    return;
}

# What the dump says of pools whose times nobody waits for in a test.
sub defaults
{
    my $hosts = join '', map {
        "<VirtualHost *:1>\nServerName $_\nPyExecEngine On\n</VirtualHost>\n"
    } qw(a b);
    my $idle = sub {
        my %of = config_test($_[0], define => 'DUMP_PYEXEC')->{output}
            =~ /^pool "([^"]+)".*\n(?: .*\n)*? +PyExecIdle +(\S+)/mg;

        return join ' ', map { "$_=$of{$_}" } sort keys %of;
    };

    is(join(' ', sort $idle->($hosts) =~ /=(\S+)/g), '0 600s',
       'by default a tenant\'s pool ends after ten minutes, the one that is '
       . 'started with httpd never');
    is($idle->("<PyExecPool p>\n</PyExecPool>\n$hosts"),
       'p=0 tenant:a=600s tenant:b=600s', '... and no <PyExecPool>');
    is($idle->("PyExecIdle 0\n$hosts"), 'tenant:a=0 tenant:b=0',
       'PyExecIdle 0 outside of sections: never');
    is($idle->("PyExecIdle 30\n<PyExecPool p>\nPyExecIdle 1min\n</PyExecPool>\n$hosts"),
       'p=60s tenant:a=30s tenant:b=30s', 'a time: for all that say no other');
    return;
}
