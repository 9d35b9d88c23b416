# SPDX-License-Identifier: Apache-2.0
# Three virtual hosts with three policies, one of them hostile: whatever it is
# called, asks for, runs or holds, it gets its own policy and nobody else's, and
# the other two keep their answers, their policy and their share. How tenants
# take turns in one pool is fair.t's, what .htaccess can say htaccess.t's.
use strict;
use warnings FATAL => 'all';
use File::Temp ();
use PyExec::Test;
use Socket ();
use Test::More;

my $docs = File::Temp->newdir('pyxXXXXX', DIR => '/tmp');
my $secret = join '', 'only-', map { chr(97 + int rand 26) } 1 .. 24;
# What holds for whom: seconds of CPU and MiB that a script is told.
my %cpu = ('good.test' => 22, 'other.test' => 17, 'evil.test' => 10, strict => 5);
my $server;

chmod 0755, $docs or die;
for my $dir ('', '/loose') {
    mkdir "$docs$dir", 0755;
    open my $out, '>', "$docs$dir/.htaccess" or die;
    print $out "SetHandler pyexec\nPyExecTimeout 300\nPyExecMemory 4G\n"
        . "PyExecOutput 16M\nPyExecBody 60M\nPyExecPolicy Off\n"
        . "PyExecImports *\nPyExecForbid none\n";
    close $out or die;
}
$server = own_server(mpm_workers(2, 64, 256) . <<"END");
DocumentRoot "$docs"
PyExecConcurrency 2
PyExecMaxQueue 24
PyExecQueueTimeout 120
# One kind of interpreter each.
PyExecPreload none
RequestReadTimeout header=60 body=60
Header always set X-Tenant "expr=%{note:pyexec-tenant}" "expr=-n note('pyexec-tenant')"
<Directory "$docs">
    Require all granted
    AllowOverride All
</Directory>
# Whoever names no host that there is.
<VirtualHost *>
    ServerName nobody.test
    <Location "/execute">
        PyExecEngine Off
    </Location>
</VirtualHost>
<VirtualHost *>
    ServerName good.test
    PyExecTimeout 20
    PyExecImports math resource time
</VirtualHost>
<VirtualHost *>
    ServerName other.test
    PyExecDialect main-json
    PyExecTimeout 15
    PyExecImports resource json
    PyExecForbid +eval
</VirtualHost>
<VirtualHost *>
    ServerName evil.test
    PyExecMaxTimeout 8
    PyExecTimeout 300
    PyExecMaxMemory 64
    PyExecMaxBody 100K
    PyExecMaxOutput 1000
    PyExecPolicy Off
    <Location "/strict">
        SetHandler pyexec
        PyExecEngine On
        PyExecTimeout 3
    </Location>
</VirtualHost>
END
END { local $?; $server->{stop}->() if $server }

my $limits = "import resource\n"
    . "print(resource.getrlimit(resource.RLIMIT_CPU)[0])\n";

