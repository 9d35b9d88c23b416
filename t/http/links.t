# SPDX-License-Identifier: Apache-2.0
# Scripts behind links (PyExecLinks), fetched by the proxy of conf/egress.conf
# from files on loopback: what is fetched is checked and run like any script,
# nothing is where links are off, and nobody is asked but whom the proxy lets
# through. Servers that lie: t/http/links_hostile.t.
use strict;
use warnings FATAL => 'all';
use File::Temp ();
use IPC::Open3 qw(open3);
use PyExec::Egress;
use PyExec::Proxy;
use PyExec::Test;
use Test::More;

my $top = File::Temp->newdir('pyxXXXXX', DIR => '/tmp');
my ($files, $secret, $tls, $out, $strict, $dead) =
    map { PyExec::Test::free_port() } 1 .. 6;
my $still = proxy_start(sub { sysread $_[0], my $bytes, 1 while 1 });
my $marker = 'only-what-was-fetched-has-this';

mkdir "$top/$_" or die for qw(www trust other);
egress_certificate("$top/trust", 'localhost');
egress_certificate("$top/other", 'example.org');
my %scripts = (
    'hello.py' => "print('hello')\n",
    'add.py' => "def add(a, b):\n    return a + b\n\ndef main(*rest):\n    return 'main'\n",
    'ctypes.py' => "import ctypes\nprint('ran')\n",
    'syntax.py' => "def f(:\n",
    'args.py' => "import sys\nprint(sys.argv[1:], input())\n",
    'raise.py' => "def inner():\n    raise ValueError('inside')\ninner()\n",
    'slow.py' => "while True: pass\n",
    'uses.py' => "import requests\nprint(requests.get('http://localhost:$files/hello.py').text)\n",
    'mark.py' => "# $marker\nprint('marked')\n",
    'page.html' => "<p>print('hello')</p>\n",
    'loaded.py' => "import sys\nprint('requests' in sys.modules)\n",
    'empty.py' => '',
    'large.py' => "print('large')\n#" . 'x' x 300_000 . "\n",
);
for my $name (keys %scripts) {
    open my $file, '>', "$top/www/$name" or die;
    print $file $scripts{$name};
    close $file or die;
}
system('chmod', '-R', 'a+rX', "$top") == 0 or die;

# Proxy and host in one: its input is ours, and ends with us.
my $ends_pid = open3(my $ends_input, my $ends_output, '>&STDERR', '/usr/bin/python3', '-I', '-B',
                     var('t_dir') . '/data/tls_end.py', "$top/trust/cert", "$top/trust/key");
