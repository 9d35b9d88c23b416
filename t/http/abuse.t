# SPDX-License-Identifier: Apache-2.0
# Attacks that once worked: each is refused, bounded, or does not matter.
use strict;
use warnings FATAL => 'all';
use PyExec::Test;
use Test::More;

plan tests => 14;

# A number too large behind very many members: finding its name took the
# square of their number, in a worker that nobody could stop.
my $body = '{' . join(',', map { qq("k$_":0) } 1 .. 200_000)
    . ',"zz":1e999}';
my $answer;
my $took = seconds(sub {
    $answer = request('POST', '/execute', content => $body,
                      headers => { 'Content-Type' => 'application/json' });
});
is($answer->{status}, 400, 'a number too large, many members: refused');
like($answer->{json}{error}, qr/'zz'/, '... naming the field');
cmp_ok($took, '<', 10, '... at once');

# A script that writes a RESULT frame of its own, larger than its output may
# be, to the descriptor that it can find.
my $forge = <<'PY';
import os, struct
def field(tag, value): return struct.pack('<HHI', tag, 0, len(value)) + value
def main():
    body = field(32, struct.pack('<I', 1)) + field(29, b'["' + b'x' * SIZE + b'"]')
    data = b'PYXW' + struct.pack('<HHI', 1, 41, len(body)) + body
    while data: data = data[os.write(900, data):]
    os._exit(0)
PY
for my $size (500, 100_000, 2_000_000) {
    $answer = post_json('/t/result-1000',
                        { script => $forge =~ s/SIZE/$size/r });
    is($answer->{status}, 200, "a forged result of $size bytes: answered");
    if ($size <= 1000) {
        is_deeply($answer->{json}{result}, ['x' x $size],
                  '... it is its own affair');
    }
    else {
        cmp_ok(length $answer->{body}, '<', 3000, '... it is not passed on');
    }
}

# A page of another origin can make a browser send a form with its cookies.
sub form
{
    my (%headers) = @_;

    return request('POST', '/t/run-here', headers =>
        { 'Content-Type' => 'multipart/form-data; boundary=b', %headers },
        content => "--b\r\nContent-Disposition: form-data; name=\"script\"\r\n"
            . "\r\nprint(6*7)\r\n--b--\r\n")->{status};
}
my $own = '127.0.0.1:' . var('port');
is(form(), 200, 'a form of a program: taken');
is(form(Origin => 'http://evil.example'), 403, 'of a foreign page: not');
is(form('Sec-Fetch-Site' => 'cross-site'), 403, 'said so by the browser: not');
is(form(Origin => "http://$own", 'Sec-Fetch-Site' => 'same-origin'), 200,
   'of an own page: taken');
# Keep the hint from costing more than the run.
is(post_json('/compat/main-report/execute', { script =>
        "for i in range(200000): globals()[f'name{i}'] = i\n"
        . "def main(): return nmae1\n" })->{json}{error},
   'runtime_error', 'a misspelt name among 200,000: told');
