# SPDX-License-Identifier: Apache-2.0
# Metrics: the text is what a monitor takes, every run is counted exactly once,
# as what it was, and nobody sees them whom the administrator did not let.
use strict;
use warnings FATAL => 'all';
use File::Temp ();
use PyExec::Metrics;
use PyExec::Test;
use Test::More;
use Time::HiRes qw(time);

my $place = '/policy-off/execute';

# What runs are to be counted as; each kind as often as its place in the list.
my @kinds = (
    [done => $place, { code => 'import time; time.sleep(0.2)' }],
    [exit => $place, { code => '1/0' }],
    [time => $place, { code => 'while True: pass', timeout => 0.3 }],
    [signal => $place, { code => 'import os; os.abort()' }],
    [memory => $place, { code => 'x = bytearray(1 << 30)' }],
    [refused => '/execute', { code => 'import socket' }],
);
# Tenants whose names would spoil the text: the second is sent as it stands, of
# the third a byte is no UTF-8.
my @tenants = ('', 'we"ird\\name', "caf\xe9.example");
my @ports = map { PyExec::Test::free_port() } 1 .. 2;
my $hosts = join '', map { <<"END" } 1 .. 2;
Listen 127.0.0.1:$ports[$_ - 1]
<VirtualHost 127.0.0.1:$ports[$_ - 1]>
    ServerName "@{[ $tenants[$_] =~ s/([\\"])/\\$1/gr ]}"
</VirtualHost>
END

my $docs = File::Temp->newdir('pyxXXXXX', DIR => '/tmp');
chmod 0755, $docs or die;
for (['a', "SetHandler pyexec-metrics\n"],
     ['b', "PyExecMetrics On\nSetHandler pyexec-metrics\n"]) {
    my ($dir, $text) = @$_;

    mkdir "$docs/$dir" or die;
    open my $out, '>', "$docs/$dir/.htaccess" or die;
    print $out $text;
    close $out or die;
}

plan tests => 4 + @kinds + 2 + 4 + 2 + 8 + 5 + 6 + 3;

my $server = own_server(<<"END");
<PyExecPool default>
</PyExecPool>
PyExecPool default
PyExecConcurrency 1
PyExecMaxQueue 1
PyExecQueueTimeout 5s
PyExecRecycle 0
$hosts
<Location "/metrics">
    SetHandler pyexec-metrics
    PyExecMetrics On
</Location>
<Location "/metrics-off">
    SetHandler pyexec-metrics
    PyExecEngine On
</Location>
<Location "/long">
    SetHandler pyexec
    PyExecEngine On
    PyExecTimeout 60
</Location>
DocumentRoot "$docs"
<Directory "$docs">
    AllowOverride FileInfo
    AllowOverrideList PyExecMetrics
    Require all granted
</Directory>
PyExecEngine On
END
my $port = $server->{port};
my $tenant = '127.0.0.1';

sub runs { return series('pyexec_runs_total', pool => 'default', @_) }

# ---- the text ----

my $answer = request('GET', '/metrics', port => $port);
is($answer->{status}, 200, 'metrics are there');
is($answer->{headers}{'content-type'}, 'text/plain; version=0.0.4',
   'their type');
my $start = metrics($port);
is($start->{'pyexec_up{}'}, 1, 'the helper is up');
is_deeply([map { $start->{ series($_, pool => 'default') } }
           qw(pyexec_pool_up pyexec_running pyexec_running_limit
              pyexec_queue_length pyexec_queue_limit
              pyexec_zygote_failures_total)],
          [1, 0, 1, 0, 1, 0], 'an idle pool');

# ---- runs ----

my $before = metrics($port);
my $began = time;
my $ran = 0;
for my $i (0 .. $#kinds) {
    my ($outcome, $path, $fields) = @{ $kinds[$i] };
    my $first = metrics($port);

    post_json($path, $fields, port => $port) for 0 .. $i;
    $ran += $i + 1;
    is_deeply(grown($first, metrics($port), 'pyexec_runs_total'),
              { runs(tenant => $tenant, outcome => $outcome) => $i + 1 },
              "$outcome: " . ($i + 1) . ' more, and nothing else');
}
my $after = metrics($port);
my $took = time - $began;
is($after->{ series('pyexec_run_seconds_count', pool => 'default') }
   - ($before->{ series('pyexec_run_seconds_count', pool => 'default') }),
   $ran, 'each is in the histogram');
is_deeply(grown($before, $after, 'pyexec_refused_total'), {},
          'nobody was refused');

# ---- histograms ----

for my $name ('pyexec_run_seconds', 'pyexec_queue_seconds') {
    my $sum = $after->{ series("${name}_sum", pool => 'default') }
        - $before->{ series("${name}_sum", pool => 'default') };
    my @wrong = histogram_faults($after, $name, 'default');

    ok(!@wrong, "$name adds up") or diag(join "\n", @wrong);
    # One that sleeps, three that meet their limit; one after the other.
    my $least = $name =~ /run/ ? 0.2 + 3 * 0.3 : 0;
    ok($sum >= $least && $sum <= $took,
       sprintf '%s: a sum of %.3f within %.1f and %.3f', $name, $sum, $least,
       $took);
}

# ---- tenants ----