my $ends = <$ends_output> // die 'tls_end.py does not start';
chomp $ends;
my $load = egress_modules();
my $server = own_server(<<"END" . egress_proxy(port => $out, tls => $tls, files => $files,
$load
PyExecConcurrency 2
PyExecPreload requests
PyExecIdle 0

<Macro PyExecFiles \$port>
    Listen 127.0.0.1:\$port
    <VirtualHost 127.0.0.1:\$port>
        ServerName localhost:\$port
        DocumentRoot "$top/www"
        <Directory "$top/www">
            Require all granted
        </Directory>
        <Files "page.html">
            ForceType text/html
        </Files>
        CustomLog asked_\$port "%r %{User-Agent}i %{Cookie}i%{Authorization}i %{Host}i"
        Redirect "/away" "http://localhost:$secret/hello.py"
        Redirect "/home" "http://localhost:$files/hello.py"
        Redirect "/up" "https://localhost:$tls/hello.py"
        Redirect "/host" "http://example.org/hello.py"
    </VirtualHost>
</Macro>
Use PyExecFiles $files
Use PyExecFiles $secret
Listen 127.0.0.1:$tls
<VirtualHost 127.0.0.1:$tls>
    ServerName localhost
    DocumentRoot "$top/www"
    <Directory "$top/www">
        Require all granted
    </Directory>
    Redirect "/down" "http://localhost:$files/hello.py"
    Redirect "/same" "https://localhost:$tls/hello.py"
    SSLEngine On
    SSLCertificateFile "$top/trust/cert"
    SSLCertificateKeyFile "$top/trust/key"
</VirtualHost>

<Macro PyExecPlace \$path \$pool \$dialect>
    <Location "/l/\$path">
        SetHandler pyexec
        PyExecEngine On
        PyExecDialect \$dialect
        PyExecTimeout 10s
        PyExecPool \$pool
    </Location>
</Macro>
<Macro PyExecWay \$name \$port \$links \$trust>
    <PyExecPool \$name>
        PyExecNetwork proxy=127.0.0.1:\$port
        PyExecLinks \$links
        PyExecLinkTimeout 2s
        PyExecSitePackages "$top/\$trust"
        PyExecEnv SSL_CERT_FILE "$top/\$trust/cert"
    </PyExecPool>
    Use PyExecPlace \$name \$name run
</Macro>
Use PyExecWay on $out On trust
Use PyExecWay off $out Off trust
Use PyExecWay wrong $out On other
Use PyExecWay strict $strict On trust
Use PyExecWay dead $dead On trust
Use PyExecWay still $still->{port} On trust
Use PyExecWay ends $ends On trust
Use PyExecPlace code on code
Use PyExecPlace auto on auto
Use PyExecPlace main on main-json
<PyExecPool small>
    PyExecNetwork proxy=127.0.0.1:$out
    PyExecLinks On
    PyExecLinkBytes 100K
    PyExecNetworkBytes 1M
</PyExecPool>
Use PyExecPlace small small run
<PyExecPool tight>
    PyExecNetwork proxy=127.0.0.1:$out
    PyExecNetworkBytes 1000
    PyExecLinks On
</PyExecPool>
Use PyExecPlace tight tight run
<PyExecPool elsewhere>
    PyExecPreload none
</PyExecPool>
Use PyExecPlace elsewhere elsewhere run
END
    addresses => '127.0.0.1', log => 'egress_log')
    . egress_proxy(port => $strict, tls => $tls, files => $files,
                   addresses => 'public', log => 'strict_log'));
my @port = (port => $server->{port});
my $here = "http://localhost:$files";
my $safe = "https://localhost:$tls";

sub own_log
{
    my ($name) = @_;

    open my $in, '<', "$server->{dir}/$name" or return '';
    local $/ = undef;
    return scalar <$in> // '';
}

sub ask
{
    my ($place, $script, %fields) = @_;

    return post_json("/l/$place", { script => $script, %fields }, @port);
}

