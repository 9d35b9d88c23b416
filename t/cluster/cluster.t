# SPDX-License-Identifier: Apache-2.0
# Three nodes behind a front, with the files of conf/cluster: who is asked, who
# is seen, and what it costs when a node dies, is taken out, or is full.
# CLUSTER_ROUNDS: as many rounds of everything at random (make check-cluster).
use strict;
use warnings FATAL => 'all';
use PyExec::Cluster;
use PyExec::Load;
use PyExec::Test;
use Test::More;

once_only();

my $cluster = cluster_start(node => <<"END");
PyExecConcurrency 2
PyExecTimeout 20
<PyExecPool small>
    PyExecMaxQueue 0
</PyExecPool>
<VirtualHost *:\${PYEXEC_NODE_LISTEN}>
    ServerName b.example
    CustomLog "\${PYEXEC_NODE_LOGS}/pyexec_node.log" pyexec_node
    <Location "/execute">
        SetHandler pyexec
        PyExecEngine On
        PyExecPool small
        Require all granted
    </Location>
</VirtualHost>
END
my $port = $cluster->{port};
my @nodes = @{ $cluster->{nodes} };
END { $_->{stop}->() for $cluster ? ($cluster->{front}, @{ $cluster->{nodes} }) : () }

my $long = "import time\ntime.sleep(%s)\nprint('done')";

who_is_seen();
who_may_ask();
what_is_too_large();
full_and_killed();
killed_under_load();
taken_out_under_load();
restarted_under_load();
nobody_left();
rounds($ENV{CLUSTER_ROUNDS}) if $ENV{CLUSTER_ROUNDS};
done_testing();

# A request from another address of ours, with whatever headers.
sub asked
{
    my ($code, %opt) = @_;
    my $socket = raw_open(port => $opt{port} || $port, from => $opt{from});
    my $body = json_text({ code => $code });

    local $SIG{PIPE} = 'IGNORE'; # refused before all is sent
    print $socket "POST /execute HTTP/1.1\r\nHost: @{[ $opt{host} || 'localhost' ]}\r\n"
        . join('', map { "$_\r\n" } @{ $opt{headers} || [] })
        . "Content-Type: application/json\r\nContent-Length: @{[ length $body ]}\r\n"
        . "Connection: close\r\n\r\n$body";
    return $socket;
}

sub answer_of { return raw_answer($_[0], 60) || { status => 'none', headers => {}, body => '' } }

sub is_lost
{
    my ($answer, $name) = @_;

    is("$answer->{status} " . ($answer->{headers}{'retry-after'} || '-'), '503 1',
       "$name: 503 with Retry-After");
    like($answer->{json} && $answer->{json}{error} || $answer->{body}, $_[2],
         "$name: JSON that says why");
    return;
}

sub who_is_seen
{
    my $answer = answer_of(asked('print(1)', from => '127.0.0.9',
        headers => ['X-Forwarded-For: 192.0.2.99']));
    my $node = node_of($answer);
    my ($run, $line);

    is($answer->{json}{output}, "1\n", 'a run through the front');
    like($node, qr/^[123]$/, '... by a node') or return;
    ok(!exists $answer->{headers}{'x-pyexec-run'}, '... whose headers stay inside');
    ok(wait_for(sub {
        ($run) = front_log($cluster) =~ m{^127\.0\.0\.9 .* 200 .*:@{[ $nodes[$node - 1]{port} ]} run=(\w{8,})$}m;
    }, 5), '... of which the log of the front has client, node and id')
        or diag(front_log($cluster));
    ok(wait_for(sub {
        ($line) = node_log($cluster, $node) =~ /^(.* run=\Q@{[ $run || '?' ]}\E .*)$/m;
    }, 5), '... and that of the node the same id');
    like($line || '', qr/^127\.0\.0\.9 .* front=127\.0\.0\.2 .*outcome=done tenant=localhost /,
         '... the client, not what it claims to be, the front, and the tenant');
    answer_of(asked('print(1)', host => 'b.example'));
    ok(wait_for(sub { grep { node_log($cluster, $_) =~ / tenant=b\.example / } 1 .. 3 }, 5),
       'the Host header chooses the tenant at the node');
    return;
}

