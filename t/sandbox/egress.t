# SPDX-License-Identifier: Apache-2.0
# Runs with a network (PyExecNetwork): one way out, to the proxy, and nothing
# else; how much of it a run may use; what is left of it afterwards. What the
# proxy itself lets through: t/http/egress.t.
use strict;
use warnings FATAL => 'all';
use PyExec::Load;
use PyExec::Metrics;
use PyExec::Proxy;
use PyExec::Test;
use Test::More;
use Time::HiRes qw(time);

my $proxy = proxy_start();
my $closed = PyExec::Test::free_port();
my $server = own_server(<<"END");
PyExecPreload none
PyExecConcurrency 2
<Macro PyExecNet \$name \$port \$connections \$bytes>
    <PyExecPool \$name>
        PyExecNetwork proxy=127.0.0.1:\$port
        PyExecNetworkConnections \$connections
        PyExecNetworkBytes \$bytes
    </PyExecPool>
    <Location "/n/\$name">
        SetHandler pyexec
        PyExecEngine On
        PyExecPolicy Off
        PyExecDialect code
        PyExecTimeout 30s
        PyExecPool \$name
    </Location>
</Macro>
Use PyExecNet plenty $proxy->{port} 1000 1G
Use PyExecNet few $proxy->{port} 3 1G
Use PyExecNet little $proxy->{port} 100 1000
Use PyExecNet dead $closed 100 1G
<Location "/n/short">
    SetHandler pyexec
    PyExecEngine On
    PyExecPolicy Off
    PyExecDialect code
    PyExecPool plenty
    PyExecTimeout 500ms
</Location>
END
my @port = (port => $server->{port});
my @pools = qw(plenty few little dead);

sub descriptors { return scalar(() = glob '/proc/' . keeper($server->{pid}) . '/fd/*') }

my $prelude = <<'END';
import errno, os, socket, sys, time

def call(line=None, to=('127.0.0.1', 3128)):
    peer = socket.create_connection(to, 20)
    if line: peer.sendall(line.encode() + b'\n')
    return peer

def rest(peer):
    count = 0
    while True:
        got = peer.recv(65536)
        if not got: return count
        count += len(got)

def problem(action):
    try: action()
    except OSError as raised: return errno.errorcode.get(raised.errno, raised.errno)
    return 'fine'

def attempt(action):
    try: return action()
    except OSError as raised: return 'cut'
END

sub run_it
{
    my ($place, $source) = @_;

    return run_code("/n/$place", $prelude . $source, @port);
}

# ---- what a script can do with sockets ----

my %sockets = (
    'IPv4' => ['socket.AF_INET, socket.SOCK_STREAM', 'fine'],
    'IPv4, TCP by its number' => ['socket.AF_INET, socket.SOCK_STREAM, 6', 'fine'],
    map { $_->[0] => [$_->[1], 'EPERM'] } (
        ['IPv6', 'socket.AF_INET6, socket.SOCK_STREAM'],
        ['Unix', 'socket.AF_UNIX, socket.SOCK_STREAM'],
        ['UDP', 'socket.AF_INET, socket.SOCK_DGRAM'],
        ['raw IP', 'socket.AF_INET, socket.SOCK_RAW, 1'],
        ['ping', 'socket.AF_INET, socket.SOCK_DGRAM, 1'],
        ['SCTP', 'socket.AF_INET, socket.SOCK_STREAM, 132'],
        ['MPTCP', 'socket.AF_INET, socket.SOCK_STREAM, 262'],
        ['SMC', '43, socket.SOCK_STREAM, 0'],
        ['netlink', 'socket.AF_NETLINK, socket.SOCK_RAW'],
        ['packet', 'socket.AF_PACKET, socket.SOCK_RAW'],
        ['vsock', '40, socket.SOCK_STREAM'],
        ['crypto', '38, socket.SOCK_SEQPACKET'],
        ['XDP', '44, socket.SOCK_RAW'],
    ));
my @kinds = sort keys %sockets;
my $answer = run_it('plenty', join "\n", map {
    "print(problem(lambda: socket.socket($sockets{$_}[0])))" } @kinds);
my @lines = split /\n/, $answer->{output};
is($lines[$_], $sockets{ $kinds[$_] }[1], "a socket: $kinds[$_]")
    for 0 .. $#kinds;

my ($abi) = `@{[ var('helper_program') ]} --check@{[ as_root() ? ' --user=65534:65534' : '' ]}`
    =~ /ABI (\d+)/;