sub is_result
{
    my ($answer, $result, $name) = @_;

    ok($answer->{status} == 200 && ($answer->{json}{result} // 'none') eq $result, $name)
        or diag("$answer->{status}: $answer->{body}", error_log($server));
    return;
}

sub is_refused
{
    my ($answer, $why, $name) = @_;

    ok($answer->{status} == 400 && ($answer->{json}{error} // '') =~ $why, $name)
        or diag("$answer->{status}: $answer->{body}");
    return;
}

# ---- what works ----

is_result(ask('on', "$here/hello.py"), "hello", 'a link of http');
# A line is written when its request is over for httpd, too.
my $asked;
wait_for(sub { ($asked) = own_log("asked_$files") =~ /(.*)\n/ }, 10);
is($asked, "GET /hello.py HTTP/1.1 mod_pyexec -- localhost:$files", '... is asked for, and nothing is told');
is_result(ask('on', "$safe/hello.py"), "hello", 'a link of https');
is_result(ask('on', "\t$here/hello.py#L1 \n"), "hello", '... with space around and a fragment');
is_result(post_json('/l/on', { code => "$here/hello.py" }, @port), "hello", '... by the other name');
is_result(ask('on', "$here/empty.py"), '', 'an empty one');
is_result(ask('ends', 'https://localhost/whole'), 'all', 'one of TLS whose size is not told');
is_result(ask('on', "$here/large.py"), "large", 'a large one');
is_result(ask('on', "$here/home"), "hello", 'a redirect');
is_result(ask('on', "$here/up"), "hello", '... to https');
is_result(ask('on', "$safe/same"), "hello", '... from https to https');
is_result(ask('on', "$here/add.py", params => [3, 4]), 'main', 'params call a function of it');
is_result(ask('on', "$here/add.py", params => [3, 4], function => 'add'), '7', '... the one that is named');
is_result(ask('on', "$here/args.py", args => ['a', 'b'], stdin => "in\n"), "['a', 'b'] in", 'args and stdin');
ok(wait_for(sub { (ask('on', "$here/loaded.py")->{json}{result} // '') eq 'True' }, 20),
   'what the pool has loaded is there');
my $answer = ask('on', "$here/hello.py", usage => \1);
is($answer->{json}{usage}{network_connections}, 1, 'fetching counts');
cmp_ok($answer->{json}{usage}{network_bytes}, '>', 100, '... its bytes, too');
like(ask('on', "$here/uses.py", usage => \1)->{body}, qr/hello.*"network_connections": ?2/, '... beside the script\'s own');
like(ask('on', "$here/raise.py")->{json}{error},
     qr/^Traceback .*File "script\.py", line 3, in <module>\n    inner\(\).*ValueError: inside\n?$/s,
     'a traceback shows its lines');
my $form = "--x\r\nContent-Disposition: form-data; name=\"script\"\r\n\r\n$here/add.py\r\n"
    . "--x\r\nContent-Disposition: form-data; name=\"params\"\r\n\r\n[1]\r\n--x--\r\n";
$answer = request('POST', '/l/on', @port, content => $form =~ s/\[1\]/[3, 4]/r,
                  headers => { 'Content-Type' => 'multipart/form-data; boundary=x' });
is_result($answer, 'main', 'a form');

# ---- what is checked as ever ----

is_refused(ask('on', "$here/ctypes.py"), qr/Disallowed import: ctypes/, 'the policy holds');
is_refused(ask('on', "$here/syntax.py", function => 'f'), qr/SyntaxError.*line 1/, 'the syntax is looked at');
like(ask('on', "$here/syntax.py")->{json}{error}, qr/SyntaxError/, '... as it is without a call');
is_refused(ask('on', "$here/add.py", function => 'sub'), qr/does not define a function named sub/, 'a function that is missing');
$answer = ask('on', "$here/slow.py", timeout => 1, usage => \1);
is($answer->{json}{usage}{ended_by}, 'time', 'its time limit');

# ---- what is refused ----

my $asked_before = own_log("asked_$files");
for my $case (
    ['another port', 'on', "http://localhost:$secret/hello.py",
     qr/^The script was not fetched from localhost:$secret: it, or the proxy, answered 403 \(Forbidden\)\.$/],
    ['another host', 'on', 'http://example.org/a.py', qr/from example\.org: it, or the proxy, answered 403/],
    ['another host, https', 'on', 'https://example.org/a.py',
     qr/^The script was not fetched from example\.org: the proxy does not allow it: 403 \(Forbidden\)\.$/],
    ['ssh', 'on', 'https://localhost:22/', qr/from localhost:22: the proxy does not allow it: 403/],
    ['an address', 'on', "http://127.0.0.1:$files/hello.py", qr/answered 403/],
    ['the proxy itself', 'on', "http://127.0.0.1:$out/", qr/answered 403/],
    ['a name that leads to loopback', 'strict', "$here/hello.py", qr/answered 403/],
    ['the same, https', 'strict', "$safe/hello.py", qr/the proxy cannot connect to it: 500/],
    ['a user', 'on', "http://localhost:$files\@example.org/", qr/must not name a user/],
    ['another certificate', 'wrong', "$safe/hello.py", qr/: its certificate is not trusted \(self.signed certificate\)\.$/],
    ['a name that nobody has', 'on', "$here/none.py", qr/answered 404 \(Not Found\)\.$/],
    ['HTML', 'on', "$here/page.html", qr{it is no script but of the type text/html\.$}],
    ['one that may have been cut off', 'ends', 'https://localhost/cut', qr/or the connection was ended early\.$/],
    ['too large', 'small', "$here/large.py", qr/the script has more than 102400 bytes\.$/],
    ['too large for the run\'s network', 'tight', "$here/large.py", qr/or the connection was ended early\.$/],
    ['a redirect to another port', 'on', "$here/away",
     qr/from localhost:$secret \(redirected from localhost:$files\): it, or the proxy, answered 403/],
    ['a redirect to another host', 'on', "$here/host", qr/from example\.org \(redirected .* answered 403/],
    ['a redirect from https to http', 'on', "$safe/down", qr/: it redirects from https to http\.$/],
    ['a proxy that is not there', 'dead', "$here/hello.py", qr/: the proxy does not answer/],
    ['a proxy that says nothing', 'still', "$here/hello.py", qr/took longer than 2 s\.$/],
) {
    my ($name, $place, $link, $why) = @$case;

    is_refused(ask($place, $link), $why, $name);
}
is(own_log("asked_$secret"), '', 'nobody else was asked');
ok(wait_for(sub { own_log('egress_log') =~ /"CONNECT localhost:22 HTTP\/1\.[01]" 403 / }, 10), 'the proxy has logged it');

# ---- where links are off, or mean nothing ----

$asked_before = own_log("asked_$files");
my $lines = () = own_log('egress_log') =~ /\n/g;
for my $place ('off', 'elsewhere') {
    $answer = ask($place, "$here/hello.py");
    is($answer->{status}, 403, "$place: 403");
    is($answer->{json}{error}, 'Running scripts from links is not enabled here; send the script itself.', '... says why');
}
for my $place ('code', 'auto') {
    $answer = post_json("/l/$place", { code => "$here/hello.py" }, @port);
    like($answer->{json}{error}, qr/SyntaxError/, "the dialect $place takes it for a script");
}
is(ask('main', "$here/hello.py")->{status}, 400, '... as does main-json');
for my $field ('file', 'script', 'code') {
    $answer = request('POST', '/l/on', @port,
        content => "--x\r\nContent-Disposition: form-data; name=\"$field\"; filename=\"a.py\"\r\n\r\n"
            . "$here/hello.py\r\n--x--\r\n",
        headers => { 'Content-Type' => 'multipart/form-data; boundary=x' });
    like($answer->{json}{error}, qr/SyntaxError/, "a file that was uploaded as '$field' is no link");
}
like(ask('on', "$here/hello.py\n$here/hello.py")->{json}{error}, qr/SyntaxError/, 'nor are two');
is(own_log("asked_$files"), $asked_before, 'nothing was fetched');
is(scalar(() = own_log('egress_log') =~ /\n/g), $lines, '... nor asked of the proxy');

# ---- one run and another ----

is_result(ask('on', "$here/mark.py"), "marked", 'a run that fetched');
my $look = <<'END';
import gc, linecache
def look():
    mark = ''.join(reversed('siht-sah-dehctef-saw-tahw-ylno'))
    return any(mark in str(thing) for thing in [linecache.cache, *gc.get_objects()]
               if isinstance(thing, (str, dict, list, tuple)))
print(look())
END
is_result(ask('on', $look), 'False', '... leaves nothing to the next');
is_result(ask('on', "# $marker\nimport linecache\nlinecache.getlines('script.py')\n$look"), 'True',
          '... in which it would be found');
my @waiting = map {
    my $socket = raw_open(@port);
    my $body = json_text({ script => "$here/hello.py" });

    print $socket "POST /l/still HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        . 'Content-Length: ' . length($body) . "\r\n\r\n$body";
    $socket;
} 1 .. 2;
cmp_ok(seconds(sub { is_result(ask('on', 'print(1)'), '1', 'other pools run while links are fetched') }),
       '<', 1.5, '... at once');
is(raw_answer($_, 20)->{status}, 400, 'a proxy that says nothing is not waited for') for @waiting;
proxy_stop($still);
$server->{stop}->();
close $ends_input;
waitpid $ends_pid, 0;

done_testing();