sub who_may_ask
{
    my $stranger = sub { answer_of(asked('print(1)', port => $nodes[0]{port},
                                         from => '127.0.0.3', @_)) };
    my $inside;

    for my $case ([], [headers => ['X-Forwarded-For: 127.0.0.2']],
                  [host => 'b.example'], [host => 'pyexec-node']) {
        is($stranger->(@$case)->{status}, 403, "a node answers its front only: @{[ json_text($case) ]}");
    }
    $inside = raw("GET /metrics HTTP/1.1\r\nHost: pyexec-node\r\nConnection: close\r\n\r\n",
                  port => $port);
    is($inside->{status}, 403, 'and tells its metrics not through the front');
    cmp_ok(node_runs($cluster, 1), '==', 0, '... but on the node itself');
    return;
}

sub what_is_too_large
{
    for my $more (-1, 1, 64 << 20) {
        my $code = '#' x ((16 << 20) + $more - length json_text({ code => '' }));
        my $answer = answer_of(asked($code));

        is("$answer->{status} " . ($answer->{json} ? 'JSON' : '-'),
           $more > 0 ? '413 JSON' : '200 JSON', "a request of 16 MiB and $more bytes");
    }
    return;
}

# One after the other, for two of the front's children that choose in the same
# microsecond choose the same node.
sub fill
{
    my ($count, $seconds) = @_;
    my $before = all_runs();
    my @runs;

    for my $nth (1 .. $count) {
        push @runs, asked(sprintf($long, $seconds), host => 'b.example');
        wait_for(sub { all_runs() == $before + $nth }, 20)
            or diag("run $nth does not begin");
    }
    ok(!grep({ node_runs($cluster, $_) != 2 } 1 .. 3), 'each node has two of six runs');
    return @runs;
}

sub all_runs
{
    my $sum = 0;

    $sum += node_runs($cluster, $_) for 1 .. 3;
    return $sum;
}

# A run that is not the first of its HTTP/2 connection, where httpd has another
# word for a node's death; with prefork there is no HTTP/2.
sub second_of_its_connection
{
    my ($seconds) = @_;
    my ($client, $first, $node);

    if (mpm() eq 'prefork') {
        $first = answer_of(asked('print(1)', host => 'b.example'))->{json};
        $client = asked(sprintf($long, $seconds), host => 'b.example');
    }
    else {
        $first = over_http2(\$client, $seconds);
    }
    is($first->{output}, "1\n", 'a first run');
    ok(wait_for(sub {
        ($node) = grep { node_runs($cluster, $_) == 1 } 1 .. 3;
    }, 10), 'a second one goes on');
    return ($client, $node || 1);
}

sub over_http2
{
    my ($ret_client, $seconds) = @_;

    open my $client, '-|', '/usr/bin/python3', '-B', var('t_dir') . '/lib/twice.py',
        $port, 'b.example', sprintf $long, $seconds or die;
    $$ret_client = $client;
    return json_value(scalar <$client>);
}

sub back
{
    my ($number, $name) = @_;

    run_own($nodes[$number - 1]);
    ok(wait_for_members($cluster, 1, 2, 3), "$name: it is back");
    return;
}

# Each node takes two runs of that tenant, so all three take six and none has
# room for a seventh, for which no node is taken out. Then one is killed.
sub full_and_killed
{
    # As long as all of this may take.
    my ($client, $node) = second_of_its_connection(10);
    my @runs = fill(5, 10);
    my $answer = answer_of(asked('print(1)', host => 'b.example'));
    # At once: a health check would soon have them back.
    my @are = front_members($cluster);
    my @ours = descendants($nodes[$node - 1]{pid});
    my $sentence = qr/lost because the machine .* interrupted/;
    my @lost;

    end_own($nodes[$node - 1], 'KILL');
    is_lost($answer, 'a seventh', qr/busy/);
    ok(!exists $answer->{headers}{'x-pyexec-run'}, '... without what only logs need');
    ok(!grep({ !/Ok/ || /Err|HcFl/ } @are), '... and no node is taken out for it')
        or diag(join ', ', @are);
    @lost = grep { $_->{status} ne '200' } map { answer_of($_) } @runs;
    is(scalar @lost, 1, 'a node is killed: of two runs one is lost, and no other node has lost any');
    is_lost($lost[0], 'the lost run', $sentence) if @lost;
  SKIP: {
        skip 'there is no HTTP/2 with prefork', 2 if mpm() eq 'prefork';
        like(scalar <$client>, $sentence, '... and the other, over HTTP/2, is told the same');
        close $client;
        ok(wait_for(sub {
            front_log($cluster) =~ m{"POST /execute HTTP/2.0" 503 };
        }, 10), '... with 503');
    }
    ok(wait_for(sub { !grep { is_alive($_->{Pid}) } @ours }, 10),
       '... and nothing of the node is left');
    back($node, 'killed');
    return;
}