# The first line of a request and its header fields as they are; what its
# script is told of its limits, and as whom, or the status.
sub policy_of
{
    my ($line, @fields) = @_;
    my $body = json_text({ code => $limits });
    my $answer = raw(join("\r\n", $line, @fields, 'Connection: close',
        'Content-Type: application/json', 'Content-Length: ' . length $body, '', $body),
        port => $server->{port}, seconds => 60);

    return $answer->{status} unless $answer->{status} == 200;
    return ($answer->{headers}{'x-tenant'} // 'nobody') . ' '
        . ($answer->{json}{output} // '?') =~ s/\s//gr;
}

sub is_of { return "$_[0] $cpu{ $_[1] || $_[0] }" }

my $post = 'POST /execute HTTP/1.1';
my $evil = is_of('evil.test');
my $good = is_of('good.test');
# Whom a name chooses: that host, with its policy, and nothing of two.
my @names = (
    ['its own', $evil, $post, 'Host: evil.test'],
    ['odd case', $evil, $post, 'hOST: eViL.TEST'],
    ['a trailing dot', $evil, $post, 'Host: evil.test.'],
    ['a port', $evil, $post, 'Host: evil.test:1'],
    ['dot and port', $evil, $post, 'Host: EVIL.test.:443'],
    ['a port without number', 400, $post, 'Host: evil.test:'],
    ['another one\'s', $good, $post, 'Host: good.test'],
    ['absolute form, Host of another', $evil, 'POST http://evil.test/execute HTTP/1.1', 'Host: good.test'],
    ['absolute form, the other way', $good, 'POST http://good.test/execute HTTP/1.1', 'Host: evil.test'],
    ['absolute form, another scheme', $good, 'POST https://evil.test/execute HTTP/1.1', 'Host: good.test'],
    ['absolute form with a name', 400, 'POST http://good.test@evil.test/execute HTTP/1.1', 'Host: evil.test'],
    ['two fields', 400, $post, 'Host: evil.test', 'Host: good.test'],
    ['the same twice', 400, $post, 'Host: evil.test', 'Host: evil.test'],
    ['two in one field', 400, $post, 'Host: evil.test, good.test'],
    ['two by a space', 400, $post, 'Host: evil.test good.test'],
    ['a path', 400, $post, 'Host: good.test/evil.test'],
    ['a user', 400, $post, 'Host: good.test@evil.test'],
    ['an encoded NUL', 400, $post, 'Host: good.test%00.evil.test'],
    ['no field', 400, $post],
    ['empty', 400, $post, 'Host:'],
    ['unknown', 403, $post, 'Host: bad.test'],
    ['a dot in front', 403, $post, 'Host: .good.test'],
    ['two dots behind', 400, $post, 'Host: good.test..'],
    ['an address', 403, $post, "Host: 127.0.0.1:$server->{port}"],
    ['HTTP/1.0 without', 403, 'POST /execute HTTP/1.0'],
    (map { ["$_", $evil, $post, 'Host: evil.test', $_] }
     'X-Forwarded-Host: good.test', 'X-Host: good.test',
     'X-Forwarded-Server: good.test', 'Forwarded: host=good.test;for=127.0.0.1',
     'X-Forwarded-For: 127.0.0.1', 'X-Original-URL: /policy-off/execute',
     'X-Rewrite-URL: /policy-off/execute', 'X-HTTP-Host-Override: good.test',
     'Remote-User: good.test', 'X-Tenant: good.test', 'Proxy: good.test',
     'X-Pyexec-Tenant: good.test', 'Origin: http://evil.test'),
);
# Ways to one place: its policy, or nothing.
my $strict = is_of('evil.test', 'strict');
my @paths = (
    (map { [$_, $strict] } '/strict', '/strict?x=/execute', '//strict', '/./strict',
     '/execute/../strict', '/strict/./', '/strict/../strict', '/%73trict', '/x/..//strict',
     '/strict/', '/strict//', '/%2e/strict', '/execute/%2e%2e/strict'),
    (map { [$_, 404] } '/strict/execute', '/strict/execute/..x', '/strict%2f', '/strict%2fexecute',
     '/strict%2f..%2fexecute',
     '/execute%2f..%2fstrict', '/execute/x', '/execute%2f'),
    # Files of the directory, whose .htaccess sets the handler.
    (map { [$_, 403] } '/STRICT', '/strict;x', '/strict;/../x', '/strictx', '/strict%20',
     '/strict\\..\\execute', '/loose/x', '/loose/../loose/execute', '/'),
    (map { [$_, 400] } '/../strict', '/strict/../../execute', '/%2e%2e/strict', '/strict%zz', 'strict',
     '/strict%', '*'),
    (map { [$_, 404] } '/strict%00', '/strict%00/execute'),
    ['/execute/../../strict', 400],
);
my @fields = (
    (map { [json_text($_), 200, $_] } map { +{ timeout => $_ } } 8.5, 300, 1e9),
    (map { [json_text($_), 400, $_] } map { +{ timeout => $_ } } 0, -1, "300", [300], JSON::PP::true),
    (map { [json_text($_), undef, $_] } { limits => { timeout => 300, memory => 1 << 40 } },
     { memory => 1 << 40 }, { policy => JSON::PP::false }, { tenant => 'good.test' }, { pool => 'good.test' },
     { imports => ['*'] }, { dialect => 'run' }),
);

plan tests => @names + 1 + @paths + @fields + 6 + 11 + 10;

is(policy_of(@$_[2 .. $#$_]), $_->[1], "Host: $_->[0]") for @names;
is(request('POST', '/execute', port => $server->{port}, host => 'other.test',
           headers => { 'Content-Type' => 'application/json' },
           content => json_text({ script => "import resource\ndef main():\n    return resource.getrlimit(0)[0]" }))
       ->{json}{result}, $cpu{'other.test'}, 'the third has a policy of its own');
is(policy_of("POST $_->[0] HTTP/1.1", 'Host: evil.test'), $_->[1], "path: $_->[0]")
    for @paths;
fields();
policies();
looks_around();
floods();

sub at
{
    my ($host, $code, %fields) = @_;

    return post_json('/execute', { ($host eq 'other.test' ? 'script' : 'code') => $code, %fields },
                     port => $server->{port}, host => $host);
}

# What a request asks for beyond its place is refused, or not given.
sub fields
{
    for my $case (@fields) {
        my ($name, $status, $fields) = @$case;
        my $answer = at('evil.test', $limits, %$fields);
        my $told = $answer->{json}{output} // '';

        ok(defined $status
           ? $answer->{status} == $status && ($status == 400 || $told eq "10\n")
           : $answer->{status} == 400 || $told eq "10\n", "field $name")
            or diag($answer->{body});
    }
    return;
}

# Each has its own, whatever was asked of the others before.
sub policies
{
    is(at('good.test', 'import os')->{status}, 400, 'good: its imports');
    is(at('good.test', "import math\nprint(eval('math.floor(2.5)'))")->{json}{output}, "2\n", '... and calls');
    is(at('other.test', "def main():\n    return eval('1')")->{status}, 400, 'other: its calls');
    is(at('other.test', "import math\ndef main():\n    return 1")->{status}, 400, '... and imports');
    is(at('evil.test', "print('x' * 3000)")->{json}{output} =~ tr/x//, 1000, 'evil: its output');
    is(at('evil.test', '#' x 200_000)->{status}, 413, '... and body');
    return;
}

# A run of the good one holds a secret. The hostile one looks wherever there may
# be something (t/probe looks closer), and leaves marks.
sub looks_around
{
    my $run = begin('good.test', "import time\nheld = input()\nprint(held, flush=True)\n"
                    . "time.sleep(15)", stdin => $secret);
    my ($socket) = glob "$server->{dir}/pyexec/*.sock";
    my $halves = join "', '", substr($secret, 0, 9), substr $secret, 9;
    my $answer;

    ok(-S ($socket // ''), 'the helper has a socket');
    # Its script is at work: it has been given more than a standby job gets.
    ok(wait_for(sub { load('good.test') eq '1 0' }, 30), 'good: a run goes on');
    $answer = at('evil.test', <<"END");
import glob, math, os, signal, socket, sys
wanted = ''.join(['$halves'])
found = []
def look(name, action):
    try:
        if action(): found.append(name)
    except BaseException: pass
def holds(path):
    with open(path, 'rb') as file: return wanted.encode() in file.read(1 << 20)
me = str(os.getpid())
look('processes', lambda: [p for p in os.listdir('/proc') if p.isdigit() and int(p) > 2 and p != me])
look('what they execute', lambda: [p for p in range(1, 5000) if p != os.getpid() and os.path.exists(f'/proc/{p}/cmdline')
     and holds(f'/proc/{p}/cmdline')])
look('signals', lambda: [p for p in range(3, 5000) if p != os.getpid() and os.kill(p, 0) is None])
look('files', lambda: [p for d in ('/tmp', '/var/tmp', '/dev/shm', '/run', '.') for p in glob.glob(d + '/*')
     if os.path.isfile(p) and holds(p)])
look('other directories', lambda: [d for d in ('$docs', '$server->{dir}') if os.path.exists(d)])
look('environment', lambda: wanted in str(os.environ))
def connects():
    s = socket.socket(socket.AF_UNIX); s.connect('$socket'); return True
look('the helper', connects)
def reaches():
    s = socket.create_connection(('127.0.0.1', $server->{port}), 2); return True
look('httpd', reaches)
# Marks for whoever comes next.
math.mark = sys.mark = __builtins__.mark = 'evil'
os.environ['MARK'] = 'evil'
for d in ('/tmp', '.', '/dev/shm', '/var/tmp'):
    look('', lambda: open(d + '/mark', 'w').write('evil') and None)
try: os.setpriority(0, 0, 19); signal.alarm(1000); os.umask(0o777)
except BaseException: pass
print('found:', *found)
END
    is($answer->{json}{output}, "found:\n", 'evil: finds nothing of anybody') or diag($answer->{body});
    unlike($answer->{body}, qr/\Q$secret\E/, '... least of all the secret');
    is(at('good.test', "import math\nprint(hasattr(math, 'mark'), 'mark' in dir(__builtins__))")->{json}{output},
       "False False\n", 'good: finds no mark');
    is(at('evil.test', <<'END')->{json}{output}, "[]\n", '... nor does its own next run');
import math, os, sys, glob
print([n for n, there in (('math', hasattr(math, 'mark')), ('sys', hasattr(sys, 'mark')),
    ('environ', 'MARK' in os.environ), ('umask', os.umask(0o22) == 0o777), ('priority', os.getpriority(0, 0) == 19),
    ('files', any(map(glob.glob, ('/tmp/mark', './mark', '/dev/shm/mark', '/var/tmp/mark'))))) if there])
END
    # Neither log nor status tell one tenant of another's run.
    my $health = request('GET', '/health', port => $server->{port}, host => 'evil.test');
    unlike($health->{body}, qr/good|other/, 'health: tells of no other');
    is($health->{json}{running}, 0, '... nor of its runs');
    unlike(error_log($server), qr/\Q$secret\E/, 'the log has nothing of it');
    my %hash = map { my $host = $_; $host => at($host, $host eq 'other.test'
        ? "def main():\n    return str(hash('x'))" : "print(hash('x'))")->{json} } qw(good.test other.test evil.test);
    my %values = map { ($_ // '') =~ s/\s//gr => 1 } $hash{'good.test'}{output},
        $hash{'other.test'}{result}, $hash{'evil.test'}{output};
    is(scalar keys %values, 3, 'three zygotes: three hash secrets');
    close $run->{socket};
    ok(wait_for(sub { load('good.test') eq '0 0' }, 30), 'good: its client leaves, its run ends');
    return;
}

# Sends a run without waiting for it; `cut`: only so many bytes of its body.
sub begin
{
    my ($host, $code, %fields) = @_;
    my $cut = delete $fields{cut};
    my $body = json_text({ code => $code, %fields });
    my $socket = raw_open(port => $server->{port});

    setsockopt $socket, Socket::SOL_SOCKET(), Socket::SO_RCVBUF(), pack 'i', 2048;
    print $socket "POST /execute HTTP/1.1\r\nHost: $host\r\nConnection: close\r\n"
        . 'Content-Type: application/json' . "\r\nContent-Length: " . length($body) . "\r\n\r\n"
        . (defined $cut ? substr $body, 0, $cut : $body);
    return { socket => $socket };
}

# "running queued" of a host's own pool.
sub load
{
    my ($host) = @_;
    my $health = request('GET', '/health', port => $server->{port}, host => $host)->{json} || {};

    return join ' ', map { $_ // '?' } @$health{qw(running queued)};
}

# Everything that holds something, all at once.
sub floods
{
    my @held = (
        (map { begin('evil.test', 'while True: pass') } 1 .. 40),     # runs, and a full queue
        (map { begin('evil.test', 'print(1)', cut => 9) } 1 .. 15),   # slow bodies
        (map { begin('evil.test', 'print("x" * 1000)') } 1 .. 5),     # slow readers
    );
    my ($wrong, $served) = (0, 0);

    ok(wait_for(sub { load('evil.test') =~ /^2 2[0-4]$/ }, 30), 'flood: slots and queue are full');
    for my $n (1 .. 8) {
        close begin('evil.test', 'while True: pass')->{socket} for 1 .. 6; # comes and goes
        at('evil.test', 'x' x 300_000) if $n == 4;                     # too large
        my $one = at('good.test', "import math\nprint(math.factorial(10) + $n)");
        my $two = at('other.test', "def main():\n    return [$n]");

        $served++ if $one->{status} == 200 && $two->{status} == 200;
        $wrong++ unless ($one->{json}{output} // '') eq 3628800 + $n . "\n"
            && json_text($two->{json}{result}) eq "[$n]";
    }
    is("$served $wrong", '8 0', 'flood: the two others are served, all the time');
    is(at('evil.test', 'print(1)')->{status}, 503, '... and the flood has its own queue to blame');
    is(policy_of($post, 'Host: good.test'), $good, '... and all policies are what they were');
    like(load('evil.test'), qr/^2 /, '... while it was there');
    is(load('good.test') . ' ' . load('other.test'), '0 0 0 0', '... and nothing of it in theirs');
    close $_->{socket} for @held;
    ok(wait_for(sub { load('evil.test') eq '0 0' }, 60), 'flood: over when its clients are gone');
    ok(wait_for(sub { !spinning($server->{pid}) }, 20), '... and no run of it is left');
    is(policy_of($post, 'Host: evil.test'), $evil, 'evil: is served again, as before');
    unlike(error_log($server), qr/AH00052|PYX036[38]|exit signal/, 'nothing died of it');
    return;
}

sub spinning
{
    my ($top) = @_;
    my %ticks = map { $_->{Pid} => PyExec::Process::cpu_ticks($_->{Pid}) } jobs($top);

    select undef, undef, undef, 0.3;
    return scalar grep { PyExec::Process::cpu_ticks($_) > $ticks{$_} + 5 } keys %ticks;
}
