# SPDX-License-Identifier: Apache-2.0
# Tenants take turns, and each keeps to its own caps. A script tells when it
# began and ended; runs are compared with each other, not with a clock.
use strict;
use warnings FATAL => 'all';
use IO::Select;
use List::Util qw(max);
use PyExec::Test;
use Test::More;
use Time::HiRes qw(time);

my $slots = 2;
my $busy = "while time.process_time() < 0.08: pass";
my $hosts = mpm_workers(2, 64, 256) . <<'END';
PyExecTimeout 120
PyExecQueueTimeout 120
# Turns are taken in one pool; without, each has one of its own.
<PyExecPool all>
</PyExecPool>
PyExecPool all
<VirtualHost *>
    ServerName plain.test
</VirtualHost>
<VirtualHost *>
    ServerName a.test
    ServerAlias *.a.test
    <Location "/own">
        SetHandler pyexec
        PyExecEngine On
        PyExecTenant "a.test's other"
    </Location>
</VirtualHost>
<VirtualHost *>
    ServerName b.test
    <Location "/as-a">
        SetHandler pyexec
        PyExecEngine On
        PyExecTenant a.test
    </Location>
</VirtualHost>
END
my ($server, $port);

plan tests => 8 + 14 + 5 + 13 + 6 + 4;

flood();
full_queue();
cap();
queue_cap();
nothing_kept();
SKIP: {
    skip 'prefork has no threads to share out', 4 if mpm() eq 'prefork';
    threads();
}

