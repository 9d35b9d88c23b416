# SPDX-License-Identifier: Apache-2.0
# Scripts behind links (PyExecLinks) that a hostile server answers for, or a
# hostile proxy: each answer byte by byte, and what the run makes of it. What an
# honest proxy lets through: t/http/links.t.
use strict;
use warnings FATAL => 'all';
use File::Temp ();
use PyExec::Proxy;
use PyExec::Test;
use Test::More;
use Time::HiRes qw(sleep time);

once_only();

my $top = File::Temp->newdir('pyxXXXXX', DIR => '/tmp');
my $log = "$top/asked";
my $ok = "print('fetched')\n";
my %answers;

# ---- the server ----

sub asked
{
    open my $in, '<', $log or return;
    return map { s/\n//r } <$in>;
}

sub forget { unlink $log; return }

sub record
{
    open my $out, '>>', $log or die;
    syswrite $out, "$_[0]\n";
    close $out or die;
    return;
}

sub say_all
{
    my ($peer, $bytes) = @_;

    while (length $bytes) {
        my $put = syswrite $peer, $bytes or return 0;

        substr $bytes, 0, $put, '';
    }
    return 1;
}

# Answers what the path of the request stands for.
sub serve
{
    my ($peer) = @_;
    my $head = '';

    until ($head =~ /\r\n\r\n/) {
        sysread $peer, $head, 4096, length $head or return;
    }
    record($head =~ /^(.*)\r\n/);
    my ($path) = $head =~ m{^\S+ (?:http://[^/]*)?(\S+)};
    my $answer = $answers{$path};

    return say_all($peer, "HTTP/1.1 599 x\r\n\r\n") if !defined $answer;
    return ref $answer ? $answer->($peer, $head) : say_all($peer, $answer);
}

sub still { sysread $_[0], my $bytes, 1; return }

sub drip
{
    my ($bytes, $rest) = @_;

    return sub {
        say_all($_[0], $bytes);
        while (say_all($_[0], $rest)) { sleep 0.05 }
    };
}

sub pour
{
    my ($bytes, $rest) = @_;

    return sub {
        my $much = $rest x (1 + 65536 / length $rest);

        say_all($_[0], $bytes);
        while (say_all($_[0], $much)) { }
    };
}

sub page
{
    my ($body, @headers) = @_;

    return join "\r\n", 'HTTP/1.1 200 OK', @headers, '', $body;
}

sub sized { my ($body, @headers) = @_; return page($body, 'Content-Length: ' . length $body, @headers) }
sub chunked { return page($_[0], 'Transfer-Encoding: chunked') }
sub away { return "HTTP/1.1 302 Found\r\nLocation: $_[0]\r\nContent-Length: 0\r\n\r\n" }

my $malformed = qr{^The script was not fetched from example\.org: its answer is malformed};
my $early = qr/the proxy does not answer, or the connection was ended early\.$/;
my $late = qr{^The script was not fetched from example\.org: that took longer than 1 s\.$};
my $big = qr{: the script has more than 2000 bytes\.$};

# name, answer, and 1: it is the script; else what the 400 says.
my @cases = (
    ['a length', sized($ok), 1],
    ['no length', page($ok), 1],
    ['no type, but a name', page($ok, 'Content-Type:'), 1],
    (map { ["the type $_", sized($ok, "Content-Type: $_"), 1] }
     'text/plain', 'TEXT/X-Python; charset="utf-8"', 'application/octet-stream',
     'application/x-python-code', 'text/plain;'),
    (map { ["the type $_", sized($ok, "Content-Type: $_"), qr/: it is no script but of the type \Q$_\E\.$/] }
     'text/html', 'image/png', 'application/json', 'application/gzip', 'multipart/mixed'),
    ['the type TEXT/HTML; x', sized($ok, 'Content-Type: TEXT/HTML; x'), qr{of the type text/html\.$}],
    (map { ["a malformed type: $_", sized($ok, "Content-Type: $_"), $malformed] }
     'text', "text/\e[31mred", 'text/plain, text/html', "\xff/x", 'text/' . 'x' x 1000),
    ['two types', sized($ok, 'Content-Type: text/plain', 'Content-Type: text/html'), $malformed],
    ['chunks', chunked("8\r\nprint('f\r\n9;x=\"y\"\r\netched')\n\r\n0\r\nX: y\r\n\r\n"), 1],
    ['chunks without an end', chunked("A\r\nprint('fet\r\n"), $malformed],
    ['a chunk that is cut off', chunked("FF\r\nprint('fet"), qr/ended early/],
    ['a length that is more', page($ok, 'Content-Length: 100'), qr/ended early/],
    ['a length that is less', page($ok . "import ctypes\n", 'Content-Length: 17'), 1],
    ['nothing', sized(''), 2],
    ['identity', sized($ok, 'Content-Encoding: Identity'), 1],
    (map { ["compressed: $_", sized("\x1f\x8b" . "\0" x 100, "Content-Encoding: $_"),
            qr/: its answer is compressed\.$/] } 'gzip', 'br', 'x-gzip', 'identity, gzip', '*'),
    ['compressed twice', sized($ok, 'Content-Encoding: identity', 'Content-Encoding: gzip'),
     qr/compressed/],
    ['a byte order mark', sized("\xef\xbb\xbf$ok"), 1],
    ['two of them', sized("\xef\xbb\xbf\xef\xbb\xbf$ok"), 3],
    ['line ends of Windows', sized("print('fetched')\r\n"), 1],
    ['a cookie of another encoding', sized("# coding: latin-1\n$ok"), 1],
    (map { ["not UTF-8: $_->[0]", sized($_->[1]), qr/: the script is not UTF-8\.$/] }
     ['Latin-1', "# \xe4\n$ok"], ['UTF-16', "\xff\xfep\0"], ['overlong', "# \xc0\xaf"],
     ['a surrogate', "# \xed\xa0\x80"], ['cut off', "# \xf0\x9f"]),
    ['NUL', sized("$ok\0"), qr/: the script has a NUL character\.$/],

    # sizes
    ['as large as may be', sized($ok . '#' x (2000 - length $ok)), 1],
    ['the same, without a length', page($ok . '#' x (2000 - length $ok)), 1],
    ['the same, of one chunk', chunked("7D0\r\n$ok" . '#' x (2000 - length $ok) . "\r\n0\r\n\r\n"), 1],
    ['larger', sized('#' x 2001), $big],
    ['larger, as the length says alone', page('', 'Content-Length: 2001'), $big],
    ['much larger', page('', 'Content-Length: 1000000000000'), $big],
    ['larger, without a length', page('#' x 2001), $big],
    ['larger, of one chunk', chunked("7d1\r\n"), $big],
    ['larger, of many', chunked("1\r\n#\r\n" x 2001), $big],
    ['without end', pour(page(''), '#'), $big],
    ['chunks without end', pour(chunked(''), "1\r\n#\r\n"), $big],

    # lies about the length
    (map { ["the length '$_'", page($ok, "Content-Length: $_"), $malformed] }
     '-1', '+17', '17, 17', '0x11', '1_7', '1e1', '', '9' x 19, "\xb2"),
    ['two lengths', page($ok, 'Content-Length: 17', 'Content-Length: 17'), $malformed],
    ['a length and chunks', page("11\r\n$ok\r\n0\r\n\r\n", 'Content-Length: 17', 'Transfer-Encoding: chunked'),
     $malformed],
    (map { ["the transfer coding '$_'", page("11\r\n$ok\r\n0\r\n\r\n", "Transfer-Encoding: $_"), $malformed] }
     'gzip, chunked', 'chunked, chunked', 'identity', 'xchunked', ''),
    (map { ["the chunk size '" . s/[^ -~]/?/gr . "'", chunked("$_$ok\r\n0\r\n\r\n"), $malformed] }
     "-1\r\n", "0x11\r\n", "\r\n", " 11\r\n", "11\n", "11\r", "g\r\n", '1' x 9 . "\r\n", "1_1\r\n",
     '11;' . 'x' x 300 . "\r\n", "11;\0\r\n"),
    ['a chunk without its end', chunked("10\r\n$ok\r\n0\r\n\r\n"), $malformed],

    # heads
    ['silence', \&still, $late],
    ['nothing at all', '', $early],
    ['another protocol', "SSH-2.0-OpenSSH_9\r\n", $malformed],
    ['no HTTP', "\0\1\2\3\n", $malformed],
    ['HTTP/0.9', $ok, $malformed],
    ['HTTP/2', "HTTP/2 200 OK\r\n\r\n$ok", $malformed],
    ['a status of two digits', "HTTP/1.1 20 OK\r\n\r\n$ok", $malformed],
    ['a status line without end', pour('', 'H'), $malformed],
    ['a header without end', pour("HTTP/1.1 200 OK\r\nX: ", 'x'), $malformed],
    ['headers without end', pour("HTTP/1.1 200 OK\r\n", "X: y\r\n"), $malformed],
    ['large headers without end', pour("HTTP/1.1 200 OK\r\n", 'X: ' . 'y' x 60000 . "\r\n"), $malformed],
    ['100 Continue without end', pour('', "HTTP/1.1 100 Continue\r\n\r\n"), qr/took longer than 1 s|ended early/],
    ['a drip of the head', drip('', 'H'), $late],
    ['a drip of headers', drip("HTTP/1.1 200 OK\r\nX: ", 'y'), $late],
    ['a drip of header lines', drip("HTTP/1.1 200 OK\r\n", "X: y\r\n"), $late],
    ['a drip of the body', drip(page(''), '#'), $late],
    ['a drip of chunks', drip(chunked(''), "1\r\n#\r\n"), $late],
    ['a body that does not come', sub { say_all($_[0], page('', 'Content-Length: 5')); still($_[0]) }, $late],

    # heads of which a part is none
    (map { ["a head with '" . s/[^ -~]/?/gr . "'", page($ok, "Content-Length: 17", $_, 'Content-Type: image/png'), $malformed] }
     'no header', 'Transfer-Encoding : chunked', "\x{b}: x", '<html>'),
    (map { ["a head with '$_'", page($ok, $_, 'Content-Type: text/plain'), $malformed] } ': x', ' x'),
    ['a redirect with a line that is none', "HTTP/1.1 302 x\r\nLocation: /ok\r\nno header\r\n\r\n", $malformed],

    # statuses
    (map { ["status $_", "HTTP/1.1 $_ \e[31mx\r\nContent-Length: 17\r\n\r\n$ok",
            qr/: it, or the proxy, answered $_(?: \([A-Za-z ]+\))?\.$/] }
     201, 204, 206, 300, 304, 400, 401, 404, 407, 410, 429, 500, 502, 999),
    ['status 403', "HTTP/1.1 403 x\r\n\r\n", qr/: it, or the proxy, answered 403 \(Forbidden\)\.$/],

    # redirects; what is asked stands below
    (map { ["a redirect: $_", away($_), qr/: it redirects, but the address begins neither with http:/] }
     'file:///etc/passwd', 'ftp://example.org/', 'javascript:alert(1)', 'data:,x', 'gopher://x/'),
    ['a redirect with a user', away('http://a:b@example.org/'), qr/: it redirects, but the address must not name a user\.$/],
    ['a redirect with a port too high', away('http://example.org:65536/'), qr/: it redirects, but the port/],
    ['a redirect with a blank', away('http://example.org/a b'), qr/: it redirects to an address that is not ASCII\.$/],
    ['a folded redirect', away("http://example.org/\r\n X-Smuggled:1"), qr/: it redirects to an address that is not ASCII\.$/],
    ['a redirect of other letters', away("http://b\xc3\xbccher.example/"), qr/not ASCII/],
    ['a bare line feed in a redirect', away("http://example.org/\nX-Smuggled: 1"), qr/malformed|status 599|answered 599/],
    ['a redirect to nowhere', "HTTP/1.1 301 x\r\n\r\n", qr/: it answered 301 \(Moved Permanently\) and no address\.$/],
    ['two addresses', "HTTP/1.1 301 x\r\nLocation: /\r\nLocation: /\r\n\r\n", $malformed],
    ['a redirect too long', away('/' . 'x' x 4000), qr/: it redirects, but the address has more than 4000/],
);
for my $i (0 .. $#cases) {
    $answers{"/$i"} = $cases[$i][1];
}
$answers{'/ok'} = sized($ok);
$answers{'/silent'} = \&still;
$answers{"/hop$_"} = away('hop' . ($_ - 1)) for 1 .. 6;
$answers{'/hop0'} = sized($ok);
$answers{'/loop'} = away('/loop');
my %tunnels = (
    c403 => ["HTTP/1.1 403 \e[1mx\r\n\r\n", qr/from c403: the proxy does not allow it: 403 \(Forbidden\)\.$/],
    c407 => ["HTTP/1.1 407 x\r\n\r\n", qr/: the proxy does not allow it: 407/],
    c502 => ["HTTP/1.1 502 x\r\n\r\n", qr/: the proxy cannot connect to it: 502 \(Bad Gateway\)\.$/],
    c000 => ["\0\0\r\n\r\n", qr/from c000: its answer is malformed/],
    gone => ['', qr/from gone: the proxy does not answer/],
    cut => ["HTTP/1.1 200 x\r\n\r\n", qr/: TLS cannot be agreed on|ended early/],
    noise => ["HTTP/1.1 200 x\r\n\r\n" . 'x' x 1000,
              qr/: TLS cannot be agreed on|ended early/],
    still => [\&still, qr/took longer than 1 s/],
    mute => [sub { say_all($_[0], "HTTP/1.1 200 x\r\n\r\n"); still($_[0]); still($_[0]) while 1 },
             qr/took longer than 1 s/],
    heads => [pour("HTTP/1.1 200 x\r\n", "X: y\r\n"), qr/took longer than 1 s|ended early/],
    drips => [drip("HTTP/1.1 200 x\r\n", "X: y\r\n"), qr/took longer than 1 s/],
);
$answers{"$_:443"} = $tunnels{$_}[0] for keys %tunnels;
$answers{'/up'} = away('https://c403/secret');

$answers{'/large'} = sized($ok . '#' x (50 << 20));
my $alarm = "import os, signal\nos.kill(os.getpid(), signal.SIGALRM)\nprint('alive')\n";
$answers{'/alarm'} = sized($alarm);
$answers{'/gigabyte'} = pour(page(''), '#' x 65536);
my @memories = (1 .. 8, 12, 16, 24, 40, 64, 120, 200);
my $proxy = proxy_start(\&serve);
my $server = own_server(<<"END");
PyExecConcurrency 2
PyExecPreload requests
PyExecNetwork proxy=127.0.0.1:$proxy->{port}
<Macro PyExecLinkPool \$name \$time>
    <PyExecPool \$name>
        PyExecLinks On
        PyExecLinkTimeout \$time
        PyExecLinkBytes 2000
        PyExecNetworkBytes 1G
    </PyExecPool>
</Macro>
Use PyExecLinkPool links 10s
Use PyExecLinkPool hasty 1s
<PyExecPool bare>
    PyExecLinks On
    PyExecPreload none
</PyExecPool>
<Macro PyExecPlace \$path \$pool \$policy>
    <Location "/l/\$path">
        SetHandler pyexec
        PyExecEngine On
        PyExecDialect run
        PyExecTimeout 10s
        PyExecPool \$pool
        PyExecPolicy \$policy
    </Location>
</Macro>
Use PyExecPlace links links On
Use PyExecPlace hasty hasty On
Use PyExecPlace all links Off
Use PyExecPlace bare bare Off
<PyExecPool large>
    PyExecLinks On
    PyExecLinkTimeout 10s
    PyExecLinkBytes 60M
    PyExecNetworkBytes 1G
</PyExecPool>
Use PyExecPlace large large On
<Location "/l/large">
    PyExecMemory 1G
</Location>
<Macro PyExecMemoryOf \$size>
    Use PyExecPlace large-\$size large On
    Use PyExecPlace bare-\$size bare On
    <Location "/l/large-\$size">
        PyExecMemory \$size
    </Location>
    <Location "/l/bare-\$size">
        PyExecMemory \$size
    </Location>
</Macro>
@{[ join "\n", map { "Use PyExecMemoryOf $_" } @memories ]}
END
my @port = (port => $server->{port});

sub ask
{
    my ($place, $link, %fields) = @_;

    return post_json("/l/$place", { script => $link, %fields }, @port);
}

# One second is given to what is to take longer, and time enough to all others.
sub place_for { return $_[0] =~ /longer than 1 s/ ? 'hasty' : 'links' }

sub is_fetched
{
    my ($answer, $name) = @_;

    ok($answer->{status} == 200 && ($answer->{json}{result} // '') =~ /^fetched\n?$/, $name)
        or diag("$answer->{status}: $answer->{body}");
    return;
}

sub is_refused
{
    my ($answer, $why, $name) = @_;
    my $error = ref $answer->{json} eq 'HASH' ? $answer->{json}{error} // '' : '';

    ok($answer->{status} == 400 && $error =~ $why && $error !~ /[^ -~]/, $name)
        or diag("$answer->{status}: $answer->{body}");
    return;
}

for my $i (0 .. $#cases) {
    my ($name, undef, $wanted) = @{ $cases[$i] };
    my $answer = ask(place_for($wanted), "http://example.org/$i");

    if (ref $wanted) {
        is_refused($answer, $wanted, $name);
    }
    elsif ($wanted == 1) {
        is_fetched($answer, $name);
    }
    elsif ($wanted == 2) {
        is_deeply($answer->{json}, { result => '' }, $name);
    }
    else {
        like($answer->{json}{error}, qr/^  File "script\.py", line 1\n.*SyntaxError/s, $name);
    }
}

# ---- redirects and tunnels ----

forget();
is_fetched(ask('links', 'http://example.org/hop5'), 'five redirects');
is_deeply([asked()], [map { "GET http://example.org/hop$_ HTTP/1.1" } reverse 0 .. 5],
          '... each asked of the proxy');
is_refused(ask('links', 'http://example.org/hop6'), qr/: it redirects more than 5 times\.$/, 'six');
forget();
is_refused(ask('links', 'http://example.org/loop'), qr/: it redirects more than 5 times\.$/, 'a loop');
is(scalar(my @loop = asked()), 6, '... ends');
for (sort keys %tunnels) {
    my $why = $tunnels{$_}[1];

    is_refused(ask(place_for($why), "https://$_/secret?secret#secret"), $why, "a tunnel: $_");
}
forget();
is_refused(ask('links', 'http://example.org/up'),
           qr/from c403 \(redirected from example\.org\): the proxy does not allow it/,
           'from http to https, where the proxy says no');
like(join("\n", asked()), qr{^GET http://example.org/up HTTP/1.1\nCONNECT c403:443 HTTP/1.[01]$},
     '... which was asked');

# ---- what is no address ----

forget();
for ('http://a:b@example.org/', 'http://example.org\\@x/', 'http://example.org:0/', 'http://example.org:65536/',
     'http://example.org:/', 'http://exam%70le.org/', "http://b\x{fc}cher.example/", "http://example.org/\x{1f600}",
     'http://example.org/' . 'x' x 4000, 'http://[::1/', 'http:///x', "http://a\x7f/", "http://a/\x01") {
    is_refused(ask('links', $_), qr/^The link is not acceptable: /,
               'no address: ' . substr(s/[^ -~]/?/gr, 0, 40));
}
is_deeply([asked()], [], '... and nobody was asked');
is_fetched(ask('links', " \n HTTP://EXAMPLE.org:80/ok#part\n"), 'space around, capitals, a fragment');
is_deeply([asked()], ['GET http://example.org:80/ok HTTP/1.1'], '... are not passed on');

# ---- time ----

my $began = time;
is_refused(ask('links', 'http://example.org/silent', timeout => 4), qr/took longer than 3 s\.$/,
           'three quarters of what the request gives the run');
cmp_ok(time - $began, '<', 9, '... and no longer');

# ---- memory ----

# Where it is between, either: how much of the memory is taken is not promised.
my $little = qr/^400 .*The script does not fit into the memory limit"/;
my $fetched = qr/^200 .*"fetched"/;
my $much = qr/^400 .*has more than 62914560 bytes|^400 .*took longer/;
my $stopped = qr/^200 .*the memory limit of \d+ MiB was exceeded/;
for my $size (@memories) {
    my %wanted = (
        "large-$size /large" => $size < 50 ? $little
            : $size < 200 ? qr/$little|$stopped|$fetched/ : $fetched,
        "large-$size /gigabyte" => $size < 60 ? $little
            : $size < 120 ? qr/$little|$much/ : $much,
        "bare-$size /ok" => $size < 2 ? $little : $size < 8 ? qr/$little|$fetched/ : $fetched,
    );

    for my $place (sort keys %wanted) {
        my ($pool, $path) = split " ", $place;
        my $answer = ask($pool, "http://example.org$path");

        like("$answer->{status} $answer->{body}", $wanted{$place}, "memory: $place");
    }
}
is_fetched(ask('large', 'http://example.org/large'), '50 MiB where there is room for it');

# ---- what is left of it ----

my $look = <<'PY';
import gc, os, signal, sys, threading
def descriptors():
    found = []
    for fd in range(1100):
        try: os.fstat(fd)
        except OSError: continue
        found.append(fd)
    return found
print(signal.getitimer(signal.ITIMER_REAL), signal.getsignal(signal.SIGALRM) == signal.SIG_DFL,
      descriptors(), threading.active_count(), threading.enumerate()[0].name, sys.exc_info(),
      hasattr(sys, 'last_value'), sys.argv, __name__, __file__, sorted(globals())[:3],
      [kind for kind in Exception.__subclasses__() if kind.__name__ == 'Refused'],
      [thing for thing in gc.get_objects() if getattr(thing, '__module__', '') == 'link_fetch'
       or type(thing).__module__ == 'link_fetch'],
      'link_fetch' in sys.modules, sys.path, os.getcwd(), gc.isenabled(), sys.gettrace(), sys.flags,
      signal.pthread_sigmask(signal.SIG_BLOCK, []), sys.modules['__main__'].__dict__ is globals())
import socket
print(socket.getdefaulttimeout(), sorted(os.environ))
PY
my @alarmed = map { ask('all', $_, usage => \1)->{json} } 'http://example.org/alarm', $alarm;
is($alarmed[0]{usage}{ended_by}, 'signal', 'SIGALRM means what it does');
is($alarmed[0]{error}, $alarmed[1]{error}, '... in a script that was sent');
$answers{'/look'} = sized($look);
for my $place ('all', 'bare') {
    my $second = proxy_start(\&serve);
    my $own = own_server(<<"END");
PyExecConcurrency 2
PyExecNetwork proxy=127.0.0.1:$second->{port}
PyExecLinks On
PyExecPreload @{[ $place eq 'all' ? 'requests' : 'none' ]}
<Location "/look">
    SetHandler pyexec
    PyExecEngine On
    PyExecDialect run
    PyExecPolicy Off
</Location>
END
    my @own = (port => $own->{port});
    my $fetched = post_json('/look', { script => 'http://example.org/look' }, @own);
    my $sent = post_json('/look', { script => $look }, @own);

    like($sent->{json}{result}, qr/^\(0\.0, 0\.0\) True \[0, 1, 2, 900\] 1 MainThread/, "preload $place: what a run has");
    is($fetched->{json}{result}, $sent->{json}{result}, '... and one that was fetched has nothing else')
        or diag(json_text($fetched), json_text($sent));
    $own->{stop}->();
    proxy_stop($second);
}

# ---- when processes die ----

# The link of a run is asked for once, whatever happens: the answer may be there
# for once.
for (['its job', sub { map { $_->{Pid} } jobs($server->{pid}) }],
     ['the zygotes', sub { zygotes($server->{pid}) }]) {
    my ($what, $pids) = @$_;
    my $socket = raw_open(@port);
    my $body = json_text({ script => 'http://example.org/silent' });

    forget();
    print $socket "POST /l/bare HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        . 'Content-Length: ' . length($body) . "\r\n\r\n$body";
    ok(wait_for(sub { scalar(my @all = asked()) }, 10), "a link is being fetched");
    kill 'KILL', $pids->();
    my $answer = raw_answer($socket, 15);
    is($answer->{status}, 503, "... when $what died: 503") or diag($answer->{body});
    is(scalar(my @all = asked()), 1, '... and the link was asked for once');
}
$server->{stop}->();
done_testing();
