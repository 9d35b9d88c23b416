# SPDX-License-Identifier: Apache-2.0
# Who shares interpreters with whom, what a pool's own settings do, and what
# the dump of the configuration says of it.
use strict;
use warnings FATAL => 'all';
use PyExec::Config;
use PyExec::Test;
use Test::More;

my @hosts = qw(a.example b.example c.example d.example);
my %port;
my $places = '';

$port{$_} = PyExec::Test::free_port() for @hosts, 'a-too';

# One virtual host, on a port of its own.
sub host
{
    my ($key, $name, $text) = @_;

    return <<"END";
Listen 127.0.0.1:$port{$key}
<VirtualHost 127.0.0.1:$port{$key}>
    ServerName $name
    <Location "/run">
        SetHandler pyexec
        PyExecEngine On
        PyExecPolicy Off
        $text
    </Location>
</VirtualHost>
END
}

my $server = own_server(<<"END" . host('a.example', 'a.example', '') . host('a-too', 'a.example', '')
PyExecConcurrency 2
# One zygote for each pool, so that all of its runs are of the same.
PyExecPreload none
PyExecEnv GREETING hello
PyExecEnv WHO everybody
<PyExecPool small>
    PyExecConcurrency 1
    PyExecMaxQueue 0
    PyExecEnv WHO small
</PyExecPool>
<PyExecPool "loaded">
    PyExecPreload decimal
</PyExecPool>
<Location "/by-header">
    SetHandler pyexec
    PyExecEngine On
    PyExecPool loaded
    PyExecTenant "expr=%{req:X-Tenant}"
</Location>
<Location "/by-name">
    SetHandler pyexec
    PyExecEngine On
    PyExecPolicy Off
    PyExecTenant b.example
</Location>
<Location "/health-of-all">
    SetHandler pyexec-health
    PyExecMetrics On
</Location>
<Location "/loaded">
    SetHandler pyexec
    PyExecEngine On
    PyExecPolicy Off
    PyExecPool loaded
</Location>
<Location "/small">
    SetHandler pyexec
    PyExecEngine On
    PyExecPolicy Off
    PyExecPool small
</Location>
END
    . host('b.example', 'b.example', '')
    . host('c.example', 'c.example', 'PyExecPool small')
    . host('d.example', 'd.example', 'PyExecPool small'));
END { $server->{stop}->() if $server }