sub serve
{
    my ($conf, $workers) = @_;

    # What waits is to reach the queue, mostly.
    $server = own_server('PyExecMaxWorkers ' . ($workers || 65535) . "\n$hosts$conf");
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

# Begins a run without waiting for it: { socket, sent }.
sub begin_run
{
    my ($host, $work, %opt) = @_;
    my $socket = raw_open(port => $port);
    my $path = $opt{path} || '/execute';
    my $body = json_text({ code => "import time\nbegan = time.time()\n$work\n"
                           . "print(began, time.time())" });
    my $sent = time;

    print $socket "POST $path HTTP/1.1\r\nHost: $host\r\nConnection: close\r\n"
        . "Content-Type: application/json\r\n"
        . 'Content-Length: ' . length($body) . "\r\n\r\n$body";
    return { socket => $socket, sent => $sent };
}

# Its answer, with `began` and `ended` if it ran.
sub finish
{
    my ($run) = @_;
    my $answer = raw_answer($run->{socket}, 120) || { status => 0, body => '' };

    close $run->{socket};
    %$run = (%$run, %$answer);
    if ($run->{status} == 200) {
        @$run{qw(began ended)} = split ' ', $run->{json}{output};
        defined $run->{ended} or diag("odd output: $run->{body}");
    }
    return $run;
}

sub ask { return finish(begin_run(@_)) }

sub load
{
    my $health = request('GET', '/health', port => $port);

    return @{ $health->{json} || {} }{qw(running queued)};
}

# Until as many run and wait.
sub have
{
    my ($running, $queued) = @_;
    my @load;

    wait_for(sub {
        @load = load();
        return $load[0] == $running && $load[1] == $queued;
    }, 20) or diag("running, queued: @load, not $running, $queued");
    return $load[0] == $running && $load[1] == $queued;
}

# One run that goes on until it is released, and as many that wait, one after
# the other.
sub occupy
{
    my ($host, $count) = @_;
    my @runs = begin_run($host, 'time.sleep(110)');

    have(1, 0) or return @runs;
    for my $n (1 .. $count) {
        push @runs, begin_run($host, 'time.sleep(0.02)');
        have(1, $n) or last;
    }
    return @runs;
}

# Its client leaves; others may begin after the time that is returned.
sub release
{
    my ($run) = @_;
    my $now = time;

    close $run->{socket};
    return $now;
}

# How many of them have an answer, or its beginning.
sub answered
{
    my @ready = IO::Select->new(map { $_->{socket} } @_)->can_read(0);

    return scalar @ready;
}

sub statuses { return join ' ', map { $_->{status} } @_ }
sub median { my @sorted = sort { $a <=> $b } @_; return $sorted[@sorted / 2] }
sub waited { return $_[0]{began} - $_[0]{sent} }

sub most_at_once
{
    my @runs = @_;

    return max(map {
        my $at = $_->{began};

        scalar grep { $_->{began} <= $at && $at < $_->{ended} } @runs;
    } @runs);
}

sub is_in_order
{
    my @runs = @_;

    return !grep { $runs[$_]{began} < $runs[$_ - 1]{ended} } 1 .. $#runs;
}

# 60 runs of one, one run after the other of another.
sub flood
{
    serve("PyExecConcurrency $slots\n");
    ask('b.test', 'pass') for 1 .. 3;
    my @flood = map { begin_run('a.test', $busy) } 1 .. 60;
    ok(wait_for(sub { (load())[1] > 40 }, 20), 'flood: it waits');
    my @single = map { ask('b.test', $busy) } 1 .. 6;
    my @load = load();
    finish($_) for @flood;
    is(statuses(@single), join(' ', (200) x 6), 'flood: the other is served');
    is(statuses(@flood), join(' ', (200) x 60), '... and the flood as well');
    cmp_ok($load[1], '>', 0, '... which was still there afterwards');

    # One has its turn first; as many may be under way to begin.
    my @before = map {
        my $single = $_;

        scalar grep { $_->{began} > $single->{sent}
                      && $_->{began} < $single->{began} } @flood;
    } @single;
    cmp_ok(median(@before), '<=', 1 + $slots,
           "... at most one of the flood goes first (@before)");
    cmp_ok(max(@before), '<=', 2 + 2 * $slots, '... each time');
    cmp_ok(median(map { waited($_) } @single), '<',
           median(map { waited($_) } @flood) / 3,
           '... and it waits for a fraction of what the flood does');
    cmp_ok(most_at_once(@flood, @single), '<=', $slots, '... on as many slots');
    stop_server();
    return;
}

sub full_queue
{
    serve("PyExecConcurrency 1\nPyExecMaxQueue 4\n");
    my @flood = occupy('a.test', 4);
    ok(have(1, 4), 'full queue: all places are one tenant\'s');
    my $more = ask('a.test', 'pass');
    is($more->{status}, 503, '... which gets no more');
    like($more->{headers}{'retry-after'}, qr/^\d+$/, '... but when to ask again');

    my @others = begin_run('b.test', 'pass');
    is(finish($flood[4])->{status}, 503, 'the newest makes room for another');
    like($flood[4]{headers}{'retry-after'}, qr/^\d+$/,
         '... and is told when to ask again');
    ok(have(1, 4), '... and the queue is as full as before');
    push @others, begin_run('b.test', 'pass');
    is(finish($flood[3])->{status}, 503, '... a second time');
    ok(have(1, 4), '... and no other');
    is(ask('b.test', 'pass')->{status}, 503,
       '... until both hold as much: nobody is pushed back and forth');
    close $flood[2]{socket};
    ok(have(1, 3), 'a client that leaves gives its place back');
    push @others, begin_run('b.test', 'pass');
    ok(have(1, 4), '... to the next');

    release($flood[0]);
    finish($_) for $flood[1], @others;
    is(statuses($flood[1], @others), '200 200 200 200',
       'all that waited are served');
    ok(is_in_order(@others), '... each tenant\'s in the order they came');
    cmp_ok($others[0]{began}, '<', max($flood[1]{began}, $others[1]{began}),
           '... the two in turns');
    stop_server();
    return;
}

# More of a tenant's runs than may run wait in the queue of all.
sub cap
{
    serve("PyExecConcurrency 3\nPyExecTenantConcurrency 1\n");
    ask('b.test', 'pass') for 1 .. 3;
    my ($first, @runs) = occupy('a.test', 6);
    my @others = map { ask('b.test', 'pass') } 1 .. 4;
    is(statuses(@others), '200 200 200 200',
       'cap of 1: others are served next to a run that goes on');
    ok(have(1, 6), '... and no second one of its tenant');
    my $released = release($first);
    finish($_) for @runs;
    is(statuses(@runs), join(' ', (200) x 6), '... which all are in the end');
    is(most_at_once(@runs), 1, '... never two at a time');
    cmp_ok($runs[0]{began}, '>', $released, '... the first of them after it');
    stop_server();
    return;
}

sub queue_cap
{
    serve("PyExecConcurrency 2\nPyExecTenantConcurrency 1\n"
          . "PyExecTenantQueue 2\n");
    my @long = occupy('a.test', 2);
    my $more = ask('a.test', 'pass');

    is($more->{status}, 429, 'queue of 2: the third is refused');
    like($more->{headers}{'retry-after'}, qr/^\d+$/, '... with Retry-After');
    is(join(' ', keys %{ $more->{json} || {} }), 'error', '... and a sentence');
    is(ask('b.test', 'pass')->{status}, 200, '... and no other tenant');

    # Whatever a client calls the host: its tenant is the configuration's.
    for my $host ('A.Test', 'a.test:99', 'a.test.', 'x1.a.test', 'x2.a.test') {
        is(ask($host, 'pass')->{status}, 429, "... as $host, too");
    }
    is(ask('b.test', 'pass', path => 'http://a.test/execute')->{status}, 429,
       '... and with the host in the request line');
    is(ask('b.test', 'pass', path => '/as-a')->{status}, 429,
       'PyExecTenant: counted for whom it names');
    is(ask('a.test', 'pass', path => '/own')->{status}, 200,
       '... and for nobody else');
    release($long[0]);
    finish($_) for @long[1, 2];
    is(statuses(@long[1, 2]), '200 200', 'those that waited are served');
    stop_server();
    return;
}

# The threads of httpd that may wait for runs are shared out as well.
sub threads
{
    # Two children and no other, which there would be for threads that wait.
    serve("PyExecConcurrency 1\nServerLimit 2\nMaxRequestWorkers 128\n", 8);
    my @flood = map { begin_run('a.test', 'time.sleep(110)') } 1 .. 60;

    # How many of them a child has got is not known; that each of them waits,
    # runs or has its refusal is.
    my ($running, $queued, $refused);
    wait_for(sub {
        $refused = answered(@flood);
        ($running, $queued) = load();
        return $running + $queued + $refused == @flood;
    }, 20);
    is($running + $queued + $refused, @flood, 'a flood is held or refused');
    ok($running + $queued >= 6 && $running + $queued <= 2 * 6,
       '... and holds three quarters of the threads')
        or diag("$running and $queued");
    my @others = map { begin_run('b.test', 'pass') } 1, 2;
    ok(have(1, $queued + 2), '... and others find a place');
    close $_->{socket} for @flood;
    is(statuses(map { finish($_) } @others), '200 200', '... and are served');
    stop_server();
    return;
}

# Caps that are met by runs that are gone would be met for ever.
sub nothing_kept
{
    serve("PyExecConcurrency 2\nPyExecTenantConcurrency 1\n"
          . "PyExecTenantQueue 1\n");
    # They leave at once, or while they run.
    for my $n (1 .. 30) {
        have(0, 0) if $n % 3 == 0;
        my $run = begin_run('a.test', 'while True: pass');
        have(1, 0) if $n % 3 == 0;
        close $run->{socket};
    }
    ok(have(0, 0), 'runs whose clients left are gone');
    is(ask('a.test', 'pass')->{status}, 200, '... and hold no place');

    my @runs = begin_run('a.test', 'while True: pass');
    my $job = spinning_job($server->{pid});

    push @runs, begin_run('a.test', 'time.sleep(0.02)');
    have(1, 1);
    kill 'KILL', zygote_of($job);
    is(finish($runs[0])->{status}, 503, 'a zygote is killed: its run is lost');
    is(finish($runs[1])->{status}, 200, '... what waited is not')
        or diag($runs[1]{body});
    is(ask('a.test', 'pass')->{status}, 200, '... and its place is free');
    ok(have(0, 0), '... as are all');
    stop_server();
    return;
}
