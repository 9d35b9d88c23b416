# SPDX-License-Identifier: Apache-2.0
# What the access log can tell of every request that the handler took, and that
# each failure of ours has exactly one line in the error log, with its code and
# the run's id.
use strict;
use warnings FATAL => 'all';
use PyExec::Test;
use Test::More;

my $off = '/policy-off/execute';

# [outcome, status, path, request, what else holds]: a body that is no
# reference goes as it is. `ran`: its times are more than nothing.
my @cases = (
    [done => 200, $off, { code => 'import time; time.sleep(0.3)' },
     { ran => 1, wall => 300000 }],
    [done => 200, $off, { code => "while True:\n    import time\n"
                          . "    if time.process_time() > 0.3: break" },
     { ran => 1, cpu => 100000 }],
    [exit => 200, $off, { code => '1/0' }, { ran => 1 }],
    [time => 200, $off, { code => 'while True: pass', timeout => 0.3 },
     { ran => 1, wall => 300000 }],
    [signal => 200, $off, { code => 'import os; os.abort()' }, { ran => 1 }],
    [refused => 400, '/execute', { code => 'import socket' }, { ran => 1 }],
    [rejected => 400, '/execute', '{', { log => 'PYX0208' }],
    [rejected => 400, '/execute', { nothing => 1 }, { log => 'PYX0208' }],
    [rejected => 403, '/off', { code => '1' }, { log => 'PYX0208' }],
    [rejected => 404, '/execute/below', { code => '1' }, { log => 'PYX0208' }],
    [rejected => 405, '/execute', undef,
     { method => 'GET', log => 'PYX0208' }],
    [rejected => 413, '/small', { code => '#' x 200 }, { log => 'PYX0208' }],
    [rejected => 415, '/execute', 'x',
     { type => 'text/plain', log => 'PYX0208' }],
    [preflight => 204, '/execute', undef, { method => 'OPTIONS' }],
);

plan tests => 6 * @cases + 5 + 4 + 4 + 3;

my $server = own_server(<<'END');
ServerName tenant.example
PyExecConcurrency 1
PyExecMaxQueue 0
LogFormat "%>s %{pyexec-outcome}n %{pyexec-tenant}n %{pyexec-run}n %{pyexec-queue-us}n %{pyexec-wall-us}n %{pyexec-cpu-us}n %U" pyexec
CustomLog access_log pyexec "expr=-n note('pyexec-run')"
<Location "/off">
    SetHandler pyexec
</Location>
<Location "/small">
    SetHandler pyexec
    PyExecEngine On
    PyExecMaxBody 100
</Location>
<Location "/long">
    SetHandler pyexec
    PyExecEngine On
    PyExecTimeout 60
</Location>
Header always set X-Run "expr=%{note:pyexec-run}" "expr=-n note('pyexec-run')"
END
my $port = $server->{port};
my %seen;
my $line = 0;

sub logged { return PyExec::Test::slurp("$server->{dir}/$_[0]") // '' }

# The next line of the access log, as a hash; written when the answer is out.
sub next_entry
{
    my %entry;

    wait_for(sub {
        my @lines = split /\n/, logged('access_log');

        return unless @lines > $line;
        @entry{qw(status outcome tenant run queue wall cpu path)} =
            split / /, $lines[$line];
        return 1;
    }, 10);
    $line++;
    return \%entry;
}

# The codes of the lines that name a run, debug's apart.
sub codes
{
    my ($run) = @_;

    return join ' ', map { /\b(PYX\d+): .*\Q$run\E/ ? $1 : () }
        grep { !/pyexec:debug/ } split /\n/, logged('error_log');
}

sub send_case
{
    my ($path, $request, $more) = @_;

    return request($more->{method}, $path, port => $port) if $more->{method};
    return post_json($path, $request, port => $port) if ref $request;
    return request('POST', $path, port => $port, content => $request, headers =>
        { 'Content-Type' => $more->{type} || 'application/json' });
}

sub is_idle
{
    return wait_for(sub {
        my $health = request('GET', '/health', port => $port);

        return $health->{status} == 200 && !$health->{json}{running};
    }, 20);
}

for (@cases) {
    my ($outcome, $status, $path, $request, $more) = @$_;
    my $answer = send_case($path, $request, $more);
    my $entry = next_entry();
    my $name = "$outcome, $status: $path";

    is("$entry->{status} $entry->{outcome} $entry->{tenant} $entry->{path}",
       "$status $outcome tenant.example $path", "$name: status and outcome");
    like($entry->{run}, qr/^[0-9a-f]{32}\z/, "$name: an id");
    ok(!$seen{ $entry->{run} }++, "$name: ... that is new");
    is($answer->{headers}{'x-run'}, $entry->{run},
       "$name: ... and can be told the client");
    ok($entry->{wall} =~ /^\d+\z/ && $entry->{cpu} =~ /^\d+\z/
       && $entry->{queue} =~ /^\d+\z/
       && ($more->{ran} ? $entry->{wall} > 0
           && $entry->{wall} >= ($more->{wall} || 1)
           && $entry->{cpu} >= ($more->{cpu} || 0)
           : "$entry->{wall}$entry->{cpu}$entry->{queue}" eq '000'),
       "$name: times") or diag(json_text($entry));
    is(codes($entry->{run}), $more->{log} // '', "$name: error log");
}

# ---- busy, left ----

my $body = json_text({ code => 'while True: pass' });
sub hold
{
    my $socket = raw_open(port => $port);

    print $socket "POST /long HTTP/1.1\r\nHost: evil.example\r\nContent-Type: "
        . "application/json\r\nContent-Length: " . length($body)
        . "\r\n\r\n$body";
    ok(spinning_job($server->{pid}), 'one runs');
    return $socket;
}

is_idle();
my $socket = hold();
is(post_json('/long', { code => '1' }, port => $port)->{status}, 503,
   'another is refused');
my $entry = next_entry();
is("$entry->{status} $entry->{outcome} $entry->{wall}", '503 busy 0',
   '... busy');
is(codes($entry->{run}), 'PYX0203', '... one line');
close $socket;
$entry = next_entry();
is("$entry->{outcome} $entry->{tenant} " . codes($entry->{run}),
   'left tenant.example PYX0201',
   'the one whose client left, with the tenant of the configuration');

# ---- a helper that dies under a run; one that is not there ----

is_idle();
$socket = hold();
kill 'KILL', keeper($server->{pid}) or die "kill: $!";
is(raw_answer($socket, 20)->{status}, 503, 'its helper died');
$entry = next_entry();
is("$entry->{status} $entry->{outcome}", '503 lost', '... lost');
is(codes($entry->{run}), 'PYX0202', '... one line');
close $socket;

is_idle();
$socket = hold();
my ($zygote) = zygote_of(spinning_job($server->{pid}));
kill 'KILL', $zygote or die "kill: $!";
is(raw_answer($socket, 20)->{status}, 503, 'its zygote died');
$entry = next_entry();
is("$entry->{status} $entry->{outcome}", '503 lost', '... lost');
is(codes($entry->{run}), 'PYX0204', '... one line');
close $socket;

# Only what the handler took is in the log, and all of it.
is_idle();
$line = () = logged('access_log') =~ /\n/g;
request('GET', '/health', port => $port);
request('GET', '/nothing', port => $port);
post_json($off, { code => 'print(1)' }, port => $port);
is(next_entry()->{outcome}, 'done', 'a run after all that');
is($line, scalar(() = logged('access_log') =~ /\n/g), 'no other line');
unlike(logged('access_log'), qr/evil/, 'nothing of the Host header');
$server->{stop}->();
