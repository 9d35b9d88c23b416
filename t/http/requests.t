# SPDX-License-Identifier: Apache-2.0
# What HTTP and JSON ask of the handler, whatever the script: every answer is
# JSON with the right status, and a bad request names what is wrong with it.
use strict;
use warnings FATAL => 'all';
use PyExec::Test;
use Test::More;

my $type = 'Content-Type: application/json';
my $good = '{"code":"print(1)"}';

# name, status, pattern for `error`, place, body, headers
my @posts = (
    ['plain', 200, qr/^$/, '/execute', $good],
    ['charset', 200, qr/^$/, '/execute', $good,
     'application/json; charset=UTF-8'],
    ['+json', 200, qr/^$/, '/execute', $good, 'application/vnd.x+json'],
    ['byte order mark', 200, qr/^$/, '/execute', "\xEF\xBB\xBF$good"],
    ['unknown field', 200, qr/^$/, '/execute',
     '{"code":"print(1)","colour":"red"}'],
    ['no media type', 415, qr/./, '/execute', $good, undef],
    ['form', 415, qr/./, '/execute', 'code=1',
     'application/x-www-form-urlencoded'],
    ['text', 415, qr/./, '/execute', $good, 'text/plain'],
    ['other charset', 415, qr/charset|utf-8/i, '/execute', $good,
     'application/json; charset=utf-16'],
    ['empty body', 400, qr/./, '/execute', ''],
    ['only blanks', 400, qr/./, '/execute', " \n"],
    ['cut off', 400, qr/./, '/execute', '{"code": '],
    ['trailing garbage', 400, qr/./, '/execute', "$good x"],
    ['two values', 400, qr/./, '/execute', "$good$good"],
    ['array', 400, qr/object/, '/execute', '[1]'],
    ['string', 400, qr/object/, '/execute', '"x"'],
    ['null', 400, qr/object/, '/execute', 'null'],
    ['empty object', 400, qr/code/, '/execute', '{}'],
    ['code is a number', 400, qr/code/, '/execute', '{"code": 5}'],
    ['code is null', 400, qr/code/, '/execute', '{"code": null}'],
    ['code is a list', 400, qr/code/, '/execute', '{"code": ["1"]}'],
    ['code is an object', 400, qr/code/, '/execute', '{"code": {}}'],
    ['code is true', 400, qr/code/, '/execute', '{"code": true}'],
    ['NUL in code', 400, qr/code/, '/execute', '{"code": "a\u0000b"}'],
    ['duplicate key', 400, qr/twice|duplicate/i, '/execute',
     '{"code":"print(1)","code":"print(2)"}'],
    ['not UTF-8', 400, qr/UTF-8/i, '/execute', "{\"code\":\"print('\xff')\"}"],
    ['lone surrogate', 400, qr/./, '/execute', '{"code":"\ud800"}'],
    ['deep nesting', 400, qr/./, '/execute',
     '{"code":' . '[' x 100_000 . ']' x 100_000 . '}'],
    ['NaN', 400, qr/./, '/execute', '{"code": NaN}'],
    ['engine off', 403, qr/./, '/t/engine-off', $good],
    ['denied by httpd', 403, qr/./, '/t/denied', $good],
    ['LimitRequestBody of httpd', 413, qr/./, '/t/core-413',
     '{"code":"' . 'x' x 2000 . '"}'],
);

# name, method, status, no body
my @methods = (
    ['GET', 405, 0], ['HEAD', 405, 1], ['PUT', 405, 0], ['DELETE', 405, 0],
    ['PATCH', 405, 0], ['OPTIONS', 204, 1],
);

# what a script writes, what `output` is
my @outputs = (
    ['ASCII', q(print('plain')), "plain\n"],
    ['UTF-8', q(print('\u00e4\u20ac\U0001f600')), "\x{e4}\x{20ac}\x{1f600}\n"],
    ['quotes and controls', q(print('"\\\\\t\x01\x1f\x7f')),
     "\"\\\t\x01\x1f\x7f\n"],
    ['NUL', q(print('a\0b')), "a\0b\n"],
    ['invalid bytes', q(import sys; sys.stdout.buffer.write(b'a\xff\xfeb')),
     "a\x{fffd}\x{fffd}b"],
    ['an encoded surrogate',
     q(import sys; sys.stdout.buffer.write(b'a\xed\xa0\x80b')), undef],
    ['overlong', q(import sys; sys.stdout.buffer.write(b'\xc0\xafz')), undef],
);

my @origins = (
    ['/execute', 'https://a.example', '*'],
    ['/t/origin-none', 'https://a.example', undef],
    ['/t/origin-one', 'https://one.example', 'https://one.example'],
    ['/t/origin-one', 'https://other.example', undef],
);

plan tests => @posts + 2 * @methods + 3 + @outputs + 9 + @origins + 1;