# Landlock knows ports since ABI 4.
my $no_port = ($abi // 0) >= 4 ? qr/^EACCES$/ : qr/^ECONNREFUSED$/;

# Attempt, what comes of it.
my @attempts = (
    ['the way to the proxy', 'call()', qr/^fine$/],
    ['another port', 'call(to=("127.0.0.1", 3129))', $no_port],
    ['the proxy itself', "call(to=('127.0.0.1', $proxy->{port}))",
     $no_port],
    ['this server', "call(to=('127.0.0.1', $server->{port}))",
     $no_port],
    ['another address of loopback', 'call(to=("127.0.0.2", 3128))',
     qr/^ECONNREFUSED$/],
    ['a private address', 'call(to=("10.0.0.1", 3128))', qr/^ENETUNREACH$/],
    ['a public address', 'call(to=("192.0.2.1", 3128))', qr/^ENETUNREACH$/],
    ['link-local', 'call(to=("169.254.169.254", 3128))', qr/^ENETUNREACH$/],
    ['multicast', 'call(to=("224.0.0.1", 3128))', qr/^ENETUNREACH$/],
    ['a name', 'call(to=("example.org", 3128))', qr/^-[23]$/],
    ['this host by name', 'call(to=("localhost", 3128))', qr/^(?:fine|-[23])$/],
    ['bind', 'socket.socket().bind(("127.0.0.1", 0))', qr/^EPERM$/],
    ['listen', 'socket.socket().listen()', qr/^EPERM$/],
    ['accept', 'socket.socket().accept()', qr/^EPERM$/],
    ['getsockname', 'call().getsockname()', qr/^EPERM$/],
    ['getpeername', 'call().getpeername()', qr/^fine$/],
    ['sendmsg', 'call().sendmsg([b"x"])', qr/^EPERM$/],
    ['recvmsg', 'socket.socket().recvmsg(1)', qr/^EPERM$/],
    ['fast open', 'socket.socket().sendto(b"x", 0x20000000, ("127.0.0.1", 3128))',
     qr/^EPERM$/],
    (map { my ($name, $option, $want) = @$_;
           ["option $name", "socket.socket().setsockopt($option)", $want] } (
        ['TCP_NODELAY', '6, 1, 1', qr/^fine$/],
        ['SO_KEEPALIVE', '1, 9, 1', qr/^fine$/],
        ['TCP_KEEPIDLE', '6, 4, 60', qr/^fine$/],
        ['SO_ATTACH_FILTER', '1, 26, b"x" * 16', qr/^EPERM$/],
        ['SO_ATTACH_BPF', '1, 50, 0', qr/^EPERM$/],
        ['SO_BINDTODEVICE', '1, 25, b"lo\0"', qr/^EPERM$/],
        ['SO_REUSEPORT', '1, 15, 1', qr/^EPERM$/],
        ['SO_RCVBUF', '1, 8, 1 << 30', qr/^EPERM$/],
        ['SO_SNDBUF', '1, 7, 1 << 30', qr/^EPERM$/],
        ['SO_MARK', '1, 36, 1', qr/^EPERM$/],
        ['SO_ZEROCOPY', '1, 60, 1', qr/^EPERM$/],
        ['IP_OPTIONS', '0, 4, b""', qr/^EPERM$/],
        ['TCP_CONGESTION', '6, 13, b"reno"', qr/^EPERM$/],
        ['TCP_REPAIR', '6, 19, 1', qr/^EPERM$/],
        ['TCP_FASTOPEN_CONNECT', '6, 30, 1', qr/^EPERM$/],
        ['TCP_ULP', '6, 31, b"tls"', qr/^EPERM$/])),
    ['what TCP knows of a connection', 'call().getsockopt(6, 11, 200)',
     qr/^EPERM$/],
    ['the cookie of a socket', 'call().getsockopt(1, 57, 8)', qr/^EPERM$/],
    ['interfaces', '__import__("fcntl").ioctl(socket.socket(), 0x8912, b"\0" * 16)',
     qr/^EPERM$/],
);
$answer = run_it('plenty', join "\n", map {
    "print(problem(lambda: $_->[1]))" } @attempts);
@lines = split /\n/, $answer->{output};
is(scalar @lines, scalar @attempts, 'all attempts were made')
    or diag(json_text($answer));
like($lines[$_] // 'nothing', $attempts[$_][2], $attempts[$_][0])
    for 0 .. $#attempts;

# As it is where there is no network.
my $without = run_code('/policy-off/execute', $prelude . <<'END', @port);
print(problem(lambda: socket.socket()), problem(lambda: call(to=("example.org", 80))))
print([name for name in os.environ if 'proxy' in name.lower()], os.path.exists('/etc/ssl'))
END
is($without->{output}, "EPERM -3\n[] False\n",
   'a pool without: no socket, no name, no variable');
ok(!exists $without->{usage}{network_bytes}, '... and nothing to count');
$answer = run_it('plenty', <<'END');
print(sorted({os.environ[name] for name in os.environ if 'proxy' in name.lower()}))
END
is($answer->{output}, "['http://127.0.0.1:3128']\n", 'scripts are told the way');

# ---- the relay: what comes through, and how it is counted ----

$answer = run_it('plenty', 'print(rest(call("give 3000000")))');
is($answer->{output}, "3000000\n", 'a long answer comes whole');
is_deeply([@{ $answer->{usage} }{qw(network_connections network_bytes)}],
          [1, 3000013], '... and is told in the usage');
is($answer->{usage}{ended_by}, 'done', '... beside what ended it');
$answer = run_it('plenty', <<'END');
peer = call('take 2000000')
peer.sendall(b'y' * 2000000)
print(peer.recv(100))
END
is($answer->{output}, "b'2000000\\n'\n", 'so does a long question');
$answer = run_it('plenty', <<'END');
peer = call('echo')
peer.sendall(b'half')
peer.shutdown(socket.SHUT_WR)
print(peer.recv(100), peer.recv(100))
END
is($answer->{output}, "b'half' b''\n", 'each direction ends by itself');
$answer = run_it('plenty', <<'END');
peers = [call('echo') for _ in range(30)]
for peer in peers[:16]: peer.sendall(b'x')
print(sum(len(peer.recv(1)) for peer in peers[:16]))
peers[20].settimeout(1)
print(problem(lambda: (peers[20].sendall(b'x'), peers[20].recv(1))))
for peer in peers[:16]: peer.close()
peers[20].settimeout(20)
print(peers[20].recv(1))
for peer in peers[16:20] + peers[21:]:
    peer.sendall(b'x')
    peer.recv(1)
END
is($answer->{output}, "16\nNone\nb'x'\n",
   '16 at a time; others wait for their turn');
is($answer->{usage}{network_connections}, 30, '... and are counted when they have it');

# ---- limits ----

$answer = run_it('few', <<'END');
def one(): return rest(call('give 5'))
print([attempt(one) for _ in range(3)], attempt(one), attempt(one))
END
is($answer->{output}, "[5, 5, 5] cut cut\n", 'as many connections as allowed');
is($answer->{usage}{network_connections}, 3, '... are counted');
$answer = run_it('few', <<'END');
answers = 0
for _ in range(10000):
    peer = attempt(call)
    if peer != 'cut': answers += attempt(lambda: peer.sendall(b'give 1\n') or rest(peer)) == 1
print(answers)
END
is($answer->{output}, "3\n", '10,000 connections: no more than these')
    or diag(json_text($answer));
is($answer->{usage}{network_connections}, 3, '... come to the proxy');
$answer = run_it('plenty', <<'END');
kept = []
for _ in range(10000):
    try: kept.append(call())
    except OSError as raised: print(errno.errorcode[raised.errno]); break
END
is($answer->{output}, "EMFILE\n", 'who keeps them runs out of descriptors')
    or diag(json_text($answer));
for my $case ([989, '989', 'one byte less than allowed', 998],
              [990, '990', 'as many bytes as allowed', 999],
              [991, '991', 'the last byte', 1000], [992, 'cut', 'one more', 1000]) {
    my ($count, $want, $name, $bytes) = @$case;

    $answer = run_it('little', "print(attempt(lambda: rest(call('give $count'))))");
    is($answer->{output}, "$want\n", "$name");
    is($answer->{usage}{network_bytes}, $bytes, '... is counted');
}
$answer = run_it('little', <<'END');
peer = call('take 10000000')
def send(): peer.sendall(b'x' * 10000000); return rest(peer)
print(attempt(send), problem(lambda: call()))
END
like($answer->{output}, qr/^cut (?:ECONNREFUSED)$/,
     'the same counts for what is sent, and then for new connections');
is($answer->{usage}{network_bytes}, 1000, '... to the byte');

# ---- proxies that do not behave ----

my $took = seconds(sub { $answer = run_it('short', 'print(rest(call("still")))') });
is($answer->{usage}{ended_by}, 'time', 'a silent proxy: the time limit');
$answer = run_it('short', 'print(rest(call("drip 1000")))');
is($answer->{usage}{ended_by}, 'time', 'a slow one: the same');
$answer = run_it('short', <<'END');
peers = [call('pour') for _ in range(4)]
while True:
    for peer in peers: peer.recv(65536)
END
like($answer->{usage}{ended_by}, qr/^(?:time|cpu)$/, 'an endless answer: the same');
cmp_ok($answer->{usage}{network_bytes}, '>', 1000000, '... which was relayed');
$answer = run_it('short', <<'END');
peer = call('pour')
time.sleep(10)
END
is($answer->{usage}{ended_by}, 'time', 'an endless answer that nobody reads');
cmp_ok($answer->{usage}{network_bytes}, '<', 1000000, '... is not taken in');
$answer = run_it('short', <<'END');
peer = call('still')
peer.settimeout(None)
while True: peer.send(b'x' * 65536)
END
is($answer->{usage}{ended_by}, 'time', 'questions that nobody reads');
cmp_ok($answer->{usage}{network_bytes}, '<', 16_000_000, '... wait, too');
$answer = run_it('plenty', <<'END');
kept = [call('still') for _ in range(16)] + [call()]
kept[16].setblocking(False)
count = 0
for _ in range(10):
    try:
        while True: count += kept[16].send(b'x' * 65536)
    except BlockingIOError: time.sleep(0.03)
print(count < 600000 or count)
END
is($answer->{output}, "True\n", '... and bind little of the memory that nothing counts')
    or diag(json_text($answer));
ok(wait_for(sub { !proxy_children($proxy) }, 10),
   'no connection outlives its run');
$answer = run_it('dead', 'print(attempt(lambda: rest(call("give 1"))))');
is($answer->{output}, "cut\n", 'a proxy that is not there');
like(error_log($server), qr/PYX0390: pool "dead": .* proxy 127\.0\.0\.1:$closed: Connection refused/,
     '... is told');

# Single bytes, of which each is four turns of the loop that serves everybody.
$answer = run_it('plenty', <<'END');
peer = call('echo')
peer.setsockopt(6, 1, 1)
end = time.monotonic() + 1
count = 0
while time.monotonic() < end: peer.sendall(b'x'); peer.recv(1); count += 1
print(0 < count < 1600 or count)
END
is($answer->{output}, "True\n", 'byte by byte: a bounded share of the keeper');

# ---- one run and the next ----

$answer = run_it('plenty', <<'END');
peer = call('take 5')
os.kill(os.getpid(), 9)
END
is_deeply([@{ $answer->{usage} }{qw(ended_by network_connections)}], ['signal', 1], 'a run that dies had a connection');
ok(wait_for(sub { !proxy_children($proxy) }, 10), '... and takes it along');
for my $try (1 .. 3) {
    $answer = run_it('plenty', 'call("give 1"); print(rest(call("give 7")))');
    is($answer->{output}, "7\n", 'the next one has a network of its own');
    is($answer->{usage}{network_connections}, 2, '... and its own account');
}

$answer = run_it('plenty', 'call("still"); os.abort()');
is_deeply([@{ $answer->{usage} }{qw(ended_by network_connections)}], ['signal', 1], 'a crash with a connection');
ok(wait_for(sub { !proxy_children($proxy) }, 10), '... which is gone, too');

# A client that leaves, and a zygote that dies.
my $socket = started($server->{port}, $prelude . 'call("still"); time.sleep(60)',
                     '/n/plenty');
ok(wait_for(sub { proxy_children($proxy) == 1 }, 15), 'a run with a connection goes on');
close $socket;
ok(wait_for(sub { !proxy_children($proxy) }, 10),
   '... its client leaves, and the connection is gone');
$socket = started($server->{port}, $prelude . 'call("still"); time.sleep(60)',
                  '/n/plenty');
ok(wait_for(sub { proxy_children($proxy) == 1 }, 15), 'another one');
kill 'KILL', zygotes($server->{pid});
ok(wait_for(sub { !proxy_children($proxy) }, 10), '... the same when zygotes die');
close $socket;

# What the keeper holds is the same after many connections: when another job
# stands by instead of the one that was taken, and nothing has changed for a
# second.
sub quiet
{
    my ($pool) = @_;
    my ($last, $since) = (run_it($pool, 'print(1)') && descriptors(), time);

    wait_for(sub {
        my $now = descriptors();

        $since = time if $now != $last;
        $last = $now;
        return time - $since >= 1;
    }, 30);
    return $last;
}
run_it($_, 'print(1)') for @pools;
my $before = as_root() && quiet('plenty');
run_it($_, 'for _ in range(50): attempt(lambda: rest(call("give 100")))') for @pools;
SKIP: {
    # They are closed to their own user.
    skip 'only root may count the descriptors of the keeper', 1 unless as_root();
    is(quiet('plenty'), $before, 'the keeper holds as many descriptors as before');
}
my $told = metrics($server->{port});
cmp_ok($told->{ series('pyexec_network_connections_total', pool => 'plenty') }, '>', 50,
       'the metrics tell connections');
cmp_ok($told->{ series('pyexec_network_bytes_total', pool => 'plenty') }, '>', 3_000_000,
       '... and bytes');

# ---- processes with a network ----

$server->{stop}->();
$server = own_server(<<"END");
PyExecPreload none
PyExecConcurrency 2
PyExecProcesses 4
PyExecNetwork proxy=127.0.0.1:$proxy->{port}
<Location "/n/tree">
    SetHandler pyexec
    PyExecEngine On
    PyExecPolicy Off
    PyExecDialect code
    PyExecTimeout 30s
</Location>
END
@port = (port => $server->{port});
$answer = run_it('tree', <<'END');
import subprocess
pid = os.fork()
if pid == 0:
    print(rest(call('give 5')), flush=True)
    os._exit(0)
os.waitpid(pid, 0)
print(subprocess.run([sys.executable, '-c', '''
import socket
peer = socket.create_connection(('127.0.0.1', 3128), 20)
peer.sendall(b'give 6\\n')
print(len(peer.recv(100)))
try: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
except OSError as raised: print(raised.errno)
'''], capture_output=True, text=True).stdout)
if os.fork() == 0:
    call('still')
    time.sleep(60)
END
is($answer->{output}, "5\n6\n1\n\n", 'processes and programs share the way of their run')
    or diag(json_text($answer));
cmp_ok($answer->{usage}{network_connections}, '>=', 2, '... and its account');
ok(wait_for(sub { !proxy_children($proxy) }, 10), '... and its end');
$server->{stop}->();

# ---- what the kernel may lack ----

my $place = <<"END";
PyExecPreload none
PyExecNetwork proxy=127.0.0.1:$proxy->{port}
END
$server = own_server("PyExecIsolation restricted\n$place", hide => ['netns'],
                     health => 503);
is(run_code('/policy-off/execute', 'print(1)', port => $server->{port})->{status},
   503, 'no network namespaces: nothing runs, whatever PyExecIsolation accepts');
like(error_log($server),
     qr/PYX0392: pool .* "PyExecNetwork proxy=127\.0\.0\.1:$proxy->{port}" needs it/,
     '... and it is told why');
$server->{stop}->();
$server = own_server($place, hide => ['inet'], health => 503);
is(run_code('/policy-off/execute', 'print(1)', port => $server->{port})->{status},
   503, 'no sockets of IPv4, as in a service that is confined: nothing runs');
like(error_log($server),
     qr/PYX0450: .*PyExecNetwork.*RestrictAddressFamilies=.*Address family not supported/,
     '... and the line says which setting');
$server->{stop}->();
SKIP: {
    skip 'this kernel has no rules for ports to hide', 3 if ($abi // 0) < 4;
    $server = own_server("${place}PyExecTimeout 60\n", hide => ['landlock-abi=2']);
    @port = (port => $server->{port});
    $answer = run_code('/policy-off/execute', $prelude . <<"END", @port);
print(rest(call('give 5')), problem(lambda: call(to=('127.0.0.1', 3129))),
      problem(lambda: call(to=('127.0.0.1', $server->{port}))))
END
    is($answer->{output}, "5 ECONNREFUSED ECONNREFUSED\n",
       'Landlock without rules for ports: the namespace holds by itself');
    like(error_log($server), qr/PYX0364/, '... and the zygote serves');
    # The kernel gives this connection both its ends: nothing of ours bounds it.
    $answer = run_code('/policy-off/execute', <<'END', @port);
import socket, time
end = time.monotonic() + 40
while time.monotonic() < end:
    own = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        own.connect(('127.0.0.1', 40000))
        break
    except OSError:
        own.close()
else:
    raise SystemExit('never met itself')
full = time.monotonic() + 0.2
room = bytearray(1 << 20)
while time.monotonic() < full:
    own.send(bytes(4096))
    own.recv_into(room)
own.setblocking(False)
sent = 0
try:
    while sent < 1 << 24:
        sent += own.send(bytes(1 << 16))
except BlockingIOError:
    pass
print('less than 256 KiB' if sent < 1 << 18 else sent)
END
    is($answer->{output}, "less than 256 KiB\n", '... and what a connection to itself holds is bounded')
        or diag(json_text($answer));
    $server->{stop}->();
}
proxy_stop($proxy);

done_testing();
