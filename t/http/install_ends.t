# SPDX-License-Identifier: Apache-2.0
# How an installation ends: the answer and the log agree with what was made of
# the environment, whatever a build does and whoever leaves while its packages are
# taken over. Processes are stopped for what else would be a matter of luck.
use strict;
use warnings FATAL => 'all';
use PyExec::Index;
use PyExec::Test;
use Test::More;
use Time::HiRes qw(sleep);

once_only();

# More than a killed run with all its processes may take to be gone.
my $kill_s = 10.5;
my $env = helper_dir();
my $index = index_make('inside.py', "$env");

my $server = own_server(index_modules() . index_served($index) . <<"END");
PyExecPreload none
<PyExecPool built>
    PyExecEnvironment "$env"
    PyExecInstall On
    PyExecInstallSource On
    PyExecInstallIndex $index->{url}
    PyExecInstallSize 8M
    PyExecInstallTimeout 60s
    PyExecNetwork proxy=127.0.0.1:$index->{proxy}
</PyExecPool>
<Location "/install">
    SetHandler pyexec
    PyExecEngine On
    PyExecDialect run
    PyExecPool built
    PyExecImports *
</Location>
END
my @stopped; # processes that must go on
END {
    local $?;
    kill 'CONT', @stopped;
    $server->{stop}->() if $server;
}
my @port = (port => $server->{port});

is(answer_of(begin('honest')), 'Library Installation Successfully', 'one that ends as usual');
flooded();
left_early();
left_late();
unlike(error_log($server), qr/:error\]| error: /, 'nobody has complained of an error');
done_testing();

# ---- helpers ----

sub current { return readlink "$env/current" }

# Besides generations, the link and the locks.
sub left_over
{
    opendir my $dir, "$env" or die;
    return join ' ', sort grep { !/^(?:\.\.?|lock|turn|current|\d+)$/ } readdir $dir;
}

sub begin
{
    my ($name) = @_;
    my $body = json_text({ script => '', pip => "-i $name" });
    my $socket = raw_open(@port);

    print $socket "POST /install HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        . "Connection: close\r\nContent-Length: " . length($body) . "\r\n\r\n$body";
    return $socket;
}

sub answer_of
{
    my ($socket) = @_;
    my $answer = raw_answer($socket, 60) or return 'none';

    return $answer->{json}{result} // json_text($answer->{json} // $answer->{body});
}

sub has_imported
{
    my ($name) = @_;

    return post_json('/install', { script => "import $name\nprint($name.FOUND)" }, @port)->{json}{result};
}

# The build that waits for somebody, pip that waits for it, and their zygote.
sub stopped_build
{
    my $build = wait_for(sub {
        my ($found) = grep { $_->{State} =~ /^T/ } descendants($server->{pid});

        return $found && $found->{Pid};
    }, 30) or return;
    my $keeper = keeper($server->{pid});
    my $job = $build;
    my $zygote;

    while (($zygote = proc_status($job)->{PPid}) != 1 && proc_status($zygote)->{PPid} != $keeper) {
        $job = $zygote;
    }
    return ($build, $job, $zygote);
}

sub halt { push @stopped, @_; return kill 'STOP', @_ }
sub go_on { return kill 'CONT', @_ }

sub has_ended { return (proc_status($_[0]) // { State => 'Z' })->{State} =~ /^[ZX]/ }

# ---- cases ----

# The keeper reads what pip has printed when that is over, and more than may be
# printed: too late to keep anything from being taken over.
sub flooded
{
    my $before = current();
    my $asked = begin('floods');
    my ($build) = stopped_build();
    my $keeper = keeper($server->{pid});

    ok($build, 'floods: it waits') or return;
    halt($keeper);
    go_on($build);
    ok(wait_for(sub { current() ne $before }, 30), '... is taken over while the keeper is busy');
    go_on($keeper);
    is(answer_of($asked), 'Library Installation Successfully', '... and that is the answer');
    is(has_imported('floods'), 'flooded', '... which is true');
    return;
}

sub left_early
{
    # Takes out what the one before has brought.
    is(answer_of(begin('honest')), 'Library Installation Successfully', 'one that is there already');
    my $before = current();
    my $asked = begin('stops');
    my ($build, $job) = stopped_build();

    ok($build, 'left early: it waits') or return;
    close $asked;
    ok(wait_for(sub { has_ended($job) && has_ended($build) }, 10), '... and ends with its client');
    is(answer_of(begin('honest')), 'Library Installation Successfully', '... which the next one waits for');
    is(current(), $before, '... nothing was changed');
    is(left_over(), '', '... or left');
    return;
}

# All went well, and its zygote is about to take it over.
sub left_late
{
    my $before = current();
    my $asked = begin('stops');
    my ($build, $job, $zygote) = stopped_build();

    ok($build, 'left late: it waits') or return;
    halt($zygote);
    go_on($build);
    ok(wait_for(sub { has_ended($job) }, 30), '... has ended well');
    close $asked;
    ok(wait_for(sub { my $lines = () = error_log($server) =~ /PYX0201/g; $lines == 2 }, 10),
       '... and its client is gone');
    sleep $kill_s; # nothing is waited for: in this time nobody must lose patience
    ok(!has_ended($zygote), '... who takes it over is left alone');
    go_on($zygote);
    ok(wait_for(sub { current() ne $before }, 10), '... and gets done');
    ok(wait_for(sub { (has_imported('stops') // '') eq 'went on' }, 20), '... so that it is there');
    is(left_over(), '', '... and nothing else');
    return;
}
