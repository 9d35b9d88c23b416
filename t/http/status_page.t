# SPDX-License-Identifier: Apache-2.0
# What /health and the page of mod_status tell, of a helper that serves, of one
# that hangs, and of one that cannot serve.
use strict;
use warnings FATAL => 'all';
use PyExec::Test;
use Test::More;

plan tests => 9 + 5 + 5 + 6;

my $server = own_server(<<'END');
PyExecConcurrency 2
<PyExecPool default>
</PyExecPool>
PyExecPool default
<Location "/server-status">
    SetHandler server-status
</Location>
<Location "/long">
    SetHandler pyexec
    PyExecEngine On
    PyExecTimeout 60
</Location>
END
my $port = $server->{port};

sub health { return request('GET', '/health', port => $port) }

sub page
{
    return request('GET', '/server-status' . ($_[0] // ''),
                   port => $port)->{body};
}

# Of ?auto, ours.
sub auto
{
    return { map { /^(PyExec[^:]*): (.*)/ ? ($1 => $2) : () }
             split /\n/, page('?auto') };
}

# ---- it serves ----

my $answer = health();
my $pool = $answer->{json}{pools}[0];
is($answer->{status}, 200, 'health');
is(scalar @{ $answer->{json}{pools} }, 1, '... one pool');
is($pool->{name}, 'default', '... its name');
ok(JSON::PP::is_bool($pool->{up}) && $pool->{up}, '... it is up');
cmp_ok($pool->{branches_up}, '>=', 1, '... with a branch');
like($pool->{python}, qr/^3\.\d+\.\d+/, '... its interpreter');
is($pool->{python}, run_code('/execute', "import sys\n"
    . "print(sys.version.split()[0], end='')", port => $port)->{output},
   '... which runs see, too');
is($pool->{isolation}, $answer->{json}{isolation}, '... its isolation');
is_deeply([@$pool{qw(running queued)}], [0, 0], '... nothing to do');

# Three runs, of which one waits.
my $body = json_text({ code => 'while True: pass' });
my @held = map {
    my $socket = raw_open(port => $port);

    print $socket "POST /long HTTP/1.1\r\nHost: x\r\nContent-Type: "
        . "application/json\r\nContent-Length: " . length($body)
        . "\r\n\r\n$body";
    $socket;
} 1 .. 3;
ok(wait_for(sub {
    $pool = health()->{json}{pools}[0];
    return $pool->{running} == 2 && $pool->{queued} == 1;
}, 20), 'health: two run and one waits') or diag(json_text($pool));
my $lines = auto();
is_deeply($lines, {
    PyExecUp => 1, PyExecReady => 1,
    PyExecVersion => health()->{json}{version},
    PyExecIsolation => $pool->{isolation},
    PyExecRunning => 2, PyExecQueued => 1, PyExecPool0Name => 'default',
    PyExecPool0Up => 1, PyExecPool0Python => $pool->{python},
    PyExecPool0Isolation => $pool->{isolation}, PyExecPool0Running => 2,
    PyExecPool0Queued => 1,
    PyExecPool0Answered => $lines->{PyExecPool0Answered},
}, '?auto: the same, and nothing else') or diag(json_text($lines));
my $page = page();
my $row = qr/Pool default: up, Python 3[.\d]+, isolation \w+, 2 running, /
    . qr/1 queued, \d+ answered/;
like($page, qr{<h2>mod_pyexec</h2>.*<dt>$row</dt>}s, 'the page: the same')
    or diag($page =~ s/.*<hr/<hr/sr);
close $_ for @held;
ok(wait_for(sub { !health()->{json}{running} }, 20), 'they are gone');
my $answered = auto()->{PyExecPool0Answered};
run_code('/execute', 'print(1)', port => $port) for 1 .. 3;
is(auto()->{PyExecPool0Answered}, $answered + 3, 'three more were answered');

# ---- it hangs ----

my $keeper = keeper($server->{pid});
kill 'STOP', $keeper or die "kill: $!";
my $took = seconds(sub { $lines = auto() });
$page = page();
$answer = health();
kill 'CONT', $keeper;
is_deeply($lines, { PyExecUp => 0 }, 'a helper that hangs: ?auto');
# 100 ms and what a busy machine takes; health waits two seconds.
cmp_ok($took, '<', 2, '... the page is not held up');
like($page, qr/The helper does not answer/, '... and says so');
is("$answer->{status} $answer->{json}{status}", '503 unavailable',
   '... health: 503');
is($answer->{headers}{'retry-after'}, 1, '... with Retry-After');
$server->{stop}->();

# ---- it is there and cannot serve ----

# Neither zygotes nor jobs find a place to be in: one that is not a program.
my $dir = File::Temp->newdir('pyxXXXXX', DIR => '/tmp');
chmod 0755, $dir or die;
for (['pyexecd', var('helper_program')], ['pyexec-zygote', '/bin/false']) {
    my ($name, $from) = @$_;

    # Built, or a script of libtool's beside the program itself.
    system('cp', $from, "$dir/$name") == 0 or die 'cp';
}
SKIP: {
    open my $in, '<', "$dir/pyexecd" or die;
    read $in, my $magic, 4;
    skip 'the helper is not one file', 6 unless $magic eq "\x7fELF";
    $server = own_server("PyExecHelperProgram \"$dir/pyexecd\"\n"
        . "<PyExecPool default>\n</PyExecPool>\nPyExecPool default\n<Location \"/server-status\">\nSetHandler server-status\n"
        . "</Location>\n", health => 503);
    $port = $server->{port};
    ok(wait_for(sub { $answer = health(); $answer->{json}{pools} }, 20),
       'a pool that cannot serve');
    is("$answer->{status} $answer->{json}{status}", '503 unavailable',
       '... health: 503');
    is_deeply([@{ $answer->{json}{pools}[0] }{qw(name branches_up)}],
              ['default', 0], '... names the pool');
    ok(!$answer->{json}{pools}[0]{up}, '... that is not up');
    is(auto()->{PyExecPool0Up}, 0, '... as does ?auto');
    like(page(), qr/Pool default: down, Python unknown/, '... and the page');
    $server->{stop}->();
}