sub run_at
{
    my ($path, $key, $code, %opt) = @_;

    return run_code($path, $code, %opt, port => $port{ $key // '' } // $server->{port});
}

sub output_at { return run_at(@_)->{output} =~ s/\n\z//r }

# What only runs of one zygote have in common: hash secret and addresses.
sub marks
{
    my ($path, $key) = @_;

    return { map { output_at($path, $key, "print(hash('x'), id(print))") => 1 }
             1 .. 2 };
}

sub common
{
    my ($one, $other) = @_;

    return scalar grep { $other->{$_} } keys %$one;
}

plan tests => 32;

# ---- lazily ----

my $modules = "import sys\nprint('decimal' in sys.modules)";
ok(wait_for(sub { output_at('/loaded', undef, $modules) eq 'True' }, 20),
   'a pool\'s modules');
ok(wait_for(sub {
    PyExec::Test::error_log($server) =~ /pool "small": zygote \d+ \([^)]*\) is up/;
}, 20), 'a named pool is warm');
unlike(PyExec::Test::error_log($server), qr/pool "tenant:[ab]\.example": zygote/, '... a tenant\'s own is not');
is(request('GET', '/health', port => $server->{port})->{status}, 200,
   '... which is no reason not to be ready');

# ---- who shares what ----

my %marks = (
    a => marks('/run', 'a.example'), 'a too' => marks('/run', 'a-too'),
    b => marks('/run', 'b.example'), main => marks('/execute'),
    c => marks('/run', 'c.example'), d => marks('/run', 'd.example'),
);
like(PyExec::Test::error_log($server), qr/pool "tenant:a\.example": zygote \d+ .* is up/,
     'the first run warms the pool of its tenant');
is(scalar(grep { /^-?\d+ \d+$/ } map { keys %$_ } values %marks),
   scalar(map { keys %$_ } values %marks), 'all of them ran');
is(common($marks{a}, $marks{b}), 0, 'two hosts share no zygote');
is(common($marks{a}, $marks{main}), 0, '... nor does the main server');
is(common($marks{b}, $marks{main}), 0, '... with any');
cmp_ok(common($marks{a}, $marks{'a too'}), '>', 0, 'one name on two ports does');
is(common($marks{c}, $marks{a}), 0, 'a named pool is not another tenant\'s');
cmp_ok(common($marks{c}, $marks{d}), '>', 0, 'two hosts in one pool share it');
cmp_ok(common($marks{b}, marks('/by-name')), '>', 0,
       'PyExecTenant is whose pool it is');
# The Host header is the client's to choose; on this port it finds no other host.
my $forged = raw("POST /run HTTP/1.1\r\nHost: b.example\r\nConnection: close\r\n"
    . "Content-Type: application/json\r\nContent-Length: 43\r\n\r\n"
    . '{"code": "print(hash(\'x\'), id(print))"    }', port => $port{'a.example'});
ok($marks{a}{ ($forged->{json}{output} // '') =~ s/\n\z//r }
   && $forged->{status} == 200, 'a Host header changes nothing')
    or diag(json_text($forged));

# What /health tells: of one's own, or of all where the metrics may be shown.
sub told
{
    my ($path, $key) = @_;

    return join ' ', sort map { $_->{name} } @{ request('GET', $path,
        port => $port{$key // ''} // $server->{port})->{json}{pools} };
}
is(told('/health', 'b.example'), 'tenant:b.example', 'health tells of no other');
is(told('/health', 'c.example'), 'tenant:c.example', '... whoever asks');
is(told('/health-of-all'),
   'loaded small tenant:127.0.0.1 tenant:a.example tenant:b.example '
   . 'tenant:c.example tenant:d.example', '... but the administrator');

# ---- what is a pool's own ----

is(output_at('/small', undef, $modules), 'False', 'a pool has no other\'s modules');
my $env = "import os\nprint(*(os.environ.get(n) for n in ('GREETING', 'WHO')), sep='|')";
is(output_at('/small', undef, $env), 'hello|small', 'a pool\'s environment');
is(output_at('/loaded', undef, $env), 'hello|everybody', '... and the general one');
is(output_at('/run', 'a.example', $env), 'hello|everybody',
   '... which is that of tenants\' pools, too');

# One run at a time and none that waits.
my @busy;
my $body = '{"code": "import time\ntime.sleep(30)\n"}';
ok(wait_for(sub {
    # The place may still be taken by the run before: try again then.
    push @busy, raw_open(port => $server->{port});
    print { $busy[-1] } "POST /small HTTP/1.1\r\nHost: x\r\n"
        . "Content-Type: application/json\r\nContent-Length: "
        . length($body) . "\r\n\r\n$body";
    return (run_at('/small', undef, 'print(1)')->{status} // 0) == 503;
}, 20), 'a pool\'s concurrency and queue');
is(output_at('/loaded', undef, 'print(1)'), '1', '... are not another\'s');
close $_ for @busy;

# ---- tenants by expression ----

is(run_at('/by-header', undef, 'print(1)', headers => { 'X-Tenant' => 'x' })->{output},
   "1\n", 'a tenant by expression');
is(run_at('/by-header', undef, 'print(1)')->{status}, 503,
   '... which gives no name: 503');
like(PyExec::Test::error_log($server), qr/PYX0213: no run \w+: the expression/,
     '... and a line in the log');

# ---- many tenants, few descriptors ----

my $many = own_server(join('', "PyExecConcurrency 1\n", map { <<"END" } 1 .. 300), ulimit => '-n 1500');
<Location "/t/$_">
    SetHandler pyexec
    PyExecEngine On
    PyExecTenant tenant-$_
</Location>
END
is(run_code('/t/1', 'print(1)', port => $many->{port})->{output}, "1\n",
   'one of 300 tenants');
is(run_code('/t/300', 'print(1)', port => $many->{port})->{output}, "1\n",
   '... and another one');
my @zygotes = zygotes($many->{pid});
cmp_ok(scalar @zygotes, '<', 15, '... and the others cost no process');
like(PyExec::Test::error_log($many), qr/PYX0327: at most 1500 descriptors/,
     '... but are told that they are many');
$many->{stop}->();

# ---- the dump ----

my $dump = config_test(<<'END', define => 'DUMP_PYEXEC')->{output};
PyExecMaxTimeout 10
<PyExecPool p>
    PyExecEnv A "b c"
</PyExecPool>
<VirtualHost *:1>
    ServerName site.example
    PyExecTimeout 20
    <Location "/x">
        PyExecEngine On
        PyExecPool p
        PyExecForbid +eval -shell
    </Location>
    <Location "/y">
        PyExecEngine On
    </Location>
</VirtualHost>
END
my @lines = map { s/ +/ /gr } split /\n/, $dump;
my $text = join "\n", @lines;
like($text, qr{
    ^pool\ "p"\ \(FILE:2\)\n(?:\ .*\n)*?\ PyExecEnv\ A=b\ c\ FILE:3\n(?:.*\n)*
    pool\ "tenant:site.example"\ \(a\ tenant's\ own\),\ started\ by.*\n(?:.*\n)*
    virtual\ host\ site.example\ \(FILE:5\)\n
    \ PyExecEngine\ Off\ \(default\)\n(?:.*\n)*
    \ <Location\ "/x">\ \(FILE:8\)\n
    \ PyExecEngine\ On\ FILE:9\n(?:\ .*\n)*?
    \ PyExecPool\ p\ FILE:10\n(?:\ .*\n)*?
    \ tenant\ "site.example",\ pool\ "p"\n(?:\ .*\n)*?
    \ PyExecForbid\ -shell\ \+eval\ FILE:11\n(?:\ .*\n)*?
    \ PyExecTimeout\ 10s\ FILE:7\n(?:\ .*\n)*?
    \ PyExecMaxTimeout\ 10s\ FILE:1,\ holds\ down\ 20s\ to\ it\n
}xm, 'the dump tells what holds, and where from') or diag($text);
my %dumped = map { /^ (PyExec\w+) / ? ($1 => 1) : () } @lines;
my $list = var('locations') =~ s{conf/locations\.conf$}
                                {mod_pyexec/pyexec_directives.h}r;
open my $in, '<', $list or die "$list: $!\n";
is_deeply([sort keys %dumped],
          [do { my %all = map { /"(PyExec\w+)"/ ? ($1 => 1) : () } <$in>; sort keys %all }],
          '... for every directive');
close $in;
