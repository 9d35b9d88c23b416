# SPDX-License-Identifier: Apache-2.0
# The contracts' own examples over HTTP/1.1, TLS and HTTP/2 with and without
# TLS: the same answers. Names in the handshake and in the request choose one
# host, and its policy. With prefork mod_http2 calls itself inactive (AH10034) and
# offers nothing in the handshake, but serves who begins with HTTP/2 (H2Direct).
use strict;
use warnings FATAL => 'all';
use File::Temp ();
use PyExec::Case;
use PyExec::Test;
use Test::More;

my $dir = File::Temp->newdir('pyxXXXXX', DIR => '/tmp');
my $tls_port = PyExec::Test::free_port();
my $two = mpm() eq 'prefork' ? '1.1' : '2';
# name, scheme, curl's option, the version that is spoken
my @transports = (
    ['HTTP/1.1', 'http', '--http1.1', '1.1'], ['HTTP/1.0', 'http', '--http1.0', '1.1'],
    ['TLS', 'https', '--http1.1', '1.1'], ['HTTP/2 over TLS', 'https', '--http2', $two],
    # mod_http2 upgrades no request that has a body.
    ['HTTP/2 wanted', 'http', '--http2', '1.1'],
    ['HTTP/2 from the start', 'http', '--http2-prior-knowledge', '2'],
);
# What each contract shows in its documentation.
my %shown;
my @cases = grep { $_->{method} eq 'POST' && $_->{status} == 200 && $shown{ $_->{dialect} }++ < 2 }
    grep { ($_->{source} // '') eq 'example' } data_lines('dialects.jsonl');
my $limits = "import resource\nprint(resource.getrlimit(resource.RLIMIT_CPU)[0])";
my $server;

plan tests => 1 + @transports * (@cases + 2) + 8 + 1;

certify();
$server = own_server(<<"END");
LoadModule ssl_module "@{[ httpd_module('ssl') ]}"
LoadModule http2_module "@{[ httpd_module('http2') ]}"
Protocols h2 h2c http/1.1
H2Direct on
<Location "/small">
    SetHandler pyexec
    PyExecEngine On
    PyExecBody 1000
</Location>
PyExecImports +resource
Listen 127.0.0.1:$tls_port https
<VirtualHost 127.0.0.1:$tls_port>
    ServerName one.test
    PyExecTimeout 7
    SSLEngine On
    SSLCertificateFile "$dir/cert.pem"
    SSLCertificateKeyFile "$dir/key.pem"
</VirtualHost>
<VirtualHost 127.0.0.1:$tls_port>
    ServerName two.test
    PyExecTimeout 11
    SSLEngine On
    SSLCertificateFile "$dir/cert.pem"
    SSLCertificateKeyFile "$dir/key.pem"
</VirtualHost>
END
END { local $?; $server->{stop}->() if $server }

cmp_ok(scalar keys %shown, '>=', 5, 'examples of every contract');
for my $transport (@transports) {
    my ($name, $scheme, $option, $version) = @$transport;
    my $long;

    for my $case (@cases) {
        my ($type, $content) = PyExec::Case::body_of($case);
        my $answer = curl($scheme, case_path($case), $content, $option, '-H', "Content-Type: $type",
            map { ('-H', "$_: $case->{headers}{$_}") } keys %{ $case->{headers} || {} });
        my @faults = faults($case, $answer);

        push @faults, "spoken: HTTP/$answer->{version}" if $answer->{version} ne $version;
        ok(!@faults, "$name: $case->{id}");
        diag($_) for @faults;
    }
    # More than a frame, a window or a record, both ways.
    $long = run_by($scheme, "print(len('" . 'x' x 200_000 . "') * 'y')", $option);
    is(($long->{json}{output} // '') =~ tr/y//, 200_000, "$name: a long script, a long answer");
    # Without a length, which would be judged before the body is sent: then
    # curl 7.88 may miss the answer (HTTP/2, RST_STREAM behind it).
    is(curl($scheme, '/small', 'x' x 1001, $option, '-H', 'Content-Type: application/json',
            $version eq '2' ? ('-H', 'Content-Length:') : ())->{status}, 413, "$name: a body too large");
}
names();
is(error_log($server) =~ /AH10034/ ? 1 : 0, $two eq '2' ? 0 : 1, 'the log tells of prefork');

sub certify
{
    system('openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=one.test'
        . " -keyout $dir/key.pem -out $dir/cert.pem 2>/dev/null") == 0
        or die 'openssl makes no certificate';
    return;
}

# What curl gets: { status, version, headers, body, json, took }.
sub curl
{
    my ($scheme, $path, $content, @options) = @_;
    my $port = $scheme eq 'https' ? $tls_port : $server->{port};
    my ($url) = grep { m{^https?://} } @options;
    my $told;
    my $head;

    open my $out, '>', "$dir/content" or die "content: $!";
    print $out $content;
    close $out or die;
    # Of an earlier answer.
    unlink "$dir/head", "$dir/body";
    my $took = seconds(sub {
        open my $pipe, '-|', 'curl', '-q', '--silent', '--insecure', '--noproxy', '*', '--max-time', 60,
            '--request', 'POST', '--data-binary', "\@$dir/content", '--dump-header', "$dir/head",
            '--output', "$dir/body", '--write-out', '%{http_code} %{http_version}', @options,
            $url ? () : "$scheme://127.0.0.1:$port$path" or die "curl: $!";
        $told = <$pipe> // '';
        close $pipe;
        note("curl: $?") if $?;
    });
    my ($status, $version) = split ' ', $told;
    # The last one: an upgrade or 100 comes before.
    ($head) = reverse split /\r\n\r\n/, PyExec::Test::slurp("$dir/head") // '';
    my $body = PyExec::Test::slurp("$dir/body") // '';

    return { status => $status, version => $version, body => $body, json => json_value($body), took => $took,
             headers => { map { /^([^:]+): *(.*?)\r?$/ ? (lc $1 => $2) : () } split /\n/, $head // '' } };
}

sub run_by
{
    my ($scheme, $code, @options) = @_;

    return curl($scheme, '/execute', json_text({ code => $code }), '-H', 'Content-Type: application/json', @options);
}

# The name in the handshake, and the one in the request.
sub names
{
    for my $option ('--http1.1', '--http2') {
        for my $case (['one.test', 'one.test', 9], ['two.test', 'two.test', 13],
                      ['one.test', 'two.test', 13], ['two.test', 'one.test', 9]) {
            my ($sni, $host, $cpu) = @$case;
            my $got = run_by('https', $limits, $option, '--resolve', "$sni:$tls_port:127.0.0.1",
                             '-H', "Host: $host", "https://$sni:$tls_port/execute");

            is($got->{status} == 421 && $sni ne $host ? $cpu : ($got->{json}{output} // $got->{body}) + 0, $cpu,
               "TLS to $sni, $option for $host: the policy of $host");
        }
    }
    return;
}
