# SPDX-License-Identifier: Apache-2.0
# What conf/egress.conf, an httpd's forward proxy, lets scripts reach: the hosts
# and ports of its list and nothing else, whatever is asked for and how. Host
# names, ports and addresses are the test's, all else is the file's.
use strict;
use warnings FATAL => 'all';
use File::Temp ();
use IO::Socket::INET ();
use PyExec::Egress;
use PyExec::Test;
use Test::More;

my $keys = File::Temp->newdir('pyxXXXXX', DIR => '/tmp');
my ($files, $secret, $tls, $out, $strict, $main) =
    map { PyExec::Test::free_port() } 1 .. 6;

sub slurp_file
{
    open my $in, '<', $_[0] or die "$_[0]: $!";
    local $/ = undef;
    return scalar <$in>;
}

# A name that is allowed, and is a host of loopback: what a name in the hands
# of somebody else could come to at any time. Allowed as an address, it works.
sub proxy
{
    my ($port, $addresses, $log) = @_;

    return egress_proxy(port => $port, tls => $tls, files => $files,
                        more => ["other.invalid:$tls"],
                        addresses => $addresses, log => $log);
}

chmod 0711, $keys or die;
egress_certificate($keys, 'localhost');
mkdir "$keys/www" or die;
chmod 0755, "$keys/www" or die;
for my $name ('hello', 'key') {
    chmod 0644, "$keys/$name" if -e "$keys/$name";
}
open my $hello, '>', "$keys/www/hello" or die;
print $hello "hello\n";
close $hello or die;
chmod 0644, "$keys/www/hello" or die;

my $load = egress_modules();
my $server = own_server(<<"END" . proxy($out, '127.0.0.1', 'egress_log') . proxy($strict, 'public', 'strict_log'));
$load
PyExecConcurrency 2
CustomLog runs_log "%{pyexec-run}n %U"
PyExecPreload requests urllib.request

# Whom scripts may ask: files on loopback. Another port, another secret.
<Macro PyExecFiles \$port>
    Listen 127.0.0.1:\$port
    <VirtualHost 127.0.0.1:\$port>
        ServerName localhost:\$port
        DocumentRoot "$keys/www"
        <Directory "$keys/www">
            Require all granted
        </Directory>
        Header always set X-Asked "expr=%{HTTP_HOST}"
        CustomLog asked_\$port "%r|%{Host}i|%{X-Smuggled}i"
        Redirect "/away" "http://localhost:$secret/hello"
        Redirect "/home" "http://localhost:$files/hello"
    </VirtualHost>
</Macro>
Use PyExecFiles $files
Use PyExecFiles $secret
Listen 127.0.0.1:$tls
<VirtualHost 127.0.0.1:$tls>
    ServerName localhost
    DocumentRoot "$keys/www"
    <Directory "$keys/www">
        Require all granted
    </Directory>
    SSLEngine On
    SSLCertificateFile "$keys/cert"
    SSLCertificateKeyFile "$keys/key"
</VirtualHost>

# What the rest of the server has must not come through the proxy's port.
<Location "/server-status">
    SetHandler server-status
    Require local
</Location>
ProxyPass "/inner" "http://127.0.0.1:$secret/"

<Macro PyExecWay \$name \$port>
    <PyExecPool \$name>
        PyExecNetwork proxy=127.0.0.1:\$port
    </PyExecPool>
    <Location "/way/\$name">
        SetHandler pyexec
        PyExecEngine On
        PyExecDialect code
        PyExecTimeout 30s
        PyExecPool \$name
    </Location>
    <Location "/raw/\$name">
        SetHandler pyexec
        PyExecEngine On
        PyExecPolicy Off
        PyExecDialect code
        PyExecTimeout 30s
        PyExecPool \$name
    </Location>
</Macro>
Use PyExecWay allowed $out
Use PyExecWay strict $strict
END
my @port = (port => $server->{port});

