# SPDX-License-Identifier: Apache-2.0
# Errors that httpd raises around the module, in places of every dialect: they
# are JSON too, with one sentence, like the module's own.
use strict;
use warnings FATAL => 'all';
use Apache::TestConfig ();
use PyExec::Test;
use Test::More;

my %places = (auto => '/execute', run => '/execute/run',
              map { $_ => "/compat/$_/execute" }
              qw(code main-json main-object main-report));
my @dialects = sort keys %places;
my $big = '{"code":"' . 'x' x 2000 . '"}';
my $impatient = Apache::TestConfig->thaw->{vhosts}{impatient}{port};

# name, status, how it is brought about
my @errors = (
    ['nobody named', 401, sub { post("/t/401/$_[0]", '{}') }],
    ['denied', 403, sub { post("/t/403/$_[0]", '{}') }],
    ['below the place', 404, sub { post("$places{$_[0]}/x", '{}') }],
    ['another method', 405, sub { request('PUT', $places{$_[0]},
                                          content => '{}') }],
    ['LimitRequestBody', 413, sub { post("/t/413/$_[0]", $big) }],
    ['LimitRequestBody, in chunks', 413, sub { chunked("/t/413/$_[0]") }],
    ['PyExecBody', 413, sub { post("/t/max-body/$_[0]", $big) }],
    ['PyExecBody, in chunks', 413, sub { chunked("/t/max-body/$_[0]") }],
    ['a media type', 415, sub { request('POST', $places{$_[0]},
        content => 'x', headers => { 'Content-Type' => 'text/plain' }) }],
);

plan tests => 1 + @dialects * (1 + @errors);
ok($impatient, 'there is a server that does not wait');
for my $dialect (@dialects) {
    for (@errors) {
        my ($name, $status, $bring) = @$_;

        judge("$dialect: $name", $status, $bring->($dialect));
    }
}

# All at once: each takes a second.
my %sockets = map { $_ => begun($places{$_}) } @dialects;
judge("$_: a body that does not come", 408, raw_answer($sockets{$_}, 10) || {
    status => 0, headers => {}, body => '' }) for @dialects;

sub judge
{
    my ($name, $status, $answer) = @_;
    my $json = $answer->{json};

    ok($answer->{status} == $status
       && ($answer->{headers}{'content-type'} // '') eq 'application/json'
       && ref $json eq 'HASH' && keys %$json == 1
       && ($json->{error} // '') =~ /\w+ .*\.$/, "$name: $status")
        or diag("$answer->{status} ", substr $answer->{body}, 0, 300);
    return;
}

sub post
{
    my ($path, $body) = @_;

    return request('POST', $path, content => $body,
                   headers => { 'Content-Type' => 'application/json' });
}

sub head
{
    my ($path) = @_;

    return "POST $path HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        . "Content-Type: application/json\r\n";
}

sub chunked
{
    my ($path) = @_;

    return raw(head($path) . "Transfer-Encoding: chunked\r\n\r\n"
        . sprintf("%x\r\n%s\r\n0\r\n\r\n", length $big, $big));
}

# The head of a request, whose body never follows.
sub begun
{
    my ($path) = @_;
    my $socket = raw_open(port => $impatient);

    print $socket head($path) . "Content-Length: 100\r\n\r\n{";
    return $socket;
}
