# SPDX-License-Identifier: Apache-2.0
# A restart with a configuration that `httpd -t` would have refused: httpd goes
# on serving, runs get 503, and the next restart with a good one heals it.
use strict;
use warnings FATAL => 'all';
use PyExec::Test;
use Test::More;

my $server = own_server('');
END { $server->{stop}->() if $server }

my $file = "$server->{dir}/httpd.conf";
my $good = do { local (@ARGV, $/) = $file; <> };
my @bad = (
    ['an unknown pool', "PyExecPool nobody\n", qr/PYX0011: .*no <PyExecPool nobody>/],
    ['packages for nobody', "PyExecInstall On\n", qr/PYX0241: .*needs a directory/],
    ['a helper that is missing', "PyExecHelperProgram /nonexistent/x\n",
     qr{PYX0001: the helper '/nonexistent/x' cannot be used}],
);

sub restart_with
{
    my ($text) = @_;

    open my $out, '>', $file or die;
    print $out $text;
    close $out or die;
    kill 'USR1', $server->{pid} or die;
    return;
}

sub status { return request(@_, port => $server->{port})->{status} }

sub run_status
{
    return post_json('/execute', { code => 'print(1)' },
                     port => $server->{port})->{status};
}

plan tests => 5 * @bad;

for my $case (@bad) {
    my ($name, $text, $says) = @$case;

    restart_with("$good\n$text");
    ok(wait_for(sub { run_status() == 503 }, 10), "$name: runs get 503");
    is(status('GET', '/execute/openapi.json'), 200, '... all else is served');
    ok(is_alive($server->{pid}), '... by the same httpd');
    like(PyExec::Test::error_log($server),
         qr/$says(?:.*\n)+?.*PYX0016: httpd serves everything else/,
         '... and the log tells');
    restart_with($good);
    ok(wait_for(sub { run_status() == 200 }, 10), '... until it is corrected');
}