sub own_log { return -e "$server->{dir}/$_[0]" ? slurp_file("$server->{dir}/$_[0]") : '' }

# ---- as a script would ----

my $answer = run_code('/way/allowed', <<"END", @port);
import requests
answer = requests.get('http://localhost:$files/hello')
print(answer.status_code, answer.text.strip())
END
is($answer->{output}, "200 hello\n", 'requests reaches a host of the list')
    or diag(json_text($answer), error_log($server));
is($answer->{usage}{network_connections}, 1, '... in one connection');
cmp_ok($answer->{usage}{network_bytes}, '>', 100, '... whose bytes are told');
# The proxy's log has the port, ours the port and the run, the access log the run.
my ($run, $from);
wait_for(sub {
    ($run) = own_log('runs_log') =~ m{^([0-9a-f]{32}) /way/allowed$}m;
    ($from) = own_log('egress_log')
        =~ m{ 127\.0\.0\.1:(\d+) "GET http://localhost:$files/hello };
    defined $run && defined $from;
}, 10);
like(error_log($server), qr/PYX0621: pool "allowed": run \Q$run\E: connected to the proxy from port $from$/m,
     '... and the logs tell which run it was');
my $cert = slurp_file("$keys/cert");
$answer = run_code('/raw/allowed', <<"END", @port);
import ssl, urllib.request
trust = ssl.create_default_context(cadata='''$cert''')
def ask(url):
    try: return urllib.request.urlopen(url, context=trust).read()
    except OSError as problem: return problem
print(ask('https://localhost:$tls/hello'))
print(ask('https://other.invalid:$tls/hello'))
END
like($answer->{output}, qr/^b'hello\\n'\n.*(?:502|503|500)/,
     'urllib and TLS; a name that nobody has is the proxy\'s failure')
    or diag(json_text($answer), error_log($server));
$answer = run_code('/raw/allowed', <<'END', @port);
import os, requests, ssl
print(os.environ['SSL_CERT_FILE'] == requests.certs.where() or requests.certs.where(),
      len(ssl.create_default_context().get_ca_certs()) > 50)
END
is($answer->{output}, "True True\n", 'certificates that the machine believes are there');
$answer = run_code('/way/allowed', <<"END", @port);
import requests
for url in ['http://localhost:$secret/hello', 'http://localhost:$files/away',
            'http://localhost:$files/home', 'http://127.0.0.1:$files/hello']:
    answer = requests.get(url)
    print(answer.status_code, len(answer.history))
END
is($answer->{output}, "403 0\n403 1\n200 1\n403 0\n",
   'no other port, nor by a redirect, which may go to what is allowed');
$answer = run_code('/way/allowed', 'import socket', @port);
like(json_text($answer), qr/Disallowed import: socket/,
     'the policy is what it was: requests yes, socket no');
is(run_code('/policy-off/execute', <<"END", @port)->{output}, "no\n", 'no network in other pools');
import requests
try: print(requests.get('http://localhost:$files/hello'))
except requests.ConnectionError: print('no')
END

# ---- what is asked for, and how ----

# The answers' statuses to what is written to the proxy, each on a connection of
# its own; 0: none.
sub statuses
{
    my ($way, @requests) = @_;

    return map { some_statuses($way, splice @requests, 0, 50) }
        0 .. @requests / 50;
}

sub some_statuses
{
    my ($way, @requests) = @_;
    my $list = json_text(\@requests);
    my $answer = run_code("/raw/$way", <<"END", @port);
import json, re, socket
for text in json.loads(r'''$list'''):
    peer = socket.create_connection(('127.0.0.1', 3128), 20)
    peer.sendall(text.encode('latin-1'))
    peer.shutdown(socket.SHUT_WR)
    got = b''
    while True:
        try: more = peer.recv(65536)
        except ConnectionError: break
        if not more: break
        got += more
    print(*[int(status) for status in re.findall(rb'HTTP/1[.][01] ([0-9]{3}) ', got)] or [0])
    peer.close()
END
    my @got = split /\n/, $answer->{output} // '';

    diag(json_text($answer)) if @got != @requests;
    return @got;
}

sub get { return "GET $_[0] HTTP/1.1\r\nHost: " . ($_[1] // "localhost:$files") . "\r\nConnection: close\r\n\r\n" }
sub tunnel { return "CONNECT $_[0] HTTP/1.1\r\nHost: $_[0]\r\n\r\n" }

my $allowed = "http://localhost:$files";
my @cases = (
    # what works, for comparison
    ['an allowed page', get("$allowed/hello"), 200],
    ['an allowed tunnel', tunnel("localhost:$tls"), 200],

    # other hosts and ports
    ['another port', get("http://localhost:$secret/hello"), 403],
    ['no port', get('http://localhost/hello'), 403],
    ['a longer port', get("http://localhost:${files}0/hello"), 403],
    ['a longer name', get("http://localhost.invalid:$files/hello"), 403],
    ['a name before it', get("http://x.localhost:$files/hello"), 403],
    ['another scheme', get("ftp://localhost:$files/hello"), 403],
    ['https in plain', get("https://localhost:$tls/hello"), 403],
    ['a tunnel to another port', tunnel("localhost:$secret"), 403],
    ['a tunnel to the port of plain HTTP', tunnel("localhost:$files"), 403],
    ['a tunnel to ssh', tunnel('localhost:22'), 403],
    ['a tunnel to another host', tunnel("example.org:$tls"), 403],
    ['a tunnel without a port', tunnel('localhost'), 400],
    ['a tunnel to this proxy', tunnel("127.0.0.1:$out"), 403],

    # spellings of an address, and of a name
    (map { my $host = $_;
           (["page: $host", get("http://$host:$files/hello"), '400|403'],
            ["tunnel: $host", tunnel("$host:$tls"), '400|403']) }
     qw(127.0.0.1 2130706433 0x7f000001 0x7f.1 0177.0.0.1 127.1 127.0.0.2
        0.0.0.0 [::1] [::ffff:127.0.0.1] [0:0:0:0:0:ffff:7f00:1] [::]
        localhost. LOCALHOST LocalHost localhost%00 localhost%2e)),
    ['a user before it', get("http://localhost:$files\@127.0.0.1:$secret/hello"), '400|403'],
    ['the name as a user', get("http://localhost\@127.0.0.1:$secret/hello"), '400|403'],
    ['a slash the other way', get("http://localhost:$files\\\@127.0.0.1:$secret/"), '400|403'],
    ['a query in the way', get("http://127.0.0.1:$secret?http://localhost:$files/"), '400|403'],
    ['a fragment in the way', get("http://127.0.0.1:$secret#$allowed/"), '400|403'],
    ['an anchor of a tunnel', tunnel("localhost:$tls\@127.0.0.1:$tls"), '400|403'],
    ['a path of a tunnel', tunnel("localhost:$tls/../127.0.0.1:$tls"), '400|403'],
    ['a blank in the name', get("http://localhost :$files/hello"), '400|403'],

    # the proxy is no server
    ['its own page', get('/hello'), 403],
    ['a page of the server', get('/server-status'), 403],
    ['a place that runs code', get('/health'), 403],
    ['what the server passes on', get('/inner/hello'), 403],
    ['with a double slash', get('//server-status'), 403],
    ['by an allowed name', get('/server-status', "localhost:$out"), 403],
    ['all of it', "OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", '403|400|200'],
    ['a trace', "TRACE $allowed/hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", '405|403|200'],

    # requests within requests
    ['two Host headers', "GET $allowed/hello HTTP/1.1\r\nHost: localhost:$files\r\n"
     . "Host: localhost:$secret\r\nConnection: close\r\n\r\n", '400|200'],
    ['another Host header', get("$allowed/hello", "localhost:$secret"), 200],
    ['a second request', get("$allowed/hello") =~ s/close/keep-alive/r
     . get("http://localhost:$secret/hello"), '200 403'],
    ['a length and chunks', "POST $allowed/hello HTTP/1.1\r\nHost: localhost:$files\r\n"
     . "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
     . get("http://localhost:$secret/hello"), '4\d\d|200(?: 403)?'],
    ['chunks of two kinds', "POST $allowed/hello HTTP/1.1\r\nHost: localhost:$files\r\n"
     . "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n"
     . get("http://localhost:$secret/hello"), '400|501|\d+ 403'],
    ['a bad chunk', "POST $allowed/hello HTTP/1.1\r\nHost: localhost:$files\r\n"
     . "Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n" . get("http://localhost:$secret/hello"),
     '4\d\d|\d+ 403'],
    ['a line end in the path', get("$allowed/hello\r\nX-Smuggled: 1\r\nX: "), '400|403|0'],
    ['a bare line feed', "GET $allowed/hello HTTP/1.1\nHost: localhost:$files\nX-Smuggled: 1\n\n", '400|0|408'],
    ['a folded header', "GET $allowed/hello HTTP/1.1\r\nHost: localhost:$files\r\n"
     . " X-Smuggled: 1\r\nConnection: close\r\n\r\n", '400|200'],
    ['an encoded line end', get("$allowed/%0d%0aX-Smuggled:%201/hello"), '404|400'],
    ['HTTP/0.9', "GET $allowed/hello\r\n", '400|0'],
    ['an upgrade', "GET $allowed/hello HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\n"
     . "HTTP2-Settings: AAMAAABkAAQAAP__\r\nConnection: Upgrade, HTTP2-Settings, close\r\n\r\n", '200|400'],
);
my @got = statuses('allowed', map { $_->[1] } @cases);
like($got[$_] // 'nothing', qr/^(?:$cases[$_][2])$/, $cases[$_][0]) for 0 .. $#cases;

# Of each request there is a line when it is over for httpd, too, which may be
# after its answer.
my @asked;
ok(wait_for(sub { (@asked = split /\n/, own_log("asked_$files")) > 3 }, 10),
   'the host of the list was asked');
is_deeply([grep { !/\|localhost:$files\|-$/ } @asked], [],
          '... by its own name, and nothing was smuggled');
is(own_log("asked_$secret"), '', 'the other one was not, by nobody');
my @log;
ok(wait_for(sub { (@log = split /\n/, own_log('egress_log')) > @cases - 5 }, 10),
   'the proxy has logged what was asked of it');
ok((grep { /"CONNECT localhost:22 HTTP\/1\.1" 403 / } @log), '... with what became of it');

# ---- where a name leads to ----

is_deeply([statuses('strict', get("$allowed/hello?strict"), tunnel("localhost:$tls"))],
          [403, 500], 'a name of the list that comes to loopback: refused');
is_deeply([statuses('allowed', get("$allowed/hello?allowed"))], [200],
          '... which the other proxy lets through');
ok(wait_for(sub { own_log("asked_$files") =~ /\?allowed / }, 10), '... and asks');
is_deeply([grep { /\?strict/ || !/\|localhost:$files\|-$/ } split /\n/, own_log("asked_$files")], [],
          '... and nothing was sent there');
like(error_log($server), qr/PYX0218: a connection of mod_proxy to 127\.0\.0\.1:$files was refused: it is none of "PyExecEgress public"/,
     '... and it is told');

# ---- many at a time ----

$answer = run_code('/raw/allowed', <<"END", @port);
import requests, concurrent.futures
def ask(number):
    try: return requests.get('http://localhost:$files/hello', timeout=20).status_code
    except requests.RequestException: return 0
with concurrent.futures.ThreadPoolExecutor(20) as pool:
    got = list(pool.map(ask, range(100)))
print(got.count(200), got.count(0))
END
is($answer->{output}, "64 36\n", '64 connections and no more, as is the default');
$server->{stop}->();

done_testing();
