# SPDX-License-Identifier: Apache-2.0
# Forms, as browsers, curl and libraries send them, and as nobody should: each
# is a script with its fields, or a 400 that says what is wrong.
use strict;
use warnings FATAL => 'all';
use PyExec::Test;
use Test::More;

my $place = '/execute/run';
my $hello = [script => 'print(1)'];
my $adder = [file => "def add(a, b):\n    return a + b\n", ['a.py']];
my $long = 'b' x 70;
my $odd = q{'()+_,-./:=? x};

# name, expected result, parts, other than the usual: { boundary, type, end }
my @accepted = (
    ['a file', 'from a file', [[file => "print('from a file')", ['a.py']]]],
    ['a text', '1', [$hello]],
    ['a text by the other name', '1', [[code => 'print(1)']]],
    ['a file and params', '7', [$adder, [params => '[3, 4]']]],
    ['params before the file', '7', [[params => '[3, 4]'], $adder]],
    ['parameters', '7', [$adder, [parameters => '{"b": 3, "a": 4}']]],
    ['params with blanks', '7', [$adder, [params => " [3,\r\n4] "]]],
    ['a function', 'b', [[script => "def a(): return 'a'\ndef b(): return 'b'"
        . "\ndef c(): return 'c'"], [function => 'b']]],
    ['empty fields', '1', [$hello, [params => ''], [parameters => ''],
                           [function => ''], [pip => '']]],
    ['empty optional JSON', '1', [$hello, [args => ''], [timeout => ''],
                                  [usage => '']]],
    ['stdin', "a\0b", [[script => 'print(input())'], [stdin => "a\0b\n"]]],
    ['args', "['a', 'b c']", [[script => "import sys\nprint(sys.argv[1:])"],
                              [args => '["a", "b c"]']]],
    ['timeout', '1', [$hello, [timeout => '2.5']]],
    ['an unknown field', '1', [[colour => 'red'], $hello]],
    ['an unknown field of any bytes', '1', [[x => "\xff\0\r\n-"], $hello]],
    ['no file chosen', '1', [[file => '', ['']], $hello]],
    ['an empty file', '', [[file => '', ['a.py']]]],
    ['an empty text', '', [[script => '']]],
    ['an unnamed file', '1', [[file => 'print(1)', ['']]]],
    ['a byte order mark', '1', [[file => "\xef\xbb\xbfprint(1)", ['a.py']]]],
    ['CRLF in a file', "1\n2", [[file => "print(1)\r\nprint(2)\r\n",
                                 ['a.py']]]],
    ['UTF-8', "\x{e4}\x{1f600}", [[script => "print('\xc3\xa4\xf0\x9f\x98\x80')"]]],
    ['a file without a last newline', '1', [[file => 'print(1)', ['a.py']]]],
    ['nearly a boundary', '2', [[script => "'''--pyexec\r\n--pyexe\r\n-- pyexec"
        . "\r\n --pyexec\r--pyexec\n--pyexec'''; print(2)"]]],
    ['a boundary in a line', '1', [[script => "print(1) # --pyexec--"]]],
    ['2 MiB', '2', [[file => '#' . 'x' x (2 << 20) . "\nprint(2)", ['a.py']]]],
    ['16 parts', '1', [$hello, map { ["x$_" => ''] } 1 .. 15]],

    ['a part with a type', '1', [[file => 'print(1)', ['a.py'],
        "Content-Type: text/x-python; charset=utf-8\r\n"]]],
    ['other headers', '1', [[script => 'print(1)', [],
        "X-Other: a\r\nContent-Transfer-Encoding: binary\r\n"]]],
    ['names in other case', '1', [raw_part(
        'CONTENT-disposition: FORM-DATA; NAME="script"', 'print(1)')]],
    ['no quotes', '1', [raw_part(
        'Content-Disposition: form-data; name=script', 'print(1)')]],
    ['many blanks', '1', [raw_part(
        "Content-Disposition:\tform-data ;  name=\"script\" ", 'print(1)')]],
    ['filename first', '1', [raw_part('Content-Disposition: form-data; '
        . 'filename="a.py"; name="file"', 'print(1)')]],
    ['filename*', '1', [raw_part('Content-Disposition: form-data; name="file"; '
        . "filename*=UTF-8''%e2%82%ac.py", 'print(1)')]],
    ['both filenames', '1', [raw_part('Content-Disposition: form-data; '
        . "name=\"file\"; filename=\"a\"; filename*=UTF-8''b", 'print(1)')]],
    ['a script that is a file', '1', [[script => 'print(1)', ['a.py']]]],
    ['a file that is a text', '1', [[file => 'print(1)']]],
    map({ ["filename $_->[0]", '1', [[file => 'print(1)', [$_->[1]]]]] }
        ['with quotes', 'a\\"; name=\\"x.py'], ['with a backslash', 'C:\\\\a.py'],
        ['that goes up', '../../etc/passwd'], ['not ASCII', "\xc3\xa4.py"],
        ['not UTF-8', "\xff.py"], ['with a semicolon', 'a;b=c.py'],
        ['of 3000 bytes', 'x' x 3000], ['with a boundary', '--pyexec']),

    ['a quoted boundary', '1', [$hello],
     { type => 'multipart/form-data; boundary="pyexec"' }],
    ['a boundary of 70', '1', [$hello], { boundary => $long,
        type => "multipart/form-data; boundary=$long" }],
    ['a boundary of one', '1', [[script => 'print(1)']], { boundary => 'x',
        type => 'multipart/form-data; boundary=x' }],
    ['an odd boundary', '1', [$hello], { boundary => $odd,
        type => "multipart/form-data; boundary=\"$odd\"" }],
    ['a boundary of dashes', '1', [$hello], { boundary => '-' x 30 . '1',
        type => 'multipart/form-data; boundary=' . '-' x 30 . '1' }],
    ['a type in capitals', '1', [$hello],
     { type => 'Multipart/Form-Data; Boundary=pyexec' }],
    ['other parameters', '1', [$hello],
     { type => 'multipart/form-data; charset=utf-8; boundary=pyexec; a="b;c"' }],
    ['no last line end', '1', [$hello], { end => '--pyexec--' }],
);

# name, status, pattern for `error`, parts, other than the usual
my @refused = (
    ['two files', 400, qr/'file'/, [$adder, $adder]],
    ['two scripts', 400, qr/'script'/, [$hello, $hello]],
    ['two of an optional field', 400, qr/'params'/,
     [$adder, [params => '[1, 2]'], [params => '[1, 2]']]],
    ['a file and a script', 400, qr/'script'.*'file'|'file'.*'script'/,
     [$adder, $hello]],
    ['params and parameters', 400, qr/'params'.*'parameters'/,
     [$adder, [params => '[1, 2]'], [parameters => '[1, 2]']]],
    ['no source', 400, qr/'script'/, [[x => 'print(1)']]],
    ['only no file', 400, qr/'script'|'file'/, [[file => '', ['']]]],
    ['NUL in a script', 400, qr/'script'/, [[script => "print(1)\0"]]],
    ['NUL in a file', 400, qr/'file'/, [[file => "print(1)\0", ['a.py']]]],
    ['a script not in UTF-8', 400, qr/'script'.*UTF-8/, [[script => "#\xff"]]],
    ['a file not in UTF-8', 400, qr/'file'.*UTF-8/, [[file => "#\xff", ['a']]]],
    ['stdin not in UTF-8', 400, qr/'stdin'/, [$hello, [stdin => "\xff"]]],
    ['function not in UTF-8', 400, qr/'function'/,
     [$hello, [function => "\xff"]]],
    ['function with NUL', 400, qr/'function'/, [$hello, [function => "f\0"]]],
    ['params no JSON', 400, qr/'params'/, [$adder, [params => '3, 4']]],
    ['params cut', 400, qr/'params'/, [$adder, [params => '[3, 4']]],
    ['params a number', 400, qr/'params'/, [$adder, [params => '3']]],
    ['params with a duplicate', 400, qr/'params'/,
     [$adder, [params => '{"a": 1, "a": 2}']]],
    ['params with NUL', 400, qr/'params'/, [$adder, [params => "[3, 4\0]"]]],
    ['params not in UTF-8', 400, qr/'params'/, [$adder, [params => "[\"\xff\"]"]]],
    ['params too deep', 400, qr/'params'/,
     [$adder, [params => '[' x 100_000 . ']' x 100_000]]],
    ['params with too many values', 400, qr/'params'/,
     [$adder, [params => '[' . '1,' x 300_000 . '1]']]],
    ['args no JSON', 400, qr/'args'/, [$hello, [args => 'a b']]],
    ['args no strings', 400, qr/'args'/, [$hello, [args => '[1]']]],
    ['timeout no number', 400, qr/'timeout'/, [$hello, [timeout => 'soon']]],
    ['timeout zero', 400, qr/'timeout'/, [$hello, [timeout => '0']]],
    ['usage no flag', 400, qr/'usage'/, [$hello, [usage => 'yes']]],
    ['pip', 403, qr/pip|install/i, [$hello, [pip => 'numpy']]],
    ['a link', 403, qr/link/i, [[script => 'https://example.org/a.py']]],
    ['a forbidden module', 400, qr/ctypes/, [[file => 'import ctypes', ['a']]]],
    ['17 parts', 400, qr/parts/, [$hello, map { ["x$_" => ''] } 1 .. 16]],
    ['10,000 parts', 400, qr/parts/, [$hello, map { ["x$_" => ''] } 2 .. 10_000]],
    ['10,000 parts of one name', 400, qr/parts|more than one/, [($hello) x 10_000]],

    ['another boundary', 400, qr/boundary/, [$hello],
     { type => 'multipart/form-data; boundary=other' }],
    ['no boundary', 400, qr/boundary/, [$hello],
     { type => 'multipart/form-data' }],
    ['an empty boundary', 400, qr/boundary/, [$hello],
     { type => 'multipart/form-data; boundary=""' }],
    ['two boundaries', 400, qr/boundar/, [$hello],
     { type => 'multipart/form-data; boundary=pyexec; boundary=x' }],
    ['a boundary of 71', 400, qr/boundary/, [$hello], { boundary => "b$long",
        type => "multipart/form-data; boundary=b$long" }],
    ['a boundary that ends with a blank', 400, qr/boundary/, [$hello],
     { boundary => 'x ', type => 'multipart/form-data; boundary="x "' }],
    ['a boundary with other characters', 400, qr/boundary/, [$hello],
     { boundary => 'x@y', type => 'multipart/form-data; boundary="x@y"' }],
    ['no end', 400, qr/bound|end/, [$hello], { end => '' }],
    ['one dash at the end', 400, qr/bound|end/, [$hello], { end => '--pyexec-' }],
    ['a part that is only a boundary', 400, qr/./, [$hello],
     { end => "--pyexec\r\n" }],
    ['no part', 400, qr/field|part/, []],
    ['something after the end', 400, qr/after|end/, [$hello],
     { end => "--pyexec--\r\nx" }],
    ['a part after the end', 400, qr/after|end/, [$hello],
     { end => "--pyexec--\r\n" . part('pyexec', $hello) . "--pyexec--\r\n" }],
    ['a boundary that goes on', 400, qr/bound/,
     [[script => "print(1)\r\n--pyexecX\r\nprint(2)"]]],
    ['a boundary inside', 400, qr/./,
     [[script => "print(1)\r\n--pyexec\r\nprint(2)"]]],

    ['no name', 400, qr/name/, [raw_part('Content-Disposition: form-data', 'x')]],
    ['an empty name', 400, qr/name/, [['' => 'x']]],
    ['no disposition', 400, qr/name|header/, [raw_part('X: y', 'x')]],
    ['no header at all', 400, qr/name|header/, [raw_part('', 'x')]],
    ['an attachment', 400, qr/header/,
     [raw_part('Content-Disposition: attachment; name="script"', 'x')]],
    ['two names', 400, qr/header/, [raw_part(
        'Content-Disposition: form-data; name="x"; name="script"', 'x')]],
    ['two dispositions', 400, qr/header/, [raw_part(
        qq(Content-Disposition: form-data; name="x"\r\n)
        . 'Content-Disposition: form-data; name="script"', 'x')]],
    ['a name in quotes in quotes', 400, qr/'script'/, [['scr\\"ipt' => 'x']]],
    ['an open quote', 400, qr/header/,
     [raw_part('Content-Disposition: form-data; name="script', 'x')]],
    ['a header without a colon', 400, qr/header/,
     [[script => 'x', [], "X-Other\r\n"]]],
    ['a folded header', 400, qr/header/,
     [raw_part("Content-Disposition: form-data;\r\n name=\"script\"", 'x')]],
    ['NUL in a header', 400, qr/header/, [[script => 'x', [], "X: a\0b\r\n"]]],
    ['bare line feeds', 400, qr/./, [raw_part(
        "Content-Disposition: form-data; name=\"script\"\n\nx", '')]],
    ['a header of 5000 bytes', 400, qr/header/,
     [[script => 'x', [], 'X: ' . 'y' x 5000 . "\r\n"]]],
    ['1000 headers', 400, qr/header/, [[script => 'x', [], "X: yy\r\n" x 1000]]],
    ['a header of 2 MiB without end', 400, qr/./,
     [raw_part('X: ' . 'y' x (2 << 20), 'x')]],
    ['base64', 400, qr/Encoding/,
     [[script => 'MQ==', [], "Content-Transfer-Encoding: base64\r\n"]]],
    ['another multipart', 415, qr/Content-Type/, [$hello],
     { type => 'multipart/mixed; boundary=pyexec' }],
    ['a longer type', 415, qr/Content-Type/, [$hello],
     { type => 'multipart/form-data2; boundary=pyexec' }],
);

my $whole = body([$adder, [params => '[3, 4]']]);

plan tests => @accepted + @refused + 6 + 1;

for (@accepted) {
    my ($name, $result, $parts, $other) = @$_;
    my $answer = post(body($parts, $other), $other);
    my $json = $answer->{json};

    ok($answer->{status} == 200 && ref $json eq 'HASH'
       && json_text($json) eq json_text({ result => $result }), $name)
        or diag("$answer->{status} ", substr $answer->{body}, 0, 500);
}

for (@refused) {
    my ($name, $status, $error, $parts, $other) = @$_;
    my $answer = post(body($parts, $other), $other);
    my $json = $answer->{json};

    ok($answer->{status} == $status && ref $json eq 'HASH'
       && keys %$json == 1 && ($json->{error} // '') =~ $error,
       "$name: $status") or diag("$answer->{status} ",
                                 substr $answer->{body}, 0, 500);
}

# How it is sent.
is(chunked($whole, length $whole)->{json}{result}, 7, 'one chunk');
is(chunked($whole, 1)->{json}{result}, 7, 'chunks of one byte');
is(chunked($whole, 7)->{json}{result}, 7, 'chunks of seven bytes');
is(post('', undef)->{status}, 400, 'an empty body');
{
    my $answer = post(body([[script => 'while True: pass'],
                            [timeout => '0.3'], [usage => 'true']]), undef);

    is($answer->{status}, 200, 'a limit of its own: it ran');
    is($answer->{json}{usage}{ended_by}, 'time', 'a limit of its own: usage');
}
{
    # Cut anywhere, a form is no form.
    my @wrong = grep { post(substr($whole, 0, $_), undef)->{status} != 400 }
        0 .. length($whole) - length("--\r\n");

    is("@wrong", '', 'cut after any byte: 400');
}

sub raw_part { return { head => $_[0], content => $_[1] } }

# A part: [name, content, [filename], more headers], or one of raw_part().
sub part
{
    my ($boundary, $part) = @_;
    my ($name, $content, $file, $more);

    return "--$boundary\r\n$part->{head}\r\n\r\n$part->{content}\r\n"
        if ref $part eq 'HASH';
    ($name, $content, $file, $more) = @$part;
    return "--$boundary\r\nContent-Disposition: form-data; name=\"$name\""
        . (defined $file && @$file ? qq(; filename="$file->[0]") : '')
        . "\r\n" . ($more // '') . "\r\n$content\r\n";
}

sub body
{
    my ($parts, $other) = @_;
    my $boundary = $other->{boundary} // 'pyexec';

    return join('', map { part($boundary, $_) } @$parts)
        . ($other->{end} // "--$boundary--\r\n");
}

sub post
{
    my ($body, $other) = @_;

    return request('POST', $place, content => $body, headers => {
        'Content-Type' => $other->{type}
            // 'multipart/form-data; boundary=pyexec' });
}

sub chunked
{
    my ($body, $size) = @_;

    return raw("POST $place HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        . "Content-Type: multipart/form-data; boundary=pyexec\r\n"
        . "Transfer-Encoding: chunked\r\n\r\n"
        . join('', map { sprintf "%x\r\n%s\r\n", length, $_ }
               $body =~ /(.{1,$size})/gs) . "0\r\n\r\n");
}