for (@posts) {
    my ($name, $status, $error, $place, $body, @given) = @$_;
    my $media = @given ? $given[0] : 'application/json';
    my $answer = raw("POST $place HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        . (defined $media ? "Content-Type: $media\r\n" : '')
        . 'Content-Length: ' . length($body) . "\r\n\r\n$body");

    report($answer, ok($answer->{status} == $status
        && is_object($answer) && $answer->{json}{error} =~ $error
        && ($answer->{headers}{'content-type'} // '') eq 'application/json',
        "$name: $status in JSON"));
}

for (@methods) {
    my ($method, $status, $bare) = @$_;
    my $answer = raw("$method /execute HTTP/1.1\r\nHost: x\r\n"
        . "Content-Length: 0\r\nConnection: close\r\n\r\n", no_body => $bare);

    report($answer, ok($answer->{status} == $status
        && ($bare || is_object($answer)), "$method: $status"));
    like($answer->{headers}{allow} // '', qr/\bPOST\b.*\bOPTIONS\b/,
         "$method: Allow");
}

{
    my $answer = request('POST', '/execute', content => $good,
        headers => { 'Content-Type' => 'application/json' });

    is($answer->{headers}{'content-type'}, 'application/json', 'media type');
    is($answer->{headers}{'cache-control'}, 'no-store', 'not to be kept');
    is($answer->{headers}{'x-content-type-options'}, 'nosniff',
       'not to be guessed');
}

for (@outputs) {
    my ($name, $source, $output) = @$_;
    my $got = run_code('/execute', $source)->{output};

    # Where the number of replacement characters is a matter of taste, being
    # valid JSON (the request helper decodes it) is what counts.
    ok(defined $output ? $got eq $output : $got =~ /\x{fffd}/, "output: $name")
        or diag(json_text($got));
}

# ---- the size of a body ----

# Sizes around PyExecBody 1000.
for ([999, 200], [1000, 200], [1001, 413]) {
    my ($size, $status) = @$_;
    my $body = sized_body($size);
    my $answer = request('POST', '/t/body-1000', content => $body,
        headers => { 'Content-Type' => 'application/json' });
    my $chunked = raw("POST /t/body-1000 HTTP/1.1\r\nHost: x\r\n$type\r\n"
        . "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        . join('', map { sprintf "%x\r\n%s\r\n", length, $_ }
               $body =~ /(.{1,300})/gs) . "0\r\n\r\n");

    report($answer, is($answer->{status}, $status, "$size bytes"));
    report($chunked, is($chunked->{status}, $status, "$size bytes in chunks"));
}

# Refused before the body is sent: nothing but the head goes out.
for (['a Content-Length too large', ''],
     ['the same with Expect', "Expect: 100-continue\r\n"]) {
    my ($name, $more) = @$_;
    my $answer = raw("POST /t/body-1000 HTTP/1.1\r\nHost: x\r\n$type\r\n"
        . "Content-Length: 5000000\r\n$more\r\n", seconds => 5);

    report($answer, ok($answer->{status} == 413 && is_object($answer),
                       "$name: 413 at once"));
}

{
    my $socket = raw_open();
    my $answer;

    print $socket "POST /execute HTTP/1.1\r\nHost: x\r\n$type\r\n"
        . "Expect: 100-continue\r\nConnection: close\r\n"
        . 'Content-Length: ' . length($good) . "\r\n\r\n";
    $answer = raw_answer($socket, 5);
    if ($answer && $answer->{status} == 100) {
        print $socket $good;
        $answer = raw_answer($socket, 10);
    }
    report($answer, is($answer->{status}, 200, 'Expect: 100-continue'));
}

for (@origins) {
    my ($place, $origin, $allowed) = @$_;
    my $answer = post_json($place, { code => 'print(1)' },
                           headers => { Origin => $origin });

    is_deeply([$answer->{status}, $answer->{headers}{'access-control-allow-origin'}], [200, $allowed],
              "$place called from $origin");
}

# Two requests at once on one connection: both are answered, in order.
{
    my $socket = raw_open();
    my $seen = '';

    for my $n (1, 2) {
        my $body = "{\"code\":\"print('answer $n')\"}";

        print $socket "POST /execute HTTP/1.1\r\nHost: x\r\n$type\r\n"
            . ($n == 2 ? "Connection: close\r\n" : '')
            . 'Content-Length: ' . length($body) . "\r\n\r\n$body";
    }
    while (sysread $socket, my $bytes, 65536) {
        $seen .= $bytes;
    }
    like($seen, qr/answer 1.*answer 2/s, 'pipelined requests');
}

sub is_object { return ref $_[0]{json} eq 'HASH'
                    && defined $_[0]{json}{error} && !ref $_[0]{json}{error} }

sub sized_body
{
    my ($size) = @_;
    my $frame = length '{"code":"#"}';

    return '{"code":"#' . 'x' x ($size - $frame) . '"}';
}

sub report
{
    my ($answer, $ok) = @_;

    diag("got $answer->{status}: " . substr $answer->{body}, 0, 300) if !$ok;
    return;
}