for my $i (1, 2) {
    my $first = metrics($port);
    # What the test reads are bytes; the label is UTF-8 in any case.
    my $label = $i == 1 ? $tenants[1] : "caf?.example";

    post_json('/execute', { code => 'print(1)' }, port => $ports[$i - 1]);
    is_deeply(grown($first, metrics($port), 'pyexec_runs_total'),
              { runs(tenant => $label, outcome => 'done') => 1 },
              "the tenant $label");
}

# ---- refusals, gauges, cancelled runs ----

sub hold
{
    my $socket = raw_open(port => $port);
    my $body = json_text({ code => 'while True: pass' });

    print $socket "POST /long HTTP/1.1\r\nHost: x\r\nContent-Type: "
        . "application/json\r\nContent-Length: " . length($body)
        . "\r\n\r\n$body";
    return $socket;
}

sub gauges
{
    my ($running, $queued) = @_;

    return wait_for(sub {
        my $now = metrics($port);

        return $now->{ series('pyexec_running', pool => 'default') } == $running
            && $now->{ series('pyexec_queue_length', pool => 'default') }
                == $queued;
    }, 10);
}

$before = metrics($port);
my $running = hold();
ok(gauges(1, 0), 'one runs');
my $waiting = hold();
ok(gauges(1, 1), '... and one waits');
is(post_json('/long', { code => '1' }, port => $port)->{status}, 503,
   '... and the third is refused');
is(raw_answer($waiting, 20)->{status}, 503, '... and the second, later');
close $running;
ok(gauges(0, 0), 'the first is gone');
close $waiting;
$after = metrics($port);
is_deeply(grown($before, $after, 'pyexec_refused_total'),
          { map { series('pyexec_refused_total', pool => 'default',
                         reason => $_) => 1 } qw(queue_full queue_timeout) },
          'refused: once for each reason');
is_deeply(grown($before, $after, 'pyexec_runs_total'),
          { runs(tenant => $tenant, outcome => 'busy') => 2,
            runs(tenant => $tenant, outcome => 'cancelled') => 1 },
          'runs: two that were refused, one that was left');
is_deeply(grown($before, $after, 'pyexec_run_seconds_count'), {},
          'none of them is in a histogram');

# ---- who may see them ----

is(request('GET', '/metrics-off', port => $port)->{status}, 403,
   'not without PyExecMetrics');
is(request('POST', '/metrics', port => $port)->{status}, 405, 'GET only');
is(request('GET', '/a/', port => $port)->{status}, 403,
   '.htaccess: the handler alone shows nothing');
is(request('GET', '/b/', port => $port)->{status}, 500,
   '.htaccess: the directive is not allowed there');
is(request('HEAD', '/metrics', port => $port)->{status}, 200, 'HEAD');

# ---- zygotes, a helper that hangs, a new helper ----

my ($zygote) = zygotes($server->{pid});
$before = metrics($port);
kill 'KILL', $zygote or die "kill: $!";
ok(wait_for(sub {
    json_text(grown($before, metrics($port), 'pyexec_zygote_failures_total'))
        eq json_text({ series('pyexec_zygote_failures_total',
                              pool => 'default') => 1 });
}, 20), 'a zygote that died is counted, once');
ok(wait_for(sub {
    grown($before, metrics($port), 'pyexec_zygote_starts_total')
        ->{ series('pyexec_zygote_starts_total', pool => 'default') };
}, 20), '... and another was started');

my $keeper = keeper($server->{pid});
kill 'STOP', $keeper or die "kill: $!";
$answer = request('GET', '/metrics', port => $port);
kill 'CONT', $keeper;
is_deeply(metrics_of($answer->{body}), { 'pyexec_up{}' => 0 },
          'a helper that hangs is not up');
like(PyExec::Test::slurp("$server->{dir}/error_log"),
     qr/PYX0211: no metrics: .*in time/, '... and the log says so');

$before = metrics($port);
kill 'KILL', $keeper or die "kill: $!";
ok(wait_for(sub {
    my $now = metrics($port);

    return $now->{'pyexec_up{}'} && !grep { /^pyexec_runs_total/ } keys %$now;
}, 20), 'a new helper begins to count anew');
ok(metrics($port)->{'pyexec_helper_start_time_seconds{}'}
   >= $before->{'pyexec_helper_start_time_seconds{}'}, '... and says when');

# ---- the monitor's own judgement ----

post_json('/execute', { code => 'print(1)' }, port => $_) for $port, @ports;
my $promtool = $ENV{PYEXEC_PROMTOOL}
    || (grep { -x } map { "$_/promtool" } split /:/, $ENV{PATH})[0];
SKIP: {
    skip 'there is no promtool (package prometheus)', 3 unless $promtool;
    my $text = request('GET', '/metrics', port => $port)->{body};

    is(judged($text), 'exit 0: ', 'promtool has nothing to say');
    like(judged($text =~ s/# HELP pyexec_running .*\n//r),
         qr/^exit 3: pyexec_running no help/, 'witness: it does judge');
    like(judged($text =~ s/we\\"ird/we"ird/r), qr/^exit 1: /,
         'witness: and parses');
}

sub judged
{
    my ($text) = @_;
    my $file = "$server->{dir}/metrics";

    open my $out, '>', $file or die;
    print $out $text;
    close $out or die;
    open my $pipe, '-|', 'sh', '-c', 'exec "$0" check metrics <"$1" 2>&1',
        $promtool, $file or die "$promtool: $!";
    my $said = join '', <$pipe>;
    close $pipe;
    return 'exit ' . ($? >> 8) . ": $said";
}

$server->{stop}->();