# Half of the clients keep their connections, as far as they are let.
sub loads
{
    return map { load_start($port, '--clients', 6, '--spin', 20, @$_) }
        [], ['--keep-alive'];
}

# Until the front has given that many more answers with 200.
sub more_served
{
    my ($count) = @_;
    my $served = sub { return scalar(() = front_log($cluster) =~ /" 200 /g) };
    my $wanted = $served->() + $count;

    return wait_for(sub { $served->() >= $wanted }, 60);
}

sub sum_of
{
    my ($name, @loads) = @_;
    my %sum = (503 => 0, 200 => 0);

    for my $done (map { load_end($_) } @loads) {
        is($done->{bad}, 0, "$name: every request has one good answer") or diag(json_text($done));
        is($done->{retried}, 0, "$name: ... and none was sent twice");
        $sum{$_} += $done->{statuses}{$_} for keys %{ $done->{statuses} };
    }
    note("$name: " . json_text(\%sum));
    return \%sum;
}

# Twelve clients: a node has four of their runs, one more for the moment in which
# two of the front's children choose at the same time.
sub killed_under_load
{
    my @loads = loads();
    my $sum;

    more_served(60);
    end_own($nodes[1], 'KILL');
    more_served(60);
    back(2, 'killed under load');
    more_served(60);
    $sum = sum_of('killed under load', @loads);
    cmp_ok($sum->{503}, '<=', 8, 'killed under load: it cost what the node had');
    cmp_ok($sum->{200}, '>', 30, 'killed under load: runs go on');
    return;
}

# Exactly as cluster.md has it.
sub taken_out_under_load
{
    my @loads = loads();
    my $sum;

    more_served(60);
    drain($cluster, 3);
    ok(wait_for_members($cluster, 1, 2), 'drained: the front uses the others');
    ok(wait_for(sub { node_runs($cluster, 3) == 0 }, 20), 'drained: its last run has ended');
    end_own($nodes[2], 'WINCH');
    more_served(60);
    undrain($cluster, 3);
    back(3, 'drained');
    more_served(60);
    $sum = sum_of('drained', @loads);
    is($sum->{503}, 0, 'drained: nothing is lost');
    cmp_ok($sum->{200}, '>', 30, 'drained: runs go on');
    return;
}

# As logrotate does every day.
sub restarted_under_load
{
    my @loads = loads();
    my $sum;

    for my $server (@nodes, $cluster->{front}) {
        more_served(60);
        kill 'USR1', $server->{pid} or die;
    }
    more_served(60);
    $sum = sum_of('graceful restarts of all', @loads);
    is($sum->{503}, 0, 'graceful restarts of all: nothing is lost');
    return;
}

sub nobody_left
{
    my $answer;

    end_own($_, 'TERM') for @nodes;
    $answer = answer_of(asked('print(1)'));
    is_lost($answer, 'no node is left', qr/not available/);
    return unless $ENV{CLUSTER_ROUNDS}; # the last of the short form
    run_own($_) for @nodes;
    ok(wait_for_members($cluster, 1, 2, 3), 'they are back');
    return;
}

# What the short form does, in any order, and a node that hangs: only a check
# that has a time of its own finds it, and its runs are late, not lost.
sub hangs
{
    my ($node) = @_;
    my @loads = loads();
    my ($sum, $seconds);

    kill 'STOP', -$nodes[$node - 1]{pid};
    $seconds = seconds(sub {
        wait_for_members($cluster, grep { $_ != $node } 1 .. 3);
    });
    cmp_ok($seconds, '<', 20, "node $node hangs: it is taken out");
    kill 'CONT', -$nodes[$node - 1]{pid};
    ok(wait_for_members($cluster, 1, 2, 3), "node $node hangs no more: it is back");
    $sum = sum_of("node $node hangs", @loads);
    is($sum->{503}, 0, "node $node hangs: nothing is lost");
    return;
}

sub rounds
{
    my ($count) = @_;
    my @events = (\&full_and_killed, \&killed_under_load, \&taken_out_under_load,
                  \&restarted_under_load, \&nobody_left,
                  sub { hangs(1 + int rand 3) });

    for my $event (map { @events } 1 .. $count) {
        ($event) = $events[rand @events] if rand(3) < 1;
        $event->();
    }
    return;
}
