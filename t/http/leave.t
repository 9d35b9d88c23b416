# SPDX-License-Identifier: Apache-2.0
# A client that leaves takes its run along, however it was connected; a slow
# one holds no place that a run could have.
use strict;
use warnings FATAL => 'all';
use File::Temp ();
use IO::Handle ();
use IO::Socket::INET ();
use IPC::Open2 qw(open2);
use PyExec::Load;
use PyExec::Test;
use Test::More;
use Time::HiRes qw(sleep time);

my $certificates = File::Temp->newdir('pyxXXXXX', DIR => '/tmp');
my $tls_port = PyExec::Test::free_port();
my $server;
my $slack = 3;
# With prefork mod_http2 offers nothing in TLS's handshake (AH10034), but serves
# who begins with HTTP/2.
my @http2_over_tls = mpm() eq 'prefork' ? () : (
    ['HTTP/2 over TLS, disconnected', 'h2', 'close'],
    ['HTTP/2 over TLS, stream reset', 'h2', 'reset'],
);

make_certificate();
$server = own_server(<<"END");
PyExecConcurrency 1
RequestReadTimeout header=60 body=60
LoadModule ssl_module "@{[ httpd_module('ssl') ]}"
LoadModule http2_module "@{[ httpd_module('http2') ]}"
Protocols h2 h2c http/1.1
H2Direct on
Listen 127.0.0.1:$tls_port https
<VirtualHost 127.0.0.1:$tls_port>
    ServerName 127.0.0.1
    SSLEngine On
    SSLCertificateFile "$certificates/cert.pem"
    SSLCertificateKeyFile "$certificates/key.pem"
</VirtualHost>
END

for my $case (
    ['HTTP/1.1, closed', 'http', 'close'],
    ['HTTP/1.1, reset', 'http', 'abort'],
    ['TLS, closed', 'tls', 'close'],
    ['TLS, reset', 'tls', 'abort'],
    ['HTTP/2, disconnected', 'h2c', 'close'],
    ['HTTP/2, stream reset', 'h2c', 'reset'],
    @http2_over_tls,
) {
    leaves(@$case);
}
slow_reader();
slow_sender();
$server->{stop}->();
done_testing();

sub make_certificate
{
    system("openssl req -x509 -newkey rsa:2048 -nodes -days 2"
        . " -subj /CN=127.0.0.1 -keyout $certificates/key.pem"
        . " -out $certificates/cert.pem 2>/dev/null") == 0
        or die 'openssl makes no certificate';
    return;
}

sub is_well
{
    return run_code('/execute', 'print(6 * 7)', port => $server->{port})
        ->{output} eq "42\n";
}

# t/lib/leave.py sends the request, waits for a line, and leaves.
sub leaves
{
    my ($name, $protocol, $how) = @_;
    my $port = $protocol =~ /^(?:tls|h2)$/ ? $tls_port : $server->{port};
    my $pid = open2(my $out, my $in, '/usr/bin/python3', '-B',
        var('t_dir') . '/lib/leave.py', $port, $protocol, $how);
    my $job = spinning_job($server->{pid});
    my $took;

    ok($job, "$name: a run is going on");
    print $in "now\n";
    $in->flush;
    $took = seconds(sub { wait_for(sub { !$job || !is_alive($job) }, 5) });
    cmp_ok($took, '<', $slack, "$name: the run is over at once");
    note("$name: $took s");
    close $in;
    waitpid $pid, 0;
    is($?, 0, "$name: the client did what it should");
    ok(is_well(), "$name: the next run works");
    return;
}

# It asked for its answer and does not take it.
sub slow_reader
{
    my $socket = IO::Socket::INET->new(Proto => 'tcp') or die;
    my $source = "print('x' * 1_000_000)";
    my $body = json_text({ code => $source });
    my ($byte, $health);

    setsockopt $socket, Socket::SOL_SOCKET(), Socket::SO_RCVBUF(),
        pack 'i', 2048;
    connect $socket, Socket::pack_sockaddr_in($server->{port},
                                              Socket::inet_aton('127.0.0.1'))
        or die "connect: $!";
    $socket->autoflush(1);
    print $socket "POST /policy-off/execute HTTP/1.1\r\nHost: x\r\n"
        . "Content-Type: application/json\r\nConnection: close\r\n"
        . 'Content-Length: ' . length($body) . "\r\n\r\n$body";
    for (1 .. 5) {
        is(sysread($socket, $byte, 1), 1, 'slow reader: another byte');
        ok(is_well(), 'slow reader: its place is free');
    }
    $health = request('GET', '/health', port => $server->{port})->{json};
    is($health->{running}, 0, 'slow reader: its run is over');
    $source = 5;
    while (my $got = sysread $socket, $byte, 65536) {
        $source += $got;
    }
    cmp_ok($source, '>', 1_000_000, 'slow reader: it gets all of it');
    return;
}

sub slow_sender
{
    my $socket = raw_open(port => $server->{port});
    my $body = json_text({ code => "print('slow')" });
    my $answer;

    print $socket "POST /policy-off/execute HTTP/1.1\r\nHost: x\r\n"
        . "Content-Type: application/json\r\nConnection: close\r\n"
        . 'Content-Length: ' . length($body) . "\r\n\r\n";
    for my $byte (split //, $body) {
        print $socket $byte;
        ok(is_well(), 'slow sender: the place is free') if $byte eq '"';
    }
    $answer = raw_answer($socket, 10);
    is($answer && $answer->{json}{output}, "slow\n",
       'slow sender: it gets its answer');
    return;
}
